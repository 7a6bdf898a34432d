"""A simulated stack as layers: the patterns, their spots with h k l, and the truth."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.layers.utils.string_encoding import ManualStringEncoding
from numpy.typing import NDArray

from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.spots.dataset import SimulatedStack
from napari_diffraction.ui.reader import as_layer
from napari_diffraction.ui.widgets.colours import rgba
from napari_diffraction.ui.widgets.wording import counted

#: Where the patterns keep the simulation that made them, for saving.
SIMULATION = "simulation"
_PATTERNS_PER_CHUNK = 64
#: Okabe and Ito's colours that are not those of the classes, one for each crystal.
_CRYSTAL_COLOURS = np.array([[0, 158, 115], [213, 94, 0], [240, 228, 66]]) / 255


def add_simulated(
    viewer: ViewerModel, simulated: SimulatedStack, name: str, settings: dict[str, Any]
) -> Image:
    """Add the patterns, their visible spots and their true classes to a viewer.

    Parameters
    ----------
    viewer
        Gets three layers.
    simulated
        The patterns and what is known of them.
    name
        Of the patterns; the other layers are called after it.
    settings
        Plain values that tell how the patterns were made.

    Returns
    -------
    Image
        The layer of the patterns.
    """
    stack = pattern_stack(simulated, name, settings)
    _, options, _ = as_layer(stack)
    options["metadata"]["napari_diffraction"]["simulation"] = settings
    options["metadata"] |= {"labels": simulated.labels, SIMULATION: simulated}
    image = viewer.add_image(simulated.images, **options)
    add_spots(viewer, image, simulated)
    truth = viewer.add_layer(truth_layer(simulated.labels, stack.frame_shape, name))
    truth.metadata["truth"] = simulated
    viewer.layers.selection.active = image
    return image


def pattern_stack(
    simulated: SimulatedStack, name: str, settings: dict[str, Any] | None = None
) -> PatternStack:
    """Return simulated patterns as a stack in memory."""
    n, height, width = simulated.images.shape
    chunks = (_PATTERNS_PER_CHUNK, height, width)
    return PatternStack(
        # Without a name dask would read all patterns to make one.
        data=da.from_array(simulated.images, chunks=chunks, name=False),
        name=name,
        geometry=simulated.geometry,
        notes=(f"{counted(n, 'simulated patterns')}, {width}x{height} pixels.",),
        metadata={"simulation": settings or {}},
        read=lambda index: simulated.images[index],
    )


def add_spots(viewer: ViewerModel, image: Image, simulated: SimulatedStack) -> Points:
    """Add rings around the spots that can be seen, with h, k, l, intensity and crystal."""
    spots = simulated.spots[simulated.spots["visible"]]
    crystal = spots["crystal"].to_numpy(int)
    colours = np.ones((len(spots), 4), np.float32)
    colours[:, :3] = _CRYSTAL_COLOURS[crystal % len(_CRYSTAL_COLOURS)]
    return viewer.add_points(
        spots[["pattern", "y", "x"]].to_numpy(float),
        ndim=3,
        name=f"{image.name} - spots",
        features=spots[["h", "k", "l", "intensity", "crystal"]].reset_index(drop=True),
        size=max(6.0, 5 * simulated.effects.spot_radius),
        face_color="transparent",
        border_color=colours if len(spots) else "white",
        border_width=0.12,
        metadata={"made_from": image.name, "spots": simulated},
    )


def show_indices(points: Points, on: bool) -> None:
    """Write h k l beside the spots, or no longer."""
    if on and "indices" not in points.metadata:
        texts = _index_texts(points.features[["h", "k", "l"]].to_numpy(int))
        points.text = {
            "string": ManualStringEncoding(array=texts, default=""),
            "color": "white",
            "size": 9,
            "anchor": "center",
            "translation": [0, -float(np.max(points.size, initial=1)), 0],
        }
    points.metadata["indices"] = on
    points.text.visible = on
    points.refresh()


def _index_texts(hkl: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return "h k l" for each row, without a loop over what may be a million spots."""
    lowest, highest = hkl.min(initial=0), hkl.max(initial=0)
    names = np.array([f"{number} " for number in range(lowest, highest + 1)])
    h, k, last = names[(hkl - lowest).T]
    return np.char.rstrip(np.char.add(np.char.add(h, k), last))


def truth_layer(labels: pd.DataFrame, frame: tuple[int, int], name: str) -> Points:
    """Make the layer that says what each pattern is, one point a pattern.

    Parameters
    ----------
    labels
        One row a pattern, as in `SimulatedStack`; they are the features of the layer.
    frame
        Height and width of the patterns.
    name
        Of the patterns.
    """
    n = len(labels)
    classes = labels["label"].to_numpy(str)
    colours = rgba(classes, ZONE_CLASSES)
    size = max(2.0, 0.025 * min(frame))
    corner = np.column_stack(
        [np.arange(n), np.full(n, frame[0] - 1.5 * size), np.full(n, 1.5 * size)]
    )
    texts = [f"Truth: {short_text(row)}" for row in labels.to_dict("records")]
    return Points(
        corner,
        ndim=3,
        name=f"{name} - truth",
        features=labels,
        face_color=colours if n else "white",
        border_color="black",
        border_width=0.1,
        symbol="square",
        size=size,
        text={
            "string": ManualStringEncoding(array=np.array(texts, dtype="<U64"), default=""),
            "color": "white",
            "anchor": "lower_left",
            "translation": [0, -size / 4, size],
            "size": 11,
        },
        metadata={"made_from": name},
    )


def short_text(row: dict[str, Any]) -> str:
    """Return class and dominant zone of a pattern: "2DZone, 100% in [1 0 2]"."""
    return f"{row['label']}, {zone}" if (zone := _zone(row)) else str(row["label"])


def describe(row: dict[str, Any]) -> str:
    """Return what is known of a pattern: "2DZone · 35 spots · 100% in zone [1 0 2]"."""
    spots = f"{row['n_spots']} spot{'' if row['n_spots'] == 1 else 's'}"
    zone = _zone(row).replace("in", "in zone") or "no zone"
    return f"{row['label']} · {spots} · {zone}"


def _zone(row: dict[str, Any]) -> str:
    if not row["u"] and not row["v"] and not row["w"]:
        return ""
    # Rounded down: only a strict zone has 100%.
    percent = math.floor(100 * row["zone_fraction"] + 1e-6)
    return f"{percent}% in [{row['u']} {row['v']} {row['w']}]"
