"""What persons decided on a stack, as labels to learn from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.decisions import NOBODY, Decisions
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.store import SessionStore


def given_labels(stack: PatternStack) -> pd.DataFrame | None:
    """Find the decisions that were saved for a stack.

    Returns
    -------
    DataFrame or None
        Columns ``index, reviewed_label, reviewer, time``, a row for each pattern that somebody
        decided on; ``None`` where nobody did.
    """
    decisions = Decisions()
    for record in SessionStore.of(stack_key(stack)).journal():
        decisions.apply(record)
    index = np.flatnonzero(decisions.labels != NOBODY)
    index = index[index < len(stack)]
    if not len(index):
        return None
    return pd.DataFrame(
        {
            "index": index,
            "reviewed_label": decisions.names_of(index),
            "reviewer": decisions.reviewers_of(index),
            "time": decisions.times[index],
        }
    )
