"""A stand-in for the model, so that the command line is tested without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NATURAL_SHARES, ZONE_CLASSES
from napari_diffraction.learning.classification.batches import BatchDone, completed
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import FIGURE_2
from napari_diffraction.simulation.spots.dataset import simulate_spots


@dataclass(frozen=True)
class FakeCard:
    name: str = "zones"
    title: str = "Zones"
    summary: str = "Knows zones."
    classes: tuple[str, ...] = ZONE_CLASSES
    figures: dict[str, float] = field(default_factory=lambda: {"balanced accuracy": 0.98765})
    path: Path = Path("zones.safetensors")


@dataclass(frozen=True)
class FakeKind:
    shares: Mapping[str, float] | None = field(default_factory=lambda: NATURAL_SHARES)
    complete: Any = None


@dataclass
class FakeClassifier:
    card: FakeCard = field(default_factory=FakeCard)
    kind: FakeKind = field(default_factory=FakeKind)


@dataclass
class FakeLearning:
    """Classifies pattern i as class i mod 4; `before_batch` may raise to end a run early."""

    card: FakeCard = field(default_factory=FakeCard)
    seen: list[int] = field(default_factory=list)
    before_batch: Callable[[int], None] = lambda done: None

    def classify(
        self,
        stack: PatternStack,
        classifier: Any,
        *,
        device: str = "auto",
        batch_size: int = 64,
        shares: dict[str, float] | None = None,
        skip: Collection[int] = (),
        workers: object = None,
    ) -> Generator[BatchDone, None, pd.DataFrame]:
        stack = yield from completed(stack, classifier)
        todo = [index for index in range(len(stack)) if index not in skip]
        tables = []
        for start in range(0, len(todo), batch_size):
            self.before_batch(start)
            batch = todo[start : start + batch_size]
            self.seen += batch
            p = np.full((len(batch), 4), 0.1)
            p[np.arange(len(batch)), np.array(batch) % 4] = 0.7
            rows = pd.DataFrame(
                {
                    "index": batch,
                    "source": [stack.source(i) for i in batch],
                    "label": [ZONE_CLASSES[i % 4] for i in batch],
                    "confidence": 0.7,
                }
            )
            for column, name in enumerate(ZONE_CLASSES):
                rows[f"p_{name}"] = p[:, column]
            tables.append(rows)
            yield BatchDone(start + len(batch), len(todo), "Classifying", rows)
        return pd.concat(tables, ignore_index=True)

    def load_model(self, name: str) -> FakeClassifier:
        if name not in ("zones", str(self.card.path)):
            raise InputError(f"{name}: there is no such model; see napari-diffraction models.")
        return FakeClassifier(self.card)


@pytest.fixture
def learning(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> FakeLearning:
    weights = tmp_path_factory.mktemp("model") / "zones.safetensors"
    weights.write_bytes(b"weights")
    fake = FakeLearning(FakeCard(path=weights))
    registry = ModuleType("registry")
    registry.load_model = fake.load_model
    registry.list_models = lambda: [fake.card]
    inference = ModuleType("inference")
    inference.classify, inference.BatchDone = fake.classify, BatchDone
    monkeypatch.setitem(sys.modules, "napari_diffraction.learning.models.registry", registry)
    monkeypatch.setitem(
        sys.modules, "napari_diffraction.learning.classification.inference", inference
    )
    return fake


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeLearning], None]:
    """Let the model find a pattern centre before it judges."""

    def complete(stack: PatternStack, model: Any) -> Generator[Progress, None, PatternStack]:
        yield Progress(0, 0, "Looking for the pattern centre")
        if isinstance(stack.geometry, KikuchiGeometry):
            return stack
        return replace(stack.with_centre((0.5, 0.3, 0.65)), notes=("Found: 0.65",))

    def apply(learning: FakeLearning) -> None:
        model = FakeClassifier(learning.card, FakeKind(complete=complete))
        registry = sys.modules["napari_diffraction.learning.models.registry"]
        for place in (learning, registry):
            monkeypatch.setattr(place, "load_model", lambda name: model)

    return apply


@pytest.fixture
def patterns(tmp_path: Path) -> Path:
    """Ten small patterns in a file."""
    path = tmp_path / "patterns.npy"
    np.save(path, np.random.default_rng(0).integers(0, 255, (10, 32, 32), dtype=np.uint8))
    return path


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Patterns with a calibration, and the table of their classes; zones among others."""
    folder = tmp_path_factory.mktemp("serial")
    effects = DetectorEffects(ellipticity=0.03, ellipticity_angle=40, shift_x=0.02)
    stack = finish(simulate_spots([FIGURE_2], effects=effects, orientations=1500, seed=3))
    zones = np.flatnonzero(stack.labels["label"] == "2DZone")[:24]
    chosen = np.concatenate([zones, np.arange(10)])
    images = stack.images[chosen]
    np.save(folder / "bare.npy", images)
    spots = stack.spots.iloc[:0]
    labels = stack.labels.iloc[chosen].assign(index=np.arange(len(chosen)))
    small = type(stack)(images, labels, spots, stack.conditions, stack.effects, stack.geometry)
    save_simulated(small, folder / "run.h5")
    table = labels[["index", "label"]].copy()
    table["label"] = ["2DZone"] * len(zones) + ["3DLaueIntersections"] * 10
    table.to_csv(folder / "run.csv", index=False)
    return folder / "run.h5", folder / "run.csv"


_WRITER = Path(__file__).parents[1] / "helpers" / "swmr_writer.py"


@contextmanager
def _detector(
    path: Path, *frames: Path
) -> Iterator[tuple[Path, Callable[[str], Callable[[], object]]]]:
    process = subprocess.Popen(
        [sys.executable, str(_WRITER), str(path), *map(str, frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    answers, orders = process.stdout, process.stdin

    def order(text: str) -> Callable[[], object]:
        def step() -> None:
            orders.write(text + "\n")
            orders.flush()
            assert answers.readline()

        return step

    assert answers.readline() == "open\n"
    yield path, order
    if process.poll() is None:
        process.kill()
    process.wait()
    orders.close()
    answers.close()


@pytest.fixture
def detector_of() -> Callable[..., Any]:
    """Make another process that writes an HDF5 file, step by step; see `helpers/swmr_writer.py`."""
    return _detector
