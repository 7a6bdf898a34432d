"""Looks at inputs that grow: what has kept still is taken, what has not is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.growing import Growing, Seen, only_grew, recorded, unchanged
from napari_diffraction.patterns.readers import AmbiguousDatasetError, open_stack


def picture(path: Path, grey: int) -> None:
    image = np.full((16, 16), 200, np.uint8)
    image[0, 0] = grey
    Image.fromarray(image).save(path)


def test_files_are_taken_when_they_have_kept_still(tmp_path: Path) -> None:
    picture(tmp_path / "a1.png", 1)
    growing = Growing(str(tmp_path))
    first = growing.look()
    assert first.stack is None
    assert first.moving
    assert first.waiting == (str(tmp_path / "a1.png"),)
    picture(tmp_path / "a2.png", 2)
    second = growing.look()
    assert second.stack is not None
    assert second.stack.sources == (str(tmp_path / "a1.png"),)
    assert second.waiting == (str(tmp_path / "a2.png"),)
    third = growing.look()
    assert third.stack is not None
    assert third.ready == 2
    assert third.waiting == ()
    fourth = growing.look()
    assert fourth.stack is None
    assert not fourth.moving


def test_a_file_that_is_still_written_is_waited_for(tmp_path: Path) -> None:
    picture(tmp_path / "whole.png", 9)
    content = (tmp_path / "whole.png").read_bytes()
    part = tmp_path / "z.png"
    growing = Growing(str(tmp_path))
    growing.look()
    for length in (10, 20, 30):
        part.write_bytes(content[:length])
        assert str(part) in growing.look().waiting
    part.write_bytes(content)
    growing.look()
    seen = growing.look()
    assert seen.stack is not None
    assert [seen.stack.frame(index)[0, 0] for index in (0, 1)] == [9, 9]


def test_a_file_that_is_written_anew_gets_another_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(path, 1)
    growing = Growing(str(tmp_path))
    growing.look()
    before = growing.look().marks[str(path)]
    picture(path, 2)
    os.utime(path, ns=(1, 1))
    growing.look()
    assert growing.look().marks[str(path)] != before


def test_an_empty_folder_and_names_that_stand_for_nothing_yet_are_waited_for(
    tmp_path: Path,
) -> None:
    assert "no file that can be read" in Growing(str(tmp_path)).look().problem
    assert "no file matches" in Growing(str(tmp_path / "*.png")).look().problem


def test_what_cannot_come_true_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Growing(str(tmp_path / "typo"))
    (tmp_path / "letter.doc").write_text("Dear all")
    with pytest.raises(InputError, match="no known format"):
        Growing(str(tmp_path / "letter.doc"))


def test_two_stacks_in_a_file_are_to_be_chosen_from(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"] = file["b"] = np.ones((3, 16, 16), "u1")
        file["c"] = np.ones((3, 16, 16), "u1")
    with pytest.raises(AmbiguousDatasetError):
        Growing(str(tmp_path / "two.h5")).look()


def numbered(count: int) -> np.ndarray:
    stack = np.full((count, 16, 16), 200, np.uint8)
    stack[:, 0, 0] = np.arange(1, count + 1)
    return stack


def test_of_a_file_the_patterns_that_were_there_before_are_ready(tmp_path: Path) -> None:
    path = tmp_path / "run.npy"
    np.save(path, numbered(3))
    growing = Growing(str(path))
    assert [(s.ready, s.moving) for s in (growing.look(), growing.look())] == [
        (0, True),
        (3, False),
    ]
    np.save(path, numbered(5))
    assert [(s.ready, s.moving) for s in (growing.look(), growing.look())] == [
        (3, True),
        (5, False),
    ]


def test_a_file_that_is_begun_anew_gets_another_mark(tmp_path: Path) -> None:
    path = tmp_path / "run.npy"
    np.save(path, numbered(3))
    growing = Growing(str(path))
    before = growing.look().marks
    np.save(path, numbered(4))
    assert growing.look().marks == before
    np.save(path, numbered(4)[::-1])
    assert growing.look().marks != before


def test_room_that_is_not_filled_yet_is_none_where_a_detector_masks_pixels(tmp_path: Path) -> None:
    path = tmp_path / "run.npy"
    stack = numbered(4).astype(np.float32)
    stack[2:] = 0
    stack[:, -1, -2:] = np.nan
    np.save(path, stack)
    seen = Growing(str(path)).look()
    assert seen.stack is not None
    assert [one is None for one in seen.stack.frames(range(4))] == [False, False, True, True]


def test_more_patterns_under_the_same_numbers_are_the_same_input(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for number in (3, 5):
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(folder / f"{number}.png")
    before = open_stack(folder)
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(folder / "7.png")
    assert only_grew(open_stack(folder), before)
    Image.fromarray(np.full((16, 16), 4, np.uint8)).save(folder / "4.png")
    assert not only_grew(open_stack(folder), before)


def test_room_that_is_not_filled_yet_is_no_pattern_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run.npy"
    stack = numbered(4)
    stack[2:] = 0
    np.save(path, stack)
    growing = Growing(str(path))
    seen = growing.look()
    assert seen.stack is not None
    assert [one is None for one in seen.stack.frames(range(4))] == [False, False, True, True]
    with pytest.raises(InputError, match="not recorded"):
        seen.stack.frame(2)
    whole = growing.whole().stack
    assert whole is not None
    assert not whole.frame(2).any()


def test_what_could_not_be_read_is_tried_again_when_the_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.npy"
    np.save(path, numbered(4))
    growing = Growing(str(path))
    assert growing.look().again
    assert not growing.look().again
    np.save(path, numbered(4))
    os.utime(path, ns=(1, 1))
    assert growing.look().again


def seen(path: Path, growing: Growing, frames: np.ndarray) -> Seen:
    """Look twice at a file with these patterns."""
    np.save(path, frames)
    growing.look()
    return growing.look()


def test_of_a_scan_the_rows_that_are_filled_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    whole = numbered(12 * 3).reshape(12, 3, 16, 16)

    def filled(patterns: int) -> np.ndarray:
        room = whole.copy()
        room.reshape(-1, 16, 16)[patterns:] = 0
        return room

    np.save(path, filled(0))
    growing = Growing(str(path))
    last = Seen()
    shapes = []
    for patterns in (0, 2, 3, 7, 8, 22, 36):
        new = recorded(seen(path, growing, filled(patterns)), last)
        if new.stack is not None:
            last = new
            assert new.ready == len(new.stack)
            assert new.stack.frame(len(new.stack) - 1).any()
        shapes.append(None if new.stack is None else new.stack.data.shape[:2])
    assert shapes == [None, None, (1, 3), (2, 3), None, (7, 3), (12, 3)]


def test_a_row_that_is_recorded_backwards_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    frames = numbered(12).reshape(4, 3, 16, 16)
    frames[2:] = 0
    frames[1, 0] = 0
    np.save(path, frames)
    part = recorded(seen(path, Growing(str(path)), frames), Seen()).stack
    assert part is not None
    assert part.data.shape[:2] == (1, 3)


def test_a_blank_pattern_does_not_hold_up_the_rows_below(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    frames = numbered(24).reshape(8, 3, 16, 16)
    frames[2, 2] = 0
    np.save(path, frames)
    part = recorded(seen(path, Growing(str(path)), frames), Seen()).stack
    assert part is not None
    assert part.data.shape[:2] == (8, 3)


def test_patterns_are_the_same_up_to_the_first_that_is_another(tmp_path: Path) -> None:
    for name in "bcd":
        picture(tmp_path / f"{name}.png", ord(name))
    growing = Growing(str(tmp_path))
    growing.look()
    before = growing.look()
    picture(tmp_path / "c.png", 3)
    os.utime(tmp_path / "c.png", ns=(1, 1))
    growing.look()
    assert unchanged(before, growing.look()) == 1
    picture(tmp_path / "a.png", 1)
    growing.look()
    assert unchanged(before, growing.look()) == 0
    assert unchanged(before, before) == 3
    assert unchanged(Seen(), before) == 0
