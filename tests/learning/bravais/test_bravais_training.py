"""The training of the Bravais classifier: a small one from end to end, stopped and taken up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais import shards as band_shards
from napari_diffraction.learning.bravais import structure_pool
from napari_diffraction.learning.bravais import training as bravais_training
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.bravais.training import moved_centre, train_bravais
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.band_view import measure
from napari_diffraction.learning.runs.checkpoint import keep
from napari_diffraction.progress import finish


@settings(max_examples=30, deadline=None)
@given(
    shift=st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    seed=st.integers(0, 1000),
)
def test_bands_move_with_the_centre_as_if_measured_with_it(
    shift: tuple[float, float, float], seed: int
) -> None:
    frames = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 64, 64)))
    lit, pc = torch.ones(64, 64), np.array([[0.5, 0.4, 0.6]], np.float32)
    off = np.array([shift], np.float32)
    there, here = measure(frames, lit, pc + off), measure(frames, lit, pc)
    moved = moved_centre(here.normal, pc, off)
    # The same lines, though one that comes near another may be dropped with one of the two centres:
    # then the others have other places.
    same = np.abs(moved[0, :3] @ np.asarray(there.normal[0]).T).max(axis=1) > 1 - 1e-4
    assert same.sum() >= 2


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> BravaisRecipe:
    monkeypatch.setattr(band_shards, "SHARD", 128)
    monkeypatch.setattr(bravais_training, "SHARD", 128)
    return BravaisRecipe(
        name="tiny", structures=1400, rounds=2, fresh=1, again=1, batch_size=64, width=12, heads=2
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Structures, which take the longest."""
    folder = tmp_path_factory.mktemp("structures")
    structure_pool.make_chunk((str(folder / "some.npz"), 5))
    return folder / "some.npz"


class _Here:
    """Does the work of a pool of processes in this one."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def imap(self, work, jobs):  # type: ignore[no-untyped-def]
        return iter([work(job) for job in jobs])

    @classmethod
    def of(cls, *_: object) -> _Here:
        return cls()


def test_a_model_comes_out_and_a_stopped_training_goes_on_exactly(
    tmp_path: Path, drawn: Path, small: BravaisRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=_Here.of))
    monkeypatch.setattr(bravais_training, "multiprocessing", here)
    weights = []
    for stopped in (False, True):
        output = tmp_path / f"{stopped}.safetensors"
        work = Path(f"{output}.work")
        work.mkdir()
        for name in ("structures-1000000-00000", "validation-80000100"):
            (work / f"{name}.npz").hardlink_to(drawn)
        if stopped:
            training = train_bravais(small, output)
            while not (work / "checkpoint.pt").exists():
                next(training)
            training.close()
        path = finish(train_bravais(small, output, resume=stopped))
        model = load_model(str(path))
        weights.append(model.network.state_dict())
        assert model.card.network == "bands"
        assert model.card.recipe["patterns"] == 512
        assert not work.exists()
    for name, values in weights[0].items():
        torch.testing.assert_close(values, weights[1][name], atol=2e-3, rtol=2e-2)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, small: BravaisRecipe) -> None:
    work = tmp_path / "x.safetensors.work"
    work.mkdir()
    keep(work / "checkpoint.pt", small.as_dict(), bravais_training._start(small))
    for other, words in ((replace(small, seed=2), "another recipe"), (small, "damaged")):
        with pytest.raises(InputError, match=words):
            next(train_bravais(other, tmp_path / "x.safetensors", resume=True))
        (work / "checkpoint.pt").write_bytes(b"nothing")
