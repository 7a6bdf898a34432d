"""What a training tells while it runs; a window can take it in without importing PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_diffraction.progress import Progress

_NAN = float("nan")


@dataclass(frozen=True)
class Epoch(Progress):
    """A step of a training, with the figures of the last epoch that is finished; NaN: not known.

    Attributes
    ----------
    epoch
        Number of the epoch that was finished last; 0 before the first.
    fold
        Number of the fold, counted from 0.
    loss, validation_loss
        Mean over the patterns learned from, and over the classes of those to judge by.
    balanced_accuracy
        Mean recall of the classes on the patterns to judge by.
    best_epoch
        The epoch whose model is kept; 0 before the first.
    note
        A sentence for a person, where there is something new to say.
    average_precision
        Of the zones among the patterns to judge by, where zones are learned.
    """

    epoch: int = 0
    fold: int = 0
    loss: float = _NAN
    validation_loss: float = _NAN
    balanced_accuracy: float = _NAN
    best_epoch: int = 0
    note: str = ""
    average_precision: float = _NAN
