"""The pictures of a training: simulated or opened, made once, and kept on disk until it is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.structure import Structure
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning.labels.labelled import Reviewed, check_classes, open_labelled
from napari_diffraction.learning.models.leakage import content_hash
from napari_diffraction.learning.networks.picture_view import picture
from napari_diffraction.learning.pictures.recipe import KikuchiSource, PicturesRecipe, SpotSource
from napari_diffraction.learning.settings import beside
from napari_diffraction.progress import Progress

_PICTURES, _TABLE = "pictures.bin", "pictures.npz"
_MATERIAL = "material"


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures, n of them.

    Attributes
    ----------
    pictures : ndarray of uint8, (n, size, size)
        On disk, so that they need not fit into memory.
    labels, groups : ndarray of str, (n,)
    hashes : ndarray of str, (n,)
        Digests of the patterns as they were before anything was done to them.
    grouped_by
        What a group is, in the singular.
    classes
        In the order of the network's outputs.
    notes
        Sentences on what was left out.
    known
        Digests of the patterns that the model had learned from that the training starts from.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    hashes: NDArray[np.str_]
    grouped_by: str
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def codes(self) -> NDArray[np.int64]:
        """Place of each label among the classes, (n,)."""
        place = {name: i for i, name in enumerate(self.classes)}
        return np.array([place[name] for name in self.labels.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class _Pattern:
    """A pattern on its way to a picture; `place` says where it is from where a person labelled."""

    frame: NDArray[Any]
    label: str
    group: str
    place: str = ""


def prepare(
    recipe: PicturesRecipe,
    work: Path,
    resume: bool = False,
    reviewed: Reviewed | None = None,
    known: Collection[str] = (),
) -> Generator[Progress, None, Pictures]:
    """Make the pictures of a recipe, or take up those that were made before.

    Parameters
    ----------
    recipe
        Says where the patterns come from.
    work
        Folder where they are kept.
    resume
        Whether those that are there are of this recipe.
    reviewed
        See `napari_diffraction.learning.labels.labelled.open_labelled`.
    known
        See `Pictures`.

    Raises
    ------
    InputError
        A source is missing, labels contradict each other, a class has fewer than two patterns, or
        the pictures cannot be written.
    """
    if resume and (work / _TABLE).exists():
        return load(recipe, work)
    (work / _TABLE).unlink(missing_ok=True)
    total = _count(recipe)
    made = _Made(recipe, known)
    try:
        with (work / _PICTURES).open("wb") as file:
            for pattern in _patterns(recipe, made, reviewed):
                if isinstance(pattern, int):
                    total += pattern
                    continue
                made.add(pattern, file)
                if made.seen % 64 == 0:
                    yield Progress(min(made.seen, total), total, "Making pictures")
    except OSError as error:
        raise writing_error(work / _PICTURES, error) from error
    made.write(work / _TABLE)
    yield Progress(total, total, "Making pictures")
    return load(recipe, work)


def load(recipe: PicturesRecipe, work: Path) -> Pictures:
    """Open the pictures that are kept in a folder.

    Raises
    ------
    InputError
        They are damaged or of another recipe, or a class has fewer than two.
    """
    try:
        with np.load(work / _TABLE, allow_pickle=False) as file:
            table = {name: file[name] for name in file.files}
        size = recipe.preprocessing.size
        labels = table["labels"]
        shape = (len(labels), size, size)
        pictures: NDArray[np.uint8]
        if len(labels):
            pictures = np.memmap(work / _PICTURES, np.uint8, "r", shape=shape)
        else:
            pictures = np.empty(shape, np.uint8)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{work / _TABLE} is damaged: train without --resume.") from error
    if str(table["recipe"]) != recipe.identity():
        raise InputError(
            f"{work} holds the pictures of another recipe: train without --resume, or take the "
            "recipe it began with."
        )
    classes = recipe.classes or tuple(sorted(set(labels.tolist())))
    check_classes(labels, classes)
    return Pictures(
        pictures,
        labels,
        table["groups"],
        table["hashes"],
        str(table["grouped_by"]),
        classes,
        tuple(table["notes"].tolist()),
        tuple(table["known"].tolist()) if "known" in table else (),  # none in older versions
    )


class _Made:
    """The table of the pictures made so far."""

    def __init__(self, recipe: PicturesRecipe, known: Collection[str]) -> None:
        self.recipe, self.known = recipe, known
        self.labels: list[str] = []
        self.groups: list[str] = []
        self.hashes: list[str] = []
        self.grouped_by: list[str] = []
        self.notes: list[str] = []
        self.seen = self.again = 0
        self._said: dict[str, _Pattern] = {}

    def add(self, pattern: _Pattern, file: IO[bytes]) -> None:
        """Write the picture of a pattern, unless its class does not count or it is a copy."""
        self.seen += 1
        if self.recipe.classes and pattern.label not in self.recipe.classes:
            return
        digest = content_hash(pattern.frame)
        if pattern.place:
            first = self._said.setdefault(digest, pattern)
            if first.label != pattern.label:
                raise InputError(
                    f"{pattern.place} is labelled {pattern.label}, but the same picture at "
                    f"{first.place} is labelled {first.label}: keep the label that is right."
                )
            # A pattern in two files, as an export beside its stack, might be learned from and
            # judged by; frames that show nothing are alike without being copies.
            if first.group != pattern.group and np.ptp(pattern.frame) > 0:
                self.again += 1
                return
        file.write(picture(pattern.frame, self.recipe.preprocessing).tobytes())
        self.labels.append(pattern.label)
        self.groups.append(pattern.group)
        self.hashes.append(digest)

    def write(self, path: Path) -> None:
        """Write the table, which says that all pictures are there."""
        with replacing(path) as temporary:
            np.savez(
                temporary,
                recipe=np.array(self.recipe.identity()),
                labels=np.array(self.labels, dtype=str),
                groups=np.array(self.groups, dtype=str),
                hashes=np.array(self.hashes, dtype=str),
                grouped_by=np.array(" or ".join(dict.fromkeys(self.grouped_by))),
                notes=np.array(self.notes, dtype=str),
                known=np.array(sorted(self.known), dtype=str),
            )


def _count(recipe: PicturesRecipe) -> int:
    """Count the patterns to simulate."""
    spots = sum(one.cells * one.orientations for one in recipe.spots)
    return spots + sum(len(one.structures) * one.patterns for one in recipe.kikuchi)


def _patterns(
    recipe: PicturesRecipe, made: _Made, reviewed: Reviewed | None
) -> Iterator[_Pattern | int]:
    """Go through all patterns of a recipe; a number says how many more there are."""
    if recipe.labelled:
        yield from _labelled(recipe, made, reviewed)
    for number, spots in enumerate(recipe.spots):
        made.grouped_by.append("unit cell")
        yield from _spots(spots, [recipe.seed, number], f"spots {number + 1}")
    for number, kikuchi in enumerate(recipe.kikuchi):
        made.grouped_by.append(_MATERIAL)
        yield from _kikuchi(kikuchi, [recipe.seed, 1 << 20, number], recipe.folder)


def _labelled(
    recipe: PicturesRecipe, made: _Made, reviewed: Reviewed | None
) -> Iterator[_Pattern | int]:
    data = open_labelled(recipe.labelled, recipe.classes, Path(recipe.folder), reviewed)
    made.grouped_by.append(data.grouped_by)
    made.notes.extend(data.notes)
    yield len(data)
    unread = 0
    for i in range(len(data)):
        stack, index = data.stacks[int(data.stack[i])], int(data.index[i])
        try:
            frame = data.frame(i)
        except InputError:
            unread += 1
            continue
        place = f"{stack.source(index) or stack.name}, pattern {index},"
        yield _Pattern(frame, str(data.labels[i]), str(data.groups[i]), place)
    if unread:
        made.notes.append(f"{unread:,} labelled patterns cannot be read and are left out.")
    if made.again:
        made.notes.append(
            f"{made.again:,} labelled patterns stand in two places, and are left out at the second."
        )


def _spots(source: SpotSource, seed: list[int], name: str) -> Iterator[_Pattern]:
    from napari_diffraction.crystal.cell import random_cell
    from napari_diffraction.progress import finish
    from napari_diffraction.simulation.conditions import realistic_conditions, realistic_effects
    from napari_diffraction.simulation.spots.dataset import simulate_spots

    volume = (source.volume[0], source.volume[-1])
    for number in range(source.cells):
        rng = np.random.default_rng([*seed, number])
        cell = random_cell(volume, source.system, rng=rng)
        stack = finish(
            simulate_spots(
                [cell],
                realistic_conditions(rng) if source.realistic else None,
                realistic_effects(rng, source.size) if source.realistic else None,
                orientations=source.orientations,
                size=source.size,
                crystals=source.crystals,
                seed=int(rng.integers(2**31)),
            )
        )
        for frame, label in zip(stack.images, stack.labels["label"], strict=True):
            yield _Pattern(frame, str(label), f"{name}, cell {number + 1}")


def _kikuchi(source: KikuchiSource, seed: list[int], folder: str) -> Iterator[_Pattern]:
    import gemmi

    from napari_diffraction.crystal.materials import load_structure
    from napari_diffraction.crystal.structure import laue_group
    from napari_diffraction.progress import finish
    from napari_diffraction.simulation.kikuchi.effects import realistic_rows
    from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

    names: dict[str, Callable[[Structure], str]] = {
        "lattice": lambda one: one.lattice,
        "structure": lambda one: one.name,
        "laue": lambda one: laue_group(one.space_group),
        "point": lambda one: gemmi.find_spacegroup_by_number(one.space_group).point_group_hm(),
    }
    pc_x, pc_y, pc_z = source.pc
    conditions = KikuchiConditions(
        source.voltage, pc_x, pc_y, pc_z, pc_spread=0.02 if source.realistic else 0.0
    )
    structures = [load_structure(beside(name, folder)) for name in source.structures]
    for number, structure in enumerate(structures):
        rng = np.random.default_rng([*seed, number])
        stack = finish(
            simulate_kikuchi(
                [structure],
                conditions,
                realistic_rows(source.patterns, rng) if source.realistic else None,
                patterns=source.patterns,
                size=source.size,
                seed=int(rng.integers(2**31)),
            )
        )
        for frame in stack.images:
            yield _Pattern(frame, names[source.label](structure), structure.name)
