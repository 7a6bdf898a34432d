"""Cells, cameras and peaks as CrystFEL reads them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from crystfel_grammar import Camera, read_cell

from napari_diffraction.analysis.cells.crystfel import cell_file, geometry_file
from napari_diffraction.analysis.cells.cxi_peaks import DATA, PEAKS, write_cxi
from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.indexing.zones.search import CellsFound
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

TABLES = {
    5: pd.DataFrame({"x": [3.25, 7.0], "y": [1.5, 2.0], "intensity": [9.0, 4.0]}),
    2: pd.DataFrame({"x": [6.0], "y": [0.0], "intensity": [5.0]}),
    3: pd.DataFrame({"x": [], "y": [], "intensity": []}),
}


@pytest.mark.parametrize(
    ("lattice", "kind", "centring", "axis"),
    [
        ("aP", "triclinic", "P", None),
        ("mC", "monoclinic", "C", "b"),
        ("oF", "orthorhombic", "F", None),
        ("tI", "tetragonal", "I", "c"),
        ("hP", "hexagonal", "P", "c"),
        ("hR", "hexagonal", "H", "c"),
        ("cF", "cubic", "F", None),
    ],
)
def test_cell_of_each_system(
    tmp_path: Path, lattice: str, kind: str, centring: str, axis: str | None
) -> None:
    cell = UnitCell(5.6764, 10.45, 17.7387, 83.9, 81.36, 74.318)
    one = CellSolution(
        cell, (0.0,) * 6, cell, (0.0,) * 6, lattice, {lattice: 1.0}, 1.0, 0.0, (), 0.0, 0.0
    )
    path = tmp_path / "a.cell"
    path.write_text(cell_file(one))
    facts, parameters = read_cell(path)
    assert (facts["lattice_type"], facts["centering"]) == (kind, centring)
    assert facts.get("unique_axis") == axis
    assert parameters == pytest.approx(cell.parameters, abs=1e-4)


def result(ellipse: Ellipse | None, *, known: bool = True) -> CellResult:
    return CellResult("run", PatternNets({}, ellipse), CellsFound((), ()), [], 0.004, known, 0.0251)


@pytest.mark.parametrize("ellipse", [None, Ellipse(0.05, 30.0)])
def test_camera_gives_the_vectors_that_we_index(tmp_path: Path, ellipse: Ellipse | None) -> None:
    path = tmp_path / "a.geom"
    beam = (130.3, 119.8)
    path.write_text(
        geometry_file(
            result(ellipse), (200, 256), beam, data=DATA, peaks=PEAKS, notes=["res is free"]
        )
    )
    camera = Camera(path)
    assert camera.shape == (200, 256)
    assert camera.top["data"] == DATA
    xy = np.array([[10.0, 20.0], [200.0, 150.0], beam])
    # pixel indices become distances from the corner
    seen = camera.scattering(xy + 0.5)
    away = xy - beam
    true = (away if ellipse is None else ellipse.corrected(away)) * 0.004
    assert seen[:, :2] == pytest.approx(true, rel=2e-3, abs=1e-6)
    assert seen[:, 2] == pytest.approx(-0.5 * 0.0251 * (true**2).sum(axis=1), rel=2e-3, abs=1e-9)


def test_no_camera_without_a_scale() -> None:
    with pytest.raises(InputError, match="give --pixel-size"):
        geometry_file(result(None, known=False), (9, 9), (4, 4), data=DATA, peaks=PEAKS)


def check(path: Path, images: np.ndarray) -> None:
    """The layout: patterns in the order of their numbers, and as many rows of peaks."""
    with h5py.File(path) as file:
        assert file["cxi_version"][()] >= 100
        data, peaks = file[DATA], file[PEAKS]
        assert np.array_equal(data[:], images[[2, 3, 5]])
        assert peaks["nPeaks"][:].tolist() == [1, 0, 2]
        assert np.issubdtype(peaks["nPeaks"].dtype, np.integer)
        assert peaks["peakXPosRaw"][:].tolist() == [[6, 0], [0, 0], [3.25, 7]]
        assert peaks["peakYPosRaw"][:].tolist() == [[0, 0], [0, 0], [1.5, 2]]
        assert peaks["peakTotalIntensity"][:].tolist() == [[5, 0], [0, 0], [9, 4]]


@pytest.mark.parametrize("shape", [(7, 8, 9), (3, 4, 8, 9)])
def test_peaks_beside_the_patterns_of_an_hdf5_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 999, shape).astype(np.uint16)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["entry/data/data"] = images
    stack = open_stack(str(tmp_path / "run.h5"))
    path = finish(write_cxi(stack, TABLES, tmp_path / "p.cxi"))
    check(path, images.reshape(-1, 8, 9))
    with h5py.File(path) as file:
        assert file[DATA].is_virtual
    assert len(open_stack(str(path), DATA)) == 3


@pytest.mark.parametrize("parts", [1, 3])
def test_patterns_of_another_folder_open_here_but_not_those_of_strangers(
    tmp_path: Path, parts: int
) -> None:
    """What `solve` writes into a folder of its own was refused, as pixels from elsewhere are."""
    images = np.random.default_rng(0).integers(0, 999, (9, 8, 9)).astype(np.uint16)
    run, results = tmp_path / "run", tmp_path / "results"
    run.mkdir()
    results.mkdir()
    with h5py.File(run / "a_master.h5", "w") as master:
        for number, some in enumerate(np.split(images, parts), 1):
            name = f"a_data_{number:06d}.h5"
            with h5py.File(run / name, "w") as file:
                file["entry/data/data"] = some
            master[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
    stack = open_stack(str(run / "a_master.h5"))
    path = finish(write_cxi(stack, TABLES, results / "p.cxi"))
    opened = open_stack(str(path))
    np.testing.assert_array_equal(opened.data, images[sorted(TABLES)])
    with h5py.File(path) as file:
        assert file[DATA].is_virtual
    copy = path.rename(results / "of_a_stranger.cxi")
    with pytest.raises(InputError, match="outside of this file's folder"):
        open_stack(str(copy))


@pytest.mark.parametrize("counts", [((4, 2), (3,)), ((3,), (4, 2))])
def test_patterns_of_files_with_unequal_series(
    tmp_path: Path, counts: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    images = np.random.default_rng(0).integers(0, 999, (9, 8, 9)).astype(np.uint16)
    given = iter(images)
    (tmp_path / "in").mkdir()
    for name, series in zip(("a.h5", "b.h5"), counts, strict=True):
        with h5py.File(tmp_path / "in" / name, "w") as file:
            for number, count in enumerate(series, 1):
                part = np.stack([next(given) for _ in range(count)])
                file[f"entry/data/data_{number:06d}"] = part
    stack = open_stack(str(tmp_path / "in"))
    path = finish(write_cxi(stack, TABLES, tmp_path / "p.cxi"))
    np.testing.assert_array_equal(open_stack(str(path)).data, images[sorted(TABLES)])


def test_masked_pixels_are_no_intensities_beside_the_peaks(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 999, (7, 8, 9)).astype(np.uint32)
    images[:, :, 4] = 2**32 - 1
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["entry/data/data"] = images
        file["entry/instrument/detector/pixel_mask"] = (images[0] > 999).astype(np.uint32)
    stack = open_stack(str(tmp_path / "run.h5"))
    path = finish(write_cxi(stack, TABLES, tmp_path / "p.cxi"))
    with h5py.File(path) as file:
        assert np.isnan(file[DATA][:, :, 4]).all()
        np.testing.assert_array_equal(file[DATA][:, :, :4], images[sorted(TABLES), :, :4])


def test_patterns_that_matlab_stored_sideways_are_copied(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 999, (7, 8, 8)).astype(np.uint16)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["patterns"] = images.swapaxes(-1, -2)
        file["patterns"].attrs["MATLAB_class"] = np.bytes_("uint16")
    stack = open_stack(str(tmp_path / "run.h5"))
    path = finish(write_cxi(stack, TABLES, tmp_path / "p.cxi"))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file[DATA], images[sorted(TABLES)])


def test_other_patterns_are_copied(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 999, (7, 8, 9)).astype(np.int32)
    stack = PatternStack(da.from_array(images), "made")
    check(finish(write_cxi(stack, TABLES, tmp_path / "p.cxi")), images)


def test_nothing_to_write(tmp_path: Path) -> None:
    stack = PatternStack(da.zeros((3, 4, 4)), "made")
    with pytest.raises(InputError, match="nothing to write"):
        finish(write_cxi(stack, {}, tmp_path / "p.cxi"))
    assert not list(tmp_path.iterdir())


def test_a_pattern_with_very_many_peaks_does_not_fill_up_the_others(tmp_path: Path) -> None:
    stack = PatternStack(da.zeros((300, 4, 4), chunks=(1, 4, 4)), "made")
    one = pd.DataFrame({"x": [1.0], "y": [2.0], "intensity": [3.0]})
    ice = pd.DataFrame(dict.fromkeys(("x", "y", "intensity"), np.arange(10_000.0)))
    path = tmp_path / "p.cxi"
    tracemalloc.start()
    finish(write_cxi(stack, dict.fromkeys(range(299), one) | {299: ice}, path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 300 rows of 10,000 numbers are 12 MB
    assert most < 8e6
    assert path.stat().st_size < 1e6
    with h5py.File(path) as file:
        x = file[PEAKS]["peakXPosRaw"]
        assert x.shape == (300, 10_000)
        assert x[0, :2].tolist() == [1, 0]
        assert x[299, -1] == 9999
