"""Fields for the settings of a simulation, made from what their dataclasses say of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from qtpy.QtCore import QEvent, QLocale, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QSpinBox,
    QWidget,
)

_STEPS = 1000
#: Ranges that reach over more than this factor get a logarithmic or a steep slider.
_WIDE = 50.0


def unit_text(unit: str) -> str:
    """Return a unit as it is printed: "1/A" becomes "Å⁻¹"."""
    if unit == "deg":
        return "°"
    return unit.replace("1/A", "Å⁻¹").replace("A^2", "Å²").replace("A^3", "Å³").replace("A", "Å")


class NumberBox(QDoubleSpinBox):
    """A number with as many digits as it needs, a decimal point, and its unit."""

    def __init__(
        self, value: float, low: float, high: float, unit: str = "", tip: str = ""
    ) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setDecimals(7)
        self.setRange(low, high)
        self.setValue(value)
        self.setSuffix(f" {unit_text(unit)}" if unit and unit != "deg" else unit_text(unit))
        self.setToolTip(tip)
        # A value counts once it is typed to its end, not after each key.
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        # napari leaves room for buttons that are not there.
        self.setStyleSheet("min-width: 44px; padding: 1px 2px 1px 6px;")
        leave_the_wheel(self)

    def textFromValue(self, value: float) -> str:
        """Return a number without needless zeros."""
        return f"{value:.7g}"


class WholeBox(QSpinBox):
    """A whole number."""

    def __init__(self, value: int, low: int, high: int, unit: str = "", tip: str = "") -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setRange(low, high)
        self.setValue(value)
        self.setSuffix(f" {unit}" if unit else "")
        self.setToolTip(tip)
        self.setKeyboardTracking(False)
        leave_the_wheel(self)


class _NoWheel(QObject):
    """Leaves the mouse wheel to the panel, so that scrolling over a field does not change it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def leave_the_wheel(widget: QWidget) -> None:
    """Let a field answer to the mouse wheel only after it was clicked on."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_NoWheel(widget))


class NumberField(QWidget):
    """A number with a slider; wide ranges are spread so that small values can be set."""

    changed = Signal()

    def __init__(self, value: float, low: float, high: float, unit: str, tip: str) -> None:
        super().__init__()
        self._low, self._high = low, high
        self.box = NumberBox(value, low, high, unit, tip)
        # In the style, which overrules setFixedWidth in napari.
        self.box.setStyleSheet("min-width: 88px; max-width: 88px; padding: 1px 0 1px 6px;")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip(tip)
        self.slider.setMinimumWidth(40)
        leave_the_wheel(self.slider)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.box)
        self._place_slider()
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)

    def value(self) -> float:
        """Return the number."""
        return float(self.box.value())

    def set_value(self, value: float) -> None:
        """Show a number without a signal."""
        with QSignalBlocker(self.box):
            self.box.setValue(value)
        self._place_slider()

    def _on_slider(self, step: int) -> None:
        with QSignalBlocker(self.box):
            self.box.setValue(self._at(step / _STEPS))
        self.changed.emit()

    def _on_box(self, value: float) -> None:
        self._place_slider()
        self.changed.emit()

    def _place_slider(self) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(_STEPS * self._share(self.box.value())))

    def _at(self, share: float) -> float:
        """Return the number at a share of the slider, to three digits."""
        if share in (0, 1):
            return self._high if share else self._low
        if self._low > 0 and self._high / self._low > _WIDE:
            value = self._low * (self._high / self._low) ** share
        elif self._low == 0 and self._high > _WIDE:
            value = self._high * share**4
        else:
            value = self._low + (self._high - self._low) * share
        return float(f"{value:.3g}")

    def _share(self, value: float) -> float:
        """Return the share of the slider at which a number lies."""
        if self._low > 0 and self._high / self._low > _WIDE:
            return math.log(value / self._low) / math.log(self._high / self._low)
        if self._low == 0 and self._high > _WIDE:
            return (value / self._high) ** 0.25
        return (value - self._low) / (self._high - self._low)


class ChoiceField(QComboBox):
    """One of several words."""

    changed = Signal()

    def __init__(self, value: str, choices: tuple[str, ...], tip: str) -> None:
        super().__init__()
        self.addItems(choices)
        self.setToolTip(tip)
        leave_the_wheel(self)
        self.set_value(value)
        self.currentIndexChanged.connect(lambda _: self.changed.emit())

    def value(self) -> str:
        """Return the chosen word."""
        return self.currentText()

    def set_value(self, value: str) -> None:
        """Show a choice without a signal."""
        with QSignalBlocker(self):
            self.setCurrentText(value)


class SwitchField(QCheckBox):
    """On or off."""

    changed = Signal()

    def __init__(self, value: bool, tip: str) -> None:
        super().__init__()
        self.setToolTip(tip)
        self.set_value(value)
        self.toggled.connect(lambda _: self.changed.emit())

    def value(self) -> bool:
        """Return whether it is on."""
        return self.isChecked()

    def set_value(self, value: bool) -> None:
        """Switch without a signal."""
        with QSignalBlocker(self):
            self.setChecked(value)


Field = NumberField | ChoiceField | SwitchField


def field_for(item: dataclasses.Field[Any]) -> Field:
    """Make the field for a setting from the metadata of its dataclass field."""
    meta = item.metadata
    if isinstance(item.default, bool):
        return SwitchField(item.default, meta["tip"])
    if "choices" in meta:
        return ChoiceField(item.default, tuple(meta["choices"]), meta["tip"])
    low, high = meta["range"]
    return NumberField(item.default, low, high, meta["unit"], meta["tip"])
