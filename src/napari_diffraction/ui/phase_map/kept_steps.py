"""What was done of each scan when its indexing was cancelled, so that it is not done again."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Layer

from napari_diffraction.indexing.steps import FinishedSteps
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.indexed.tasks import Wishes
from napari_diffraction.ui.viewer.layers import known_of


class KeptSteps:
    """Keeps the finished steps of the scans of a viewer, also when the panel is closed.

    Parameters
    ----------
    viewer
        Where the scans are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._kept: WeakKeyDictionary[Layer, tuple[PatternStack, Wishes, FinishedSteps]] = known_of(
            viewer, "indexing"
        )

    def begin(self, layer: Layer, stack: PatternStack, wishes: Wishes) -> FinishedSteps:
        """Return what is known of a scan that is indexed now, and keep what is found."""
        before, _, steps = self._kept.get(layer, (None, wishes, None))
        if steps is None or before is not stack:
            steps = FinishedSteps()
        self._kept[layer] = stack, wishes, steps
        return steps

    def goes_on(self, layer: Layer, stack: PatternStack, wishes: Wishes) -> bool:
        """Whether a run would add to what was done before Cancel."""
        if layer not in self._kept:
            return False
        before, told, steps = self._kept[layer]
        # the layer may have been given other patterns, also while another scan was chosen
        return before is stack and told == wishes and steps.grains is not None

    def drop(self, layer: Layer) -> None:
        """Forget what was done of a scan."""
        self._kept.pop(layer, None)
