import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.ground_truth import label_column, truth_of
from napari_diffraction.patterns.stack import PatternStack


def stack(*sources: str) -> PatternStack:
    return PatternStack(da.zeros((4, 8, 8)), "run", sources=sources)


def test_the_column_that_speaks_of_the_models_classes_is_taken() -> None:
    table = pd.DataFrame(
        {"label": ["hP", "tP"] * 2, "structure": ["quartz", "rutile"] * 2, "index": range(4)}
    )
    lattices = truth_of(table, stack(), ("hP", "tP", "cF"))
    assert lattices.labels.tolist() == ["hP", "tP"] * 2
    assert lattices.notes == ()
    phases = truth_of(table, stack(), ("quartz", "rutile"))
    assert phases.labels.tolist() == ["quartz", "rutile"] * 2
    assert phases.notes == ("The labels are those of the column structure.",)
    assert phases.grouped_by == "crystal structure"
    assert label_column(table, ("none", "of these")) == "label"
    assert label_column(table[["index"]], ()) == ""


def test_what_a_person_said_counts_more_than_what_the_model_said() -> None:
    table = pd.DataFrame({"label": ["a", "b", "a", "b"], "reviewed_label": ["", "a", None, "b"]})
    truth = truth_of(table, stack(), ("a", "b"))
    assert truth.labels.tolist() == ["", "a", "", "b"]
    assert "persons" in truth.notes[0]
    assert label_column(table.assign(reviewed_label=""), ("a",)) == "label"


def test_patterns_of_a_cell_or_of_a_file_belong_together() -> None:
    table = pd.DataFrame({"label": ["a", "b", "a", "b"]})
    assert truth_of(table, stack(), ("a",)).groups is None
    assert truth_of(table, stack("1.tif", "2.tif", "3.tif", "4.tif"), ("a",)).groups is None
    by_file = truth_of(table, stack("1.h5", "1.h5", "2.h5", "2.h5"), ("a",))
    assert by_file.grouped_by == "file"
    assert by_file.groups is not None
    assert len(np.unique(by_file.groups)) == 2
    by_cell = truth_of(table.assign(cell=[0, 0, 1, 2]), stack("1.h5"), ("a",))
    assert by_cell.grouped_by == "unit cell"
    assert by_cell.groups is not None
    assert by_cell.groups.tolist() == ["0", "0", "1", "2"]


def test_a_column_that_is_named_counts_before_all_others() -> None:
    table = pd.DataFrame({"reviewed_label": ["a"] * 4, "kind": ["c", "d", None, "c"]})
    truth = truth_of(table, stack(), ("a",), "kind")
    assert truth.labels.tolist() == ["c", "d", "", "c"]
    assert truth.notes == ("The labels are those of the column kind.",)


def test_a_label_that_may_be_none_is_said() -> None:
    table = pd.DataFrame({"label": ["a", "NA", "nan", float("nan")]})
    notes = truth_of(table, stack(), ("a", "b")).notes
    assert [note.split(" is taken for the name of a class")[0] for note in notes] == ["NA", "nan"]
    assert truth_of(table, stack(), ("a", "NA", "nan")).notes == ()


def test_a_table_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match="call one of index, kind label"):
        truth_of(pd.DataFrame({"index": range(4), "kind": "a"}), stack(), ("a",))
