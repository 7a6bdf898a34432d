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

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais import masters, rounds, structure_pool
from napari_diffraction.learning.bravais import shards as band_shards
from napari_diffraction.learning.bravais import training as bravais_training
from napari_diffraction.learning.bravais.data import PatternMaker, draw, usual_shares
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.bravais.rounds import moved_centre
from napari_diffraction.learning.bravais.training import train_bravais
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.band_view import measure
from napari_diffraction.learning.runs.checkpoint import keep
from napari_diffraction.progress import finish
from napari_diffraction.simulation.classes import NO_PATTERN
from napari_diffraction.simulation.kikuchi.torch_bands import random_rotations


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


def test_patterns_of_both_squares_go_together() -> None:
    pool = structure_pool.pool_of([MATERIALS["nickel"]])
    few, many = (
        band_shards.simulate(pool, np.random.default_rng(1), 3, side=side) for side in (64, 128)
    )
    both = band_shards.joined([few, many])
    assert both["profile"].shape == (6, 24, 25)
    np.testing.assert_array_equal(both["profile"][:3, :16], few["profile"])
    assert not both["strength"][:3, 16:].any()
    network = BandNetwork(width=12, heads=2).eval()
    inputs, *_ = band_shards.as_batch(both)
    alone, *_ = band_shards.as_batch(few)
    with torch.inference_mode():
        together, apart = network(*inputs)["lattice"][:3], network(*alone)["lattice"]
    torch.testing.assert_close(together, apart)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> BravaisRecipe:
    monkeypatch.setattr(band_shards, "SHARD", 128)
    monkeypatch.setattr(rounds, "SHARD", 128)
    return BravaisRecipe(
        name="tiny", structures=1400, rounds=2, fresh=1, again=1, batch_size=64, width=12, heads=2
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Structures, which take the longest."""
    folder = tmp_path_factory.mktemp("structures")
    structure_pool.make_chunk((str(folder / "some.npz"), 5))
    return folder / "some.npz"


@pytest.fixture
def quick_masters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two coarse master patterns a file, and small shards of them."""
    monkeypatch.setattr(masters, "SHARD", 128)
    monkeypatch.setattr(masters, "OF_A_FILE", ("cF", "cI"))
    monkeypatch.setattr(bravais_training, "OF_A_FILE", ("cF", "cI"))
    monkeypatch.setattr(bravais_training, "SYMMETRIC", ("cF",) * 3)
    for name, value in {"_HALF_WIDTH": 12, "_BEAMS": 12}.items():
        monkeypatch.setattr(masters, name, value)


class _Here:
    """Does the work of a pool of processes in this one."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def imap(self, work, jobs):  # type: ignore[no-untyped-def]
        return iter([work(job) for job in jobs])

    def apply_async(self, work, arguments):  # type: ignore[no-untyped-def]
        try:
            result = work(*arguments)
        except OSError as error:
            failed = error  # its name ends with the block
            return SimpleNamespace(ready=lambda: True, get=lambda: (_ for _ in ()).throw(failed))
        return SimpleNamespace(ready=lambda: True, get=lambda: result)

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
        assert model.card.shares == pytest.approx(usual_shares(model.card.shares[NO_PATTERN]))
        assert not work.exists()
    for name, values in weights[0].items():
        torch.testing.assert_close(values, weights[1][name], atol=2e-3, rtol=2e-2)


def test_common_lattices_are_expected_more_often_and_none_never() -> None:
    shares = usual_shares(0.1)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[NO_PATTERN] == pytest.approx(0.1)
    lattices = {name: share for name, share in shares.items() if name != NO_PATTERN}
    assert max(lattices, key=lambda name: lattices[name]) == "cF"
    assert min(lattices.values()) > 0.9 * 0.5 / 14


def test_what_goes_wrong_in_another_process_ends_the_training(
    tmp_path: Path, drawn: Path, small: BravaisRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    here = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=_Here.of))
    monkeypatch.setattr(bravais_training, "multiprocessing", here)
    monkeypatch.setattr(bravais_training, "make_shard", full)
    work = tmp_path / "model.safetensors.work"
    work.mkdir()
    (work / "structures-1000000-00000.npz").hardlink_to(drawn)
    with pytest.raises(OSError, match="No space left"):
        finish(train_bravais(small, tmp_path / "model.safetensors"))


@pytest.mark.usefixtures("quick_masters")
def test_many_beam_patterns_look_like_two_beam_patterns_of_the_same_crystals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "_HALF_WIDTH": 32,
        "_BEAMS": 30,
        "_TWO_BEAM": (0.0, 0.0),
    }.items():
        monkeypatch.setattr(masters, name, value)
    path = masters.make_masters((str(tmp_path / "masters.npz"), 2, ("cF", "cI")))
    many, drawn = masters.ManyBeamMaker((path,), 1), draw(12, np.random.default_rng(0), 0.0)
    which, part = torch.arange(12) % 2, many.pool.take(torch.arange(12) % 2)
    geometry = [part["normal"], part["g"], part["u"]]
    geometry += [random_rotations(12, many.generator, torch.device("cpu"))]
    geometry += [torch.from_numpy(a) for a in (drawn.pc, drawn.profile, drawn.beam)]
    frames = many._clean(which, *geometry).flatten(1)
    two = PatternMaker(many.pool, 1)._clean(which, *geometry).flatten(1)
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(frames, two, strict=True)]
    other = [np.corrcoef(a, b)[0, 1] for a, b in zip(frames, two.roll(2, 0), strict=True)]
    assert min(alike) > 0.2 > np.median(other)
    assert (np.array(alike) > other).all()


@pytest.mark.usefixtures("quick_masters")
def test_a_shard_holds_as_many_patterns_of_lattices_of_few_masters(tmp_path: Path) -> None:
    path = masters.make_masters((str(tmp_path / "masters.npz"), 3, ("cF", "cF", "cF", "cI")))
    shard = masters.make_many_beam_shard((str(tmp_path / "bands.npz"), (path,), 1, 0, 64))
    counts = np.bincount(band_shards.read_shards([shard])["label"])
    cubic = counts[[structure_pool.LATTICES.index(name) for name in ("cF", "cI")]]
    assert cubic.sum() + counts[len(structure_pool.LATTICES)] == 128
    assert cubic.min() > 30


@pytest.mark.usefixtures("quick_masters")
def test_a_training_goes_on_with_many_beams_and_can_be_stopped_there(
    tmp_path: Path, drawn: Path, small: BravaisRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=_Here.of))
    monkeypatch.setattr(bravais_training, "multiprocessing", here)
    monkeypatch.setattr(bravais_training, "_SECOND_CHUNKS", 1)
    # few masters are two files at least, lest nothing be left to learn from
    recipe = replace(
        small, rounds=1, masters=1, symmetric=2, many_beam=1, refined=2, mixed=1, parts=2
    )
    output = tmp_path / "both.safetensors"
    work = Path(f"{output}.work")
    work.mkdir()
    names = [f"structures-{seed}000000-00000" for seed in (1, 55, 110)]
    for name in (*names, "validation-80000100"):
        (work / f"{name}.npz").hardlink_to(drawn)
    training = train_bravais(recipe, output)
    while not (work / "refining-1.pt").exists():
        next(training)
    training.close()
    model = load_model(str(finish(train_bravais(recipe, output, resume=True))))
    # one round of the first part and twice two of the second, each of two shards
    assert model.card.recipe["patterns"] == 5 * 2 * 128
    assert not work.exists()


def test_weights_are_averaged_in_their_own_precision() -> None:
    some = {"a": torch.tensor([1.0, 3.0]), "steps": torch.tensor(4)}
    other = {"a": torch.tensor([2.0, -3.0]), "steps": torch.tensor(6)}
    mean = bravais_training.mean_weights([some, other])
    torch.testing.assert_close(mean["a"], torch.tensor([1.5, 0.0]))
    assert (mean["steps"].dtype, int(mean["steps"])) == (torch.int64, 5)
    alone = bravais_training.mean_weights([some])
    assert all(torch.equal(alone[name], values) for name, values in some.items())


def test_shards_of_another_recipe_are_not_taken(tmp_path: Path) -> None:
    base = BravaisRecipe(masters=9, symmetric=4)

    def names(recipe: BravaisRecipe) -> list[Path]:
        numbered = (rounds.shard_file, rounds.two_beam_file, rounds.many_beam_file)
        files = [of(tmp_path, recipe, 1) for of in numbered]
        return [*files, rounds.checks_file(tmp_path, recipe)]

    first, two, many, checks = names(base)
    for changes, same in (
        ({"seed": 2}, set()),
        ({"structures": 7000}, {two, many, checks}),
        ({"masters": 20}, {first, two}),
        ({"symmetric": 20}, {first, two}),
        ({"many_beam": 9}, {first, two, many}),
        ({"rounds": 9, "again": 1, "name": "x"}, {first, two, many, checks}),
    ):
        assert set(names(replace(base, **changes))) & {first, two, many, checks} == same  # type: ignore[arg-type]


def test_a_training_that_begins_anew_forgets_the_checkpoints(
    tmp_path: Path, small: BravaisRecipe
) -> None:
    work = tmp_path / "x.safetensors.work"
    work.mkdir()
    old = [work / "checkpoint.pt", work / "refining-0.pt"]
    for path in old:
        path.write_bytes(b"of another recipe")
    training = train_bravais(replace(small, structures=70), tmp_path / "x.safetensors")
    next(training)
    training.close()
    assert not any(path.exists() for path in old)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, small: BravaisRecipe) -> None:
    work = tmp_path / "x.safetensors.work"
    work.mkdir()
    keep(work / "checkpoint.pt", small.as_dict(), bravais_training._start(small))
    for other, words in ((replace(small, seed=2), "another recipe"), (small, "damaged")):
        with pytest.raises(InputError, match=words):
            next(train_bravais(other, tmp_path / "x.safetensors", resume=True))
        (work / "checkpoint.pt").write_bytes(b"nothing")
