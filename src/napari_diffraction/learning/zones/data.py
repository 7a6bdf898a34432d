"""Training and test patterns of the zone classifier: random cells, random cameras, every class."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_diffraction.crystal.cell import SYSTEMS, UnitCell, random_cell
from napari_diffraction.crystal.excitation import SpotLists, excited_reflections
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.crystal.zones import label_zones
from napari_diffraction.simulation.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    exposed_conditions,
    exposed_effects,
    realistic_conditions,
    realistic_effects,
)
from napari_diffraction.simulation.spots.controls import jitter_net, shift_outer_half
from napari_diffraction.simulation.spots.labels import Visible, class_labels
from napari_diffraction.simulation.spots.lists import overlay, weigh
from napari_diffraction.simulation.spots.render import render

_ORIENTATIONS = 300
#: Share of the realistic cells that are exposed long: strong, wide, distorted patterns.
_EXPOSED = 0.12
_GROUPS = {
    "triclinic": (1, 2),
    "monoclinic": (3, 15),
    "orthorhombic": (16, 74),
    "tetragonal": (75, 142),
    "trigonal": (143, 167),
    "hexagonal": (168, 194),
    "cubic": (195, 230),
}


@dataclass(frozen=True)
class Example:
    """One pattern with its truth.

    Attributes
    ----------
    image : ndarray, (h, w)
    label
        Number of the class in `ZONE_CLASSES`.
    fraction
        Share of the visible reflections in the dominant zone.
    n_spots
        Number of visible reflections.
    kind
        How it was made: natural, zone, hybrid, laue, jitter, shift, overlay, several, none.
    clean
        Whether the pattern has no noise nor false or missing spots.
    signal
        Brightness of a mean spot over the root of its background, for tables by noise.
    cell
        Number of the unit cell, by which data are split.
    """

    image: NDArray[Any]
    label: int
    fraction: float
    n_spots: int
    kind: str
    clean: bool
    signal: float
    cell: int


def examples(
    seed: int, clean: float = 0.35, natural: bool = False, per_cell: int = 14
) -> Iterator[Example]:
    """Draw patterns without end, cell after cell.

    Parameters
    ----------
    seed
        Cells of different seeds are different.
    clean
        Share of cells with clean patterns; the others have realistic ones.
    natural
        Draw orientations as they come, a tenth of the patterns without a crystal and a tenth with
        several; otherwise enrich zones, hybrids, several crystals, and zones whose net is broken.
    per_cell
        Patterns of each cell.
    """
    rng = np.random.default_rng([seed, 7])
    number = 0
    while True:
        is_clean = rng.uniform() < clean
        yield from _of_one_cell(rng, number + seed * 1_000_000, is_clean, natural, per_cell)
        number += 1


def _of_one_cell(
    rng: np.random.Generator, number: int, clean: bool, natural: bool, per_cell: int
) -> list[Example]:
    exposed = not clean and rng.uniform() < _EXPOSED
    if clean:
        conditions = _clean_conditions(rng)
    else:
        conditions = exposed_conditions(rng) if exposed else realistic_conditions(rng)
    cell, group = draw_cell(rng, (80, 800) if exposed else (80, 3000))
    table = reflection_table(cell, conditions.resolution, group, conditions.intensities, rng)
    lists = excited_reflections(
        table,
        random_rotations(_ORIENTATIONS, rng),
        conditions.wavelength,
        conditions.excitation_error,
    )
    lists = weigh(lists, conditions)
    shares = (0.2, 0.3, 0.5, 0, 0) if exposed else (0.1, 0.25, 0.4, 0.15, 0.1)
    size = int(rng.choice((128, 192, 256, 384, 512), p=shares))
    kinds, members = _choose(lists, rng, natural, clean, per_cell)
    parts = [
        _break_up(lists, chosen, kind, rng) for kind, chosen in zip(kinds, members, strict=True)
    ]
    merged = _concatenate([part[0] for part in parts])
    crystal = np.concatenate([part[1] for part in parts])
    noisy = exposed_effects if exposed else realistic_effects
    draw = _clean_effects if clean else noisy
    effects = [draw(rng, size) for _ in kinds]
    if clean:  # black and white, or grey: one renderer draws all of a cell
        grey = rng.uniform() < 0.4
        effects = [replace(e, signal=_log(rng, 30, 2000) if grey else 0.0) for e in effects]
    rows = np.array([e.row() for e in effects])
    limits = np.full(len(kinds), conditions.resolution)
    seed = int(rng.integers(2**31))
    drawn = render(merged.start, merged.position, merged.intensity, rows, limits, size, seed)
    seen = Visible.of(merged, crystal, drawn.visible)
    labels = class_labels(seen, np.array([e.is_clean for e in effects]))
    out = []
    for i, kind in enumerate(kinds):
        label = ZONE_CLASSES.index(labels[i])
        if kind in ("jitter", "shift") and labels[i] == ZONE:
            label = ZONE_CLASSES.index(LAUE)
        if kind == "overlay" and labels[i] != NO_HIT:
            label = ZONE_CLASSES.index(MULTIPLE)
        e = effects[i]
        noise = np.sqrt(e.background + 0.3 * e.halo + e.read_noise**2 + 1)
        out.append(
            Example(
                disturb(drawn.images[i], rng, 0.5 if clean else 0.3),
                label,
                float(seen.share[i]),
                int(seen.count[i]),
                kind,
                clean,
                float(e.signal / noise),
                number,
            )
        )
    return out


def draw_cell(
    rng: np.random.Generator, volume: tuple[float, float] = (80, 3000)
) -> tuple[UnitCell, int | None]:
    """Draw a cell of any system, its volume in A^3 from a range, and half the time a group."""
    system = str(rng.choice(SYSTEMS, p=(0.4, 0.2, 0.12, 0.08, 0.07, 0.07, 0.06)))
    cell = random_cell(volume, system, (1.0, 5.0), rng)
    if rng.uniform() < 0.5:
        return cell, None
    low, high = _GROUPS[system]
    group = gemmi.find_spacegroup_by_number(int(rng.integers(low, high + 1)))
    assert group is not None
    return cell, group.number


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _clean_conditions(rng: np.random.Generator) -> SpotConditions:
    paper = rng.uniform() < 0.5
    return SpotConditions(
        wavelength=0.0251 if paper else rng.uniform(0.0197, 0.0418),
        resolution=1.0 if paper else rng.uniform(0.7, 1.5),
        excitation_error=0.01 if paper else _log(rng, 0.003, 0.02),
        intensities="equal" if paper else str(rng.choice(("equal", "random", "kinematical"))),
        falloff=0.0 if paper else rng.uniform(0, 4),
        rocking=bool(not paper and rng.uniform() < 0.3),
        in_plane=True,
    )


def _clean_effects(rng: np.random.Generator, size: int) -> DetectorEffects:
    radius = max(0.6, size / 256 * _log(rng, 0.7, 3.0))
    return DetectorEffects(
        extent=rng.uniform(0.6, 1.05) if rng.uniform() < 0.5 else 0.95,
        spot_radius=radius,
        spot_softness=rng.uniform(0, 1),
        central_radius=radius * rng.uniform(1.1, 2.5) if rng.uniform() < 0.9 else 0.0,
        central_signal=_log(rng, 1, 30),
        shift_x=float(np.clip(rng.normal(0, 0.02), -0.1, 0.1)),
        shift_y=float(np.clip(rng.normal(0, 0.02), -0.1, 0.1)),
    )


def _choose(
    lists: SpotLists, rng: np.random.Generator, natural: bool, clean: bool, per_cell: int
) -> tuple[list[str], list[list[int]]]:
    """Choose the kind of each pattern, and the orientations that it overlays."""
    n = len(lists)
    if natural:
        crystals = np.ones(per_cell, dtype=int)
        if not clean:
            crystals = rng.choice((0, 1, 2, 3), per_cell, p=(0.1, 0.8, 0.07, 0.03))
        return ["natural"] * per_cell, [list(rng.integers(n, size=c)) for c in crystals]
    zones = label_zones(lists.start, lists.hkl)
    strata = {
        "zone": np.flatnonzero(zones.strict),
        "hybrid": np.flatnonzero((zones.fraction > 0.7) & ~zones.strict),
        "laue": np.flatnonzero(zones.fraction <= 0.7),
    }
    shares = {
        "zone": 0.27,
        "hybrid": 0.2,
        "laue": 0.16,
        "jitter": 0.06,
        "shift": 0.06,
        "overlay": 0.06,
        "several": 0.11 if clean else 0.14,
        "none": 0.0 if clean else 0.13,
    }
    names = list(shares)
    weights = np.array(list(shares.values()))
    kinds: list[str] = []
    members: list[list[int]] = []
    for kind in rng.choice(names, per_cell, p=weights / weights.sum()):
        source = "zone" if kind in ("jitter", "shift", "overlay") else str(kind)
        pool = strata.get(source, np.arange(n))
        if not len(pool):  # a cell without zones, or without hybrids
            kind, pool = "laue", np.arange(n)
        count = {"none": 0, "overlay": 2, "several": int(rng.choice((2, 3), p=(0.7, 0.3)))}
        kinds.append(str(kind))
        members.append([int(i) for i in rng.choice(pool, count.get(str(kind), 1))])
    return kinds, members


def _break_up(
    lists: SpotLists, members: list[int], kind: str, rng: np.random.Generator
) -> tuple[SpotLists, NDArray[np.int8]]:
    """Spots of one pattern: one orientation or several overlaid, its net broken where asked."""
    single = [_turned(_take(lists, i), rng.uniform(0, 2 * np.pi)) for i in members]
    if kind == "several":
        # Crystals differ in thickness and in how much of the beam they catch.
        single = [
            replace(one, intensity=one.intensity * np.float32(_log(rng, 0.4, 1.0) if k else 1.0))
            for k, one in enumerate(single)
        ]
    if kind == "jitter" and len(single[0].position) > 1:
        share = 0.4 if rng.uniform() < 0.5 else rng.uniform(0.25, 0.6)
        single = [replace(single[0], position=jitter_net(single[0].position, rng, share))]
    if kind == "shift" and len(single[0].position) > 1:
        single = [replace(single[0], position=shift_outer_half(single[0].position, rng))]
    return overlay(single, 1)


def _take(lists: SpotLists, index: int) -> SpotLists:
    mine = lists.slice(index)
    start = np.array([0, mine.stop - mine.start], dtype=np.int64)
    return SpotLists(
        start,
        lists.hkl[mine],
        lists.position[mine],
        lists.excitation[mine],
        lists.intensity[mine],
    )


def _turned(spots: SpotLists, angle: float) -> SpotLists:
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s], [-s, c]], dtype=np.float32)
    return replace(spots, position=spots.position @ turn)


def _concatenate(parts: list[SpotLists]) -> SpotLists:
    start = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part.hkl) for part in parts], out=start[1:])
    return SpotLists(
        start,
        np.concatenate([part.hkl for part in parts]),
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.excitation for part in parts]),
        np.concatenate([part.intensity for part in parts]),
    )


def disturb(image: NDArray[Any], rng: np.random.Generator, share: float = 0.3) -> NDArray[Any]:
    """Treat some of the images as people do before they hand them on.

    Eight bits, JPEG, inverted, padded to a non-square frame, resized.
    """
    if rng.uniform() >= share:
        return image
    out: NDArray[Any] = image
    if rng.uniform() < 0.5:
        low, high = np.percentile(image, (0.5, rng.uniform(99, 99.95)))
        grey = (image.astype(np.float32) - low) / max(float(high - low), 1.0)
        out = (255 * np.clip(grey, 0, 1) ** rng.uniform(0.5, 1.0)).astype(np.uint8)
        if rng.uniform() < 0.5:
            buffer = io.BytesIO()
            Image.fromarray(out).save(buffer, "JPEG", quality=int(rng.integers(60, 96)))
            out = np.asarray(Image.open(buffer))
        if rng.uniform() < 0.3:
            out = 255 - out
    if rng.uniform() < 0.3:
        pad = int(rng.uniform(0.05, 0.4) * image.shape[0])
        before = int(rng.integers(0, pad + 1)) if rng.uniform() < 0.3 else pad // 2
        fill = np.median(out)
        axis = int(rng.integers(2))
        widths = [(0, 0), (0, 0)]
        widths[axis] = (before, pad - before)
        out = np.pad(out, widths, constant_values=fill.astype(out.dtype))
    if rng.uniform() < 0.4:
        size = int(rng.integers(128, 640))
        h, w = out.shape
        shape = (max(32, round(size * w / max(h, w))), max(32, round(size * h / max(h, w))))
        kind = Image.Resampling(int(rng.choice((2, 3, 4))))  # bilinear, bicubic, box
        out = np.asarray(Image.fromarray(out.astype(np.float32)).resize(shape, kind))
    return out
