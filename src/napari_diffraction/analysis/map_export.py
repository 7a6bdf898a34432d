"""Files of a phase map that other programs read.

Euler angles are 0 throughout: the map knows phases, not orientations.  Every file says where it
comes from, inside it where the format has room, otherwise in a ``.json`` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from matplotlib.colors import CSS4_COLORS, to_rgb
from numpy.typing import NDArray

from napari_diffraction.analysis.map_phases import MapPhase, map_phases
from napari_diffraction.analysis.phase_map import DEFAULT_THRESHOLD, NOT_INDEXED, PhaseMap
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, replacing_hdf5
from napari_diffraction.learning.palette import class_colour
from napari_diffraction.review.provenance import write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    from collections.abc import Sequence

#: EDAX's numbers of the Laue groups.
_EDAX = {
    "-1": 1, "2/m": 2, "mmm": 22, "4/m": 4, "4/mmm": 42, "-3": 3, "-3m": 32, "6/m": 6,
    "6/mmm": 62, "m-3": 23, "m-3m": 43,
}  # fmt: skip
#: Oxford's numbers of the Laue groups, from 1.
_OXFORD = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
_NOT_INDEXED_ANGLE = 4 * np.pi


def export_map(phase_map: PhaseMap, path: str | Path, threshold: float = DEFAULT_THRESHOLD) -> Path:
    """Write a map; the end of the name says how.

    ``.h5`` and ``.hdf5`` are orix's crystal map, with the probabilities beside it; ``.ang`` and
    ``.ctf`` those of EDAX and Oxford; ``.png`` a figure with legend and scale bar; ``.csv`` the
    table of all points.

    Parameters
    ----------
    phase_map
        The map.
    path
        The file.
    threshold
        Points with less confidence are not indexed.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The name ends in something else, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise InputError(
            f"{path.name} is no kind of file that a map can be written to: let its name end in "
            f"{', '.join(WRITERS)}."
        )
    WRITERS[path.suffix.lower()](phase_map, path, threshold)
    return path


def provenance(phase_map: PhaseMap, threshold: float) -> dict[str, Any]:
    """Return where a map comes from, as JSON values."""
    facts = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "exported": now(),
        **phase_map.about,
        "threshold": threshold,
        "voted by regions": phase_map.regions is not None,
        "points": len(phase_map),
        "points classified": int(phase_map.done.sum()),
        "scan": phase_map.name,
        "sources": sorted(set(phase_map.sources)),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


def _step(phase_map: PhaseMap) -> tuple[float, float]:
    """Return the steps of rows and columns in um; 1 where they are not known."""
    return phase_map.step or (1.0, 1.0)


def _coordinates(phase_map: PhaseMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of every point in um."""
    rows, columns = np.indices(phase_map.shape)
    dy, dx = _step(phase_map)
    return np.asarray(columns * dx, float).ravel(), np.asarray(rows * dy, float).ravel()


def _phase_numbers(
    phase_map: PhaseMap, phases: Sequence[MapPhase], threshold: float
) -> NDArray[np.int64]:
    """Return 0, or 1 + the place of the phase among those in the file, of every point."""
    numbers = np.zeros(len(phase_map.classes) + 1, np.int64)
    for number, phase in enumerate(phases, start=1):
        numbers[phase.value] = number
    return np.asarray(numbers[phase_map.labels(threshold).ravel()])


def table_of(phase_map: PhaseMap, threshold: float) -> pd.DataFrame:
    """Return one row a point that has been looked at.

    Columns: ``index, source, label, confidence, p_<class>..., row, column, x, y, phase``; ``label``
    is the most probable class, ``phase`` the same or "not indexed".  Where regions were voted,
    ``region`` and ``pattern_label``, that of the single pattern, follow.
    """
    index = np.flatnonzero(phase_map.done)
    names = np.array([*phase_map.classes, "Unreadable"], dtype=object)
    sources = phase_map.sources or ("",)
    x, y = _coordinates(phase_map)
    table = pd.DataFrame({"index": index})
    table["source"] = [sources[0] if len(sources) == 1 else sources[i] for i in index]
    table["label"] = names[phase_map.best.ravel()[index]]
    table["confidence"] = np.nan_to_num(phase_map.confidence.ravel()[index])
    for place, name in enumerate(phase_map.classes):
        table[f"p_{name}"] = phase_map.probabilities[index, place]
    table["row"], table["column"] = np.divmod(index, phase_map.shape[1])
    table["x"], table["y"] = x[index], y[index]
    phases = np.array([NOT_INDEXED, *phase_map.classes], dtype=object)
    table["phase"] = phases[phase_map.labels(threshold).ravel()[index]]
    if phase_map.regions is not None:
        table["region"] = phase_map.regions[index]
        table["pattern_label"] = names[phase_map.unvoted().best.ravel()[index]]
    return table


def _write_csv(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    with replacing(path) as temporary:
        table_of(phase_map, threshold).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n"
        )
    write_beside(path, provenance(phase_map, threshold))


def _write_ang(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    phases = map_phases(phase_map, threshold)
    numbers = _phase_numbers(phase_map, phases, threshold)
    indexed = numbers > 0
    x, y = _coordinates(phase_map)
    angle = np.where(indexed, 0.0, _NOT_INDEXED_ANGLE)
    confidence = np.where(indexed, np.nan_to_num(phase_map.confidence.ravel()), -1.0)
    fit = np.where(indexed, 0.0, 180.0)
    zero = np.zeros(len(x))
    values = np.column_stack([angle, angle, angle, x, y, zero, confidence, numbers, zero, fit])
    form = "%9.5f %9.5f %9.5f %12.5f %12.5f %8.3f %7.4f %3d %6.1f %9.5f"
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for line in _ang_heading(phase_map, phases, threshold):
            file.write(f"# {line}\n")
        np.savetxt(file, values, fmt=form)


def _ang_heading(
    phase_map: PhaseMap, phases: Sequence[MapPhase], threshold: float
) -> Iterator[str]:
    for name in ("TEM_PIXperUM", "x-star", "y-star", "z-star", "WorkingDistance"):
        yield f"{name:<22} {1.0 if name == 'TEM_PIXperUM' else 0.0:.6f}"
    yield ""
    # EDAX's own program lists the last phase first.
    for number, phase in reversed(list(enumerate(phases, start=1))):
        yield f"Phase {number}"
        yield f"MaterialName    {phase.name}"
        yield f"Formula    {phase.name}"
        yield "Info"
        yield f"Symmetry    {_EDAX.get(phase.laue, 1)}"
        yield "LatticeConstants    " + " ".join(f"{value:.3f}" for value in phase.cell)
        yield "NumberFamilies    0"
    rows, columns = phase_map.shape
    dy, dx = _step(phase_map)
    yield "GRID: SqrGrid"
    yield f"XSTEP: {dx:.6f}"
    yield f"YSTEP: {dy:.6f}"
    yield f"NCOLS_ODD: {columns}"
    yield f"NCOLS_EVEN: {columns}"
    yield f"NROWS: {rows}"
    yield ""
    yield f"OPERATOR: napari-diffraction {version('napari-diffraction')}"
    yield ""
    yield f"SAMPLEID: {phase_map.name}"
    yield ""
    yield f"PROVENANCE: {json.dumps(provenance(phase_map, threshold))}"
    yield ""
    yield (
        "Column names: phi1, Phi, phi2, x, y, image_quality, confidence_index, phase_id, "
        "detector_signal, pattern_fit"
    )
    yield ""


def _write_ctf(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    phases = map_phases(phase_map, threshold)
    numbers = _phase_numbers(phase_map, phases, threshold)
    x, y = _coordinates(phase_map)
    zero = np.zeros(len(x))
    # Error 5: not analysed, 3: no solution.  The confidence stands where the band contrast would,
    # in percent.
    error = np.where(numbers > 0, 0, np.where(phase_map.done, 3, 5))
    contrast = np.round(100 * np.nan_to_num(phase_map.confidence.ravel()))
    values = np.column_stack([numbers, x, y, zero, error, zero, zero, zero, zero, contrast, zero])
    form = ["%d", "%.4f", "%.4f", "%d", "%d", "%.4f", "%.4f", "%.4f", "%.4f", "%d", "%d"]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _ctf_heading(phase_map, phases))
        np.savetxt(file, values, fmt="\t".join(form))
    write_beside(path, provenance(phase_map, threshold))


def _ctf_heading(phase_map: PhaseMap, phases: Sequence[MapPhase]) -> Iterator[str]:
    rows, columns = phase_map.shape
    dy, dx = _step(phase_map)
    yield "Channel Text File"
    yield f"Prj\t{phase_map.name}"
    yield f"Author\tnapari-diffraction {version('napari-diffraction')}"
    yield "JobMode\tGrid"
    yield f"XCells\t{columns}"
    yield f"YCells\t{rows}"
    yield f"XStep\t{dx:.6f}"
    yield f"YStep\t{dy:.6f}"
    yield "AcqE1\t0\nAcqE2\t0\nAcqE3\t0"
    yield (
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t1\tCoverage\t100\t"
        "Device\t0\tKV\t0\tTiltAngle\t0\tTiltAxis\t0"
    )
    yield f"Phases\t{len(phases)}"
    for phase in phases:
        sides = ";".join(f"{value:.3f}" for value in phase.cell[:3])
        angles = ";".join(f"{value:.3f}" for value in phase.cell[3:])
        laue = _OXFORD.index(phase.laue) + 1 if phase.laue in _OXFORD else 1
        yield f"{sides}\t{angles}\t{phase.name}\t{laue}\t{phase.space_group}\t\t\t"
    yield "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"


def _write_hdf5(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    phases = map_phases(phase_map, threshold)
    numbers = _phase_numbers(phase_map, phases, threshold)
    with replacing_hdf5(path) as file:
        _text(file, "manufacturer", "orix")  # by which orix knows the layout as its own
        _text(file, "version", version("napari-diffraction"))
        file.attrs["provenance"] = json.dumps(provenance(phase_map, threshold))
        data = file.create_group("crystal_map/data")
        _orix_data(data, phase_map, numbers)
        header = file.create_group("crystal_map/header")
        _orix_header(header, phase_map, phases)
        ours = file.create_group("napari_diffraction")
        ours["classes"] = np.array(phase_map.classes, dtype=object)
        for name, values in (
            ("probabilities", phase_map.probabilities),
            ("pattern_probabilities", phase_map.single),
            ("regions", phase_map.regions),
        ):
            if values is not None:
                cube = values.reshape(*phase_map.shape, *values.shape[1:])
                ours.create_dataset(name, data=cube, compression="gzip", shuffle=True)


def _orix_data(group: h5py.Group, phase_map: PhaseMap, numbers: NDArray[np.int64]) -> None:
    x, y = _coordinates(phase_map)
    n = len(phase_map)
    group["x"], group["y"] = x, y
    for angle in ("phi1", "Phi", "phi2"):
        group[angle] = np.zeros(n)
    group["phase_id"] = np.where(numbers > 0, numbers - 1, -1)
    group["id"] = np.arange(n)
    group["is_in_data"] = np.ones(n, bool)
    group["confidence"] = np.nan_to_num(phase_map.confidence.ravel())


def _orix_header(group: h5py.Group, phase_map: PhaseMap, phases: Sequence[MapPhase]) -> None:
    dy, dx = _step(phase_map)
    _text(group, "grid_type", "square")
    _text(group, "scan_unit", "um")
    numbers = {"nx": len(phase_map), "ny": len(phase_map), "rotations_per_point": 1}
    for name, value in {**numbers, "x_step": dx, "y_step": dy}.items():
        group.create_dataset(name, data=[value])
    # orix's own name for the points without a phase has an underscore.
    nothing = MapPhase(0, "not_indexed", "None", 0, (1.0, 1.0, 1.0, 90.0, 90.0, 90.0))
    for number, phase in [(-1, nothing), *enumerate(phases)]:
        one = group.create_group(f"phases/{number}")
        _text(one, "name", phase.name)
        _text(one, "point_group", phase.laue)
        _text(one, "space_group", str(phase.space_group) if phase.space_group else "None")
        colour = "#FFFFFF" if number < 0 else class_colour(phase.name, phase_map.classes)
        _text(one, "color", _named_colour(colour))
        one.create_group("structure/atoms")
        one["structure/lattice/abcABG"] = np.array(phase.cell)
        one["structure/lattice/baserot"] = np.eye(3)


def _named_colour(colour: str) -> str:
    """Return the name of the CSS colour nearest to a colour: orix reads no others."""
    wanted = np.array(to_rgb(colour))
    return min(CSS4_COLORS, key=lambda name: float(np.sum((wanted - to_rgb(name)) ** 2)))


def _text(group: h5py.Group, name: str, value: str) -> None:
    group.create_dataset(name, data=np.array([value.encode()]))


def _write_png(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    from napari_diffraction.analysis.map_picture import map_figure

    figure = map_figure(phase_map, threshold)
    facts = {
        "Software": "napari-diffraction",
        "Comment": json.dumps(provenance(phase_map, threshold)),
    }
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=200, metadata=facts, bbox_inches="tight")


#: How a map is written, by the end of the file's name.
WRITERS: dict[str, Callable[[PhaseMap, Path, float], None]] = {
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".ang": _write_ang,
    ".ctf": _write_ctf,
    ".png": _write_png,
    ".csv": _write_csv,
}
