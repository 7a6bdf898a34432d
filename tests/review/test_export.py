import errno
import json
import os

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.learning.evaluation.data import open_judged
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
from napari_diffraction.progress import finish
from napari_diffraction.review import export
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.selection import choose
from napari_diffraction.review.session import ReviewSession

N = 6
FRAMES = np.random.default_rng(0).integers(0, 60_000, (N, 8, 10), dtype=np.uint16)


def make_stack(**facts):
    facts = {"sources": ("/data/run.h5",), "dataset": "/entry/data"} | facts
    frames = facts.pop("frames", FRAMES)
    return PatternStack(
        da.from_array(frames, chunks=(1, *frames.shape[1:])),
        "run",
        geometry=SpotGeometry(0.0251, 0.004, (4.5, 3.5)),
        **facts,
    )


@pytest.fixture
def stack():
    return make_stack()


@pytest.fixture
def session():
    rows = pd.DataFrame(
        {"index": range(N), "source": "/data/run.h5", "label": [ZONE, LAUE] * 3}
    ).assign(confidence=[0.9, 0.5, 0.8, 0.99, 0.95, 0.4])
    for name in ZONE_CLASSES:
        rows[f"p_{name}"] = np.where(rows["label"] == name, rows["confidence"], 0.0)
    about = {"model": "zones", "model_sha256": "ab12", "settings": {"batch_size": 64}}
    session = ReviewSession(rows, "k", person="ann", about=about)
    session.decide(1, ZONE)
    session.decide(2, NO_HIT)
    return session


def test_table_as_csv(session, tmp_path):
    path = tmp_path / "out.csv"
    assert finish(export.export_table(session, path)) == path
    out = pd.read_csv(path, keep_default_na=False)
    assert list(out.columns[:4]) == ["index", "source", "label", "confidence"]
    assert list(out.columns[-5:]) == ["reviewed_label", "reviewer", "time", "said_label", "said_by"]
    assert out["label"].tolist() == [ZONE, ZONE, NO_HIT, LAUE, ZONE, LAUE]
    assert out["reviewer"].tolist() == ["", "ann", "ann", "", "", ""]
    facts = json.loads((tmp_path / "out.csv.json").read_text())
    assert facts["model_sha256"] == "ab12"
    assert facts["reviewers"] == ["ann"]
    assert facts["software"].startswith("napari-diffraction ")


def test_patterns_as_hdf5(session, stack, tmp_path):
    path = tmp_path / "zones.h5"
    indices = session.patterns_of(ZONE)
    assert list(indices) == [4, 0, 1]
    steps = list(export.export_patterns(session, stack, indices, path))
    assert [step.done for step in steps] == [1, 2, 3]
    with h5py.File(path) as file:
        data = file["entry/data/data"]
        np.testing.assert_array_equal(data[:], FRAMES[[4, 0, 1]])
        assert data.chunks == (1, 8, 10)
        assert data.dtype == np.uint16
        assert file["entry/labels/index"][:].tolist() == [0, 1, 2]
        assert file["entry/labels/stack_index"][:].tolist() == [4, 0, 1]
        assert file["entry/labels/label"].asstr()[:].tolist() == [ZONE] * 3
        assert file["entry/labels/reviewed_label"].asstr()[:].tolist() == ["", "", ZONE]
        assert file["entry/labels/p_2DZone"][0] == 0.95
        attributes = dict(file.attrs)
    assert attributes["wavelength"] == 0.0251
    assert attributes["pixel_size"] == 0.004
    assert (attributes["centre_x"], attributes["centre_y"]) == (4.5, 3.5)
    assert json.loads(attributes["provenance"])["model"] == "zones"
    assert [p.name for p in tmp_path.iterdir()] == ["zones.h5"]


def test_patterns_as_tiff(session, stack, tmp_path):
    path = tmp_path / "zones.tif"
    finish(export.export_patterns(session, stack, [4, 0], path))
    np.testing.assert_array_equal(tifffile.imread(path), FRAMES[[4, 0]])
    rows = pd.read_csv(tmp_path / "zones.tif.csv")
    assert rows["index"].tolist() == [0, 1]
    assert rows["stack_index"].tolist() == [4, 0]
    facts = json.loads((tmp_path / "zones.tif.json").read_text())
    assert facts["geometry"]["pixel_size"] == 0.004
    assert facts["chosen"] == 2
    assert open_stack(path).geometry == stack.geometry  # read back from beside the file


@pytest.mark.parametrize("name", ["out.h5", "out.tif"])
@pytest.mark.parametrize("indices", [[1, 0, 2, 3], [5, 4, 3]])
def test_exported_patterns_are_read_with_their_own_labels(stack, tmp_path, name, indices):
    said = np.array(["A", "B", "A", "C", "B", "NA"])
    rows = pd.DataFrame({"index": range(N), "source": "", "label": said, "confidence": 0.9})
    path = tmp_path / name
    finish(export.export_patterns(ReviewSession(rows), stack, indices, path))
    judged, labels = open_judged(str(path))
    np.testing.assert_array_equal([judged.frame(k) for k in range(len(judged))], FRAMES[indices])
    assert labels["label"].tolist() == said[indices].tolist()
    assert labels["stack_index"].tolist() == indices


@pytest.mark.parametrize("indices", [[1, 0, 2, 3], [5, 4, 3]])
def test_exports_of_older_versions_are_read_by_their_rows(session, stack, tmp_path, indices):
    names = np.array([ZONE, ZONE, NO_HIT, LAUE, ZONE, LAUE])[indices].tolist()
    hdf5, tiff = tmp_path / "out.h5", tmp_path / "out.tif"
    for path in (hdf5, tiff):
        finish(export.export_patterns(session, stack, indices, path))
    with h5py.File(hdf5, "a") as file:
        labels = file["entry/labels"]
        labels["index"][:] = labels["stack_index"][:]
        del labels["stack_index"]
    beside = tmp_path / "out.tif.csv"
    rows = pd.read_csv(beside).drop(columns="index").rename(columns={"stack_index": "index"})
    rows.to_csv(beside, index=False)
    for path in (hdf5, tiff):
        assert open_judged(str(path))[1]["label"].tolist() == names


def test_black_and_white_patterns_as_tiff(session, tmp_path):
    path = tmp_path / "bands.tif"
    frames = FRAMES > 30_000
    finish(export.export_patterns(session, make_stack(frames=frames), [0, 3, 2], path))
    back = open_stack(path)
    assert len(back) == 3
    np.testing.assert_array_equal(back.data.compute(), frames[[0, 3, 2]])


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"geometry": 3}', '{"geometry": {"pixel_size": "x"}}']
)
def test_a_json_of_another_program_beside_a_tiff_is_no_calibration(tmp_path, text):
    tifffile.imwrite(tmp_path / "a.tif", FRAMES)
    (tmp_path / "a.tif.json").write_text(text)
    assert open_stack(tmp_path / "a.tif").geometry.numbers() == {}


@pytest.mark.parametrize("suffix", [".h5", ".tif"])
def test_an_unreadable_pattern_is_left_out(session, tmp_path, suffix):
    def read(index):
        if index == 0:
            raise InputError("run.h5: pattern 0 is damaged.")
        return FRAMES[index]

    path = tmp_path / f"out{suffix}"
    finish(export.export_patterns(session, make_stack(read=read), [4, 0, 1], path))
    if suffix == ".h5":
        with h5py.File(path) as file:
            images = file["entry/data/data"][:]
            facts = json.loads(file.attrs["provenance"])
    else:
        images = tifffile.imread(path)
        facts = json.loads((tmp_path / "out.tif.json").read_text())
    np.testing.assert_array_equal(images, FRAMES[[4, 1]])
    assert facts["left_out"] == [0]


@pytest.mark.parametrize("suffix", [".h5", ".tif"])
def test_patterns_none_of_which_can_be_read_are_refused(session, tmp_path, suffix):
    def read(index):
        raise InputError(f"run.h5: pattern {index} is damaged.")

    path = tmp_path / f"out{suffix}"
    with pytest.raises(InputError, match="None of the chosen patterns can be read"):
        finish(export.export_patterns(session, make_stack(read=read), [0, 1], path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, ["/data/run.h5 //1", "/data/run.h5 //4"]),
        (
            {"sources": tuple(f"/data/{i}.tif" for i in range(N)), "dataset": None},
            ["/data/1.tif", "/data/4.tif"],
        ),
        (
            {"sources": ("/a.h5",) * 3 + ("/b.h5",) * 3, "events": (0, 1, 2) * 2},
            ["/a.h5 //1", "/b.h5 //1"],
        ),
        (
            {"frames": FRAMES.reshape(2, 3, 8, 10)},
            ["/data/run.h5 //0/1", "/data/run.h5 //1/1"],
        ),
    ],
    ids=["one file", "a file each", "several files", "a scan"],
)
def test_crystfel_list(session, tmp_path, facts, lines):
    path = tmp_path / "zones.lst"
    stack = make_stack(**facts)
    finish(export.export_crystfel(session, stack, [4, 1], path))
    assert path.read_text().splitlines() == lines
    # Patterns that were chosen before are the same ones in the file.
    chosen = choose(choose(stack, [5, 1, 4], "some"), [1, 2], "fewer")
    assert [export.crystfel_name(chosen, i) for i in range(2)] == lines
    assert json.loads((tmp_path / "zones.lst.json").read_text())["model"] == "zones"


def test_crystfel_needs_files(session, tmp_path):
    with pytest.raises(InputError, match="export the patterns as HDF5"):
        finish(export.export_crystfel(session, make_stack(sources=()), [1], tmp_path / "z.lst"))


def test_other_kinds_of_file_and_empty_choices_are_refused(session, stack, tmp_path):
    with pytest.raises(InputError, match=r"\.h5 or \.tif"):
        finish(export.export_patterns(session, stack, [1], tmp_path / "zones.png"))
    with pytest.raises(InputError, match="No pattern is chosen"):
        finish(export.export_patterns(session, stack, [], tmp_path / "zones.h5"))


def all_exports(session, stack, folder):
    yield export.export_table(session, folder / "out.csv")
    yield export.export_crystfel(session, stack, [1], folder / "out.lst")
    yield export.export_patterns(session, stack, [1, 2], folder / "out.h5")
    yield export.export_patterns(session, stack, [1, 2], folder / "out.tif")


def test_a_missing_folder_is_said(session, stack, tmp_path):
    for work in all_exports(session, stack, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="the folder does not exist"):
            finish(work)


def test_no_permission_is_said(session, stack, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    for work in all_exports(session, stack, tmp_path):
        with pytest.raises(InputError, match="no permission"):
            finish(work)


def test_a_full_disk_leaves_the_old_file(session, stack, tmp_path, monkeypatch):
    old = tmp_path / "out.h5"
    old.write_text("old")
    hdf5_says = OSError(f"Can't write data (errno = {errno.ENOSPC}, error message = 'No space')")

    def full(*_):
        raise hdf5_says

    monkeypatch.setattr(h5py.Dataset, "__setitem__", full)
    with pytest.raises(InputError, match="disk is full"):
        finish(export.export_patterns(session, stack, [1], old))
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


def test_cancelling_leaves_nothing(session, stack, tmp_path):
    for work in all_exports(session, stack, tmp_path):
        next(work)
        work.close()
    assert list(tmp_path.iterdir()) == []


# -- the stack itself ---------------------------------------------------------------------------
def test_chosen_patterns_are_those_patterns(stack):
    chosen = choose(stack, [4, 0, 1], "run - 2DZone")
    np.testing.assert_array_equal(chosen.data.compute(), FRAMES[[4, 0, 1]])
    np.testing.assert_array_equal(chosen.data[1:, 2:4, ::2].compute(), FRAMES[[0, 1], 2:4, ::2])
    np.testing.assert_array_equal(chosen.frame(2), FRAMES[1])
    assert [chosen.event(i) for i in range(3)] == [4, 0, 1]
    assert chosen.source(1) == "/data/run.h5"
    assert chosen.geometry == stack.geometry


def test_choosing_reads_nothing():
    reads = []

    def read(index):
        reads.append(index)
        return FRAMES[index]

    chosen = choose(make_stack(read=read), range(N), "all")
    assert chosen.data.shape == FRAMES.shape
    assert reads == []
    chosen.data[3].compute()
    assert reads == [3]


def test_fingerprint_follows_the_file(tmp_path):
    file = tmp_path / "run.h5"
    file.write_bytes(b"one")
    key = stack_key(make_stack(sources=(str(file),)))
    assert key == stack_key(make_stack(sources=(str(file),)))
    assert key != stack_key(make_stack(sources=(str(file),), dataset="/other"))
    assert key != stack_key(make_stack(sources=(str(file),), frames=FRAMES[:3]))
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    assert key != stack_key(make_stack(sources=(str(file),)))


def test_fingerprint_of_data_without_a_file_follows_the_data():
    key = stack_key(make_stack(sources=()))
    assert key == stack_key(make_stack(sources=(), frames=FRAMES.copy()))
    assert key != stack_key(make_stack(sources=(), frames=FRAMES[::-1].copy()))


@pytest.mark.parametrize("classes", [("Fe/Ni", "Cu"), ("order", "order/disorder")])
def test_classes_with_a_slash_in_their_name_are_read_back(stack, tmp_path, classes):
    rows = pd.DataFrame({"index": range(N), "source": "/data/run.h5", "label": classes[1]})
    rows = rows.assign(confidence=0.5, **{f"p_{name}": 0.5 for name in classes})
    session = ReviewSession(rows, "k")
    session.decide(2, classes[0])
    path = tmp_path / "out.h5"
    finish(export.export_patterns(session, stack, [1, 2], path))
    _, labels = open_judged(str(path))
    assert labels["label"].tolist() == [classes[1], classes[0]]
    assert labels["stack_index"].tolist() == [1, 2]


def test_names_of_files_that_are_not_in_utf_8_are_written(session, tmp_path):
    name = os.fsdecode(b"/data/m\xfcnchen.h5")  # as it was written where names were in Latin-1
    stack = make_stack(sources=(name,))
    session.extend(session.said.assign(source=name))
    finish(export.export_crystfel(session, stack, [1], tmp_path / "out.lst"))
    assert (tmp_path / "out.lst").read_bytes() == os.fsencode(f"{name} //1\n")
    finish(export.export_table(session, tmp_path / "out.csv"))
    shown = r"/data/m\udcfcnchen.h5"
    assert set(pd.read_csv(tmp_path / "out.csv")["source"]) == {shown}
    for kind in ("h5", "tif"):
        path = tmp_path / f"out.{kind}"
        finish(export.export_patterns(session, stack, [1], path))
        assert len(open_judged(str(path))[1]) == 1
