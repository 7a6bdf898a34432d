import json

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from napari_diffraction.analysis.indexed.export import export_indexed
from napari_diffraction.analysis.indexed.phases import phase_colours
from napari_diffraction.analysis.indexed.picture import indexed_figure, phase_picture
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR


def test_the_phases_have_their_colours(make_indexed):
    done = np.ones(48, bool)
    done[-1] = False
    indexed = make_indexed(done=done)
    picture = phase_picture(indexed)
    colours = phase_colours(indexed)
    assert len(set(colours)) == 3
    assert picture[0, 0] == pytest.approx(to_rgb(NOT_INDEXED_COLOUR))
    assert picture[1, 1] == pytest.approx(to_rgb(colours[0]))
    assert picture[2, 1] == pytest.approx(to_rgb(colours[2]))
    assert picture[-1, -1].tolist() == [1, 1, 1]


def test_the_figure_tells_phases_cells_keys_and_scale(indexed):
    figure = indexed_figure(indexed)
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "43.8%  phase 1, cF\na = 3.520(10) A"
    assert texts[-1] == "2.1%  not indexed"
    labels = [axes.get_label() for axes in figure.axes]
    assert labels[2:] == ["key m-3m", "key 6/mmm", "key 2/m", "misfit"]
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "0.5 µm" in said
    assert {"[001]", "[101]", "[111]", "[10-10]"} <= set(said)


def test_the_picture_says_where_it_comes_from(indexed, tmp_path):
    picture = Image.open(export_indexed(indexed, tmp_path / "map.png"))
    assert json.loads(picture.info["Comment"])["pattern_centre_from"] == "found"
    assert picture.width > picture.height > 300


def test_a_line_scan_is_drawn_too(make_indexed, tmp_path):
    line = make_indexed(shape=(1, 48), step=None)
    assert export_indexed(line, tmp_path / "line.png").stat().st_size
