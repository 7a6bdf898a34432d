"""Train, calibrate and save the Bravais classifier."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import multiprocessing
import shutil
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais_data import BRAVAIS_CLASSES, Draw, PatternMaker, draw
from napari_diffraction.learning.bravais_network import BravaisNetwork
from napari_diffraction.learning.bravais_view import PREPROCESSING
from napari_diffraction.learning.calibration import calibrate
from napari_diffraction.learning.classifier import ModelCard, save_classifier
from napari_diffraction.learning.kikuchi_loop import (
    Batch,
    State,
    begin,
    learn,
    round_as_shipped,
    schedule,
)
from napari_diffraction.learning.recipe import BravaisRecipe
from napari_diffraction.learning.structure_pool import (
    CHUNK,
    LATTICES,
    StructurePool,
    growing,
    make_chunk,
    read_chunk,
)
from napari_diffraction.progress import Progress

_VALIDATION_SEED = 80_000_000
#: Seconds between reports, between checkpoints, and to wait for the first structures.
_REPORT, _KEEP, _WAIT = 10.0, 120.0, 0.2


@dataclass(frozen=True)
class BravaisProgress(Progress):
    """A step of the training.

    Attributes
    ----------
    loss
        Mean training loss since the last report.
    rate
        Patterns per second.
    """

    loss: float = math.nan
    rate: float = math.nan


def train_bravais(
    recipe: BravaisRecipe,
    output: Path,
    resume: bool = False,
    workers: int = 1,
    device: str | None = None,
) -> Generator[Progress, None, Path]:
    """Draw structures, train, calibrate and save a Bravais classifier.

    Structures and a checkpoint stay in ``OUTPUT.work`` until the end; with ``resume`` a stopped
    training goes on from there.

    Parameters
    ----------
    recipe
        What to train.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped.
    workers
        Processes that draw structures; on a processor, as many again make patterns.
    device
        By default the graphics card where there is one.

    Raises
    ------
    InputError
        The output cannot be written, the checkpoint is of another recipe, or the loss diverges.
    """
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: a model is written as .safetensors; use this ending.")
    work = output.with_name(output.name + ".work")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror}): choose another."
        ) from error
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    state = _start(recipe, where)
    checkpoint = work / "checkpoint.pt"
    if resume and checkpoint.exists():
        _take_up(checkpoint, recipe, state)
    with _source(recipe, state, work, where, workers) as batches:
        yield from _fit(recipe, state, batches, checkpoint)
    yield from _finish(recipe, state, where, work, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def _start(recipe: BravaisRecipe, device: torch.device) -> State:
    torch.manual_seed(recipe.seed)
    network = BravaisNetwork(len(BRAVAIS_CLASSES), recipe.widths, recipe.depths)
    network = network.to(device).to(memory_format=torch.channels_last)
    return begin(network, recipe.learning_rate, recipe.weight_decay)


def _fit(
    recipe: BravaisRecipe, state: State, batches: Iterator[Batch | None], checkpoint: Path
) -> Generator[Progress, None, None]:
    """Train until the patterns or the minutes are used up."""
    network = torch.compile(state.network) if state.on_card else state.network
    state.network.train()
    began = time.monotonic() - state.seconds
    said, kept = time.monotonic(), time.monotonic()
    losses: list[Tensor] = []
    for batch in batches:
        if batch is None:
            yield BravaisProgress(0, recipe.patterns, "Drawing structures")
            began = time.monotonic() - state.seconds
            continue
        done = _done(recipe, state)
        if done >= 1:
            break
        for group in state.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(done)
        losses.append(learn(network, state, batch))
        state.step += 1
        state.patterns += len(batch[0])
        state.seconds = time.monotonic() - began
        now = time.monotonic()
        if now - said > _REPORT:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise InputError(
                    "The loss is no longer a number: lower learning_rate in the recipe (it is "
                    f"{recipe.learning_rate:g})."
                )
            rate = len(losses) * recipe.batch_size / (now - said)
            said, losses = now, []
            yield BravaisProgress(
                round(done * recipe.patterns), recipe.patterns, "Training", loss, rate
            )
        if now - kept > _KEEP:
            _keep(checkpoint, recipe, state)
            kept = now
    _keep(checkpoint, recipe, state)


@contextlib.contextmanager
def _source(
    recipe: BravaisRecipe, state: State, folder: Path, device: torch.device, workers: int
) -> Iterator[Iterator[Batch | None]]:
    """Make batches: on a graphics card itself, or in processes beside that of the training."""
    chunks = max(1, recipe.structures // CHUNK)
    with growing(folder, recipe.seed * 1_000_000, chunks, workers) as coming:
        if device.type == "cuda":
            yield _on_card(recipe, state, coming, chunks, device)
        else:
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                yield _from_processes(recipe, state, coming, pool, 2 * workers)


def _on_card(
    recipe: BravaisRecipe,
    state: State,
    coming: Iterator[str | None],
    chunks: int,
    device: torch.device,
) -> Iterator[Batch | None]:
    pool = StructurePool(device, chunks * CHUNK)
    maker = PatternMaker(pool, recipe.seed * 1000 + state.step, compiled=True)
    rng = np.random.default_rng([recipe.seed, state.step])

    def drawn() -> Draw:
        return draw(recipe.batch_size, rng.spawn(1)[0], _hardness(recipe, state))

    with ThreadPoolExecutor(1) as ahead:
        numbers = [ahead.submit(drawn) for _ in range(3)]
        while True:
            for path in coming:
                if path is None:
                    break
                pool.add(read_chunk(path))
            if pool.count == 0:
                time.sleep(_WAIT)
                yield None
                continue
            numbers.append(ahead.submit(drawn))
            with torch.no_grad():
                yield maker.batch(numbers.pop(0).result())


def _from_processes(
    recipe: BravaisRecipe,
    state: State,
    coming: Iterator[str | None],
    pool: Any,
    ahead: int,
) -> Iterator[Batch | None]:
    ready: list[str] = []
    waiting: list[Any] = []
    for number in itertools.count(state.step):
        for path in coming:
            if path is None:
                break
            ready.append(path)
        if not ready:
            time.sleep(_WAIT)
            yield None
            continue
        while len(waiting) < ahead:
            seed = [recipe.seed, number, len(waiting)]
            job = (tuple(ready), seed, recipe.batch_size, _hardness(recipe, state))
            waiting.append(pool.apply_async(_make_batch, (job,)))
        parts = waiting.pop(0).get()
        yield tuple(torch.from_numpy(values) for values in parts)


_POOLS: dict[str, StructurePool] = {}


def _make_batch(job: tuple[tuple[str, ...], list[int], int, float]) -> tuple[NDArray[Any], ...]:
    """Make one batch in a process of its own, from the structures of some chunks."""
    import numba

    paths, seed, size, hardness = job
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    for path in paths:
        if path not in _POOLS:
            _POOLS[path] = StructurePool(torch.device("cpu"), CHUNK)
            _POOLS[path].add(read_chunk(path))
    rng = np.random.default_rng(seed)
    # One chunk serves a part of the batch: each holds as many structures of every lattice.
    parts = []
    for share in np.array_split(np.arange(size), -(-size // 64)):
        pool = _POOLS[paths[int(rng.integers(len(paths)))]]
        maker = PatternMaker(pool, int(rng.integers(2**62)))
        parts.append(maker.batch(draw(len(share), rng, hardness)))
    whole = [torch.cat(values) for values in zip(*parts, strict=True)]
    whole[0] = whole[0].half()  # half the bytes between the processes
    return tuple(values.numpy() for values in whole)


def _done(recipe: BravaisRecipe, state: State) -> float:
    """Share of the training that is done."""
    done = state.patterns / recipe.patterns
    return max(done, state.seconds / 60 / recipe.minutes) if recipe.minutes else done


def _hardness(recipe: BravaisRecipe, state: State) -> float:
    return min(1.0, 0.1 + 0.9 * _done(recipe, state) / max(recipe.warm_up, 1e-6))


def _finish(
    recipe: BravaisRecipe, state: State, device: torch.device, work: Path, output: Path
) -> Generator[Progress, None, None]:
    """Calibrate on unseen structures and save."""
    yield BravaisProgress(1, 1, "Calibrating on unseen structures")
    seed = _VALIDATION_SEED + recipe.seed * 100
    pool = StructurePool(device, CHUNK)
    pool.add(read_chunk(make_chunk((str(work / f"validation-{seed}.npz"), seed))))
    network = state.smooth
    round_as_shipped(network)
    logits, label = predict(network, pool, recipe.seed + 17, repeats=4)
    scale, bias = calibrate(logits, label)
    single = label < len(LATTICES)
    score = float((logits[single].argmax(1) == label[single]).mean())
    shares = np.bincount(label, minlength=len(BRAVAIS_CLASSES)) / len(label)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        network="bravais",
        classes=BRAVAIS_CLASSES,
        options={"widths": recipe.widths, "depths": recipe.depths},
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(BRAVAIS_CLASSES, shares.tolist(), strict=True)),
        recipe=dataclasses.replace(recipe, patterns=state.patterns).as_dict()
        | {"seconds": round(state.seconds)},
        preprocessing=PREPROCESSING | {"mirror": True},
        figures={"single pattern, unseen random structures": round(score, 4)},
    )
    save_classifier(network, card, output)
    yield BravaisProgress(1, 1, f"{score:.3f} of the patterns of unseen structures are right")


@torch.inference_mode()
def predict(
    network: BravaisNetwork,
    pool: StructurePool,
    seed: int,
    repeats: int = 1,
    batch: int = 350,
    mirror: bool = True,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Judge fresh patterns of every structure of a pool.

    Returns
    -------
    logits : ndarray of float32, (repeats * n, n_classes)
        With ``mirror`` the mean over the pattern and its mirror image.
    label : ndarray of int64, (repeats * n,)
    """
    network.eval()
    maker = PatternMaker(pool, seed)
    rng = np.random.default_rng([seed, 3])
    logits, labels = [], []
    for _ in range(repeats):
        for i in range(0, pool.count, batch):
            which = torch.arange(i, min(i + batch, pool.count), device=pool.device)
            seen, label, _, _ = maker.batch(draw(len(which), rng), which)
            out = network(seen)["lattice"]
            if mirror:
                out = (out + network(seen.flip(-1))["lattice"]) / 2
            logits.append(out.float().cpu().numpy())
            labels.append(label.cpu().numpy())
    return np.concatenate(logits), np.concatenate(labels)


def _keep(path: Path, recipe: BravaisRecipe, state: State) -> None:
    values = {
        "recipe": _plain(recipe),
        "network": state.network.state_dict(),
        "smooth": state.smooth.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "numbers": [state.step, state.patterns, state.seconds],
    }
    with replacing(path) as partial:
        torch.save(values, partial)


def _plain(recipe: BravaisRecipe) -> dict[str, Any]:
    """The recipe without what may change when a training goes on."""
    values = recipe.as_dict()
    for name in ("patterns", "minutes", "structures"):
        del values[name]
    return values


def _take_up(path: Path, recipe: BravaisRecipe, state: State) -> None:
    try:
        kept = torch.load(path, weights_only=True)
        if kept["recipe"] == _plain(recipe):
            state.network.load_state_dict(kept["network"])
            state.smooth.load_state_dict(kept["smooth"])
            state.optimiser.load_state_dict(kept["optimiser"])
            state.step, state.patterns, state.seconds = kept["numbers"]
            return
    except Exception as error:
        raise InputError(f"{path} is damaged: train without --resume.") from error
    raise InputError(
        f"{path} was made by another recipe: train without --resume, or with another output."
    )
