"""Maps as the files of other programs: .ang of EDAX, .ctf of Oxford, HDF5 of orix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.phases import MapPhase
from napari_diffraction.files import SHOWN, replacing, replacing_hdf5
from napari_diffraction.learning.palette import rgb
from napari_diffraction.review.provenance import write_beside

FloatArray = NDArray[np.float64]

#: EDAX's numbers of the Laue groups; 20 is monoclinic about b.
_EDAX = {
    "-1": 1, "2/m": 20, "mmm": 22, "4/m": 4, "4/mmm": 42, "-3": 3, "-3m": 32, "6/m": 6,
    "6/mmm": 62, "m-3": 23, "m-3m": 43,
}  # fmt: skip
#: Oxford's numbers of the Laue groups, from 1.
_OXFORD = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
_NOT_INDEXED_ANGLE = 4 * np.pi
#: What is said of a scan whose file tells no step: these two formats count in um only.
STEP_UNKNOWN = "The step of the scan is not known: files that want one (.ang, .ctf) say 1 um."


@dataclass(frozen=True, eq=False)
class MapFile:
    """What the file of another program says of a map of n points.

    Attributes
    ----------
    name
        Short name of the scan.
    shape
        Rows and columns.
    step
        Distance of rows and of columns in um; ``None``: not known.
    phases
        The phases in the file.
    number : ndarray of int, (n,)
        0, or 1 + the place of the point's phase among `phases`.
    done : ndarray of bool, (n,)
        Points that have been looked at.
    facts
        Where the map comes from, as JSON values.
    angles : ndarray of float64, (n, 3), or None
        Bunge's Euler angles in degrees, in the program's own frames; ``None``: not known.
    confidence : ndarray, (n,)
        0 to 1.
    quality : ndarray, (n,)
        EDAX's image quality.
    contrast : ndarray, (n,)
        Oxford's band contrast, 0 to 255.
    fit : ndarray, (n,)
        Mean angle between bands and their reflectors in degrees.
    bands : ndarray of int, (n,)
        Bands matched.
    centre
        Pattern centre in EDAX's convention; zeros where it is not known.
    voltage
        Acceleration voltage in kV; 0: not known.
    tilt
        Tilt of the sample in degrees; 0: not known.
    properties
        More values of every point, for orix.
    """

    name: str
    shape: tuple[int, int]
    step: tuple[float, float] | None
    phases: Sequence[MapPhase]
    number: NDArray[np.int64]
    done: NDArray[np.bool_]
    facts: Mapping[str, Any]
    confidence: NDArray[Any]
    quality: NDArray[Any]
    contrast: NDArray[Any]
    fit: NDArray[Any]
    bands: NDArray[Any]
    angles: FloatArray | None = None
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voltage: float = 0.0
    tilt: float = 0.0
    properties: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def known_step(self) -> tuple[float, float]:
        """Steps of rows and columns in um; 1 where they are not known."""
        return self.step or (1.0, 1.0)

    @property
    def known_angles(self) -> FloatArray:
        """Euler angles in degrees; 0 where they are not known."""
        return (
            np.zeros((len(self.number), 3)) if self.angles is None else np.nan_to_num(self.angles)
        )

    def coordinates(self) -> tuple[FloatArray, FloatArray]:
        """Return x and y of every point in um."""
        return coordinates(self.shape, self.known_step)


def coordinates(shape: tuple[int, ...], step: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return x and y of every point of a grid; steps are those of rows and of columns."""
    rows, columns = np.indices(shape)
    return np.asarray(columns * step[1], float).ravel(), np.asarray(rows * step[0], float).ravel()


def _opened(path: Path) -> TextIO:
    # a scan may have the name of a file that is no UTF-8
    return path.open("w", encoding="utf-8", errors=SHOWN, newline="\n")


# --- .ang


def write_ang(file_map: MapFile, path: Path) -> None:
    """Write EDAX's .ang; the facts stand in its heading."""
    indexed = file_map.number > 0
    angles = np.where(indexed[:, None], np.radians(file_map.known_angles), _NOT_INDEXED_ANGLE)
    confidence = np.where(indexed, np.nan_to_num(file_map.confidence), -1.0)
    fit = np.where(indexed, np.nan_to_num(file_map.fit), 180.0)
    zero = np.zeros(len(indexed))
    values = np.column_stack(
        [angles, *file_map.coordinates(), file_map.quality, confidence, file_map.number, zero, fit]
    )
    form = "%9.5f %9.5f %9.5f %12.5f %12.5f %8.3f %7.4f %3d %6.1f %9.5f"
    with replacing(path) as temporary, _opened(temporary) as file:
        for line in _ang_heading(file_map):
            file.write(f"# {line}\n")
        np.savetxt(file, values, fmt=form)


def _ang_heading(file_map: MapFile) -> Iterator[str]:
    stars = zip(("x-star", "y-star", "z-star"), file_map.centre, strict=True)
    for name, value in (("TEM_PIXperUM", 1.0), *stars, ("WorkingDistance", 0.0)):
        yield f"{name:<22} {value:.6f}"
    yield ""
    # EDAX's own program lists the last phase first.
    for number, phase in reversed(list(enumerate(file_map.phases, start=1))):
        yield f"Phase {number}"
        yield f"MaterialName    {phase.name}"
        # orix takes the last word of the formula for the name
        yield f"Formula    {phase.name.replace(' ', '_')}"
        yield "Info"
        yield f"Symmetry    {_EDAX.get(phase.laue, 1)}"
        yield "LatticeConstants    " + " ".join(f"{value:.3f}" for value in phase.cell)
        yield "NumberFamilies    0"
    rows, columns = file_map.shape
    dy, dx = file_map.known_step
    yield "GRID: SqrGrid"
    yield f"XSTEP: {dx:.6f}"
    yield f"YSTEP: {dy:.6f}"
    yield f"NCOLS_ODD: {columns}"
    yield f"NCOLS_EVEN: {columns}"
    yield f"NROWS: {rows}"
    yield ""
    yield f"OPERATOR: napari-diffraction {version('napari-diffraction')}"
    yield ""
    yield f"SAMPLEID: {file_map.name}"
    yield ""
    yield f"PROVENANCE: {json.dumps(file_map.facts)}"
    yield ""
    yield (
        "Column names: phi1, Phi, phi2, x, y, image_quality, confidence_index, phase_id, "
        "detector_signal, pattern_fit"
    )
    yield ""


# --- .ctf


def write_ctf(file_map: MapFile, path: Path) -> None:
    """Write Oxford's .ctf, and the facts into a .json beside it."""
    indexed = file_map.number > 0
    x, y = file_map.coordinates()
    zero = np.zeros(len(x))
    # Error 5: not analysed, 3: no solution.
    error = np.where(indexed, 0, np.where(file_map.done, 3, 5))
    angles = np.where(indexed[:, None], file_map.known_angles, 0.0)
    fit = np.where(indexed, np.nan_to_num(file_map.fit), 0.0)
    contrast = np.round(np.nan_to_num(file_map.contrast))
    values = np.column_stack(
        [file_map.number, x, y, file_map.bands, error, angles, fit, contrast, zero]
    )
    form = ["%d", "%.4f", "%.4f", "%d", "%d", "%.4f", "%.4f", "%.4f", "%.4f", "%d", "%d"]
    with replacing(path) as temporary, _opened(temporary) as file:
        file.writelines(f"{line}\n" for line in _ctf_heading(file_map))
        np.savetxt(file, values, fmt="\t".join(form))
    write_beside(path, dict(file_map.facts))


def _ctf_heading(file_map: MapFile) -> Iterator[str]:
    rows, columns = file_map.shape
    dy, dx = file_map.known_step
    yield "Channel Text File"
    yield f"Prj\t{file_map.name}"
    yield f"Author\tnapari-diffraction {version('napari-diffraction')}"
    yield "JobMode\tGrid"
    yield f"XCells\t{columns}"
    yield f"YCells\t{rows}"
    yield f"XStep\t{dx:.6f}"
    yield f"YStep\t{dy:.6f}"
    yield "AcqE1\t0\nAcqE2\t0\nAcqE3\t0"
    yield (
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t1\tCoverage\t100\t"
        f"Device\t0\tKV\t{file_map.voltage:g}\tTiltAngle\t{file_map.tilt:g}\tTiltAxis\t0"
    )
    yield f"Phases\t{len(file_map.phases)}"
    for phase in file_map.phases:
        sides = ";".join(f"{value:.3f}" for value in phase.cell[:3])
        angles = ";".join(f"{value:.3f}" for value in phase.cell[3:])
        laue = _OXFORD.index(phase.laue) + 1 if phase.laue in _OXFORD else 1
        yield f"{sides}\t{angles}\t{phase.name}\t{laue}\t{phase.space_group}\t\t\t"
    yield "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"


# --- HDF5


def write_orix(
    file_map: MapFile, path: Path, add: Callable[[h5py.Group], None] | None = None
) -> None:
    """Write orix's crystal map.

    Parameters
    ----------
    file_map
        The map.
    path
        The file.
    add
        Writes what only this program understands, into the group ``napari_diffraction``.
    """
    with replacing_hdf5(path) as file:
        _text(file, "manufacturer", "orix")  # by which orix knows the layout as its own
        _text(file, "version", version("napari-diffraction"))
        file.attrs["provenance"] = json.dumps(file_map.facts)
        _orix_data(file.create_group("crystal_map/data"), file_map)
        _orix_header(file.create_group("crystal_map/header"), file_map)
        if add is not None:
            add(file.create_group("napari_diffraction"))


def _orix_data(group: h5py.Group, file_map: MapFile) -> None:
    x, y = file_map.coordinates()
    n = len(x)
    group["x"], group["y"] = x, y
    for name, values in zip(
        ("phi1", "Phi", "phi2"), np.radians(file_map.known_angles).T, strict=True
    ):
        group[name] = values
    group["phase_id"] = np.where(file_map.number > 0, file_map.number - 1, -1)
    group["id"] = np.arange(n)
    group["is_in_data"] = np.ones(n, bool)
    group["confidence"] = np.nan_to_num(file_map.confidence)
    for name, values in file_map.properties.items():
        group[name] = values


def _orix_header(group: h5py.Group, file_map: MapFile) -> None:
    dy, dx = file_map.known_step
    _text(group, "grid_type", "square")
    _text(group, "scan_unit", "px" if file_map.step is None else "um")
    n = len(file_map.number)
    for name, value in {"nx": n, "ny": n, "rotations_per_point": 1}.items():
        group.create_dataset(name, data=[value])
    for name, step in (("x_step", dx), ("y_step", dy)):
        group.create_dataset(name, data=[step])
    # orix's own name for the points without a phase has an underscore.
    nothing = MapPhase(0, "not_indexed", "None", 0, (1.0, 1.0, 1.0, 90.0, 90.0, 90.0), "#FFFFFF")
    for number, phase in [(-1, nothing), *enumerate(file_map.phases)]:
        one = group.create_group(f"phases/{number}")
        point_group, space_group = phase.laue, str(phase.space_group or "None")
        if file_map.angles is not None and phase.orix_group != phase.laue:
            # what orix derives from the space group has its axes elsewhere, too
            point_group, space_group = phase.orix_group, "None"
        _text(one, "name", phase.name)
        _text(one, "point_group", point_group)
        _text(one, "space_group", space_group)
        _text(one, "color", named_colour(phase.colour))
        one.create_group("structure/atoms")
        one["structure/lattice/abcABG"] = np.array(phase.cell)
        one["structure/lattice/baserot"] = np.eye(3)


def named_colour(colour: str) -> str:
    """Return the name of the CSS colour nearest to a colour: orix reads no others."""
    from matplotlib.colors import CSS4_COLORS  # half a second, which only this file needs

    wanted = np.array(rgb(colour))
    return min(CSS4_COLORS, key=lambda name: float(np.sum((wanted - rgb(CSS4_COLORS[name])) ** 2)))


def _text(group: h5py.Group, name: str, value: str) -> None:
    group.create_dataset(name, data=np.array([value.encode()]))
