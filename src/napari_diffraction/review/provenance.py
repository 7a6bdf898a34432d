"""Where an exported file comes from: written into it, or into a ``.json`` beside it."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.files import replacing

if TYPE_CHECKING:
    from napari_diffraction.review.session import ReviewSession


def provenance(session: ReviewSession) -> dict[str, Any]:
    """Return the model, its hash and settings, the software and who reviewed, as JSON values.

    ``disagreements`` counts the decisions against what each model had said, ``lessons`` names the
    models that have learned from the labels.
    """
    from napari_diffraction.review.store import now  # with pandas, which a hash need not wait for

    table = session.table()
    people = sorted(set(table["reviewer"]) - {""}) if len(table) else []
    facts = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "exported": now(),
        **session.about,
        "patterns": len(session),
        "reviewed": session.counts().reviewed,
        "reviewers": people,
        "disagreements": session.disagreements(),
        "lessons": session.lessons,
        "fingerprint": session.key,
    }
    # Paths and numpy numbers become text here rather than an error at the end of a long export.
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


def beside(path: Path) -> Path:
    """Return the name of the file that says where a file comes from."""
    return path.with_name(path.name + ".json")


def write_beside(path: Path, facts: dict[str, Any]) -> None:
    """Write where a file comes from into a ``.json`` beside it."""
    with replacing(beside(path)) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def file_hash(path: Path | None) -> str:
    """Return the SHA-256 of a file, or an empty text where it cannot be read."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
