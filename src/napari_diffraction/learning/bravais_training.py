"""Train, calibrate and save the Bravais classifier, and a small fast one beside it."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais_data import BRAVAIS_CLASSES, Draw, PatternMaker, draw
from napari_diffraction.learning.bravais_network import BravaisNetwork
from napari_diffraction.learning.bravais_view import PREPROCESSING
from napari_diffraction.learning.calibration import calibrate
from napari_diffraction.learning.classifier import ModelCard, save_classifier
from napari_diffraction.learning.structure_pool import (
    CHUNK,
    LATTICES,
    StructurePool,
    growing,
    make_chunk,
    read_chunk,
)
from napari_diffraction.progress import Progress

#: Architecture of the fast network, which learns from the accurate one (Hinton et al. 2015).
FAST = {"widths": (24, 32, 64, 128), "depths": (0, 1, 2, 2), "squeeze": False}
_LAUE, _MAPS, _SOFT = 0.3, 1.0, 2.0
_DECAY = 0.9995
_VALIDATION_SEED = 80_000_000


@dataclass(frozen=True)
class BravaisRecipe:
    """How a Bravais classifier is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows.
    seed
        Seed of structures, patterns and weights.
    structures
        Number of random structures to train on.
    patterns
        Number of patterns to train on, each made once and thrown away.
    minutes
        Where above 0, training ends after this time at the latest, and the learning rate falls
        accordingly; the card tells the number of patterns reached.
    batch_size, learning_rate, weight_decay
        Of AdamW, with a warm-up and a cosine.
    widths, depths
        Of `napari_diffraction.learning.bravais_network.BravaisNetwork`.
    warm_up
        Share of the training over which noise and geometry widen to their full range.
    """

    name: str = "bravais"
    title: str = "Bravais lattices of Kikuchi patterns"
    summary: str = "Names the Bravais lattice of a Kikuchi pattern without a phase list."
    seed: int = 1
    structures: int = 140_000
    patterns: int = 6_000_000
    minutes: float = 0.0
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    widths: tuple[int, ...] = (48, 96, 192, 320)
    depths: tuple[int, ...] = (1, 2, 3, 2)
    warm_up: float = 0.15


@dataclass(frozen=True)
class BravaisProgress(Progress):
    """A step of the training.

    Attributes
    ----------
    loss
        Mean training loss since the last report.
    score
        Share of the validation patterns whose lattice is right, after the last validation.
    rate
        Patterns per second.
    """

    loss: float = math.nan
    score: float = math.nan
    rate: float = math.nan


@dataclass
class _State:
    """All that a checkpoint holds."""

    networks: dict[str, BravaisNetwork]
    smooth: dict[str, BravaisNetwork]
    optimiser: torch.optim.Optimizer
    step: int = 0
    patterns: int = 0
    seconds: float = 0.0


def train_bravais(
    recipe: BravaisRecipe,
    output: Path,
    resume: bool = False,
    workers: int = 1,
    device: str | None = None,
) -> Generator[Progress, None, Path]:
    """Draw structures, train, calibrate and save a Bravais classifier and ``NAME-fast`` beside it.

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
        Processes that draw structures.
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
    chunks = max(1, recipe.structures // CHUNK)
    with growing(work, recipe.seed * 1_000_000, chunks, workers) as coming:
        yield from _fit(recipe, state, coming, chunks, where, checkpoint)
    yield from _finish(recipe, state, where, work, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def _start(recipe: BravaisRecipe, device: torch.device) -> _State:
    torch.manual_seed(recipe.seed)
    networks = {
        "accurate": BravaisNetwork(len(BRAVAIS_CLASSES), recipe.widths, recipe.depths),
        "fast": BravaisNetwork(len(BRAVAIS_CLASSES), **FAST),
    }
    smooth = {
        name: BravaisNetwork(len(BRAVAIS_CLASSES), **_options(recipe, name)) for name in networks
    }
    for name, network in networks.items():
        network.to(device, memory_format=torch.channels_last)
        smooth[name].load_state_dict(network.state_dict())
        smooth[name].to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    decayed = [p for n in networks.values() for p in n.parameters() if p.ndim > 1]
    free = [p for n in networks.values() for p in n.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free}],
        lr=recipe.learning_rate,
        weight_decay=0.0,
        fused=True,
    )
    return _State(networks, smooth, optimiser)


def _options(recipe: BravaisRecipe, name: str) -> dict[str, Any]:
    return dict(FAST) if name == "fast" else {"widths": recipe.widths, "depths": recipe.depths}


def _fit(
    recipe: BravaisRecipe,
    state: _State,
    coming: Any,
    chunks: int,
    device: torch.device,
    checkpoint: Path,
) -> Generator[Progress, None, None]:
    """Train until the patterns or the minutes are used up."""
    on_card = device.type == "cuda"
    pool = StructurePool(device, chunks * CHUNK)
    while pool.count == 0:
        _add_ready(pool, coming)
        yield BravaisProgress(0, recipe.patterns, "Drawing structures")
        time.sleep(0.2)
    seed = recipe.seed * 1000 + state.step
    maker = PatternMaker(pool, seed, compiled=on_card)
    run = {
        name: torch.compile(network) if on_card else network
        for name, network in state.networks.items()
    }
    for network in state.networks.values():
        network.train()
    began = time.monotonic() - state.seconds
    said, kept, losses, score = time.monotonic(), time.monotonic(), [], math.nan
    last = state.patterns
    rng = np.random.default_rng([recipe.seed, state.step])
    with ThreadPoolExecutor(2) as ahead:
        drawn = [
            ahead.submit(draw, recipe.batch_size, r, _hardness(recipe, state)) for r in rng.spawn(3)
        ]
        while (done := _done(recipe, state)) < 1:
            numbers = drawn.pop(0).result()
            drawn.append(_submit(ahead, recipe, state, rng))
            for group in state.optimiser.param_groups:
                group["lr"] = recipe.learning_rate * _schedule(done)
            losses.append(_step(run, state, maker, numbers))
            state.step += 1
            state.patterns += recipe.batch_size
            state.seconds = time.monotonic() - began
            if state.step % 10 == 0:
                _add_ready(pool, coming)
            now = time.monotonic()
            if now - said > 10:
                loss = float(torch.stack(losses).mean())
                if not math.isfinite(loss):
                    raise InputError(
                        f"The loss is no longer a number: lower learning_rate in the recipe (it "
                        f"is {recipe.learning_rate:g})."
                    )
                rate = (state.patterns - last) / (now - said)
                said, last = now, state.patterns
                losses = []
                yield BravaisProgress(
                    round(done * recipe.patterns),
                    recipe.patterns,
                    f"{state.patterns:,} patterns of {pool.count:,} structures",
                    loss,
                    score,
                    rate,
                )
            if now - kept > 120:
                _keep(checkpoint, recipe, state)
                kept = time.monotonic()
    _keep(checkpoint, recipe, state)


def _submit(
    ahead: ThreadPoolExecutor, recipe: BravaisRecipe, state: _State, rng: np.random.Generator
) -> Future[Draw]:
    return ahead.submit(draw, recipe.batch_size, rng.spawn(1)[0], _hardness(recipe, state))


def _add_ready(pool: StructurePool, coming: Any) -> None:
    for path in coming:
        if path is None:
            return
        pool.add(read_chunk(path))


def _done(recipe: BravaisRecipe, state: _State) -> float:
    """Share of the training that is done."""
    done = state.patterns / recipe.patterns
    return max(done, state.seconds / 60 / recipe.minutes) if recipe.minutes else done


def _hardness(recipe: BravaisRecipe, state: _State) -> float:
    return min(1.0, 0.2 + 0.8 * _done(recipe, state) / max(recipe.warm_up, 1e-6))


def _schedule(done: float) -> float:
    """Share of the greatest learning rate: a short warm-up, then a cosine to almost nothing."""
    if done < 0.02:
        return 0.05 + 0.95 * done / 0.02
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.02) / 0.98))


def _step(run: dict[str, Any], state: _State, maker: PatternMaker, numbers: Draw) -> Tensor:
    """One step of both networks on one batch; returns the accurate one's lattice loss."""
    with torch.no_grad():
        seen, label, laue, maps = maker.batch(numbers)
    with torch.autocast(seen.device.type, torch.bfloat16):
        out = {name: network(seen) for name, network in run.items()}
    total = torch.zeros((), device=seen.device)
    first = torch.zeros((), device=seen.device)
    for name, one in out.items():
        logits = one["lattice"].float()
        hard = functional.cross_entropy(logits, label, label_smoothing=0.02)
        loss = hard
        if name == "fast":
            teacher = torch.log_softmax(out["accurate"]["lattice"].float().detach() / _SOFT, 1)
            soft = functional.kl_div(
                torch.log_softmax(logits / _SOFT, 1),
                teacher,
                log_target=True,
                reduction="batchmean",
            )
            loss = 0.5 * hard + _SOFT**2 * soft
        else:
            first = hard.detach()
        loss = loss + _LAUE * functional.cross_entropy(one["laue"].float(), laue, ignore_index=-1)
        loss = loss + _MAPS * functional.binary_cross_entropy_with_logits(one["maps"].float(), maps)
        total = total + loss
    state.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    for network in state.networks.values():
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    state.optimiser.step()
    _follow(state)
    return first


@torch.no_grad()
def _follow(state: _State) -> None:
    """Let the averaged weights follow (Polyak averaging), faster at the start."""
    share = 1 - min(_DECAY, (1 + state.step) / (20 + state.step))
    for name, network in state.networks.items():
        mine = list(state.smooth[name].state_dict().values())
        theirs = list(network.state_dict().values())
        floats = [i for i, value in enumerate(mine) if value.is_floating_point()]
        torch._foreach_lerp_([mine[i] for i in floats], [theirs[i] for i in floats], share)


def _finish(
    recipe: BravaisRecipe, state: _State, device: torch.device, work: Path, output: Path
) -> Generator[Progress, None, None]:
    """Calibrate both networks on unseen structures and save them."""
    yield BravaisProgress(1, 1, "Calibrating on unseen structures")
    pool = StructurePool(device, 2 * CHUNK)
    for k in range(2):
        seed = _VALIDATION_SEED + recipe.seed * 100 + k
        pool.add(read_chunk(make_chunk((str(work / f"validation-{seed}.npz"), seed))))
    reached = dataclasses.replace(recipe, patterns=state.patterns)
    for name, network in state.smooth.items():
        network.load_state_dict({k: _as_shipped(v) for k, v in network.state_dict().items()})
        logits, label = predict(
            network, pool, recipe.seed + 17, repeats=4, mirror=name == "accurate"
        )
        scale, bias = calibrate(logits, label)
        single = label < len(LATTICES)
        score = float((logits[single].argmax(1) == label[single]).mean())
        fast = name == "fast"
        card = ModelCard(
            name=recipe.name + ("-fast" if fast else ""),
            title=recipe.title + (" (fast)" if fast else ""),
            summary=recipe.summary,
            network="bravais",
            classes=BRAVAIS_CLASSES,
            options=_options(recipe, name),
            scale=scale,
            bias=tuple(float(b) for b in bias),
            shares=dict(
                zip(
                    BRAVAIS_CLASSES,
                    (np.bincount(label, minlength=len(BRAVAIS_CLASSES)) / len(label)).tolist(),
                    strict=True,
                )
            ),
            recipe=asdict(reached) | {"seconds": round(state.seconds)},
            preprocessing=PREPROCESSING | {"mirror": not fast},
            figures={"single pattern, unseen random structures": round(score, 4)},
        )
        path = output.with_name(output.stem + "-fast.safetensors") if fast else output
        save_classifier(network, card, path)
        yield BravaisProgress(1, 1, f"{card.name}: {score:.3f} of unseen structures", score=score)


def _as_shipped(values: Tensor) -> Tensor:
    """Round weights as the model file does, so that what is calibrated is what is shipped."""
    return values.half().float() if values.is_floating_point() else values


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


def _keep(path: Path, recipe: BravaisRecipe, state: _State) -> None:
    values = {
        "recipe": _plain(recipe),
        "networks": {name: n.state_dict() for name, n in state.networks.items()},
        "smooth": {name: n.state_dict() for name, n in state.smooth.items()},
        "optimiser": state.optimiser.state_dict(),
        "numbers": [state.step, state.patterns, state.seconds],
    }
    with replacing(path) as partial:
        torch.save(values, partial)


def _plain(recipe: BravaisRecipe) -> dict[str, Any]:
    """The recipe without what may change when a training goes on."""
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(recipe).items()}
    for name in ("patterns", "minutes", "structures"):
        del values[name]
    return values


def _take_up(path: Path, recipe: BravaisRecipe, state: _State) -> None:
    try:
        kept = torch.load(path, weights_only=True)
        if kept["recipe"] == _plain(recipe):
            for name, network in state.networks.items():
                network.load_state_dict(kept["networks"][name])
                state.smooth[name].load_state_dict(kept["smooth"][name])
            state.optimiser.load_state_dict(kept["optimiser"])
            state.step, state.patterns, state.seconds = kept["numbers"]
            return
    except Exception as error:
        raise InputError(f"{path} is damaged: train without --resume.") from error
    raise InputError(
        f"{path} was made by another recipe: train without --resume, or with another output."
    )
