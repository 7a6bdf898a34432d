"""What a network says of the pattern on view, all by itself, and what it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.ui.explain.heat_layer import HeatLayer, Question
from napari_diffraction.ui.explain.tasks import Answer, Explainers
from napari_diffraction.ui.viewer.layers import stack_of
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.model_list import digest_of
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.preferences import preference
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.learning.explain.heatmaps import Explanation

#: Classes named, and the least probability of one.
_NAMED, _LIKELY = 4, 0.02


@dataclass(frozen=True)
class _Asked:
    """A network, and what it is asked."""

    card: Any
    question: Question


class OpinionBox(QWidget):
    """Two ticks: what the network of Bravais lattices says of each pattern, and why.

    Loading it takes seconds, in which a window may halt for a moment: it is not done unasked.

    Parameters
    ----------
    viewer
        Where the layers are.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._heat: HeatLayer | None = None
        self._index: int | None = None
        self._pc: tuple[float, float, float] | None = None
        self._explainers = Explainers()
        self.latest = Latest("The question to the network", self)
        self.latest.done.connect(self._on_answer)
        self.ask = named(QCheckBox("Ask a network"), "Ask a network", INDEXED["network"])
        self.why = named(QCheckBox("Why?"), "Why?", INDEXED["why"])
        self.text = sentence()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.ask, self.text, self.why):
            layout.addWidget(part)
        self.ask.toggled.connect(self._show)
        self.why.toggled.connect(self._show)
        self._show()

    def show_pattern(self, layer: Image, index: int, pc: tuple[float, float, float] | None) -> None:
        """Take up another pattern.

        Parameters
        ----------
        layer
            The patterns.
        index
            Flat number of the pattern on view.
        pc
            Pattern centre of the solution, Bruker's convention: a network that had to search for
            one would take minutes.  ``None``: nobody knows it.
        """
        if self._heat is None or self._heat.image is not layer or pc != self._pc:
            self.clear()
            stack = stack_of(layer)
            self._heat = HeatLayer(
                self._viewer, layer, stack if pc is None else stack.with_centre(pc)
            )
        self._index, self._pc = index, pc
        self._show()

    def clear(self) -> None:
        """Forget the patterns."""
        if self._heat is not None:
            self._heat.remove()
        self._explainers = Explainers()  # the one that was asked holds the patterns
        self._heat = self._index = self._pc = None

    def _show(self) -> None:
        asked = self.ask.isChecked()
        self.text.setVisible(asked)
        self.why.setVisible(asked)
        what = _asked() if asked else None
        if self._heat is None or self._index is None or what is None:
            self.text.setText("" if what else "No network for EBSD patterns is installed.")
            self._show_heat(None)
            return
        self._show_heat(what)
        made = self._heat.maps.get(what.question, self._index)
        if made is not None:
            self.text.setText(_said(what.card.name, made))
            return
        self.text.setText("The network is being asked.")
        heat, index, device = self._heat, self._index, preference("device", "auto")
        explainers = self._explainers  # not those of other patterns, taken up meanwhile
        self.latest.ask(lambda: explainers.answer(heat, what.question, index, device))

    def _show_heat(self, what: _Asked | None) -> None:
        """Lay the map of what counted over the pattern, or take it away."""
        if self._heat is None:
            return
        layer = self._heat.layer
        if what is not None and self.why.isChecked():
            about = {
                "model": what.card.name,
                "model_sha256": what.question.digest,
                "settings": {"method": what.question.method},
            }
            self._heat.ask(what.question, f"{self._heat.image.name} - why?", about)
            self._heat.refresh()
        elif layer is not None and self._heat.is_shown:
            self._viewer.layers.remove(layer)

    def _on_answer(self, answer: Answer) -> None:
        if answer.shown is self._heat and answer.index == self._index:
            self._show()


def _asked() -> _Asked | None:
    """The network of the Bravais lattices, if it is installed, else another one for EBSD."""
    from napari_diffraction.learning.explain.heatmaps import WAYS
    from napari_diffraction.learning.models.registry import list_models

    for card in sorted(list_models(), key=lambda one: one.name != "bravais"):
        way = WAYS.get(getattr(card, "network", ""))
        if way is not None and way.geometry is KikuchiGeometry:
            model = str(card.path or card.name)
            return _Asked(card, Question(model, None, way.method, digest_of(card)))
    return None


def _said(name: str, made: Explanation) -> str:
    """What a network says, the most probable first."""
    ranked = sorted(made.probabilities.items(), key=lambda one: -one[1])
    likely = [one for one in ranked[:_NAMED] if one[1] >= _LIKELY] or ranked[:1]
    return f"{name}: " + ", ".join(f"{label} {p:.2f}" for label, p in likely)
