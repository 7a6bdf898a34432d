"""Index or map a scan that is still recorded; files are whole after every block of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.analysis.indexed.export import can_export, check_export
from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED, check_scan
from napari_diffraction.cli.scans.index import written
from napari_diffraction.cli.scans.phase_map import keep, map_of, write_and_compare
from napari_diffraction.cli.terminal import Interrupted, with_bar
from napari_diffraction.cli.watching import ANEW, watch, whole
from napari_diffraction.indexing.following import FollowedScan
from napari_diffraction.learning.palette import class_title
from napari_diffraction.patterns.growing import Growing, Seen, recorded

if TYPE_CHECKING:
    from napari_diffraction.indexing.known import IndexSettings
    from napari_diffraction.learning.classification.batches import BatchDone
    from napari_diffraction.learning.models.classifier import Classifier
    from napari_diffraction.patterns.maps.vendor_map import VendorMap
    from napari_diffraction.patterns.stack import Geometry, PatternStack

#: Of sample and camera in degrees.
Tilts = tuple[float | None, float | None]


def follow_index(
    growing: Growing,
    outputs: Sequence[Path],
    settings: IndexSettings,
    *,
    tilts: Tilts = (None, None),
    idle: float | None = None,
    wait: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Index what is there, then what comes, until nothing comes any more.

    Parameters
    ----------
    growing
        The input.
    outputs
        As of `napari_diffraction.cli.scans.index.index_to_files`; those that a solution can be
        written to are written after every look that brought something.
    settings
        What is known.
    tilts
        Those of sample and camera in degrees; ``None``: that of the file.
    idle
        Seconds without anything new after which the scan counts as finished; ``None``: never.
    wait
        Called with the seconds to wait between two looks.
    say
        Called with sentences for a person.

    Returns
    -------
    list of str
        Lines for a person, on the solution that `index_to_files` finds of the finished scan.

    Raises
    ------
    InputError
        As of `index_to_files`, or there was never anything that can be opened.
    Interrupted
        Ctrl-C was pressed.
    """
    scan, told = FollowedScan(settings), 0

    def take(seen: Seen) -> list[str] | None:
        nonlocal told
        assert seen.stack is not None
        if settings.pc is not None:
            seen.stack.with_centre(settings.pc)  # says what is wrong with a centre
        shape = seen.stack.data.shape[:-2]
        if growing.single:
            check(shape)
        indexed = with_bar(scan.go_on(seen))
        if indexed is None:
            if scan.tried != told:
                told = scan.tried
                say(f"{told} patterns do not tell the phases yet.")
            return None
        names = {phase.name: phase.share for phase in indexed.phases}
        say(_counted(len(indexed), names | {NOT_INDEXED: indexed.not_indexed}))
        # pictures in a folder may come to lie on a grid with the last ones only
        return written(indexed, [output for output in outputs if can_export(output, shape)])

    def end(seen: Seen) -> list[str]:
        assert seen.stack is not None
        check(seen.stack.data.shape[:-2])
        return written(with_bar(scan.end(seen)), outputs)

    def check(shape: tuple[int, ...]) -> None:
        for output in outputs:
            check_export(output, shape)

    def camera(stack: PatternStack) -> PatternStack:
        return stack.with_tilts(*tilts)

    return _followed(growing, outputs, camera, take, end, idle, wait, say)


def follow_map(
    growing: Growing,
    outputs: Sequence[Path],
    classifier: Classifier,
    *,
    threshold: float,
    pc: tuple[float, float, float] | None = None,
    tilts: Tilts = (None, None),
    device: str = "auto",
    batch_size: int = 64,
    regions: bool = False,
    other: VendorMap | None = None,
    idle: float | None = None,
    wait: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Map what is there, then what comes, until nothing comes any more.

    Parameters
    ----------
    growing
        The input.
    outputs
        The maps, written after every look that brought something.
    classifier
        A loaded model.
    threshold, other
        As of `napari_diffraction.cli.scans.phase_map.write_and_compare`.
    pc
        Pattern centre in Bruker's convention.
    tilts
        As of `follow_index`.
    device, batch_size, regions
        As of `napari_diffraction.cli.scans.phase_map.map_scan`; regions vote at the end.
    idle, wait, say
        As of `follow_index`.

    Returns
    -------
    list of str
        Lines for a person, on the map that `map_scan` makes of the finished scan.

    Raises
    ------
    InputError
        There was never anything that can be opened, the patterns are no scan in the end, or a file
        cannot be written.
    Interrupted
        Ctrl-C was pressed.
    """
    from napari_diffraction.learning.classification.followed_patterns import FollowedPatterns
    from napari_diffraction.learning.classification.following import Known, lasting
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.networks.pattern_centre import known_centre

    settings: dict[str, Any] = {"device": device, "batch_size": batch_size}
    run = FollowedPatterns(classifier, partial(classify, classifier=classifier, **settings))

    found: Geometry | None = None
    # for Ctrl-C within a look, which may be of a whole scan
    known, mapped = Known(), False

    def camera(stack: PatternStack) -> PatternStack:
        return (stack if pc is None else stack.with_centre(pc)).with_tilts(*tilts)

    def noted(batch: BatchDone, seen: Seen) -> None:
        nonlocal found
        found = batch.geometry or found
        if len(batch.rows):
            assert seen.stack is not None
            known.add(lasting(batch.rows, seen.stack, seen.marks))

    def judged(stack: PatternStack) -> PatternStack:
        """These patterns with the centre that was found, where they tell none."""
        if found is None or known_centre(stack) is not None:
            return stack
        return replace(stack, geometry=found)

    def take(seen: Seen) -> list[str] | None:
        nonlocal mapped
        assert seen.stack is not None
        if growing.single:
            check_scan(seen.stack)
        if not seen.stack.is_scan:
            return None
        try:
            table = with_bar(run.go_on(seen), partial(noted, seen=seen))
        except KeyboardInterrupt as stop:
            table = known.table(seen)
            if table.empty:
                raise
            made = map_of(table, judged(seen.stack), classifier, settings)
            raise Interrupted(f"Stopped.{keep(made, outputs, threshold, over=mapped)}") from stop
        made = map_of(table, judged(seen.stack), classifier, settings)
        shares = made.shares(threshold)
        say(_counted(len(made), {class_title(name): share for name, share in shares.items()}))
        mapped = True
        return write_and_compare(made, outputs, threshold, None)

    def end(seen: Seen) -> list[str]:
        assert seen.stack is not None
        check_scan(seen.stack)
        if run.judges_anew(seen):
            say(ANEW)
        table = with_bar(run.end(seen), partial(noted, seen=seen))
        made = map_of(table, judged(seen.stack), classifier, settings, regions=regions)
        # a map of another size is refused when ours, which took so long, is written
        return write_and_compare(made, outputs, threshold, other)

    return _followed(growing, outputs, camera, take, end, idle, wait, say)


def _followed(
    growing: Growing,
    outputs: Sequence[Path],
    camera: Callable[[PatternStack], PatternStack],
    take: Callable[[Seen], list[str] | None],
    end: Callable[[Seen], list[str]],
    idle: float | None,
    wait: Callable[[float], None],
    say: Callable[[str], None],
) -> list[str]:
    """Let what is recorded be taken after each look, and all there is in the end.

    ``camera`` adds what a person says of it.  ``take`` and ``end`` write the files and return lines
    for a person; ``None``: none was written.
    """
    last, lines = Seen(), list[str]()

    def look(seen: Seen) -> bool:
        nonlocal last, lines
        new = recorded(seen, last)
        if new.stack is None:
            return False
        last = replace(new, stack=camera(new.stack))
        lines = take(last) or lines
        return True

    try:
        watch(growing, look, idle, wait, say)
        seen = whole(growing, say, needed=not lines)
        if seen is None or seen.stack is None:
            return lines
        return end(replace(seen, stack=camera(seen.stack)))
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Stopped.{_kept(outputs) if lines else ''}") from stop


def _kept(outputs: Sequence[Path]) -> str:
    names = ", ".join(str(output) for output in outputs if output.exists())
    return f" What was done is in {names}; without --follow the command does all that is recorded."


def _counted(points: int, shares: Mapping[str, float]) -> str:
    return f"{points} points: {', '.join(f'{name} {share:.1%}' for name, share in shares.items())}."
