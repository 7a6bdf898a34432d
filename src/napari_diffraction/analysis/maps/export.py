"""Files of a phase map that other programs read.

Euler angles are 0 throughout: the map knows phases, not orientations.  Every file says where it
comes from, inside it where the format has room, otherwise in a ``.json`` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.phase_map import DEFAULT_THRESHOLD, NOT_INDEXED, PhaseMap
from napari_diffraction.analysis.maps.phases import MapPhase, map_phases
from napari_diffraction.analysis.maps.vendor_files import (
    MapFile,
    coordinates,
    write_ang,
    write_ctf,
    write_orix,
)
from napari_diffraction.errors import InputError
from napari_diffraction.files import SHOWN, replacing
from napari_diffraction.patterns.geometry import from_bruker
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.review.provenance import write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        "geometry": {} if phase_map.geometry is None else phase_map.geometry.numbers(),
        "sources": sorted(set(phase_map.sources)),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


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
    x, y = coordinates(phase_map.shape, phase_map.step or (1.0, 1.0))
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
            temporary,
            index=False,
            float_format="%.6g",
            lineterminator="\n",
            errors=SHOWN,
        )
    write_beside(path, provenance(phase_map, threshold))


def _file(phase_map: PhaseMap, threshold: float) -> MapFile:
    """Return what the files of other programs say of a map."""
    phases = map_phases(phase_map, threshold)
    zero = np.zeros(len(phase_map))
    camera = phase_map.geometry
    known = camera if isinstance(camera, KikuchiGeometry) else KikuchiGeometry()
    centre = np.zeros(3)
    if known.pc is not None and phase_map.frame_shape is not None:
        centre = from_bruker(known.pc, "edax", phase_map.frame_shape)
    confidence = np.nan_to_num(phase_map.confidence.ravel())
    return MapFile(
        phase_map.name,
        phase_map.shape,
        phase_map.step,
        phases,
        _phase_numbers(phase_map, phases, threshold),
        phase_map.done,
        provenance(phase_map, threshold),
        confidence=confidence,
        quality=zero,
        contrast=100 * confidence,  # in percent, where the band contrast would stand
        fit=zero,
        bands=zero,
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        voltage=known.voltage or 0.0,
        tilt=known.sample_tilt or 0.0,
    )


def _write_ang(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    write_ang(_file(phase_map, threshold), path)


def _write_ctf(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    write_ctf(_file(phase_map, threshold), path)


def _write_hdf5(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    def ours(group: h5py.Group) -> None:
        group["classes"] = np.array(phase_map.classes, dtype=object)
        for name, values in (
            ("probabilities", phase_map.probabilities),
            ("pattern_probabilities", phase_map.single),
            ("regions", phase_map.regions),
        ):
            if values is not None:
                cube = values.reshape(*phase_map.shape, *values.shape[1:])
                group.create_dataset(name, data=cube, compression="gzip", shuffle=True)

    write_orix(_file(phase_map, threshold), path, ours)


def _write_png(phase_map: PhaseMap, path: Path, threshold: float) -> None:
    from napari_diffraction.analysis.maps.picture import map_figure

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
