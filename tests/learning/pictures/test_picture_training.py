from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.pictures.data import prepare
from napari_diffraction.learning.pictures.recipe import Augmentation, PicturesRecipe
from napari_diffraction.learning.pictures.training import train_pictures
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.progress import Progress, finish


def write_patterns(path: Path, crystals: int = 6, each: int = 8, seed: int = 0) -> Path:
    """Vertical and horizontal stripes, two classes, of several crystals each."""
    rng = np.random.default_rng(seed)
    frames, labels, cells = [], [], []
    for cell in range(crystals):
        label = "across" if cell % 2 else "upright"
        period = rng.uniform(5, 8)
        for _ in range(each):
            wave = 1 + np.sin(2 * np.pi * (np.arange(40) / period + rng.uniform()))
            frame = np.tile(wave, (40, 1)) * 40 + rng.normal(0, 4, (40, 40))
            frames.append(frame.T if cell % 2 else frame)
            labels.append(label)
            cells.append(cell)
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.clip(frames, 0, 255).astype(np.uint8)
        group = file.create_group("labels")
        group["label"] = np.array(labels, dtype=h5py.string_dtype())
        group["cell"] = np.array(cells)
        group.attrs["columns"] = ["label", "cell"]
    return path


def recipe_of(path: Path, **changes: Any) -> PicturesRecipe:
    given: dict[str, Any] = {
        "name": "stripes",
        "labelled": (LabelledSource(str(path)),),
        "preprocessing": Preprocessing(size=32),
        "augmentation": Augmentation(quarters=False, shift=0.1, noise=0.05),
        "batch_size": 8,
        "epochs": 4,
        "patience": 0,
        "learning_rate": 3e-3,
        "precision": "float32",
    }
    return PicturesRecipe(**given | changes)


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patterns(tmp_path_factory.mktemp("patterns") / "stripes.h5")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the processes that are started: sums in another order differ in the last digit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(patterns: Path) -> tuple[Path, list[Progress]]:
    said: list[Progress] = []
    output = patterns.with_name("stripes.safetensors")
    finish(train_pictures(recipe_of(patterns), output), said.append)
    return output, said


def test_a_model_comes_out_that_classifies(patterns: Path, tmp_path: Path) -> None:
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.leakage import find_known
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.patterns.readers import open_stack

    # after 4 epochs it depends on the processor's order of sums how much it knows
    path = finish(train_pictures(recipe_of(patterns, epochs=8), tmp_path / "longer.safetensors"))
    model = load_model(str(path))
    assert model.card.classes == ("across", "upright")
    assert model.card.figures["patterns learned from"] + model.card.figures["patterns judged"] == 48
    assert model.card.figures["held back by"] == "unit cell"
    new = open_stack(write_patterns(path.with_name("new.h5"), seed=5))
    table = finish(classify(new, model))
    right = table["label"] == np.repeat(["upright", "across"] * 3, 8)
    assert right.mean() > 0.75
    assert len(training_hashes(path)) == 48
    assert len(finish(find_known(open_stack(patterns), training_hashes(path)))) == 48
    assert len(finish(find_known(new, training_hashes(path)))) == 0
    assert not path.with_name(path.name + ".work").exists()


def test_every_epoch_tells_its_figures(trained: tuple[Path, list[Progress]]) -> None:
    _, said = trained
    epochs = [step for step in said if isinstance(step, Epoch)]
    assert [step.done for step in epochs] == sorted(step.done for step in epochs)
    last = epochs[-1]
    assert (last.epoch, last.done) == (4, last.total)
    assert 0 <= last.balanced_accuracy <= 1
    assert 1 <= last.best_epoch <= 4
    firsts = {step.epoch: step.loss for step in epochs if step.epoch}
    assert list(firsts) == [1, 2, 3, 4]
    assert firsts[4] < firsts[1]


def test_the_same_recipe_gives_the_same_file(
    patterns: Path, trained: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    again = finish(train_pictures(recipe_of(patterns), tmp_path / "again.safetensors"))
    assert again.read_bytes() == trained[0].read_bytes()
    other = finish(train_pictures(recipe_of(patterns, seed=2), tmp_path / "other.safetensors"))
    assert other.read_bytes() != trained[0].read_bytes()


def test_a_training_that_was_stopped_goes_on_exactly(
    patterns: Path, trained: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    output = tmp_path / "stopped.safetensors"
    work = train_pictures(recipe_of(patterns), output)
    for step in work:
        if isinstance(step, Epoch) and step.epoch == 2 and step.done % 4 == 3:
            break
    work.close()
    assert output.exists()  # the best so far
    said: list[Progress] = []
    finish(train_pictures(recipe_of(patterns), output, resume=True), said.append)
    assert output.read_bytes() == trained[0].read_bytes()
    told = [step.epoch for step in said if isinstance(step, Epoch)]
    assert told[:3] == [0, 1, 2]  # a curve is whole


@pytest.mark.parametrize("old", [True, False])
def test_a_training_that_held_other_patterns_back_does_not_go_on(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    import torch

    from napari_diffraction.learning.pictures import training as picture_training

    recipe, output = recipe_of(patterns, epochs=2), tmp_path / "x.safetensors"
    checkpoint = tmp_path / "x.safetensors.work/checkpoint.pt"
    work = train_pictures(recipe, output)
    while not checkpoint.exists():
        next(work)
    work.close()
    if old:  # as versions wrote it that held back others
        kept = torch.load(checkpoint, weights_only=True)
        torch.save(kept | {"identity": recipe.identity()}, checkpoint)
    else:
        real = picture_training.split
        monkeypatch.setattr(picture_training, "split", lambda data, share, _: real(data, share, 9))
    with pytest.raises(InputError, match=r"held other patterns back.*delete this file"):
        finish(train_pictures(recipe, output, resume=True))
    with pytest.raises(InputError, match="another recipe"):
        finish(train_pictures(recipe_of(patterns, epochs=3), output, resume=True))
    checkpoint.unlink()
    finish(train_pictures(recipe, output, resume=True))


def test_early_stopping_ends_a_training_that_gets_no_better(patterns: Path, tmp_path: Path) -> None:
    said: list[Progress] = []
    recipe = recipe_of(patterns, epochs=50, patience=2, min_delta=5.0)
    finish(train_pictures(recipe, tmp_path / "x.safetensors"), said.append)
    assert said[-1].epoch == 3


@pytest.mark.parametrize("folds", [0, 2])
def test_a_training_that_is_late_at_once_ends_with_the_model_of_an_epoch(
    patterns: Path, tmp_path: Path, folds: int
) -> None:
    from napari_diffraction.learning.models.registry import load_model

    recipe = recipe_of(patterns, minutes=1e-9, folds=folds, epochs=50)
    path = finish(train_pictures(recipe, tmp_path / "x.safetensors"))
    assert load_model(str(path)).card.figures["best epoch"] == 1


def test_there_is_a_model_or_an_error(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_diffraction.learning.pictures import training as picture_training

    nan = (float("nan"),) * 3
    monkeypatch.setattr(picture_training, "figures_of", lambda *_: nan)
    with pytest.raises(InputError, match="No epoch gave a model"):
        finish(train_pictures(recipe_of(patterns, epochs=1), tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"network": "resnet19"}, "no network"), ({"start": "none.safetensors"}, "no such model")],
)
def test_a_network_that_cannot_be_had_is_refused_before_the_work(
    patterns: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        next(train_pictures(recipe_of(patterns, **changes), tmp_path / "x.safetensors"))


def test_a_loss_that_is_no_number_stops_and_says_what_to_lower(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_diffraction.learning.pictures import training as picture_training

    real, calls = picture_training.augmented, []

    def poisoned(picture: Any, how: Any) -> Any:
        calls.append(1)
        return real(picture, how) * (float("nan") if len(calls) > 6 else 1)

    monkeypatch.setattr(picture_training, "augmented", poisoned)
    output = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match="lower learning_rate"):
        finish(train_pictures(recipe_of(patterns), output))
    assert output.exists()  # the first epoch's


def test_when_the_memory_of_the_card_runs_out_the_batch_is_halved(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from napari_diffraction.learning.networks.picture_networks import PictureNetwork

    real = PictureNetwork.forward

    def small(self: Any, picture: Any, label: Any = None) -> Any:
        if label is not None and len(picture) > limit:
            raise torch.cuda.OutOfMemoryError("too much")
        return real(self, picture, label)

    monkeypatch.setattr(PictureNetwork, "forward", small)
    limit, said = 3, []
    recipe = recipe_of(patterns, epochs=1)
    finish(train_pictures(recipe, tmp_path / "x.safetensors"), said.append)
    notes = [step.note for step in said if isinstance(step, Epoch) and "memory" in step.note]
    assert len(notes) == 1
    assert "pieces of 2" in notes[0]
    limit = 0
    with pytest.raises(InputError, match="lower batch_size"):
        finish(train_pictures(recipe, tmp_path / "x.safetensors"))


def test_a_full_disk_leaves_the_checkpoint_before(
    patterns: Path,
    trained: tuple[Path, list[Progress]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    real, calls = torch.save, []

    def full(values: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")
        real(values, file)

    output = tmp_path / "full.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(InputError, match=r"disk is full.*--resume"):
            finish(train_pictures(recipe_of(patterns), output))
    assert [path.name for path in tmp_path.glob("*.work/.*")] == []
    finish(train_pictures(recipe_of(patterns), output, resume=True))
    assert output.read_bytes() == trained[0].read_bytes()


def test_folds_give_the_mean_of_their_figures(patterns: Path, tmp_path: Path) -> None:
    from napari_diffraction.learning.models.registry import load_model

    recipe = recipe_of(patterns, folds=3, epochs=2)
    said: list[Progress] = []
    path = finish(train_pictures(recipe, tmp_path / "folds.safetensors"), said.append)
    figures = load_model(str(path)).card.figures
    assert figures["folds"] == 3
    assert figures["patterns judged"] == 48
    assert said[-1].done == said[-1].total


def test_a_model_to_start_from_must_have_the_same_network(
    patterns: Path, trained: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    start = str(trained[0])
    recipe = recipe_of(patterns, start=start, epochs=1, frozen=1, learning_rate=1e-5)
    said: list[Progress] = []
    finish(train_pictures(recipe, tmp_path / "x.safetensors"), said.append)
    assert said[-1].balanced_accuracy == 1  # what it started from knew it all
    # It has learned from the patterns of that one, too.
    others = write_patterns(tmp_path / "others.h5", seed=7)
    recipe_of_others = dataclasses.replace(recipe, labelled=recipe_of(others).labelled)
    finish(train_pictures(recipe_of_others, tmp_path / "x.safetensors"))
    known = training_hashes(trained[0])
    assert known < training_hashes(tmp_path / "x.safetensors")
    other = dataclasses.replace(recipe, network="resnet18")
    with pytest.raises(InputError, match="another network"):
        finish(train_pictures(other, tmp_path / "x.safetensors"))
    other = dataclasses.replace(recipe, preprocessing=Preprocessing(size=48))
    with pytest.raises(InputError, match="other pictures"):
        finish(train_pictures(other, tmp_path / "x.safetensors"))


RECIPE = """
kind = "pictures"
name = "stripes"
batch_size = 8
epochs = 4
patience = 0
learning_rate = 3e-3
precision = "float32"
[[labelled]]
path = "stripes.h5"
[preprocessing]
size = 32
[augmentation]
quarters = false
shift = 0.1
noise = 0.05
"""


def start(*arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", *arguments], env=environment)


@pytest.mark.timeout(600)
def test_a_training_that_was_killed_goes_on_exactly(
    patterns: Path, trained: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.learning.training.recipe import read_recipe

    recipe, output = patterns.with_name("stripes.toml"), tmp_path / "killed.safetensors"
    recipe.write_text(RECIPE)
    process = start("napari_diffraction.cli", "train", str(recipe), "--output", str(output))
    checkpoint = tmp_path / "killed.safetensors.work/checkpoint.pt"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()  # between two bytes of whatever it did
    process.wait()
    finish(train_pictures(read_recipe(recipe), output, resume=True))
    killed, whole = (load_model(str(path)).network.state_dict() for path in (output, trained[0]))
    for name, values in whole.items():
        np.testing.assert_array_equal(killed[name], values, err_msg=name)


@pytest.mark.timeout(600)
def test_two_processes_train_as_one(
    patterns: Path, trained: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    from napari_diffraction.learning.models.registry import load_model

    recipe, output = patterns.with_name("stripes.toml"), tmp_path / "two.safetensors"
    recipe.write_text(RECIPE)
    train = ("napari_diffraction.cli", "train", str(recipe), "--output", str(output))
    several = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    assert start(*several, *train).wait() == 0
    together, alone = (load_model(str(path)).card.figures for path in (output, trained[0]))
    assert abs(together["balanced accuracy"] - alone["balanced accuracy"]) < 0.2
    assert together["patterns judged"] == alone["patterns judged"]
    assert not output.with_name(output.name + ".work").exists()


def test_a_pattern_in_two_files_is_taken_once(patterns: Path, tmp_path: Path) -> None:
    with h5py.File(patterns) as file:
        frames, labels = file["entry/data/data"][:], file["labels/label"].asstr()[:]
    blank = np.zeros((2, *frames.shape[1:]), np.uint8)
    for name, some in (("whole", slice(None)), ("part", slice(0, 10))):
        np.save(tmp_path / f"{name}.npy", np.concatenate([frames[some], blank]))
        rows = pd.DataFrame({"label": [*labels[some], "empty", "empty"]})
        rows.to_csv(tmp_path / f"{name}.npy.csv", index=False)
    sources = tuple(LabelledSource(str(tmp_path / f"{name}.npy")) for name in ("whole", "part"))
    made = finish(prepare(recipe_of(patterns, labelled=sources), tmp_path))
    # Frames that show nothing are alike in all files.
    assert len(made) == len(frames) + 4
    assert any("10 labelled patterns stand in two places" in note for note in made.notes)
