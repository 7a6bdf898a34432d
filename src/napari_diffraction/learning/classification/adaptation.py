"""The border between zones and other patterns, put where it suits a stack.

How sure a network is of a zone depends on the camera, on spots that are missing and on spots that
do not belong: on patterns that it never saw the like of, the zones of a stack may all come out less
sure than one in two, though no other pattern comes near them.  The stack itself shows this: the log
odds of its zones are a heap beside the falling tail of all others.  Both are fitted, and the border
is put where the heap has a certain share of the height of the tail (the local false discovery rate
of Efron 2004, J. Am. Stat. Assoc. 99, 96-104, with the tail as the empirical null).  Where there is
no heap of its own, nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NO_HIT, ZONE, called

FloatArray = NDArray[np.float64]

#: How many times as high as the tail the heap is at the border, by what is wanted.
_WANTED = {"stack": 1 / 3, "all": 1 / 9, "sure": 19.0}
#: What may be asked for.
CHOICES = (*_WANTED, "off")
#: Fewer patterns show no heap, and a heap is one from this log likelihood on.
_FEWEST, _CLEAR = 200, 8.0
#: Bins of the log odds, and the last of them; the tail is looked at above this share of patterns.
_BIN, _HIGHEST, _TAIL = 0.25, 8.0, 0.7
#: The border moves within these log odds.
_MOST_DOWN, _MOST_UP = 6.0, 3.0
#: Usual values, and deviations of their logarithms, of the heap's share and width, and of how steep
#: the tail is and how fast it gets steeper; place of the heap and its deviation.
_SHARE, _WIDTH, _STEEP, _BENT = (0.04, 0.7), (1.2, 0.35), (0.6, 0.7), (0.03, 1.0)
_PLACE = (2.0, 4.0)
#: Places from which the heap is sought.
_STARTS = (-4.0, -2.5, -1.0, 1.0, 4.0)


@dataclass(frozen=True)
class Border:
    """Where the border of the zones of a stack was put.

    Attributes
    ----------
    shift
        Added to the log odds of a zone; 0: as usual.
    zones
        How many patterns the heap of zones holds, as fitted; 0: there is none.
    """

    shift: float = 0.0
    zones: float = 0.0


def check_wanted(wanted: str) -> None:
    """Raise `InputError` for a border that is none of `CHOICES`."""
    if wanted not in CHOICES:
        raise InputError(f"The border '{wanted}' is unknown: use one of {', '.join(CHOICES)}.")


def find_border(p: FloatArray, classes: tuple[str, ...], wanted: str = "stack") -> Border:
    """Find the border between zones and other patterns that suits a stack.

    Parameters
    ----------
    p : ndarray, (n, n_classes)
        Calibrated probabilities of all its patterns.
    classes
        Their names.
    wanted
        ``stack``: a pattern at the border is a zone in one case of four, as zones are what is
        looked for; ``all``: in one of ten; ``sure``: in 19 of 20; ``off``: nothing.

    Raises
    ------
    InputError
        Something else is wanted.
    """
    check_wanted(wanted)
    if wanted == "off" or ZONE not in classes:
        return Border()
    hits = np.isfinite(p).all(axis=1) & _is_hit(p, classes)
    odds = _log_odds(p[hits], classes)
    # Where a third are zones beyond doubt, there is no tail of other patterns to fit.
    if len(odds) < _FEWEST or np.quantile(odds, _TAIL) >= _HIGHEST:
        return Border()
    tail, heap, places, middle = _fitted(odds)
    if heap is None:
        return Border()
    lower = np.flatnonzero((heap <= _WANTED[wanted] * tail) & (places < middle))
    cut = places[lower.max()] + _BIN / 2 if len(lower) else places[0]
    least = 0.0 if wanted != "sure" else -_MOST_UP  # sure ones may ask for more than usual
    return Border(float(np.clip(-cut, least, _MOST_DOWN)), float(heap.sum()))


def moved(p: FloatArray, classes: tuple[str, ...], border: Border) -> FloatArray:
    """Return probabilities (n, n_classes) with the border moved; those of no-hits stay."""
    out = np.array(p, dtype=float)
    if border.shift:
        hits = _is_hit(p, classes)
        out[hits, classes.index(ZONE)] *= np.exp(border.shift)
        out[hits] /= out[hits].sum(axis=1, keepdims=True)
    return out


def suited(table: pd.DataFrame, wanted: str = "stack") -> tuple[pd.DataFrame, Border]:
    """Move the border of the zones in a table of all patterns of a stack.

    Parameters
    ----------
    table
        From `napari_diffraction.learning.classification.inference.classify`.
    wanted
        See `find_border`.

    Returns
    -------
    table
        With labels, confidences and probabilities as they are now; the same one if nothing moved.
    border
        Where it was put.
    """
    columns = [name for name in table.columns if name.startswith("p_")]
    classes = tuple(name.removeprefix("p_") for name in columns)
    p = table[columns].to_numpy(float)
    border = find_border(p, classes, wanted)
    return placed(table, border), border


def placed(table: pd.DataFrame, border: Border) -> pd.DataFrame:
    """Move the border of the zones in a table of some patterns to where it was found.

    A border of the opposite shift takes it back, but for patterns that became no hits.
    """
    if not border.shift:
        return table
    columns = [name for name in table.columns if name.startswith("p_")]
    classes = tuple(name.removeprefix("p_") for name in columns)
    p = moved(table[columns].to_numpy(float), classes, border)
    label, confidence = called(p, classes)
    odds = dict(zip(columns, p.T, strict=True))
    return table.assign(label=label, confidence=confidence, **odds)


def told(border: Border) -> str:
    """Say what was done; an empty text for nothing."""
    if not border.shift:
        return ""
    way = "less" if border.shift > 0 else "more"
    return (
        f"The border of {ZONE} was put where it suits this stack, in which about "
        f"{border.zones:.0f} zones stand apart: {way} is asked of a zone than usual (log odds "
        f"{-border.shift:+.1f})."
    )


def _is_hit(p: FloatArray, classes: tuple[str, ...]) -> NDArray[np.bool_]:
    if NO_HIT not in classes:
        return np.ones(len(p), bool)
    return np.asarray(np.nan_to_num(p).argmax(axis=1) != classes.index(NO_HIT))


def _log_odds(p: FloatArray, classes: tuple[str, ...]) -> FloatArray:
    """Of a zone against all else but no hit."""
    zone = np.clip(p[:, classes.index(ZONE)], 1e-12, 1)
    rest = [number for number, name in enumerate(classes) if name not in (ZONE, NO_HIT)]
    return np.asarray(np.log(zone) - np.log(np.clip(p[:, rest].sum(axis=1), 1e-12, 1)))


def _fitted(odds: FloatArray) -> tuple[FloatArray, FloatArray | None, FloatArray, float]:
    """Fit the tail of other patterns and the heap of zones to a histogram of log odds.

    Returns
    -------
    tail, heap : ndarray, (m,)
        Patterns expected in each bin; ``None`` for a heap that does not stand out.
    places : ndarray, (m,)
        Middles of the bins.
    middle
        Of the heap.
    """
    from scipy.optimize import minimize  # slow to import, and needed once a stack
    from scipy.special import ndtr

    low = max(float(np.quantile(odds, _TAIL)), -20.0)
    edges = np.arange(low, _HIGHEST + _BIN, _BIN)
    counts = np.histogram(np.minimum(odds, _HIGHEST), edges)[0]
    places = edges[:-1] + _BIN / 2
    beyond = places - low

    def tail(t: FloatArray) -> FloatArray:
        slope = np.exp(t[1]) * beyond + np.exp(t[2]) * beyond**2
        return np.asarray(np.exp(t[0] - slope) * _BIN)

    def heap(t: FloatArray) -> FloatArray:
        return np.asarray(np.exp(t[3]) * np.diff(ndtr((edges - t[4]) / np.exp(t[5]))))

    def likely(expected: FloatArray) -> float:
        return float((counts * np.log(expected + 1e-9) - expected).sum())

    def usual(value: float, known: tuple[float, float], scale: float = 1.0) -> float:
        return float(((value - np.log(known[0] * scale)) / known[1]) ** 2 / 2)

    def alone(t: FloatArray) -> float:
        return usual(t[1], _STEEP) + usual(t[2], _BENT) - likely(tail(t))

    def both(t: FloatArray) -> float:
        prior = usual(t[1], _STEEP) + usual(t[2], _BENT)
        prior += usual(t[3], _SHARE, len(odds)) + usual(t[5], _WIDTH)
        prior += float((t[4] - _PLACE[0]) / _PLACE[1]) ** 2 / 2
        return prior - likely(tail(t) + heap(t))

    def least(cost: object, starts: list[list[float]]) -> FloatArray:
        found = [minimize(cost, start, method="L-BFGS-B") for start in starts]
        return np.asarray(min(found, key=lambda one: one.fun).x)

    first = float(np.log(max(counts[:4].mean() / _BIN, 1.0)))
    steep, bent = np.log(_STEEP[0]), np.log(_BENT[0])
    nothing = least(alone, [[first, steep, bent + more] for more in (-2.0, 0.0, 1.0)])
    more = [np.log(_SHARE[0] * len(odds)), 0.0, np.log(_WIDTH[0])]
    best = least(both, [[first, steep, bent, more[0], at, more[2]] for at in _STARTS])
    gain = likely(tail(best) + heap(best)) - likely(tail(nothing))
    return tail(best), heap(best) if gain > _CLEAR else None, places, float(best[4])
