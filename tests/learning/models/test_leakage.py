from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models.leakage import (
    HASHES,
    content_hash,
    find_known,
    training_hashes,
)
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

FRAMES = np.random.default_rng(0).integers(0, 4000, (100, 8, 9), dtype=np.uint16)


def test_a_pattern_is_known_in_any_dtype_and_order_of_memory() -> None:
    wanted = content_hash(FRAMES[0])
    assert len(wanted) == 16
    for dtype in (np.int32, np.float32, np.float64, ">u2"):
        assert content_hash(np.asfortranarray(FRAMES[0].astype(dtype))) == wanted
    changed = FRAMES[0].copy()
    changed[3, 3] += 1
    assert content_hash(changed) != wanted
    assert content_hash(FRAMES[0].reshape(9, 8)) != wanted


def test_patterns_of_the_training_are_found_and_unreadable_ones_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    joined = "".join(content_hash(frame) for frame in FRAMES[[3, 70, 71]])
    save_file({"x": np.zeros(1)}, path, metadata={HASHES: joined})
    hashes = training_hashes(path)
    assert len(hashes) == 3

    def read(index: int) -> np.ndarray:
        if index == 70:
            raise InputError("unreadable")
        return FRAMES[index]

    stack = PatternStack(da.from_array(FRAMES), "run", read=read)
    assert finish(find_known(stack, hashes)).tolist() == [3, 71]
    assert finish(find_known(stack, {"0" * 16})).tolist() == []


def test_a_model_without_a_list_has_none_and_a_damaged_one_is_an_input_error(
    tmp_path: Path,
) -> None:
    save_file({"x": np.zeros(1)}, tmp_path / "bare.safetensors")
    assert training_hashes(tmp_path / "bare.safetensors") == frozenset()
    (tmp_path / "bad.safetensors").write_bytes(b"weights")
    for name in ("bad.safetensors", "gone.safetensors"):
        with pytest.raises(InputError, match=r"damaged or gone"):
            training_hashes(tmp_path / name)
