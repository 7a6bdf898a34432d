"""Pattern centres that were found before, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import cache_folder, replacing

if TYPE_CHECKING:
    from torch import Tensor

    from napari_diffraction.learning.model_card import ModelCard

Centre = tuple[float, float, float]

#: So many are kept, those found last.
_MOST = 500
#: Number of the way in which centres are searched; another way may find another one.
_SEARCH = 2


def key_of(
    shape: tuple[int, ...],
    frames: Iterable[NDArray[Any]],
    card: ModelCard,
    weights: Mapping[str, Tensor],
) -> str:
    """Name what a search for a pattern centre depends on.

    Patterns and weights count themselves, not the names and times of their files: whatever has the
    same name has the same centre.

    Parameters
    ----------
    shape
        Of the whole stack.
    frames
        The patterns that are looked at, and their background where the file holds it.
    card, weights
        Of the network that judges.
    """
    digest = hashlib.sha256(json.dumps([_SEARCH, *shape]).encode())
    digest.update(json.dumps([card.classes, card.scale, card.bias]).encode())
    for frame in frames:
        digest.update(f"{frame.shape} {frame.dtype.str}".encode())
        digest.update(frame.tobytes())
    for name, values in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def recalled(key: str) -> Centre | None:
    """Return the centre that was kept under a name, if any."""
    match _kept().get(key):
        case [float(x), float(y), float(z)] if all(map(math.isfinite, (x, y, z))) and z > 0:
            return x, y, z
    return None


def keep(key: str, centre: Centre) -> None:
    """Keep a centre for the next time, where there is room for it."""
    kept = _kept()
    kept.pop(key, None)
    kept[key] = list(centre)
    latest = dict(list(kept.items())[-_MOST:])
    with suppress(InputError, OSError):  # else it is searched anew
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(latest), encoding="utf-8")


def _kept() -> dict[str, Any]:
    """Read what is kept; nothing where the file is damaged or not there."""
    try:
        values = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _path() -> Path:
    # another version may search otherwise
    return cache_folder() / "pattern_centres.json"
