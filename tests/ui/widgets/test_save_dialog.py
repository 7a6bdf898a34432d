from pathlib import Path

import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_diffraction.ui.widgets.save_dialog import ask_where

FILTERS = "Table (*.csv);;HDF5 (*.h5 *.nxs)"


@pytest.fixture
def ask(qtbot, monkeypatch, tmp_path):
    """Return what asks a hand that types names, chooses a kind, and answers the questions."""
    parent = QWidget()
    qtbot.addWidget(parent)

    def asked(*names, chosen="Table (*.csv)", answers=(), name="run", filters=FILTERS, known=()):
        typed, said, seen = list(names), list(answers), []

        def dialog(parent, title, suggested, filters):
            seen.append(suggested)
            name = typed.pop(0)
            return (str(tmp_path / name) if name else "", chosen)

        def question(parent, title, text, *_):
            seen.append(text)
            return said.pop(0)

        monkeypatch.setattr(QFileDialog, "getSaveFileName", dialog)
        monkeypatch.setattr(QMessageBox, "question", question)
        found = ask_where(parent, "Save", tmp_path, name, filters, known)
        assert not typed
        assert not said
        return found, seen

    return asked


def test_a_file_that_the_suffix_leads_to_is_not_replaced_unasked(ask, tmp_path):
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    (tmp_path / "run42.csv").touch()
    assert ask("run42", answers=[yes])[0] == tmp_path / "run42.csv"
    found, seen = ask("run42", "other", answers=[no])
    assert found == tmp_path / "other.csv"
    assert seen[1] == "run42.csv is there already. Replace it?"
    assert Path(seen[2]).name == "run42.csv"  # the name is there to be changed
    assert ask("run42", "", answers=[no])[0] is None
    assert ask("run42.csv")[0] == tmp_path / "run42.csv"  # for which the dialog has asked


@pytest.mark.parametrize(
    ("typed", "chosen", "known", "written"),
    [
        ("zones.v2", "HDF5 (*.h5 *.nxs)", (), "zones.v2.h5"),
        ("zones.v2", "", (), "zones.v2.csv"),
        ("a.NXS", "HDF5 (*.h5 *.nxs)", (".nxs",), "a.NXS"),
        ("a.CSV", "Table (*.csv)", (), "a.CSV"),
        ("a", "HDF5 (*.h5 *.nxs)", (".csv",), "a.h5"),
    ],
)
def test_a_name_gets_the_suffix_of_its_kind(ask, tmp_path, typed, chosen, known, written):
    assert ask(typed, chosen=chosen, known=known)[0] == tmp_path / written


def test_a_folder_has_the_name_that_was_typed(ask, tmp_path):
    (tmp_path / "run.42").mkdir()
    assert ask("run.42", chosen="", filters="")[0] == tmp_path / "run.42"


def test_a_name_that_is_suggested_can_be_one(ask, tmp_path):
    _, seen = ask("", name="a/b-<110> Å.csv")
    assert Path(seen[0]) == tmp_path / "a_b-_110_ Å.csv"
