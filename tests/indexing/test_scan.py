"""Small simulated scans indexed from end to end, with nothing given and with something."""

from __future__ import annotations

from dataclasses import dataclass, replace

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.orientation import (
    detector_to_crystal,
    euler_angles,
    random_orientations,
)
from napari_diffraction.crystal.structure import expand
from napari_diffraction.crystal.symmetry import disorientation
from napari_diffraction.errors import InputError
from napari_diffraction.indexing import scan as module
from napari_diffraction.indexing.scan import FinishedSteps, IndexSettings, index_scan
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.patterns.kikuchi import reading
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

NICKEL = expand(UnitCell(3.5236, 3.5236, 3.5236), 225, [("Ni", 0, 0, 0)], "Ni")
TITANIUM = expand(
    UnitCell(2.9508, 2.9508, 4.6855, 90, 90, 120), 194, [("Ti", 1 / 3, 2 / 3, 0.25)], "Ti"
)
PC = (0.52, 0.28, 0.55)
SIDE, PIXELS = 12, 80


@dataclass(frozen=True, eq=False)
class Scan:
    stack: PatternStack
    truth: np.ndarray

    def part(self, step: int) -> Scan:
        """Every so many-th pattern, as a list."""
        frames = self.stack.data.reshape(-1, PIXELS, PIXELS)[::step]
        return Scan(replace(self.stack, data=frames), self.truth[::step])

    def away(self, found: IndexedMap) -> np.ndarray:
        """Degrees between orientations and the truth, up to symmetry."""
        return disorientation(found.rotation, self.truth, "cF", NICKEL.cell)


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Twelve grains of nickel, of 3 x 4 points each."""
    grain = (np.arange(SIDE)[:, None] // 3) * 3 + np.arange(SIDE) // 4
    angles = euler_angles(random_orientations(12, np.random.default_rng(5)))[grain.ravel()]
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    effects = KikuchiEffects(contrast=0.2, noise=0.1)
    work = simulate_kikuchi([NICKEL], conditions, effects, size=PIXELS, seed=1, orientations=angles)
    frames = finish(work).images.reshape(SIDE, SIDE, PIXELS, PIXELS)
    stack = PatternStack(da.from_array(frames, chunks=(4, SIDE, PIXELS, PIXELS)), "nickel")
    return Scan(stack, detector_to_crystal(angles))


@pytest.fixture(scope="module")
def found(scan: Scan) -> IndexedMap:
    """The scan indexed with nothing given."""
    return finish(index_scan(scan.stack, IndexSettings(voltage=20.0)))


def test_a_phase_is_found_with_nothing_given(found: IndexedMap) -> None:
    assert len(found.phases) == 1
    phase = found.phases[0]
    assert phase.lattice == "cF"
    assert phase.lattice_probabilities["cF"] > 0.5
    assert set(phase.lattice_probabilities) == set(BRAVAIS_LATTICES)
    assert phase.cell.a == pytest.approx(3.5236, rel=0.04)
    assert phase.cell.parameters[1:] == (phase.cell.a, phase.cell.a, 90, 90, 90)
    assert phase.cell_su[0] > 0
    assert phase.name == "phase 1"
    assert (phase.patterns, phase.share, phase.grains) == (144, 1.0, 12)
    assert phase.candidates[0].name == "Ni"
    assert phase.misfit_deg < 0.6
    hkl = np.array([one.hkl for one in phase.reflectors])
    assert np.abs(hkl[0]).tolist() == [1, 1, 1]
    # all odd or all even: nothing else reflects in a face-centred lattice
    assert (np.ptp(hkl % 2, axis=1) == 0).all()
    assert phase.reflectors[0].half_width_deg == pytest.approx(
        1.21, rel=0.25
    )  # a pixel is 1.3 degrees


def test_the_centre_is_found_with_nothing_given(found: IndexedMap) -> None:
    assert found.pattern_centre == pytest.approx(PC, abs=0.01)
    assert found.pattern_centre_from == "found"
    assert 0 < max(found.pattern_centre_su) < 0.01
    assert (found.voltage, found.voltage_from) == (20.0, "given")


def test_every_pattern_is_oriented_with_nothing_given(scan: Scan, found: IndexedMap) -> None:
    assert found.done.all()
    assert found.not_indexed < 0.05
    away = scan.away(found)
    assert np.nanmedian(away) < 0.5
    assert (away < 1).mean() > 0.95
    assert len(np.unique(found.grain[found.grain >= 0])) == 12
    assert (found.bands[found.phase >= 0] >= 4).all()
    assert (found.bands <= found.bands_found).all()
    assert ((found.confidence > 0) & (found.confidence <= 1)).mean() > 0.95
    assert (found.quality > 0).all()
    turns = found.rotation[found.phase >= 0]
    assert turns @ turns.transpose(0, 2, 1) == pytest.approx(
        np.broadcast_to(np.eye(3), turns.shape), abs=1e-4
    )


def test_phases_given_are_taken(scan: Scan) -> None:
    steps = []
    settings = IndexSettings(pc=PC, phases=(TITANIUM, NICKEL), voltage=25.0)
    found = finish(index_scan(scan.stack, settings), steps.append)
    assert [phase.name for phase in found.phases] == ["Ni"]
    phase = found.phases[0]
    assert phase.structure is NICKEL
    assert phase.cell == NICKEL.cell
    assert phase.cell_su == (0,) * 6
    assert found.pattern_centre == PC
    assert found.pattern_centre_su == (0, 0, 0)
    assert (found.pattern_centre_from, found.voltage_from, found.voltage) == ("given", "given", 25)
    assert (scan.away(found) < 1).mean() > 0.95
    assert found.about["settings"]["phases"] == ["Ti", "Ni"]
    # steps tell how far it is, stage by stage
    stages = [step.stage for step in steps]
    assert stages == sorted(stages)
    assert set(stages) >= {0, 2}
    assert (steps[-1].done, steps[-1].total) == (144, 144)


def test_a_centre_that_is_nearly_known_is_refined(scan: Scan) -> None:
    off = (PC[0] + 0.01, PC[1] - 0.01, PC[2] + 0.01)
    settings = IndexSettings(pc=off, phases=(NICKEL,), refine_centre=True)
    found = finish(index_scan(scan.part(3).stack, settings))
    assert found.pattern_centre == pytest.approx(PC, abs=0.005)
    assert found.pattern_centre_from == "found"


def test_the_centre_of_the_file_is_used(scan: Scan) -> None:
    geometry = KikuchiGeometry(PC, 70.0, 0.0, 15.0)
    stack = replace(scan.part(6).stack, geometry=geometry)
    found = finish(index_scan(stack, IndexSettings(phases=(NICKEL,))))
    assert found.pattern_centre == PC
    assert (found.pattern_centre_from, found.voltage, found.voltage_from) == ("file", 15, "file")
    assert found.geometry is geometry


def test_a_list_of_patterns_is_indexed(scan: Scan) -> None:
    some = scan.part(6)
    found = finish(index_scan(some.stack, IndexSettings(pc=PC)))
    assert found.shape == (24,)
    assert not found.is_scan
    assert [phase.lattice for phase in found.phases] == ["cF"]
    assert (some.away(found) < 1).mean() > 0.9
    assert found.centre_at(7) == PC


def test_another_crystal_given_is_not_found(scan: Scan) -> None:
    found = finish(index_scan(scan.part(6).stack, IndexSettings(pc=PC, phases=(TITANIUM,))))
    assert found.not_indexed > 0.9
    assert np.isnan(found.rotation[found.phase < 0]).all()
    assert not found.confidence[found.phase < 0].any()


@pytest.mark.parametrize("pc", [None, PC])
def test_noise_is_no_phase(pc: tuple[float, float, float] | None) -> None:
    frames = np.random.default_rng(0).normal(100, 20, (4, 4, PIXELS, PIXELS))
    stack = PatternStack(da.from_array(frames.clip(0, 255).astype(np.uint8)), "noise")
    found = finish(index_scan(stack, IndexSettings(pc=pc)))
    assert found.phases == ()
    assert (found.phase == -1).all()
    assert np.isnan(found.rotation).all()
    assert found.not_indexed == 1
    assert found.done.all()
    assert any(note.startswith("No ") for note in found.notes)


def test_patterns_that_cannot_be_read_are_left_out(scan: Scan) -> None:
    some = scan.part(6)

    def read(index: int) -> np.ndarray:
        if index == 3:
            raise InputError("damaged")
        return np.asarray(some.stack.data[index].compute())

    stack = replace(some.stack, read=read)
    found = finish(index_scan(stack, IndexSettings(pc=PC, phases=(NICKEL,))))
    assert np.flatnonzero(~found.done).tolist() == [3]
    assert found.phase[3] == -1
    assert (np.delete(found.phase, 3) == 0).mean() > 0.9
    assert found.not_indexed < 0.1
    whole = finish(index_scan(some.stack, IndexSettings(pc=PC, phases=(NICKEL,))))
    assert (whole.phase[3], bool(whole.done[3])) == (0, True)


@pytest.mark.parametrize("steps", [1, 12])
def test_work_can_be_broken_off(scan: Scan, steps: int) -> None:
    work = index_scan(scan.part(4).stack)
    for _ in range(steps):
        assert next(work).total > 0
    work.close()
    with pytest.raises(StopIteration):
        next(work)


def test_what_is_done_when_work_is_broken_off_is_a_solution(
    scan: Scan, found: IndexedMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_AT_A_TIME", 48)
    work = index_scan(scan.stack, IndexSettings(voltage=20.0))
    step = next(work)
    while step.so_far is None:
        step = next(work)
    # centre and phases are told before any pattern is indexed
    first = step.so_far()
    assert not first.done.any()
    assert [phase.lattice for phase in first.phases] == ["cF"]
    assert first.phases[0].candidates[0].name == "Ni"
    assert first.pattern_centre == pytest.approx(found.pattern_centre, abs=0.002)
    step = next(work)
    part = step.so_far()
    next(work)
    work.close()
    assert not part.finished
    assert np.flatnonzero(part.done).tolist() == list(range(48))  # the next step changed nothing
    assert (part.phase[48:] == -1).all()
    assert np.isnan(part.rotation[48:]).all()
    np.testing.assert_array_equal(part.phase[:48], found.phase[:48])
    assert (part.phases[0].patterns, part.phases[0].share) == (48, 1.0)
    assert part.phases[0].misfit_deg < 0.6
    assert step.so_far().done.sum() == 96
    assert found.finished


def test_the_second_best_answer_is_another_one(scan: Scan, found: IndexedMap) -> None:
    second = found.second
    there = second.phase >= 0
    assert there.mean() > 0.9
    away = disorientation(second.rotation[there], found.rotation[there], "cF", NICKEL.cell)
    assert away.min() > 5
    assert ((second.share[there] > 0) & (second.share[there] <= 1)).all()
    # whose share of the bands is what the confidence lacks to 1, unless chance explains more
    assert (found.confidence <= 1 - second.share + 1e-5).all()
    both = finish(index_scan(scan.part(6).stack, IndexSettings(pc=PC, phases=(NICKEL, TITANIUM))))
    assert {phase.name for phase in both.phases} == {"Ni"}
    assert (both.second.phase < len(both.phases)).all()
    # that of a phase which no pattern has is no answer
    assert (both.second.phase < 0).any()
    none = np.isnan(both.second.rotation).all(axis=(1, 2))
    np.testing.assert_array_equal(none, both.second.phase < 0)


def test_a_given_phase_without_reflections_is_refused(scan: Scan) -> None:
    empty = replace(NICKEL, occupancy=np.zeros_like(NICKEL.occupancy))
    with pytest.raises(InputError, match=r"\w+"):
        finish(index_scan(scan.stack, IndexSettings(phases=(empty,))))


def test_what_was_broken_off_goes_on_without_doing_anything_twice(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_AT_A_TIME", 12)
    some = scan.part(4)
    settings = IndexSettings(pc=PC, voltage=20.0)
    whole = finish(index_scan(some.stack, settings))
    steps = FinishedSteps()
    work = index_scan(some.stack, settings, steps)
    for step in work:
        if step.stage == 2 and step.done >= 24:
            break
    work.close()
    assert steps.points is not None
    done = int(steps.points.done.sum())
    assert 0 < done < len(some.stack)
    found = steps.found

    def again(*_: object, **__: object) -> None:
        raise AssertionError("done twice")

    for name in ("prepare", "find_grains", "grain_bands", "find_phases"):
        monkeypatch.setattr(module, name, again)
    seen: list[int] = []
    rest = finish(index_scan(some.stack, settings, steps), lambda step: seen.append(step.stage))
    assert set(seen) == {2}
    assert steps.found is found
    assert rest.done.all()
    np.testing.assert_array_equal(rest.phase, whole.phase)
    np.testing.assert_allclose(rest.rotation, whole.rotation)


def test_other_settings_keep_the_grains_and_look_for_phases_anew(scan: Scan) -> None:
    some, steps = scan.part(4), FinishedSteps()
    finish(index_scan(some.stack, IndexSettings(pc=PC), steps))
    before, grains = steps.found, steps.grains
    assert before is not None
    finish(index_scan(some.stack, IndexSettings(pc=PC, phases=(NICKEL,)), steps))
    assert steps.grains is grains
    assert steps.found is not before
