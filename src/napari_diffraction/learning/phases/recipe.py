"""The recipe of a classifier of a few named phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from napari_diffraction.errors import InputError
from napari_diffraction.learning.settings import (
    STRICT,
    BatchSize,
    Count,
    CountOrNone,
    Minutes,
    Positive,
    Seed,
)
from napari_diffraction.patterns.geometry import CENTRES
from napari_diffraction.simulation.classes import NO_PATTERN

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

#: The answer that is no phase but another crystal.
NONE_OF_THESE = "NoneOfThese"
#: Least and greatest number of phases.
FEWEST, MOST = 2, 10
#: Minutes that the usual training takes at most, all in all.
LONGEST = 9


@dataclass(frozen=True, config=STRICT)
class PhasesRecipe:
    """How a classifier of two to ten phases is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows; an empty title or summary is written from the phases.
    phases
        Names of known materials, or CIF files.
    voltage
        Acceleration voltage in kV; 0: not known.
    pc
        Pattern centre in Bruker's convention; empty: not known.
    pc_spread
        Standard deviation of the pattern centre about it, as a fraction like it.
    shape
        Height and width of the patterns in pixels; empty: not known.
    seed
        Seed of other crystals, patterns and weights.
    others
        Number of random crystals that teach what is none of the phases, beside the other known
        materials; 0: every crystal is one of the phases, and there is no such answer.
    patterns
        Number of patterns to train on; each is shown a few times.
    minutes
        Training ends after this time at the latest, and the learning rate falls accordingly.
    checks
        Number of fresh patterns to calibrate on, and of others to find the accuracy with.
    batch_size, learning_rate, weight_decay
        Of AdamW, with a warm-up and a cosine.
    start
        Model whose weights the training starts from, as far as they fit, where there is one of
        this name or file; empty: random ones.
    """

    name: str = "my-phases"
    title: str = ""
    summary: str = ""
    phases: tuple[str, ...] = ()
    voltage: float = 0.0
    pc: tuple[float, ...] = ()
    pc_spread: Positive = 0.02
    shape: tuple[int, ...] = ()
    seed: Seed = 1
    others: CountOrNone = 1400
    patterns: Count = 250_000
    minutes: Minutes = 6.5
    checks: Count = 3000
    batch_size: BatchSize = 128
    learning_rate: Positive = 2e-3
    weight_decay: Positive = 0.03
    start: str = "bravais"

    def __post_init__(self) -> None:
        if not FEWEST <= len(self.phases) <= MOST:
            raise InputError(
                f"{len(self.phases)} phases were given: name {FEWEST} to {MOST}, by material or "
                "CIF file."
            )
        names = self.phase_names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"The phase '{twice}' is named twice: name each phase once.")
        reserved = {NONE_OF_THESE, NO_PATTERN}.intersection(names)
        if reserved:
            raise InputError(f"No phase can be called {reserved.pop()}: rename its file.")
        if self.voltage and not 3 <= self.voltage <= 40:
            raise InputError(f"{self.voltage:g} kV is no voltage for EBSD: it is from 3 to 40 kV.")
        self._check_frame()

    def _check_frame(self) -> None:
        if self.pc and (
            len(self.pc) != 3
            or not all(
                low <= value <= high for value, (low, high) in zip(self.pc, CENTRES, strict=True)
            )
        ):
            raise InputError(
                f"{list(self.pc)} is no pattern centre: give x, y and the distance in Bruker's "
                "convention, such as [0.5, 0.3, 0.6]."
            )
        if self.shape and (len(self.shape) != 2 or min(self.shape) < 8):
            raise InputError(
                f"{list(self.shape)} is no size of a pattern: give its height and width in pixels."
            )

    @property
    def phase_names(self) -> tuple[str, ...]:
        """What the phases are called: the material's name as given, or that of the file."""
        return tuple(
            Path(phase).stem if phase.lower().endswith(".cif") else phase for phase in self.phases
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The answers, in the order of the network's outputs."""
        others = (NONE_OF_THESE,) if self.others else ()
        return (*self.phase_names, *others, NO_PATTERN)

    def structures(self) -> tuple[Structure, ...]:
        """Look up or read the phases.

        Raises
        ------
        InputError
            An unknown material, or a CIF file that cannot be read.
        """
        from napari_diffraction.crystal.materials import load_structure

        return tuple(load_structure(phase) for phase in self.phases)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"kind": "phases"} | values


def phases_of(recipe: Mapping[str, Any]) -> dict[str, Structure]:
    """Return the crystals of a model's phases as far as they are at hand, by their class.

    Parameters
    ----------
    recipe
        From the card of a model, of whatever kind.
    """
    from napari_diffraction.crystal.materials import load_structure

    found = {}
    phases = recipe.get("phases")
    for phase in phases if isinstance(phases, list | tuple) else ():
        if not isinstance(phase, str):
            continue
        name = Path(phase).stem if phase.lower().endswith(".cif") else phase
        try:
            found[name] = load_structure(phase)
        except InputError:
            continue
    return found
