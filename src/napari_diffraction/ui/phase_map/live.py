"""What a network says of a scan that is still recorded, behind the phase map panel."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_diffraction.progress import Progress
from napari_diffraction.ui.indexed.live import work_on_rows

if TYPE_CHECKING:
    from napari_diffraction.patterns.growing import Seen
    from napari_diffraction.patterns.readers import Opening
    from napari_diffraction.patterns.stack import PatternStack


def live_mapping(
    opening: Opening,
    stack: PatternStack,
    model: str,
    settings: dict[str, Any],
    centre: tuple[float, float, float] | None,
) -> Generator[Progress, None, None]:
    """Judge the rows that are there, then those that come, until somebody stops it.

    Parameters
    ----------
    opening, stack
        As of `napari_diffraction.ui.indexed.live.work_on_rows`.
    model
        Name or file.
    settings
        ``device`` and ``batch_size``.
    centre
        Pattern centre that a person gives.

    Yields
    ------
    Progress
        As of `work_on_rows`; steps with ``rows`` of points that were judged, perhaps once more.

    Raises
    ------
    InputError
        The input has become another one, or the model cannot be used.
    """
    yield Progress(0, 0, "Loading the model")
    from napari_diffraction.learning.classification.followed_patterns import FollowedPatterns
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model

    classifier = load_model(model)
    run = FollowedPatterns(classifier, partial(classify, classifier=classifier, **settings))

    def take(seen: Seen) -> Generator[Progress, None, Any]:
        if seen.stack is not None and centre is not None:
            seen = replace(seen, stack=seen.stack.with_centre(centre))
        return (yield from run.go_on(seen))

    yield from work_on_rows(opening, stack, take, lambda rows: f"{rows:,} rows classified")
