"""The panel that trains a network on labelled or simulated patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSpinBox

from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.progress import Progress
from napari_diffraction.ui.train.curves import TrainCurves
from napari_diffraction.ui.train.sources import TrainSources, narrow
from napari_diffraction.ui.train.tasks import training
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.model_list import MODELS
from napari_diffraction.ui.widgets.panel import Panel, button, form, group, named, sentence
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.tooltips import TRAIN
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_CLASSIFY = ("napari-diffraction", "Classify patterns")
#: As in `napari_diffraction.learning.networks.picture_networks`, which imports PyTorch.
NETWORKS = {
    "compact": "compact: quick on any computer",
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "xception": "Xception",
    "efficientnet_b0": "EfficientNet-B0",
    "convnext_tiny": "ConvNeXt tiny",
    "fasterrcnn_resnet50_fpn": "Faster R-CNN, ResNet-50-FPN",
}
#: How patterns are made into pictures.
_GREYS = {
    "faint spots drawn out": {"grey": "log", "black": 50.0, "white": 99.99},
    "bands, background taken off": {"flatten": 0.1, "black": 0.5, "white": 99.5},
    "as they are": {},
}
_SPOTS, _BANDS, _ = _GREYS


class TrainWidget(Panel):
    """Choose labelled patterns and a network, train it, and see how good it becomes.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._output: Path | None = None
        self._saving = Latest("Saving", self)
        self._saving.done.connect(self._on_saved)
        self._saving.finished.connect(self._refresh)
        self._build()
        self.listen(self._coordinator.results_changed, self.sources.later)
        self.listen(self._coordinator.stack_changed, self.sources.later)
        self._refresh()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.sources = TrainSources(self._coordinator)
        self.network = named(narrow(QComboBox()), "Network", TRAIN["network"])
        for name, title in NETWORKS.items():
            self.network.addItem(title, name)
        self.pretrained = named(QCheckBox("start from photographs"), "Start", TRAIN["pretrained"])
        self.grey = named(narrow(QComboBox()), "Pictures", TRAIN["grey"])
        self.grey.addItems(list(_GREYS))
        self.size_box = named(QSpinBox(), "Size of the pictures", TRAIN["size"])
        self.size_box.setRange(16, 1024)
        self.size_box.setSingleStep(32)
        self.size_box.setValue(128)
        self.size_box.setSuffix(" pixels")
        self.epochs = named(QSpinBox(), "Epochs at most", TRAIN["epochs"])
        self.epochs.setRange(1, 10_000)
        self.epochs.setValue(30)
        self.minutes = named(QSpinBox(), "Minutes at most", TRAIN["minutes"])
        self.minutes.setRange(0, 100_000)
        self.minutes.setSpecialValueText("no limit")
        self.minutes.setSuffix(" min")
        self.name = named(QLineEdit(), "Name of the model", TRAIN["name"])
        box, column = group("Learn from")
        column.addWidget(self.sources)
        fields = form()
        for title, field in (
            ("Network", self.network),
            ("", self.pretrained),
            ("Pictures", self.grey),
            ("Size", self.size_box),
            ("Epochs", self.epochs),
            ("Time", self.minutes),
            ("Name", self.name),
        ):
            fields.addRow(title, field)
        self.start_button = button("Start", TRAIN["start"], self.run)
        self.bar = WorkBar("steps", TRAIN["stop"])
        self.bar.cancel_button.setText("Stop")
        self.note = sentence()
        self.content.addWidget(box)
        self.content.addLayout(fields)
        for part in (self.start_button, self.bar, self.note, self._build_result()):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.sources.changed.connect(self._on_sources)
        self.network.currentIndexChanged.connect(self._refresh)
        self.bar.stepped.connect(self._on_steps)
        self.bar.finished.connect(self._on_finished)

    def _build_result(self) -> Any:
        self.result_box, column = group("Training")
        self.curves = named(TrainCurves(), "Curves of the training", TRAIN["curves"])
        self.result = sentence()
        self.classify_button = button("Classify with it", TRAIN["classify"], self._classify)
        self.save_button = button("Save a copy…", TRAIN["save"], self._ask_save)
        row = QHBoxLayout()
        row.addWidget(self.classify_button)
        row.addWidget(self.save_button)
        column.addWidget(self.curves)
        column.addWidget(self.result)
        column.addLayout(row)
        self.result_box.setVisible(False)
        return self.result_box

    # -- choosing -------------------------------------------------------------------------------
    def _on_sources(self) -> None:
        # A choice of one's own stays.
        if self.grey.currentText() in (_SPOTS, _BANDS):
            self.grey.setCurrentText(_BANDS if self.sources.is_for_bands else _SPOTS)
        self._refresh()

    def recipe(self) -> PicturesRecipe:
        """Return what would be trained.

        Raises
        ------
        InputError
            The name is taken or cannot be used, or something is left out.
        """
        from napari_diffraction.learning.models.files import usable_name

        name = self.name.text().strip()
        network = self.network.currentData()
        return PicturesRecipe(
            name=usable_name(name) if name else usable_name("my model", "number"),
            title=name,
            network=network,
            pretrained=self.pretrained.isChecked() and self.pretrained.isEnabled(),
            preprocessing=Preprocessing(self.size_box.value(), **_GREYS[self.grey.currentText()]),
            learning_rate=1e-3 if network == "compact" else 3e-4,
            epochs=self.epochs.value(),
            patience=5,
            minutes=float(self.minutes.value()),
            **self.sources.tables(),
        )

    # -- training -------------------------------------------------------------------------------
    def run(self) -> None:
        """Begin to train."""
        from napari_diffraction.learning.models.files import own_path

        if self.bar.running:
            return
        try:
            recipe = self.recipe()
            output = own_path(recipe.name)
            output.parent.mkdir(parents=True, exist_ok=True)
        except InputError as error:
            show_error(str(error))
            return
        except OSError as error:
            show_error(str(writing_error(output.parent, error)))
            return
        opened = self.sources.chosen()
        self._output = output
        self.curves.clear()
        self.result.setText("")
        self.note.setText("")
        self.bar.start(lambda: training(recipe, output, opened), "The training")
        self._refresh()

    def _on_steps(self, steps: list[Progress]) -> None:
        self.curves.add(steps)
        notes = [step.note for step in steps if isinstance(step, Epoch) and step.note]
        if notes:
            self.note.setText(" ".join(notes))
        best = self.curves.best
        if best is not None:
            self.result.setText(_verdict(best))

    def _on_finished(self) -> None:
        """Offer the model, also that of a training that was stopped."""
        if self._output is not None and self._output.exists():
            self.name.clear()
            self.result.setText(_told(self._output))
            MODELS.changed.emit()
        elif self.curves.best is None:
            self.result.setText("Stopped before the end of the first epoch: there is no model.")
        self._refresh()

    def _classify(self) -> None:
        window = getattr(self._coordinator.viewer, "window", None)
        if window is not None and self._output is not None:
            dock, panel = window.add_plugin_dock_widget(*_CLASSIFY, tabify=True)
            dock.show()
            dock.raise_()
            panel.model.choose(self._output.stem)

    def _ask_save(self) -> None:
        if self._output is None:
            return
        name, kind = self._output.name, "Models (*.safetensors)"
        path = ask_where(self, "Save a copy", Path.home(), name, kind)
        if path is not None:
            self.save_copy(path)

    def save_copy(self, path: Path) -> None:
        """Write the model as a file for others; to load it takes PyTorch, so in another thread."""
        model = str(self._output)
        self._saving.ask(lambda: _copied(model, path))
        self._refresh()

    def _on_saved(self, path: Path) -> None:
        show_info(f"Written: {path}. Whoever drops it on napari has the model.")

    def _refresh(self) -> None:
        running, missing = self.bar.running, self.sources.missing()
        for part in (self.sources, self.network, self.grey, self.size_box, self.epochs):
            part.setEnabled(not running)
        for part in (self.minutes, self.name):
            part.setEnabled(not running)
        self.pretrained.setEnabled(not running and self.network.currentData() != "compact")
        self.start_button.setVisible(not running)
        self.start_button.setEnabled(not missing)
        if missing and not running:
            self.note.setText(missing)
        elif not self.curves.epochs:
            self.note.setText("")
        done = not running and self._output is not None and self._output.exists()
        self.classify_button.setVisible(done)
        self.save_button.setVisible(done)
        self.save_button.setEnabled(not self._saving.running)
        self.result_box.setVisible(self._output is not None)


def _verdict(best: Epoch) -> str:
    return (
        f"Best epoch so far, with the lowest loss: {best.epoch}, balanced accuracy "
        f"{best.balanced_accuracy:.3f} on the patterns kept to judge by."
    )


def _copied(model: str, path: Path) -> Path:
    """Write a model as one file; return the file."""
    from napari_diffraction.learning.models.files import export_model

    export_model(model, path)
    return path


def _told(path: Path) -> str:
    """Say what the card of a new model says."""
    from napari_diffraction.learning.models.classifier import read_card

    try:
        card = read_card(path)
    except InputError as error:
        return str(error)
    figures = ", ".join(f"{name} {value}" for name, value in card.figures.items())
    return (
        f"The model '{card.name}' is offered in every list of models. {card.summary} Measured: "
        f"{figures}."
    )
