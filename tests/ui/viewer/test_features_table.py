"""What is written into napari's own table of features."""

import pandas as pd
import pytest
from napari.components import ViewerModel
from napari_builtins._qt.features_table import FeaturesTable

from napari_diffraction.ui.viewer.features_table import show_row

pytestmark = pytest.mark.gui


def rows(label):
    return pd.DataFrame({"label": [label] * 4, "reviewed": [False] * 4})


def test_a_row_is_written_only_where_its_own_layer_is_shown(qtbot):
    """Stacks of equal length have tables that look alike, and a table writes into its layer."""
    viewer = ViewerModel()
    points = [[0, 0]] * 4
    first, second = (viewer.add_points(points, features=rows(name)) for name in ("Laue", "NoHit"))
    table = FeaturesTable(viewer)
    qtbot.addWidget(table)
    viewer.layers.selection.active = second
    first.features.loc[2, "label"] = "2DZone"
    show_row(first, 2)
    assert table.table.model().sourceModel().df["label"].tolist() == ["NoHit"] * 4
    assert second.features["label"].tolist() == ["NoHit"] * 4
    viewer.layers.selection.active = first
    first.features.loc[3, "label"] = "2DZone"
    show_row(first, 3)
    shown = table.table.model().sourceModel().df["label"].tolist()
    assert shown == ["Laue", "Laue", "2DZone", "2DZone"]
