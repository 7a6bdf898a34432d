"""Files of an indexed scan: the solution, a table, and the maps of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_diffraction.analysis.indexed.orientations import bunge_angles, tilts
from napari_diffraction.analysis.indexed.phases import file_phases
from napari_diffraction.analysis.indexed.solution import is_known, provenance, solution, table_of
from napari_diffraction.analysis.maps.vendor_files import (
    MapFile,
    coordinates,
    named_colour,
    write_ang,
    write_ctf,
    write_orix,
)
from napari_diffraction.crystal.orientation import euler_matrices, quaternions
from napari_diffraction.errors import InputError
from napari_diffraction.files import SHOWN, replacing
from napari_diffraction.indexing.solution import NOT_INDEXED
from napari_diffraction.patterns.geometry import from_bruker
from napari_diffraction.review.provenance import write_beside

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from napari_diffraction.analysis.maps.phases import MapPhase
    from napari_diffraction.indexing.solution import IndexedMap

#: Endings of files that show a map and thus want a scan.
_MAPS = (".ang", ".ctf", ".h5", ".hdf5", ".png")


def export_indexed(indexed: IndexedMap, path: str | Path) -> Path:
    """Write an indexed scan; the end of the name says how.

    ``.json`` is the solution: centre, phases, notes; ``.csv`` has a row for each pattern; ``.ang``
    and ``.ctf`` are the maps of EDAX and Oxford, ``.h5`` and ``.hdf5`` that of orix, with Euler
    angles in their own frames (`analysis.indexed.orientations`); ``.png`` is a figure.

    Parameters
    ----------
    indexed
        The solution.
    path
        The file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The name ends in something else, the patterns are no scan but the file shows one, or the
        file cannot be written.
    """
    path = Path(path)
    check_export(path, indexed.shape)
    WRITERS[path.suffix.lower()](indexed, path)
    return path


def check_export(path: Path, shape: tuple[int, ...]) -> None:
    """Check, before anything is computed, whether patterns can be written to such a file.

    Parameters
    ----------
    path
        The file.
    shape
        Rows and columns of the scan, or (n,).

    Raises
    ------
    InputError
        See `export_indexed`.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise InputError(
            f"{path.name} is no kind of file that an indexed scan can be written to: let its name "
            f"end in {', '.join(WRITERS)}."
        )
    if not can_export(path, shape):
        raise InputError(
            f"{path.name} would show a map, but the patterns are a list and no scan: write a .json "
            "or a .csv file."
        )


def can_export(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether patterns lie as such a file shows them; parameters as of `check_export`."""
    return path.suffix.lower() not in _MAPS or len(shape) == 2


def _write_json(indexed: IndexedMap, path: Path) -> None:
    text = json.dumps(solution(indexed), indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _write_csv(indexed: IndexedMap, path: Path) -> None:
    with replacing(path) as temporary:
        table_of(indexed).to_csv(
            temporary,
            index=False,
            float_format="%.7g",
            lineterminator="\n",
            encoding="utf-8",
            errors=SHOWN,
        )
    write_beside(path, provenance(indexed))


def _file(indexed: IndexedMap, program: str) -> MapFile:
    """Return what the file of another program says of a scan."""
    rows, columns = indexed.shape
    centre = np.zeros(3)
    if is_known(indexed):
        frame = indexed.frame_shape or (1, 1)
        centre = from_bruker(indexed.pattern_centre, "edax", frame)
    quality = np.nan_to_num(indexed.quality)
    return MapFile(
        indexed.name,
        (rows, columns),
        indexed.step,
        file_phases(indexed),
        indexed.phase.astype(np.int64) + 1,
        indexed.done,
        provenance(indexed),
        confidence=indexed.confidence,
        quality=quality,
        contrast=255 * quality,
        fit=indexed.misfit_deg,
        bands=indexed.bands,
        angles=bunge_angles(indexed, program),
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        voltage=indexed.voltage,
        tilt=tilts(indexed)[0],
        properties=_properties(indexed),
    )


def _properties(indexed: IndexedMap) -> dict[str, Any]:
    """Values of every point that orix keeps."""
    return {
        "misfit_deg": indexed.misfit_deg,
        "bands": indexed.bands,
        "quality": indexed.quality,
        "grain": indexed.grain,
    }


def _write_ang(indexed: IndexedMap, path: Path) -> None:
    write_ang(_file(indexed, "edax"), path)


def _write_ctf(indexed: IndexedMap, path: Path) -> None:
    write_ctf(_file(indexed, "oxford"), path)


def _write_hdf5(indexed: IndexedMap, path: Path) -> None:
    def ours(group: h5py.Group) -> None:
        group["solution"] = json.dumps(solution(indexed), allow_nan=False)

    write_orix(_file(indexed, "orix"), path, ours)


def _write_png(indexed: IndexedMap, path: Path) -> None:
    from napari_diffraction.analysis.indexed.picture import indexed_figure

    facts = {"Software": "napari-diffraction", "Comment": json.dumps(provenance(indexed))}
    with replacing(path) as temporary:
        indexed_figure(indexed).savefig(temporary, dpi=200, metadata=facts, bbox_inches="tight")


def to_crystal_map(indexed: IndexedMap) -> CrystalMap:
    """Return a solution as orix's crystal map.

    Rotations are those of orix: from the sample (EDAX's frame) to the crystal (a along x, c* along
    z).  Misfit, bands, confidence, quality and grain are properties of the points.

    Parameters
    ----------
    indexed
        The solution; a stack that is no scan becomes a row of points.

    Raises
    ------
    InputError
        orix is not installed.
    """
    try:
        from diffpy.structure import Lattice
        from diffpy.structure import Structure as Atoms
        from orix.crystal_map import CrystalMap, Phase, PhaseList
        from orix.quaternion import Rotation
    except ImportError as error:
        raise InputError(
            "orix is needed to make a crystal map: install napari-diffraction[em]."
        ) from error
    phases = [
        Phase(
            name=phase.name,
            point_group=phase.orix_group,
            space_group=_space_group(phase),
            structure=Atoms(title=phase.name, lattice=Lattice(*phase.cell)),
            color=named_colour(phase.colour),
        )
        for phase in file_phases(indexed)
    ]
    matrices = euler_matrices(np.nan_to_num(bunge_angles(indexed, "orix")))
    place = {}
    if indexed.is_scan:
        x, y = coordinates(indexed.shape, indexed.step or (1.0, 1.0))
        place = {"x": x, "y": y}
    else:
        place = {"x": np.arange(len(indexed), dtype=float)}
    return CrystalMap(
        rotations=Rotation(quaternions(matrices)),
        phase_id=np.where(indexed.phase < 0, NOT_INDEXED, indexed.phase).astype(int),
        phase_list=PhaseList(dict(enumerate(phases))),
        prop={"confidence": np.nan_to_num(indexed.confidence), **_properties(indexed)},
        scan_unit="um" if indexed.step else "px",
        **place,
    )


def _space_group(phase: MapPhase) -> int | None:
    """Return the space group if orix keeps it beside the symmetry of the patterns."""
    from orix.crystal_map import Phase

    if not phase.space_group or phase.orix_group != phase.laue:
        return None
    # that of a crystal without a centre has another point group
    derived = Phase(space_group=phase.space_group).point_group.name
    return phase.space_group if phase.laue == derived else None


#: How a solution is written, by the end of the file's name.
WRITERS: dict[str, Callable[[IndexedMap, Path], None]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".ang": _write_ang,
    ".ctf": _write_ctf,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".png": _write_png,
}
