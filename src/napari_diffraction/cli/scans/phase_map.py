"""Map the phases of a scan, and compare the map with another program's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.cli.terminal import Interrupted, output_file, with_bar

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.analysis.maps.phase_map import PhaseMap
    from napari_diffraction.learning.classification.batches import BatchDone
    from napari_diffraction.learning.models.registry import Classifier
    from napari_diffraction.patterns.maps.vendor_map import VendorMap
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers


class Unfinished(KeyboardInterrupt):
    """Ctrl-C was pressed.

    Attributes
    ----------
    made
        The map as far as it is.
    """

    def __init__(self, made: PhaseMap) -> None:
        super().__init__()
        self.made = made


def map_to_files(
    stack: PatternStack,
    classifier: Classifier,
    outputs: Sequence[Path],
    *,
    threshold: float,
    other: VendorMap | None = None,
    **settings: Any,
) -> list[str]:
    """Classify a scan, write its map, and compare it if asked.

    Parameters
    ----------
    stack, classifier, settings
        As of `map_scan`.
    outputs, threshold, other
        As of `write_and_compare`.

    Returns
    -------
    list of str
        Lines for a person.

    Raises
    ------
    InputError
        As of these two.
    Interrupted
        Ctrl-C was pressed; the points that were classified are written.
    """
    try:
        made = map_scan(stack, classifier, **settings)
    except Unfinished as stop:
        raise Interrupted(f"Stopped.{keep(stop.made, outputs, threshold)}") from stop
    return write_and_compare(made, outputs, threshold, other)


def map_scan(
    stack: PatternStack,
    classifier: Classifier,
    *,
    device: str = "auto",
    batch_size: int = 64,
    regions: bool = False,
    workers: Workers | None = None,
) -> PhaseMap:
    """Classify a scan and make its map.

    Parameters
    ----------
    stack
        A scan.
    classifier
        A loaded model.
    device, batch_size, workers
        See `napari_diffraction.learning.classification.inference.classify`.
    regions
        Whether regions of alike neighbouring patterns vote together.

    Raises
    ------
    InputError
        The patterns are a list, not a scan.
    Unfinished
        Ctrl-C was pressed.
    """
    from napari_diffraction.analysis.maps.phase_map import PhaseMap
    from napari_diffraction.analysis.maps.regions import vote_by_regions
    from napari_diffraction.learning.classification.inference import classify

    settings: dict[str, Any] = {"device": device, "batch_size": batch_size}
    made = PhaseMap.empty(stack, classifier.card, _about(classifier, settings))
    work = classify(stack, classifier, workers=workers, **settings)

    def add(batch: BatchDone) -> None:
        if batch.geometry is not None:
            made.geometry = batch.geometry
        if not batch.rows.empty:
            made.add(batch.rows)

    try:
        with_bar(work, add)
    except KeyboardInterrupt as stop:
        raise Unfinished(made) from stop
    return with_bar(vote_by_regions(made, stack)) if regions else made


def keep(made: PhaseMap, outputs: Sequence[Path], threshold: float, *, over: bool = False) -> str:
    """Write what there is of a map after Ctrl-C; say what is kept, empty where nothing is.

    Parameters
    ----------
    made
        The map.
    outputs, threshold
        As of `write_and_compare`.
    over
        Whether files that are there are less of the same map, and not perhaps a whole one.
    """
    count = int(made.done.sum())
    if not count:
        return ""
    free = [
        output.with_suffix(f".part{output.suffix}") if output.exists() and not over else output
        for output in outputs
    ]
    write_and_compare(made, free, threshold, None)
    names = ", ".join(map(str, free))
    return f" {count} of {len(made)} points are in {names}, the others are not classified."


def map_of(
    table: pd.DataFrame,
    stack: PatternStack,
    classifier: Classifier,
    settings: dict[str, Any],
    *,
    regions: bool = False,
) -> PhaseMap:
    """Make the map of a classified scan, of which some patterns may be missing.

    Parameters
    ----------
    table
        Its classification.
    stack, classifier, regions
        As of `map_scan`.
    settings
        How it was classified, for the files that are written.

    Raises
    ------
    InputError
        The patterns are a list, not a scan.
    """
    from napari_diffraction.analysis.maps.phase_map import PhaseMap
    from napari_diffraction.analysis.maps.regions import vote_by_regions

    made = PhaseMap.from_classification(table, stack, classifier.card, _about(classifier, settings))
    return with_bar(vote_by_regions(made, stack)) if regions else made


def _about(classifier: Classifier, settings: dict[str, Any]) -> dict[str, Any]:
    """Return how a map came about, for the files that are written."""
    from napari_diffraction.review.provenance import file_hash

    card = classifier.card
    return {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "model": card.name,
        "model_sha256": file_hash(Path(card.path) if card.path else None),
        "settings": settings,
    }


def write_and_compare(
    phase_map: PhaseMap, outputs: Sequence[Path], threshold: float, other: VendorMap | None
) -> list[str]:
    """Write a map, compare it if asked, and say the result.

    Parameters
    ----------
    phase_map
        The map.
    outputs
        Files to write.
    threshold
        Points with less confidence are not indexed.
    other
        Another program's map of the same scan.

    Returns
    -------
    list of str
        Lines for a person.

    Raises
    ------
    InputError
        A file cannot be written; or the other map is of another size.
    """
    from napari_diffraction.analysis.maps.export import export_map
    from napari_diffraction.analysis.maps.vendor_files import STEP_UNKNOWN
    from napari_diffraction.learning.palette import class_title

    lines = []
    for output in outputs:
        export_map(phase_map, output, threshold)
        lines.append(f"{output}: {phase_map.shape[0]} x {phase_map.shape[1]} points.")
    shares = phase_map.shares(threshold)
    lines += [f"  {class_title(name)}  {share:.1%}" for name, share in shares.items()]
    if phase_map.step is None:
        lines.append(f"Note: {STEP_UNKNOWN}")
    if other is not None:
        from napari_diffraction.analysis.maps.compare import compare

        result = compare(phase_map, other, threshold)
        lines += result.sentences()
        lines += str(result.matrix.loc[:, (result.matrix != 0).any(axis=0)]).splitlines()
    return lines


def check_first(
    stack: PatternStack, outputs: Sequence[Path], other: str | None
) -> VendorMap | None:
    """Check all that can be wrong before anything is computed; read the other map.

    Raises
    ------
    InputError
        The patterns are no scan; a file cannot be written; or the other map cannot be read or is
        of another size.
    """
    from napari_diffraction.analysis.maps.phase_map import check_scan

    check_scan(stack)
    read = check_files(outputs, other)
    check_other(stack, read)
    return read


def check_files(outputs: Sequence[Path], other: str | None) -> VendorMap | None:
    """Check that the files can be written; read the other map.

    Raises
    ------
    InputError
        A file cannot be written, or the other map cannot be read.
    """
    from napari_diffraction.analysis.maps.export import WRITERS

    for output in outputs:
        output_file(output, tuple(WRITERS))
    if other is None:
        return None
    from napari_diffraction.patterns.maps.files import read_map

    return read_map(other)


def check_other(stack: PatternStack, other: VendorMap | None) -> None:
    """Check that the other map is of the size of a scan.

    Raises
    ------
    InputError
        It is not.
    """
    if other is not None:
        from napari_diffraction.analysis.maps.compare import check_size

        check_size(stack.name, stack.data.shape[:2], other)
