import json
import os

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.analysis.maps.compare import compare
from napari_diffraction.analysis.maps.export import WRITERS, export_map
from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED, PhaseMap
from napari_diffraction.analysis.maps.picture import map_colours, map_figure, round_length
from napari_diffraction.analysis.maps.regions import vote
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.files import read_map


@pytest.fixture
def made(make_map, truth):
    """A map with a row below the threshold of one half."""
    confidence = np.full(truth.shape, 0.9)
    confidence[5] = 0.3
    return make_map(confidence.ravel())


@pytest.fixture
def expected(truth):
    """What other programs should read: no phase where there is no pattern or no certainty."""
    names = truth.copy()
    names[0, 0] = names[5] = "not_indexed"
    return names


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".ang", ".ctf"])
def test_orix_reads_the_map_back(made, expected, truth, tmp_path, suffix):
    orix = pytest.importorskip("orix.io", reason="orix is not installed")
    path = export_map(made, tmp_path / f"map{suffix}")
    read = orix.load(path)
    assert read.shape == truth.shape
    assert read.scan_unit == "um"
    assert (read.dy, read.dx) == pytest.approx((0.5, 0.25))
    names = dict(zip(read.phases.ids, read.phases.names, strict=True)) | {-1: "not_indexed"}
    found = np.array([names[int(i)] for i in read.phase_id], dtype=object).reshape(truth.shape)
    assert (found == expected).all()
    groups = {phase.name: phase.point_group.name for _, phase in read.phases if phase.point_group}
    # .ang knows the rotations only.
    assert (groups["cF"], groups["hP"]) in [("m-3m", "6/mmm"), ("432", "622")]
    if suffix == ".h5":
        assert read.prop["confidence"].reshape(truth.shape)[1, 1] == pytest.approx(0.9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".ctf"])
def test_named_phases_are_written_with_their_crystals(
    stack, my_phases, make_table, tmp_path, suffix
):
    orix = pytest.importorskip("orix.io", reason="orix is not installed")
    names = np.full((6, 8), "quartz", object)
    names[:, 4], names[:, 6] = "rutile", "NoneOfThese"
    made = PhaseMap.from_classification(make_table(names, my_phases.classes), stack, my_phases)
    read = orix.load(export_map(made, tmp_path / f"map{suffix}"))
    quartz, rutile = read.phases["quartz"], read.phases["rutile"]
    assert quartz.structure.lattice.abcABG() == pytest.approx((4.91, 4.91, 5.41, 90, 90, 120), 0.01)
    assert rutile.space_group.number == 136
    assert (read.phase_id.reshape(6, 8)[:, 6] == -1).all()


@pytest.mark.parametrize("suffix", [".h5", ".ang", ".ctf"])
def test_a_written_map_can_be_compared_with(made, tmp_path, suffix):
    again = read_map(export_map(made, tmp_path / f"map{suffix}"))
    assert again.step == pytest.approx((0.5, 0.25))
    result = compare(made, again)
    assert result.agreement == 1
    assert result.points == 39  # all but the row below the threshold and the point without pattern
    assert set(result.matched.values()) == {"cF", "hP"}


def test_every_file_says_where_it_comes_from(made, tmp_path):
    for suffix in WRITERS:
        path = export_map(made, tmp_path / f"map{suffix}")
        if suffix in (".h5", ".hdf5"):
            with h5py.File(path) as file:
                text = file.attrs["provenance"]
        elif suffix == ".png":
            text = Image.open(path).info["Comment"]
        elif suffix == ".ang":
            lines = path.read_text().splitlines()
            text = next(line for line in lines if "PROVENANCE" in line).partition(": ")[2]
        else:
            text = (tmp_path / f"map{suffix}.json").read_text()
        facts = json.loads(text)
        assert facts["model"] == "bravais"
        assert facts["threshold"] == 0.5
        assert facts["software"].startswith("napari-diffraction ")
    assert not list(tmp_path.glob("*.part*"))


def test_the_h5_keeps_the_probabilities_and_both_maps(made, tmp_path):
    voted = vote(made, np.zeros(48, np.int32))
    with h5py.File(export_map(voted, tmp_path / "map.h5")) as file:
        ours = file["napari_diffraction"]
        assert np.array_equal(ours["pattern_probabilities"][()].reshape(48, -1), made.probabilities)
        assert ours["probabilities"].shape == (6, 8, 15)
        assert ours["regions"].shape == (6, 8)


def test_the_table_has_a_row_for_each_point_looked_at(made, tmp_path, truth):
    made.done[40:] = False
    voted = vote(made, np.zeros(48, np.int32))
    table = pd.read_csv(export_map(voted, tmp_path / "map.csv"))
    assert len(table) == 40
    assert table["pattern_label"].tolist() == truth.ravel()[:40].tolist()
    assert set(table["label"]) == {"cF"}
    assert table.loc[9, ["row", "column", "x", "y"]].tolist() == [1, 1, 0.25, 0.5]
    alone = pd.read_csv(export_map(made.unvoted(), tmp_path / "single.csv"))
    assert "region" not in alone
    assert (alone["phase"] == NOT_INDEXED).sum() == 0


def test_names_of_files_that_are_not_in_utf_8_are_shown(made, tmp_path):
    made.name = os.fsdecode(b"m\xfcn")
    made.sources = (f"{made.name}.h5",)
    for suffix in WRITERS:
        export_map(made, tmp_path / f"map{suffix}")
    assert set(pd.read_csv(tmp_path / "map.csv")["source"]) == {r"m\udcfcn.h5"}
    assert r"m\udcfcn" in (tmp_path / "map.ang").read_text(encoding="utf-8")


def test_a_map_without_any_phase_is_written_too(make_map, tmp_path):
    nothing = make_map(0.1)
    for suffix in WRITERS:
        assert export_map(nothing, tmp_path / f"map{suffix}").stat().st_size


def test_the_picture_shows_colours_shares_and_a_round_scale(made, tmp_path):
    figure = map_figure(made)
    (legend,) = [axes.get_legend() for axes in figure.axes]
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "50.0%  cF  face-centred cubic"
    assert texts[-1] == "16.7%  not indexed"
    (scale,) = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert scale == "0.5 µm"
    picture = np.asarray(Image.open(export_map(made, tmp_path / "map.png")).convert("RGB"))
    colours = np.rint(255 * map_colours(made)).astype(int)
    areas = [
        (picture == colours[made.classes.index(name) + 1]).all(axis=-1).sum()
        for name in ("cF", "hP")
    ]
    assert areas[0] / areas[1] == pytest.approx(24 / 15, rel=0.1)


@pytest.mark.parametrize(
    ("length", "rounded"), [(0.26, 0.2), (1.0, 1.0), (0.099, 0.05), (7.4, 5), (250, 200)]
)
def test_scale_bars_are_round(length, rounded):
    assert round_length(length) == pytest.approx(rounded)


def test_other_endings_are_refused(made, tmp_path):
    with pytest.raises(InputError, match=r"end in \.h5"):
        export_map(made, tmp_path / "map.xyz")
    with pytest.raises(InputError, match="folder does not exist"):
        export_map(made, tmp_path / "nowhere" / "map.ang")
