"""The maps that have been computed, as data of a layer: zeros where there is none yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.learning.explain.heatmaps import Explanation

#: Bytes of maps that are kept.
_ROOM = 1 << 30


class HeatMaps:
    """Maps by question and pattern; the least recently used ones make room for new ones.

    A question is what the maps depend on besides the pattern: layer, model, class and method.  May
    be used from several threads.

    Parameters
    ----------
    room
        Bytes of maps that are kept.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self.room = room
        self._kept: OrderedDict[tuple[Hashable, int], Explanation] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def put(self, question: Hashable, index: int, made: Explanation) -> None:
        """Keep the map of a pattern."""
        kept = replace(made, heat=made.heat.astype(np.float16))  # finer than any screen
        with self._lock:
            self._drop((question, index))
            self._kept[question, index] = kept
            self._bytes += kept.heat.nbytes
            while self._bytes > self.room and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[Hashable, int]) -> None:
        old = self._kept.pop(key, None)
        self._bytes -= 0 if old is None else old.heat.nbytes

    def get(self, question: Hashable, index: int) -> Explanation | None:
        """Return what is known of a pattern, if it is there; the map is in half precision."""
        with self._lock:
            kept = self._kept.get((question, index))
            if kept is not None:
                self._kept.move_to_end((question, index))
            return kept

    def __contains__(self, key: tuple[Hashable, int]) -> bool:
        return key in self._kept


class HeatArray:
    """The maps of a stack as an array of its shape, which napari slices like any other.

    Parameters
    ----------
    maps
        Where the maps are.
    question
        Whose maps.
    shape
        Of the patterns: (h, w), (n, h, w) or (rows, columns, h, w).
    """

    dtype = np.dtype(np.float32)

    def __init__(self, maps: HeatMaps, question: Hashable, shape: tuple[int, ...]) -> None:
        self._maps, self._question = maps, question
        self.shape = shape
        self.ndim = len(shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            filling = (slice(None),) * (self.ndim - len(keys) + 1)
            keys = (*keys[:at], *filling, *keys[at + 1 :])
        keys = (*keys, *(slice(None),) * (self.ndim - len(keys)))
        numbers = np.arange(int(np.prod(self.shape[:-2]))).reshape(self.shape[:-2])
        chosen = numbers[keys[: self.ndim - 2]]
        maps = [self._map(int(number))[keys[self.ndim - 2 :]] for number in np.ravel(chosen)]
        if not maps:
            empty = np.empty(self.shape[-2:], np.float32)[keys[self.ndim - 2 :]]
            return np.empty((*chosen.shape, *empty.shape), np.float32)
        return np.stack(maps).reshape(*np.shape(chosen), *maps[0].shape)

    def __deepcopy__(self, memo: dict[int, Any]) -> HeatArray:
        # of a layer that is duplicated: the same maps, whose lock cannot be copied
        return HeatArray(self._maps, self._question, self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def _map(self, index: int) -> NDArray[np.float32]:
        made = self._maps.get(self._question, index)
        if made is None:
            return np.zeros(self.shape[-2:], np.float32)
        return made.heat.astype(np.float32)
