"""What an evaluation found: figures, confusion matrix, classes, and a threshold to choose."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from qtpy.QtCore import QLocale, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.learning.evaluation.report_page import FIGURES, comparison_table, number
from napari_diffraction.learning.evaluation.result import Evaluation
from napari_diffraction.learning.metrics import wilson_interval
from napari_diffraction.ui.evaluate.matrix import MatrixBox, compact
from napari_diffraction.ui.evaluate.unit_chart import Curve, UnitChart
from napari_diffraction.ui.widgets.panel import button, form, group, named, sentence
from napari_diffraction.ui.widgets.tooltips import EVALUATE
from napari_diffraction.ui.widgets.wording import counted

_CHARTS = ("what a threshold keeps", "reliability of the confidence")
_KEPT, _RIGHT = "#56B4E9", "#009E73"


class EvaluationBox(QWidget):
    """Shows evaluations, of one model or several on the same patterns; hidden without any.

    Signals
    -------
    opened(object, str)
        Patterns to be shown: their numbers, and what they are.
    threshold_chosen(float)
        The confidence threshold that a person wants to use.
    """

    opened = Signal(object, str)
    all_wanted = Signal()
    threshold_chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._evaluations: Sequence[Evaluation] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self._build_figures(), self._build_matrix(), self._build_confidence()):
            layout.addWidget(part)
        self.setVisible(False)
        self.model.currentIndexChanged.connect(self._show)

    # -- the parts ------------------------------------------------------------------------------
    def _build_figures(self) -> QWidget:
        box, column = group("Result")
        self.model = named(QComboBox(), "Model on show", EVALUATE["shown"])
        self.notes, self.figures = sentence(), sentence()
        self.figures.setTextFormat(Qt.TextFormat.RichText)
        self.comparison = sentence()
        self.comparison.setTextFormat(Qt.TextFormat.RichText)
        self.comparison.setToolTip(EVALUATE["comparison"])
        self.classes = named(QTableWidget(), "Classes", EVALUATE["classes"])
        self.classes.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for part in (self.comparison, self.model, self.notes, self.figures, self.classes):
            column.addWidget(part)
        return box

    def _build_matrix(self) -> QWidget:
        box, column = group("Confusion matrix")
        self.matrix = MatrixBox()
        self.matrix.opened.connect(self._open_cell)
        self.worst_button = button("Wrong ones", EVALUATE["worst"], self._open_worst)
        self.least_button = button("Least certain", EVALUATE["least"], self._open_least)
        self.all_button = button("All", EVALUATE["all"], self.all_wanted.emit)
        row = QHBoxLayout()
        for part in (self.worst_button, self.least_button, self.all_button):
            row.addWidget(part)
        column.addWidget(self.matrix)
        column.addLayout(row)
        return box

    def _build_confidence(self) -> QWidget:
        box, column = group("Confidence")
        self.chart_kind = named(QComboBox(), "Chart", EVALUATE["chart_kind"])
        self.chart_kind.addItems(_CHARTS)
        self.chart = named(UnitChart(), "Chart", EVALUATE["chart"])
        self.threshold = named(QDoubleSpinBox(), "Confidence threshold", EVALUATE["threshold"])
        self.threshold.setLocale(QLocale.c())
        self.threshold.setRange(0, 1)
        self.threshold.setDecimals(3)
        self.threshold.setSingleStep(0.01)
        self.kept = sentence()
        self.use_button = button("Use this threshold", EVALUATE["use"], self._use)
        fields = form()
        fields.addRow("Threshold", self.threshold)
        column.addWidget(self.chart_kind)
        column.addWidget(self.chart)
        column.addLayout(fields)
        column.addWidget(self.kept)
        column.addWidget(self.use_button)
        self.chart.chosen.connect(self.threshold.setValue)
        self.chart_kind.currentIndexChanged.connect(self._show_chart)
        self.threshold.valueChanged.connect(self._show_threshold)
        return box

    # -- what is shown --------------------------------------------------------------------------
    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation on show."""
        if not self._evaluations:
            return None
        return self._evaluations[max(0, self.model.currentIndex())]

    def show_evaluations(
        self,
        evaluations: Sequence[Evaluation],
        comparison: pd.DataFrame | None,
        threshold: float,
    ) -> None:
        """Show other evaluations, or none, and begin with a threshold."""
        self._evaluations = tuple(evaluations)
        self.setVisible(bool(evaluations))
        self.model.blockSignals(True)
        self.model.clear()
        self.model.addItems([evaluation.name for evaluation in evaluations])
        self.model.blockSignals(False)
        self.model.setVisible(len(evaluations) > 1)
        self.comparison.setVisible(comparison is not None)
        if comparison is not None:
            self.comparison.setText(_comparison_text(comparison))
        self.threshold.setValue(threshold)
        self._show()

    def _show(self) -> None:
        evaluation = self.evaluation
        if evaluation is None:
            return
        self.notes.setText("\n".join(evaluation.notes))
        self.figures.setText(_figures_text(evaluation))
        self._show_classes(evaluation)
        self.matrix.show_matrix(evaluation.confusion)
        wrong = int((~evaluation.table["correct"]).sum())
        self.worst_button.setText(f"Wrong ones ({wrong:,})")
        self.worst_button.setEnabled(wrong > 0)
        self._show_chart()

    def _show_classes(self, evaluation: Evaluation) -> None:
        rows, table = evaluation.per_class, self.classes
        columns = {"precision": "precision", "recall": "recall", "f1": "F1"}
        table.setRowCount(len(rows))
        table.setColumnCount(len(columns))
        table.setHorizontalHeaderLabels(list(columns.values()))
        table.setVerticalHeaderLabels([str(name) for name in rows.index])
        for place, (name, row) in enumerate(rows.iterrows()):
            told = f"{name}: {counted(int(row['support']), 'patterns')}"
            table.verticalHeaderItem(place).setToolTip(told)
            for column, figure in enumerate(columns):
                item = QTableWidgetItem(number(row[figure]))
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setToolTip(
                    f"95 %: {number(row[f'{figure}_low'])} to {number(row[f'{figure}_high'])}"
                )
                table.setItem(place, column, item)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        compact(table)

    def _show_chart(self) -> None:
        evaluation = self.evaluation
        if evaluation is None:
            return
        by_threshold = self.chart_kind.currentIndex() == 0
        curves = _coverage(evaluation) if by_threshold else _reliability(evaluation)
        self.chart.show_curves(curves, "threshold" if by_threshold else "confidence")
        self._show_threshold()

    def _show_threshold(self) -> None:
        evaluation, threshold = self.evaluation, self.threshold.value()
        by_threshold = self.chart_kind.currentIndex() == 0
        self.chart.mark(threshold if by_threshold else None)
        if evaluation is not None:
            self.kept.setText(_kept_text(evaluation, threshold))

    # -- what a person asks for -----------------------------------------------------------------
    def _open_cell(self, truth: str, label: str) -> None:
        assert self.evaluation is not None
        title = truth if truth == label else f"{truth} called {label}"
        self.opened.emit(self.evaluation.cell(truth, label), title)

    def _open_worst(self) -> None:
        assert self.evaluation is not None
        self.opened.emit(self.evaluation.worst(), "wrong ones")

    def _open_least(self) -> None:
        assert self.evaluation is not None
        self.opened.emit(self.evaluation.least_certain(), "least certain")

    def _use(self) -> None:
        self.threshold_chosen.emit(self.threshold.value())


def _coverage(evaluation: Evaluation) -> list[Curve]:
    """Return share kept and share right by threshold, from 0 to 1."""
    curve = evaluation.coverage.iloc[::-1]
    thresholds = curve["threshold"].to_numpy()
    # Below the least confidence all is kept.
    ends = {"coverage": curve["coverage"].iloc[0], "accuracy": curve["accuracy"].iloc[0]}
    x = np.concatenate([[0.0], thresholds])
    return [
        Curve(name, colour, x, np.concatenate([[ends[column]], curve[column].to_numpy()]))
        for name, colour, column in (
            ("kept", _KEPT, "coverage"),
            ("right of these", _RIGHT, "accuracy"),
        )
    ]


def _reliability(evaluation: Evaluation) -> list[Curve]:
    curve = evaluation.reliability
    curve = curve[curve["patterns"] > 0]
    low, high = wilson_interval(curve["accuracy"], curve["patterns"])
    diagonal = np.array([0.0, 1.0])
    x, y = curve["confidence"].to_numpy(), curve["accuracy"].to_numpy()
    return [
        Curve("perfect", "", diagonal, diagonal),
        Curve("share that is right", _RIGHT, x, y, low, high, dots=True),
    ]


def _kept_text(evaluation: Evaluation, threshold: float) -> str:
    kept = evaluation.table["confidence"] >= threshold
    if not kept.any():
        return f"No pattern has a confidence of {threshold:.3f} or more."
    right = int(evaluation.table.loc[kept, "correct"].sum())
    low, high = (float(end) for end in wilson_interval(right / kept.sum(), kept.sum()))
    return (
        f"Keeps {int(kept.sum()):,} of {counted(len(kept), 'patterns')} ({kept.mean():.1%}); "
        f"of these {right / kept.sum():.1%} are right (95 %: {low:.1%} to {high:.1%})."
    )


def _figures_text(evaluation: Evaluation) -> str:
    rows = []
    for name, title in FIGURES.items():
        low, high = evaluation.summary[f"{name}_95"]
        rows.append(
            f"<tr><td>{title}&nbsp;</td><td><b>{number(evaluation.summary[name])}</b>&nbsp;</td>"
            f"<td>{number(low)} to {number(high)}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _comparison_text(comparison: pd.DataFrame) -> str:
    shown = comparison_table(comparison)[
        ["Balanced accuracy", "Difference in balanced accuracy", "McNemar's p"]
    ]
    lines = []
    for name, row in shown.iterrows():
        balanced, difference, p = row
        text = f"<b>{escape(str(name))}</b>: balanced accuracy {balanced}"
        if difference:
            text += f"; difference {difference}, McNemar's p = {p}"
        lines.append(text)
    return "<br>".join(lines)
