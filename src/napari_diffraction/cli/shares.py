"""The shares of classes that ``--share`` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NATURAL_SHARES

if TYPE_CHECKING:
    from napari_diffraction.learning.models.classifier import Classifier


def usual_shares(classifier: Classifier) -> Mapping[str, float]:
    """Shares of its classes that a model counts with where nothing else is said."""
    return classifier.kind.shares or classifier.card.shares


def expected_shares(
    pairs: Sequence[str], usual: Mapping[str, float] = NATURAL_SHARES
) -> dict[str, float] | None:
    """Read the shares of classes that a person expects.

    Parameters
    ----------
    pairs
        ``CLASS=SHARE``; classes that are not named keep their proportions among themselves.
    usual
        Usual shares of all classes.

    Returns
    -------
    dict or None
        Shares of all classes, 1 in sum; ``None`` where nothing is said.

    Raises
    ------
    InputError
        A class is unknown, or the shares cannot be.
    """
    if not pairs:
        return None
    given: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            given[name] = float(text)
        except ValueError:
            given[name] = -1.0
        if name not in usual or not 0 < given[name] < 1:
            raise InputError(
                f"--share {pair}: write --share CLASS=SHARE, CLASS being one of "
                f"{', '.join(usual)}, and SHARE between 0 and 1."
            )
    rest = {name: share for name, share in usual.items() if name not in given}
    left = 1 - sum(given.values())
    if (rest and left <= 0) or (not rest and abs(left) > 1e-6):
        raise InputError("The shares of all classes must be 1 in sum: mend the --share options.")
    return given | {name: share * left / sum(rest.values()) for name, share in rest.items()}
