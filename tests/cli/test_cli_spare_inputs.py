"""Nothing that is read is written over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_diffraction.cli.app import run
from napari_diffraction.cli.options import spare_inputs
from napari_diffraction.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    place = tmp_path / "pictures"
    place.mkdir()
    for number in range(3):
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(place / f"{number}.png")
    return place


@pytest.mark.parametrize(
    "words",
    [
        "phase-map {}/s.h5 --output {}/s.h5",
        "index {}/s.h5 --output {}/o.json --output {}/../pictures/s.h5",
        "explain {} --index 0 --output {}/e.png",
        "explain {}/*.png --index 0 --output {}/e.png",
        "explain {}/1.png --index 0 --output {}/1.png",
        "solve {} --output {}",
        "peaks {}/c.csv --output {}/c.csv",
        "unit-cell {} --zones {}/c.csv --output {}/c.csv",
        "classify {}/c.csv --output {}/c.csv",
        "classify {}/s.h5 --output {}/s.h5.csv",
        "peaks {}/0.png {}/1.png --output {}/1.png.csv",
        "index {}/s.h5 --output {}/o.json --output {}/s.h5.csv",
    ],
)
def test_an_output_that_is_read_is_refused_before_anything_is_done(
    words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "s.h5").write_bytes(b"patterns")
    (folder / "c.csv").write_bytes(b"patterns")
    for name in ("s.h5.csv", "1.png.csv"):
        (folder / name).write_text("index,label\n0,2DZone\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(words.replace("{}", str(folder)).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "another name or folder" in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_link_to_the_input_is_the_input(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(folder / "0.png")
    with pytest.raises(InputError, match=r"link\.png"):
        spare_inputs(tmp_path / "link.png", str(folder / "0.png"))


def test_a_folder_with_brackets_is_the_folder_of_its_pictures(folder: Path) -> None:
    odd = folder.rename(folder.with_name("run[1]"))
    with pytest.raises(InputError, match=r"e\.png"):
        spare_inputs(odd / "e.png", str(odd / "*.png"))


def test_what_is_not_read_with_the_others_may_lie_beside_them(folder: Path) -> None:
    spare_inputs([folder / "t.csv", folder / "m.json", folder.with_name("e.png")], str(folder))
    spare_inputs(folder / "e.jpg", str(folder / "*.png"))
    spare_inputs([folder / "t.csv", folder / "solved"], str(folder / "*"))
    spare_inputs(folder / "patterns.h5", str(folder))  # pictures are read
    spare_inputs(folder / "solved", str(folder), None)
    spare_inputs(folder.with_name("pictures.csv"), str(folder))
