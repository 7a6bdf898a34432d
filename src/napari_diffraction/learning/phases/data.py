"""Training patterns of a few named phases, of other crystals, and frames without a pattern."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.data import Draw, PatternMaker, draw
from napari_diffraction.learning.bravais.shards import Arrays, alone, patterns_of
from napari_diffraction.learning.bravais.structure_pool import (
    StructurePool,
    save_arrays,
    structure_arrays,
)
from napari_diffraction.learning.networks.bravais_view import SIDES, side_of
from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.patterns.geometry import wavelength
from napari_diffraction.simulation.kikuchi.effects import COLUMNS

#: Share of other crystals, and of empty frames, to train on and to calibrate on.
TRAINING_SHARES = (0.22, 0.06)
NATURAL_SHARES = (0.06, 0.03)
#: Of the other crystals every so many is kept for the checks.
_EVERY = 10
#: Above this, two crystals look the same; see `likeness`.
_ALIKE = 0.92
#: Strongest reflections that make up a crystal's look.
_STRONG = 40
#: Patterns wider than this many pixels show all that the network can see.
_WIDE = 96


def random_others(job: tuple[str, int, list[int]]) -> Arrays:
    """Tabulate random crystals of one lattice."""
    from napari_diffraction.crystal.random_structures.structures import random_structure

    lattice, count, seed = job
    rng = np.random.default_rng(seed)
    return structure_arrays([random_structure(lattice, rng) for _ in range(count)])


def other_jobs(recipe: PhasesRecipe) -> list[tuple[str, int, list[int]]]:
    """Return jobs for `random_others`, one a lattice; none where there are no others."""
    if not recipe.others:
        return []
    count = max(1, recipe.others // len(BRAVAIS_LATTICES))
    return [(name, count, [recipe.seed, 23, i]) for i, name in enumerate(BRAVAIS_LATTICES)]


def known_others() -> Arrays:
    """Tabulate the known materials."""
    return structure_arrays(list(MATERIALS.values()))


def write_crystals(recipe: PhasesRecipe, others: list[Arrays], path: Path) -> None:
    """Write the crystals of a training: the phases, then others that look unlike any of them.

    Parameters
    ----------
    recipe
        Names the phases.
    others
        Tables of other crystals.
    path
        The ``.npz`` file.

    Raises
    ------
    InputError
        A phase cannot be read.
    """
    phases = structure_arrays(list(recipe.structures()))
    unlike = []
    for table in others:
        keep = likeness(table, phases).max(axis=1) < _ALIKE
        unlike.append({name: values[keep] for name, values in table.items()})
    tables = [phases, *unlike]
    whole = {name: np.concatenate([t[name] for t in tables]) for name in phases}
    whole["label"] = np.minimum(np.arange(len(whole["label"])), len(recipe.phases))
    with replacing(path) as partial:
        save_arrays(partial, whole)


def likeness(some: Arrays, others: Arrays) -> NDArray[np.float64]:
    """Compare crystals by spacings of, and angles between, their strongest bands.

    Parameters
    ----------
    some, others
        Tables of m and n crystals, see `structure_arrays`.

    Returns
    -------
    ndarray, (m, n)
        1 where nothing tells them apart, in whatever setting and orientation they are described.
    """
    spacing_a, angle_a = _look(some)
    spacing_b, angle_b = _look(others)
    return np.minimum(spacing_a @ spacing_b.T, angle_a @ angle_b.T)


def _look(table: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smooth histograms, of length 1, of log spacing and of angle, weighted by the strength."""
    from scipy.ndimage import gaussian_filter1d

    u, g = table["u"][:, :_STRONG].astype(float), table["g"][:, :_STRONG]
    normal = table["normal"][:, :_STRONG]
    weight = u / np.maximum(u.max(axis=1, keepdims=True), 1e-12)
    place = np.log(np.maximum(g, 0.05) / 0.05) / np.log(4 / 0.05)
    cosine = np.abs(np.einsum("nki,nli->nkl", normal, normal)).clip(0, 1)
    pairs = weight[:, :, None] * weight[:, None, :] * (1 - np.eye(weight.shape[1]))
    angle = np.arccos(cosine) / (np.pi / 2)
    looks = []
    for values, weights, bins, width in (
        (place, weight, 120, 1.2),
        (angle.reshape(len(u), -1), pairs.reshape(len(u), -1), 60, 1.5),
    ):
        number = np.minimum((values * bins).astype(int), bins - 1)
        flat = np.arange(len(u))[:, None] * bins + number
        total = np.bincount(flat.ravel(), weights.ravel(), minlength=len(u) * bins)
        smooth = gaussian_filter1d(total.reshape(-1, bins), width, axis=1, mode="nearest")
        looks.append(smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12))
    return looks[0], looks[1]


def narrow(drawn: Draw, recipe: PhasesRecipe, rng: np.random.Generator) -> Draw:
    """Fix what is known of microscope and camera; the network sees a frame in a square.

    Parameters
    ----------
    drawn
        Numbers from the range of all microscopes.
    recipe
        What is known.
    rng
        Source of randomness.
    """
    profile, pc, effects = drawn.profile.copy(), drawn.pc.copy(), drawn.effects.copy()
    if recipe.voltage:
        profile[:, 0] = wavelength(recipe.voltage)
    if recipe.pc:
        centres = np.array(recipe.pc) + recipe.pc_spread * rng.normal(size=pc.shape)
        centres[:, 2] = np.maximum(centres[:, 2], 0.1)
        pc = _in_square(centres, recipe)
    if recipe.shape:
        h, w = recipe.shape
        side = max(h, w)
        effects[:, COLUMNS.index("half_width")] = w / side
        effects[:, COLUMNS.index("half_height")] = h / side
        effects[:, COLUMNS.index("pixels")] = side if side < _WIDE else 0
    return dataclasses.replace(drawn, profile=profile, pc=pc, effects=effects)


def told_centre(drawn: Draw, recipe: PhasesRecipe) -> NDArray[np.float32]:
    """Pattern centres as the microscope tells them, in the square: the usual one where it is fixed.

    Parameters
    ----------
    drawn
        From `narrow`.
    recipe
        What is known.
    """
    return _in_square(np.array([recipe.pc]), recipe) if recipe.pc else drawn.pc


def _in_square(pc: NDArray[Any], recipe: PhasesRecipe) -> NDArray[np.float32]:
    h, w = recipe.shape or (1, 1)
    side = max(h, w)
    x, y, z = pc.T
    centred = ((side - w) / 2 + x * w, (side - h) / 2 + y * h, z * h)
    return np.asarray(np.stack(centred, axis=1) / side, np.float32)


_POOLS: dict[str, StructurePool] = {}


def make_batch(job: tuple[str, PhasesRecipe, list[int], int, float, bool]) -> Arrays:
    """Make one batch, in a process of its own.

    Parameters
    ----------
    job
        File of `write_crystals`, recipe, seed, number of patterns, hardness, and whether this is
        for a check: with crystals kept for it, and classes as often as in nature.

    Returns
    -------
    dict
        See `napari_diffraction.learning.bravais.shards.simulate`.
    """
    path, recipe, seed, size, hardness, check = job
    alone()
    pool = _pool(path)
    rng = np.random.default_rng(seed)
    none, empty = NATURAL_SHARES if check else TRAINING_SHARES
    n = len(recipe.phases)
    others = np.arange(n, pool.count)
    kept = others % _EVERY == 0
    others = others[kept if check else ~kept]
    which = rng.integers(n, size=size)
    if len(others):
        which = np.where(
            rng.uniform(size=size) < none / (1 - empty), rng.choice(others, size), which
        )
    drawn = narrow(draw(size, rng, hardness, empty), recipe, rng)
    noise = int(rng.integers(2**62))
    told = told_centre(drawn, recipe)
    side = side_of(recipe.shape) if recipe.shape else int(rng.choice(SIDES))
    arrays = patterns_of(PatternMaker(pool, noise, side), drawn, torch.from_numpy(which), told)
    arrays["label"] = np.where(drawn.empty, len(recipe.classes) - 1, arrays["label"])
    return arrays


def _pool(path: str) -> StructurePool:
    if path not in _POOLS:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        _POOLS.clear()
        _POOLS[path] = StructurePool(torch.device("cpu"), len(arrays["label"]))
        _POOLS[path].add(arrays)
    return _POOLS[path]
