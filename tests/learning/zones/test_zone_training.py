from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.models.classifier import load_classifier, save_classifier
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.networks.zone_network import FRACTIONS
from napari_diffraction.learning.networks.zone_view import N_FEATURES, PICTURE, VECTORS
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.zones import shards as zone_shards
from napari_diffraction.learning.zones import training as zone_training
from napari_diffraction.learning.zones.recipe import ZoneRecipe
from napari_diffraction.learning.zones.shards import KINDS, ZoneData, load_shards, make_shard
from napari_diffraction.learning.zones.training import (
    calibrate_network,
    fit,
    predict_logits,
    soft_targets,
    train_zones,
)
from napari_diffraction.progress import Progress, finish

RECIPE = ZoneRecipe(
    name="tiny", seed=3, patterns=24, validation=16, epochs=2, batch_size=8, width=2,
    learning_rate=1e-3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The network is too small to gain from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made_up(n: int, seed: int = 0) -> ZoneData:
    """Pictures of noise; only the first feature tells the class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, n)
    features = rng.normal(0, 1, (n, N_FEATURES)).astype(np.float32)
    features[:, 0] = label
    return ZoneData(
        picture=rng.integers(0, 256, (n, 2, PICTURE, PICTURE), dtype=np.uint8),
        vectors=rng.integers(0, 256, (n, VECTORS, VECTORS), dtype=np.uint8),
        features=features,
        label=label,
        fraction=rng.uniform(0.3, 1, n).astype(np.float32),
        n_spots=rng.integers(0, 100, n),
        kind=rng.integers(0, len(KINDS), n),
        clean=rng.uniform(size=n) < 0.5,
        signal=np.ones(n, np.float32),
        cell=np.arange(n),
    )


TRAINING, VALIDATION = made_up(24), made_up(16, seed=1)


def weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in network.state_dict().items()}


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def stop_after_epoch(work: Generator[Progress, None, Any], epochs: int) -> None:
    """Run until the checkpoint of an epoch is written, and stop in the next epoch."""
    for step in work:
        if isinstance(step, Epoch) and step.epoch == epochs and step.done > 3 * epochs:
            work.close()
            return


def test_a_training_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = finish(fit(RECIPE, TRAINING, VALIDATION))
    checkpoint = tmp_path / "checkpoint.pt"
    stop_after_epoch(fit(RECIPE, TRAINING, VALIDATION, checkpoint), 1)
    steps: list[Progress] = []
    resumed = finish(fit(RECIPE, TRAINING, VALIDATION, checkpoint), steps.append)
    assert steps[0].done == 4  # of 2 x 3 batches
    assert_same(whole, resumed)
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_progress_tells_loss_and_score() -> None:
    steps: list[Epoch] = []
    finish(fit(RECIPE, TRAINING, VALIDATION), steps.append)
    assert [(step.done, step.total, step.epoch) for step in steps] == [
        (1, 6, 0), (2, 6, 0), (3, 6, 0), (3, 6, 1), (4, 6, 1), (5, 6, 1), (6, 6, 1), (6, 6, 2),
    ]  # fmt: skip
    assert np.isnan([step.loss for step in steps[:3]]).all()
    assert all(0 < step.loss < 10 for step in steps[3:])
    assert all(0 <= step.average_precision <= 1 for step in steps[3:])


def test_what_can_be_learned_is_learned() -> None:
    recipe = replace(RECIPE, epochs=20, learning_rate=3e-2)
    network = finish(fit(recipe, TRAINING, VALIDATION))
    guess = predict_logits(network, TRAINING)["fit"].argmax(axis=1)
    assert np.mean(guess == TRAINING.label) > 0.7  # by chance 0.25


def test_logits_of_all_heads_do_not_depend_on_the_batch() -> None:
    network = finish(fit(replace(RECIPE, epochs=1), TRAINING, VALIDATION))
    logits = predict_logits(network, VALIDATION)
    assert {name: values.shape for name, values in logits.items()} == {
        "joint": (16, 4), "network": (16, 4), "fit": (16, 4), "ordinal": (16, len(FRACTIONS)),
    }  # fmt: skip
    for name, values in predict_logits(network, VALIDATION, batch_size=5).items():
        np.testing.assert_allclose(values, logits[name], atol=0.05)  # bfloat16


def test_hybrids_are_a_matter_of_degree_and_all_else_is_certain() -> None:
    fraction = np.array([1.0, 0.98, 0.95, 0.9, 0.8, 0.5])
    for clean in (True, False):
        label = np.where(fraction >= (0.999 if clean else 0.9), 0, 1)
        data = replace(
            made_up(6), label=label, fraction=fraction.astype("f4"), clean=np.full(6, clean),
            kind=np.full(6, KINDS.index("hybrid")),
        )  # fmt: skip
        p = soft_targets(data)
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(p[:, 2:], 0)
        assert np.all(np.diff(p[:, 0]) < 0)
        assert p[0, 0] > 0.99
        assert p[-1, 0] < 0.01
        assert np.all((p[1:4, 0] < 0.3) if clean else (p[1:4, 0] >= 0.499))
        broken = replace(data, kind=np.full(6, KINDS.index("jitter")), label=np.ones(6, int))
        np.testing.assert_array_equal(soft_targets(broken), np.eye(4)[broken.label])


def test_the_network_keeps_its_calibration_to_itself() -> None:
    recipe = replace(RECIPE, epochs=4, learning_rate=1e-2)
    network = finish(fit(recipe, TRAINING, VALIDATION))
    raw = predict_logits(network, VALIDATION)
    calibrate_network(network, VALIDATION)
    kept = predict_logits(network, VALIDATION)
    np.testing.assert_array_equal(raw["fit"], kept["fit"])
    before, after = (
        torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(VALIDATION.label))
        for z in (raw["joint"], kept["joint"])
    )
    assert after < before


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    broken = replace(TRAINING, features=np.full_like(TRAINING.features, np.nan))
    with pytest.raises(InputError, match=r"no longer a number in epoch 1: lower learning_rate"):
        finish(fit(RECIPE, broken, VALIDATION, tmp_path / "checkpoint.pt"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04" + b"\0" * 50])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        finish(fit(RECIPE, TRAINING, VALIDATION, checkpoint))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"weights": torch.ones(3)}, checkpoint)
    with pytest.raises(InputError, match="is damaged"):
        finish(fit(RECIPE, TRAINING, VALIDATION, checkpoint))
    finish(fit(replace(RECIPE, epochs=1), TRAINING, VALIDATION, tmp_path / "other.pt"))
    with pytest.raises(InputError, match="another recipe"):
        finish(fit(RECIPE, TRAINING, VALIDATION, tmp_path / "other.pt"))


def test_without_zones_to_validate_on_there_is_no_score() -> None:
    without = replace(VALIDATION, label=np.maximum(VALIDATION.label, 1))
    steps: list[Epoch] = []
    finish(fit(replace(RECIPE, epochs=1), TRAINING, without), steps.append)
    assert np.isnan(steps[-1].average_precision)


def shards_of(folder: Path, seed: int, count: int, *rest: Any) -> Generator[Progress, None, Any]:
    """Stand in for the simulation."""
    yield Progress(0, count, "Simulating patterns")
    return [(count, seed)]


@pytest.fixture
def no_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_training, "make_shards", shards_of)
    monkeypatch.setattr(zone_training, "load_shards", lambda made: made_up(*made[0]))


@pytest.mark.usefixtures("no_simulation")
def test_a_model_is_trained_and_written(tmp_path: Path) -> None:
    output = tmp_path / "new" / "tiny.safetensors"
    assert finish(train_zones(RECIPE, output)) == output
    assert list(output.parent.iterdir()) == [output]
    card = load_classifier(output).card
    assert (card.name, card.classes, card.recipe) == ("tiny", ZONE_CLASSES, RECIPE.as_dict())
    assert sum(card.shares.values()) == pytest.approx(1)
    assert card.scale > 0


@pytest.mark.usefixtures("no_simulation")
def test_a_training_starts_from_a_model_of_the_same_form(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    finish(train_zones(RECIPE, first))
    model = load_classifier(first)
    known = "0123456789abcdef"  # of a pattern from which it had learned
    save_classifier(model.network, model.card, first, [known])
    still = replace(RECIPE, epochs=1, learning_rate=1e-9, start=str(first))
    finish(train_zones(still, second))
    assert training_hashes(second) == {known}
    before, after = load_classifier(first).network, load_classifier(second).network
    np.testing.assert_allclose(
        weights(after)["head.weight"], weights(before)["head.weight"], atol=1e-3
    )
    with pytest.raises(InputError, match="another form"):
        finish(train_zones(replace(still, width=3), second))


@pytest.mark.usefixtures("no_simulation")
def test_the_same_recipe_gives_the_same_file_also_with_resume(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    finish(train_zones(RECIPE, whole))
    stop_after_epoch(train_zones(RECIPE, stopped), 1)
    assert not stopped.exists()
    finish(train_zones(RECIPE, stopped, resume=True))
    assert stopped.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("no_simulation")
def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "model.pt", tmp_path / "file" / "model.safetensors"):
        with pytest.raises(InputError, match=r"written"):
            next(train_zones(RECIPE, output))


def test_a_training_goes_on_with_the_patterns_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a limit of time left out are not made when it goes on, either."""
    made: list[str] = []

    def make(job: tuple[str, int, int, float, bool]) -> int:
        path, seed, count, *_ = job
        if Path(path).exists():
            return count
        made.append(path)
        np.savez(path, **{k: np.asarray(v) for k, v in vars(made_up(count, seed)).items()})
        return count

    class Here:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None: ...
        def imap_unordered(self, work: Any, jobs: Any) -> Iterator[int]:
            return map(make, jobs)

    here = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=Here))
    monkeypatch.setattr(zone_shards, "multiprocessing", here)
    monkeypatch.setattr(zone_shards, "SHARD", 16)
    recipe = replace(RECIPE, patterns=64)
    output = tmp_path / "x.safetensors"
    work = train_zones(recipe, output, minutes=1e-9)
    stop_after_epoch_of(work)
    assert len(made) == 2  # one to validate, one to learn from
    finish(train_zones(recipe, output, resume=True, minutes=1))
    assert len(made) == 2
    assert load_classifier(output).card.recipe["patterns"] == 16

    stop_after_epoch_of(train_zones(recipe, output, minutes=1e-9))
    Path(made[-1]).unlink()
    with pytest.raises(InputError, match="has lost the patterns"):
        finish(train_zones(recipe, output, resume=True))


def stop_after_epoch_of(work: Generator[Progress, None, Any]) -> None:
    """Run until the first checkpoint is written."""
    for step in work:
        if isinstance(step, Epoch) and step.epoch == 1:
            break
    work.close()


def test_a_checkpoint_with_other_patterns_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    stop_after_epoch(fit(RECIPE, TRAINING, VALIDATION, checkpoint), 1)
    with pytest.raises(InputError, match=r"holds 32 patterns to learn from, but .* with 24"):
        finish(fit(RECIPE, made_up(32), VALIDATION, checkpoint))
    for data in (TRAINING, made_up(32)):
        with pytest.raises(InputError, match="another recipe"):
            finish(fit(replace(RECIPE, seed=4), data, VALIDATION, checkpoint))
    checkpoint.write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        finish(fit(RECIPE, TRAINING, VALIDATION, checkpoint))


def test_a_shard_is_made_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "shard.npz"
    assert make_shard((str(path), 7, 5, 0.5, False)) == 5
    assert list(tmp_path.iterdir()) == [path]
    data = load_shards([path])
    assert len(data) == 5
    assert data.picture.shape == (5, 2, PICTURE, PICTURE)
    assert data.features.shape == (5, N_FEATURES)
    assert np.isfinite(data.features).all()
    other = tmp_path / "other.npz"
    make_shard((str(other), 7, 5, 0.5, False))
    again = load_shards([other])
    for name in ZoneData.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(data, name), getattr(again, name))
    before = path.stat().st_mtime_ns
    assert make_shard((str(path), 7, 5, 0.5, False)) == 5
    assert path.stat().st_mtime_ns == before
    assert len(load_shards([path, other])) == 10
