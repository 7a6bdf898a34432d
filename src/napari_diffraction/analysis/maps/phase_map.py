"""The phase map of a scan: which phase, how sure, at every point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.phases.recipe import NONE_OF_THESE, phases_of
from napari_diffraction.simulation.classes import NO_PATTERN

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.patterns.stack import PatternStack

#: Points below it are "not indexed" unless a person says otherwise: at a calibrated confidence of
#: one half, the label is as likely wrong as right.
DEFAULT_THRESHOLD = 0.5
NOT_INDEXED = "not indexed"
#: Answers of a classifier that are not phases.
NO_PHASES = frozenset({NO_PATTERN, NONE_OF_THESE})


class Card(Protocol):
    """What a map asks of the card of a model."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""


@dataclass(eq=False)
class PhaseMap:
    """Probabilities of the classes at every point of a scan.

    A map may be partial: points that are not classified yet, and those whose pattern cannot be
    read, have no probabilities (NaN).

    Attributes
    ----------
    name
        Short name of the scan.
    shape
        Rows and columns.
    classes
        Names of the classes.
    probabilities : ndarray of float32, (n, k)
        Of every class at every point, row by row; NaN where nothing is known.
    done : ndarray of bool, (n,)
        Points whose pattern has been looked at.
    step
        Distance of rows and of columns in um, if known.
    geometry
        Geometry of the scan.
    frame_shape
        Height and width of a pattern, by which centres are converted; ``None``: not known.
    sources
        Source file of every pattern, or one for all.
    about
        The model, its hash, the settings and the version that made the map.
    structures
        Crystal structures of the classes, for those that stand for one.
    regions : ndarray of int32, (n,), or None
        Number of the region of every point, where regions were voted.
    single : ndarray of float32, (n, k), or None
        The probabilities of the single patterns, where regions were voted.
    """

    name: str
    shape: tuple[int, int]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    done: NDArray[np.bool_]
    step: tuple[float, float] | None = None
    geometry: Any = None
    frame_shape: tuple[int, int] | None = None
    sources: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    structures: Mapping[str, Structure] = field(default_factory=dict)
    regions: NDArray[np.int32] | None = None
    single: NDArray[np.float32] | None = None
    _best: NDArray[np.int16] = field(init=False, repr=False)
    _confidence: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._best = np.full(len(self), -1, np.int16)
        self._confidence = np.full(len(self), np.nan, np.float32)
        self._look_at(np.flatnonzero(~np.isnan(self.probabilities[:, 0])))

    def _look_at(self, index: NDArray[np.int64]) -> None:
        """Keep the best class of some points, so that a new threshold costs next to nothing."""
        p = self.probabilities[index]
        self._best[index] = np.where(np.isnan(p[:, 0]), -1, np.nan_to_num(p).argmax(axis=1))
        self._confidence[index] = p.max(axis=1)

    @classmethod
    def empty(
        cls,
        stack: PatternStack,
        card: Card,
        about: Mapping[str, Any] | None = None,
    ) -> PhaseMap:
        """Begin a map of a scan of which nothing is classified yet.

        Parameters
        ----------
        stack
            A scan.
        card
            Card of the model; for one of named phases, its recipe says which crystals they are.
        about
            Model, hash, settings and version.

        Raises
        ------
        InputError
            The patterns are a list, not a scan.
        """
        check_scan(stack)
        rows, columns = (int(size) for size in stack.data.shape[:2])
        n, classes = rows * columns, tuple(card.classes)
        return cls(
            name=stack.name,
            shape=(rows, columns),
            classes=classes,
            probabilities=np.full((n, len(classes)), np.nan, np.float32),
            done=np.zeros(n, bool),
            step=stack.step,
            geometry=stack.geometry,
            frame_shape=stack.frame_shape,
            sources=tuple(stack.sources),
            about=dict(about or {}),
            structures=phases_of(getattr(card, "recipe", {})),
        )

    @classmethod
    def from_classification(
        cls,
        table: pd.DataFrame,
        stack: PatternStack,
        card: Card,
        about: Mapping[str, Any] | None = None,
    ) -> PhaseMap:
        """Make the map of a classified scan, of which some rows may be missing.

        Parameters
        ----------
        table
            A classification: ``index`` and ``p_<class>`` of every pattern.
        stack, card, about
            See `empty`.

        Raises
        ------
        InputError
            The patterns are a list, not a scan; or the table belongs to another scan or model.
        """
        made = cls.empty(stack, card, about)
        made.add(table)
        return made

    def add(self, rows: pd.DataFrame) -> None:
        """Add patterns that have just been classified.

        Raises
        ------
        InputError
            The table belongs to another scan or model.
        """
        columns = [f"p_{name}" for name in self.classes]
        missing = [name for name in columns if name not in rows]
        if missing or "index" not in rows:
            raise InputError(
                f"The table has no column {(missing or ['index'])[0]}: take the table that this "
                "model made of this scan."
            )
        index = rows["index"].to_numpy(np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < len(self):
            raise InputError(
                f"The table names pattern {index.max()}, but {self.name} has {len(self)} patterns: "
                "take the table that belongs to it."
            )
        self.probabilities[index] = rows[columns].to_numpy(np.float32)
        self.done[index] = True
        self._look_at(index)

    def grown(self, stack: PatternStack) -> PhaseMap:
        """Return the map of the same scan that has more rows by now, of which nothing is known.

        Parameters
        ----------
        stack
            The scan as it is now.
        """
        rows, columns = (int(size) for size in stack.data.shape[:2])
        more = rows * columns - len(self)
        p = np.pad(self.unvoted().probabilities, ((0, more), (0, 0)), constant_values=np.nan)
        return replace(
            self.unvoted(),
            shape=(rows, columns),
            probabilities=p,
            done=np.pad(self.done, (0, more)),
            geometry=stack.geometry,
            sources=tuple(stack.sources),
        )

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Points with probabilities, (rows, columns)."""
        return self.best >= 0

    @property
    def best(self) -> NDArray[np.int16]:
        """Number of the most probable class, (rows, columns); -1 where nothing is known."""
        return self._best.reshape(self.shape)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Largest probability, (rows, columns) float32; NaN where nothing is known."""
        return self._confidence.reshape(self.shape)

    def labels(self, threshold: float = DEFAULT_THRESHOLD) -> NDArray[np.uint8]:
        """Return the map.

        Parameters
        ----------
        threshold
            Points with less confidence are not indexed.

        Returns
        -------
        ndarray of uint8, (rows, columns)
            0: not indexed; k + 1: class number k.
        """
        # A confidence of NaN is not above any threshold.
        return np.where(self.confidence >= threshold, self.best + 1, 0).astype(np.uint8)

    def shares(self, threshold: float = DEFAULT_THRESHOLD) -> dict[str, float]:
        """Return each class's share of the points looked at, the most frequent first.

        Points below the threshold or without a readable pattern stand last, as "not indexed".
        """
        labels = self.labels(threshold).ravel()[self.done]
        counts = np.bincount(labels, minlength=len(self.classes) + 1)
        total = max(1, len(labels))
        named = {name: counts[k + 1] / total for k, name in enumerate(self.classes)}
        found = {name: float(share) for name, share in named.items() if share > 0}
        ordered = dict(sorted(found.items(), key=lambda item: -item[1]))
        return ordered | ({NOT_INDEXED: float(counts[0] / total)} if counts[0] else {})

    def label(self, row: int, column: int, threshold: float = DEFAULT_THRESHOLD) -> str:
        """Return the name of the class at a point, or "not indexed"."""
        value = int(self.labels(threshold)[row, column])
        return self.classes[value - 1] if value else NOT_INDEXED

    def at(self, row: int, column: int) -> NDArray[np.float32]:
        """Return the probabilities of all classes at a point, (k,)."""
        return np.asarray(self.probabilities[row * self.shape[1] + column])

    def voted(self, probabilities: NDArray[np.float32], regions: NDArray[np.int32]) -> PhaseMap:
        """Return the map with other probabilities, those of the single patterns being kept."""
        single = self.probabilities if self.single is None else self.single
        return replace(self, probabilities=probabilities, regions=regions, single=single)

    def unvoted(self) -> PhaseMap:
        """Return the map of the single patterns."""
        if self.single is None:
            return self
        return replace(self, probabilities=self.single, regions=None, single=None)


def check_scan(stack: PatternStack) -> None:
    """Refuse patterns that are a list, not a scan.

    Raises
    ------
    InputError
        They do not lie on rows and columns.
    """
    if not stack.is_scan:
        raise InputError(
            f"{stack.name} is a list of {len(stack)} patterns, not a scan: a phase map needs "
            "patterns in rows and columns (4 dimensions; a line scan has one row)."
        )
