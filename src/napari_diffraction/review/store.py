"""Where a review is kept on disk: the classification table and a journal of decisions.

A session is a folder in the user's data directory, named after the stack's fingerprint:

``about.json``
    The stack, the model, its settings.
``table.csv``
    The classification table, written batch by batch.
``journal.jsonl``
    One line of JSON per decision, forced to the disk before the next key press is dealt with.  A
    crash can tear the last line at worst, which reading tolerates.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import platformdirs

from napari_diffraction.files import ANY_NAME, replacing, writing_error
from napari_diffraction.patterns.stack import MOST_PATTERNS
from napari_diffraction.review.decisions import Decisions, Indices, renumbered

_ABOUT, _TABLE, _JOURNAL = "about.json", "table.csv", "journal.jsonl"
_TEXTS = ("source", "label")


def sessions_folder() -> Path:
    """Return the folder in which all reviews are kept."""
    return Path(platformdirs.user_data_dir("napari-diffraction", appauthor=False)) / "sessions"


def now() -> str:
    """Return the time as kept with a decision: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class SessionStore:
    """The folder of one review, which is made when the first thing is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Lines that are not known to be on the disk, and where a failed attempt to write began.
        self._pending: list[bytes] = []
        self._failed_at: int | None = None

    @classmethod
    def of(cls, key: str) -> SessionStore:
        """Return the store of the stack with a fingerprint."""
        return cls(sessions_folder() / key)

    def about(self) -> dict[str, Any]:
        """Return what is known of the stack and the model; empty where nothing is kept."""
        try:
            about = json.loads((self.folder / _ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def write_about(self, about: dict[str, Any]) -> None:
        """Keep what is known of the stack and the model."""
        self._make_folder()
        with replacing(self.folder / _ABOUT) as temporary:
            temporary.write_text(json.dumps(about, indent=1, default=str), encoding="utf-8")

    def table(self) -> pd.DataFrame | None:
        """Read the classification table; ``None`` where there is none.

        A last line without an end, as a crash leaves it, is left out.
        """
        try:
            text = (self.folder / _TABLE).read_text(encoding="utf-8", errors=ANY_NAME)
        except OSError:
            return None
        whole = text[: text.rfind("\n") + 1]
        if not whole:
            return None
        try:
            columns = _heading(io.StringIO(whole))
            table = pd.read_csv(
                io.StringIO(whole),
                encoding_errors=ANY_NAME,
                dtype={name: str for name in _TEXTS if name in columns},
                keep_default_na=False,
                na_values={name: [""] for name in columns if name not in _TEXTS},
            )
        except ValueError:  # damaged by something else than a crash
            return None
        if not {"index", "label", "confidence"} <= set(table.columns) or not _plain(table):
            return None
        return table.drop_duplicates("index", keep="last", ignore_index=True)

    def write_table(self, table: pd.DataFrame) -> None:
        """Write the classification table anew."""
        self._make_folder()
        with replacing(self.folder / _TABLE) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", errors=ANY_NAME)

    def append_rows(self, rows: pd.DataFrame) -> None:
        """Add classified patterns to the table on disk, after its last whole line."""
        self._make_folder()
        path = self.folder / _TABLE
        try:
            if path.exists():
                _drop_torn_line(path)
            # A table of no patterns is written as an empty line.
            new = not path.exists() or path.stat().st_size <= len(os.linesep)
            columns = list(rows.columns) if new else _heading(path)
            if not set(rows.columns) <= set(columns):
                old = self.table()
                if old is None:  # damaged
                    self._rename(_TABLE)
                self.write_table(pd.concat([old, rows], ignore_index=True))
                return
            mode = "w" if new else "a"
            with path.open(mode, encoding="utf-8", errors=ANY_NAME, newline="") as file:
                rows = rows.reindex(columns=columns)
                rows.to_csv(file, header=new, index=False, lineterminator="\n")
        except OSError as error:
            raise writing_error(path, error) from error

    def set_results_aside(self) -> None:
        """Give a table with patterns, and what is known of it, another name beside the old one."""
        if self.patterns():
            self._rename(_ABOUT, _TABLE)

    def patterns(self) -> int:
        """Count the patterns of the table on disk, from its lines alone."""
        try:
            return max(0, (self.folder / _TABLE).read_bytes().count(b"\n") - 1)
        except OSError:
            return 0

    def journal(self) -> list[dict[str, Any]]:
        """Read the decisions, oldest first, without a torn last line."""
        records = []
        for line in self._journal_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Add a decision and force it to the disk, after all that could not be saved before.

        Raises
        ------
        InputError
            It cannot be written now; the next call tries again.
        """
        self._pending.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._make_folder()
        path = self.folder / _JOURNAL
        try:
            with path.open("a+b") as file:
                if self._failed_at is not None:
                    self._drop_failed(file, self._failed_at)
                self._failed_at = file.seek(0, os.SEEK_END)
                # The next line must not be glued to a torn one, of a crash or another program.
                if not _ends_whole(file):
                    file.write(b"\n")
                file.write(b"".join(self._pending))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise writing_error(path, error) from error
        self._forget_pending()

    def _drop_failed(self, file: BinaryIO, start: int) -> None:
        """Cut off what a failed attempt left from a place on, unless others have written since."""
        file.seek(start)
        rest = file.read()
        if b"".join(self._pending).startswith(rest.removeprefix(b"\n")):
            file.truncate(min(start, file.seek(0, os.SEEK_END)))
        else:  # what arrived whole stays where it is, with the lines of the others
            arrived = set(rest.splitlines(keepends=True))
            self._pending = [line for line in self._pending if line not in arrived]

    def set_aside(self) -> None:
        """Begin with an empty journal; the old one stays beside it under another name."""
        self._rename(_JOURNAL)
        self._forget_pending()

    def move(self, folder: Path, places: Indices | None = None) -> bool:
        """Keep the review in another folder, with other numbers of the patterns in its journal.

        Parameters
        ----------
        folder
            Where it is kept from now on.  A review that is there already stays: its results are
            set aside, and its decisions come before these.
        places : ndarray of int64, (n,)
            The new number of each pattern; ``None``: the same.

        Returns
        -------
        bool
            Whether a review was there already.
        """
        there = SessionStore(folder)
        met = folder != self.folder and folder.exists()
        if not met and places is None:
            self._rename_folder(folder)
            return False
        theirs = there.journal() if met else []
        ours = [*self.journal(), *map(json.loads, self._pending)]
        if places is not None:
            renamed = (renumbered(record, places) for record in ours)
            ours = [record for record in renamed if record is not None]
        if met:
            there.set_results_aside()
        else:
            self._rename_folder(folder)
        self.folder = folder
        lines = [json.dumps(record, separators=(",", ":")) for record in [*theirs, *ours]]
        self._write_journal("".join(f"{line}\n" for line in lines))
        return met

    def _rename_folder(self, folder: Path) -> None:
        try:
            if folder != self.folder and self.folder.exists():
                self.folder.rename(folder)
        except OSError as error:
            raise writing_error(folder, error) from error
        self.folder = folder

    def _write_journal(self, text: str) -> None:
        if text:
            self._make_folder()
            with replacing(self.folder / _JOURNAL) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self._forget_pending()

    def _rename(self, *names: str) -> None:
        """Give files that are there another name with the time in it."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        for path in (self.folder / name for name in names):
            try:
                if path.exists():
                    path.rename(path.with_name(f"{path.stem}-{stamp}{path.suffix}"))
            except OSError as error:
                raise writing_error(path, error) from error

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._failed_at = None

    def _journal_bytes(self) -> bytes:
        try:
            return (self.folder / _JOURNAL).read_bytes()
        except OSError:
            return b""

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise writing_error(self.folder, error) from error


def _plain(table: pd.DataFrame) -> bool:
    """Whether pattern numbers and confidences of a table are such numbers."""
    index, confidence = table["index"], table["confidence"]
    whole = index.dtype.kind in "iu" and index.between(0, MOST_PATTERNS - 1).all()
    return bool(whole and confidence.dtype.kind in "fiu")


def _heading(table: Path | io.StringIO) -> list[str]:
    """Names of the columns of a table, of a damaged one none."""
    try:
        return list(pd.read_csv(table, nrows=0, encoding_errors=ANY_NAME).columns)
    except ValueError:
        return []


def _ends_whole(file: BinaryIO) -> bool:
    """Whether a file is empty or its last line has an end; goes to the end of the file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    return file.read(1) in (b"", b"\n")


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end, as a crash or a full disk leaves it."""
    with path.open("rb+") as file:
        if not _ends_whole(file):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


@dataclass(frozen=True)
class SavedReview:
    """A review that can be taken up again.

    Attributes
    ----------
    key, folder
        Fingerprint of the stack, and where the session is kept.
    decisions
        Number of patterns that somebody decided on.
    patterns
        Number of patterns classified.
    time
        Of the last step, ISO 8601, UTC.
    """

    key: str
    folder: Path
    decisions: int
    patterns: int
    time: str


def saved_review(key: str) -> SavedReview | None:
    """Look for a saved review of the stack with a fingerprint."""
    store = SessionStore.of(key)
    if not store.folder.is_dir():
        return None
    decisions = Decisions()
    records = store.journal()
    for record in records:
        decisions.apply(record)
    patterns = store.patterns()
    if not decisions and not patterns:
        return None
    time = records[-1].get("time") if records else store.about().get("begun")
    return SavedReview(key, store.folder, len(decisions), patterns, str(time or ""))


def describe(saved: SavedReview) -> str:
    """Say when a review was made and how far it went."""
    try:
        time = datetime.fromisoformat(saved.time).astimezone().strftime(" from %d %b %H:%M")
    except ValueError:
        time = ""
    decisions = f"{saved.decisions:,} decision" + ("" if saved.decisions == 1 else "s")
    return (
        f"There is a review of this stack{time}: {saved.patterns:,} patterns classified, "
        f"{decisions}."
    )
