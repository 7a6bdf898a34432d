"""Learning from labels, on a model whose answers have been spoilt."""

import copy
import dataclasses

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.classifier import (
    Classifier,
    load_classifier,
    save_classifier,
)
from napari_diffraction.learning.models.leakage import content_hash, training_hashes
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.training.fine_tuning import (
    AFTER,
    BEFORE,
    KNOWN,
    _first_model,
    learn,
    verdict,
)
from napari_diffraction.learning.training.last_layers import tail_of
from napari_diffraction.learning.training.lesson import Lesson, usable
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment


@pytest.fixture(scope="module")
def experiment():
    """Patterns with their truth, and which of them bear a label: six of each class."""
    made = finish(serial_experiment(3, 120))
    truth = made.labels["label"].to_numpy(str)
    labelled = np.concatenate([np.flatnonzero(truth == name)[:6] for name in ZONE_CLASSES])
    stack = PatternStack(da.from_array(made.images, chunks=(1, 256, 256)), "run 7")
    return stack, truth, labelled


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """The shipped model, which now takes zones for Laue patterns and the other way round."""
    model = load_model("zones")
    head = model.network.head
    with torch.no_grad():
        for values in head.parameters():
            values[[0, 1]] = values[[1, 0]].clone()
    path = tmp_path_factory.mktemp("models") / "spoilt.safetensors"
    save_classifier(model.network, dataclasses.replace(model.card, name="spoilt"), path)
    return path


@pytest.fixture(scope="module")
def learned(experiment, spoilt, tmp_path_factory):
    stack, truth, labelled = experiment
    path = tmp_path_factory.mktemp("learned") / "mine.safetensors"
    parent = load_classifier(spoilt)
    before = copy.deepcopy(parent.network.state_dict())
    steps = []
    work = learn(Lesson(stack, labelled, truth[labelled], "ann"), parent, path)
    card = finish(work, steps.append)
    assert all(torch.equal(v, before[k]) for k, v in parent.network.state_dict().items())
    return path, card, steps


def right(path, experiment):
    stack, truth, labelled = experiment
    rows = finish(classify(stack, load_classifier(path), device="cpu"))
    others = np.setdiff1d(np.arange(len(stack)), labelled)
    return float((rows["label"].to_numpy(str) == truth)[others].mean())


def test_a_few_labels_put_a_spoilt_model_right(learned, spoilt, experiment):
    path, card, _ = learned
    assert right(spoilt, experiment) < 0.5
    assert right(path, experiment) > 0.8
    assert card.figures[BEFORE] < 0.65 < 0.8 < card.figures[AFTER]


def test_the_card_says_who_said_what_of_which_patterns(learned, experiment):
    path, card, _ = learned
    kept = load_classifier(path).card
    assert kept == card
    assert card.name == "mine"
    assert card.classes == ZONE_CLASSES
    recipe = card.recipe
    assert (recipe["labels"], recipe["person"], recipe["parent"]) == (24, "ann", "spoilt")
    assert recipe["by_class"] == dict.fromkeys(ZONE_CLASSES, 6)
    assert recipe["stack"] == "run 7"
    assert len(recipe["parent_sha256"]) == 64
    assert recipe["time"].endswith("+00:00")
    stack, _, labelled = experiment
    assert training_hashes(path) == {content_hash(stack.frame(i)) for i in labelled.tolist()}


def test_steps_rise_to_the_total_and_the_last_says_how_good_it_is(learned):
    *_, steps = learned
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert len({step.total for step in steps}) == 1
    assert done[-1] == steps[-1].total
    assert "of the labels are right" in steps[-1].message


def test_the_same_labels_give_the_same_model(learned, experiment, spoilt, tmp_path):
    stack, truth, labelled = experiment
    again = tmp_path / "again.safetensors"
    finish(learn(Lesson(stack, labelled, truth[labelled]), load_classifier(spoilt), again))
    one, other = (load_classifier(p).network.state_dict() for p in (learned[0], again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_body_stays_as_it_was(learned, spoilt):
    one, other = (load_classifier(p).network.state_dict() for p in (learned[0], spoilt))
    changed = {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])}
    assert changed == {"seen", "fit", "join", "head"}


def test_learning_again_after_more_labels_starts_from_the_first_model(
    learned, experiment, spoilt, tmp_path, monkeypatch
):
    stack, truth, labelled = experiment
    more = np.append(labelled, np.setdiff1d(np.arange(len(stack)), labelled)[:4])
    monkeypatch.setattr(
        "napari_diffraction.learning.training.fine_tuning.load_model",
        lambda name: load_classifier(spoilt),
    )
    lesson = Lesson(stack, more, truth[more])
    again = finish(learn(lesson, load_classifier(learned[0]), tmp_path / "again.safetensors"))
    assert again.recipe["parent"] == "spoilt"
    # Labels of other patterns, which are not at hand here, are not to be lost.
    others = np.concatenate([np.flatnonzero(truth == name)[6:9] for name in ZONE_CLASSES])
    lesson = Lesson(stack, others, truth[others])
    on = finish(learn(lesson, load_classifier(learned[0]), tmp_path / "on.safetensors"))
    assert on.recipe["parent"] == "mine"


def test_a_card_that_hides_its_parent_counts_as_the_first_model(spoilt, tmp_path):
    parent = load_classifier(spoilt)
    for recipe in ({"kind": "labels"}, {"kind": "labels", "parent": str(spoilt)}):
        path = tmp_path / "hidden.safetensors"
        save_classifier(parent.network, dataclasses.replace(parent.card, recipe=recipe), path)
        hidden = load_classifier(path)
        assert _first_model(hidden, [], "") is hidden


def test_labels_the_model_does_not_know_are_left_out_and_too_few_are_refused(experiment):
    stack = experiment[0]
    given = np.array([ZONE, ZONE, LAUE, "Unreadable", "twin", LAUE])
    kept = usable(Lesson(stack, np.arange(6), given), ZONE_CLASSES)
    assert kept.indices.tolist() == [0, 1, 2, 5]
    with pytest.raises(InputError, match=r"too few labels.*1 3DLaue.*2 2DZone|2 2DZone.*1 3DLaue"):
        usable(Lesson(stack, np.arange(5), given[:5]), ZONE_CLASSES)
    with pytest.raises(InputError, match="none"):
        usable(Lesson(stack, np.arange(0), np.array([], str)), ZONE_CLASSES)


def test_stopping_early_leaves_nothing_behind(experiment, spoilt, tmp_path):
    stack, truth, labelled = experiment
    work = learn(
        Lesson(stack, labelled, truth[labelled]),
        load_classifier(spoilt),
        tmp_path / "m.safetensors",
    )
    for _ in range(26):
        next(work)
    work.close()
    assert not list(tmp_path.iterdir())


class Other(torch.nn.Module):
    """A network of another kind, which knows nothing of this."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(5, 7)
        self.unused = torch.nn.Linear(7, 3)
        self.end = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(7, 3))

    def forward(self, x):
        y = torch.relu(self.body(x))
        return {"what": self.end(y), "else": self.unused(y)}


def test_the_last_linear_layer_of_any_network_is_found():
    network = Other().eval()
    x = torch.randn(4, 5)
    tail = tail_of(network, "what", 3, [x])
    assert tail.head == tuple(network.end[1].parameters())
    assert tail.others == ()
    assert torch.allclose(tail.judge(tail.look(x)), network(x)["what"])


def test_a_network_that_goes_on_after_its_last_linear_layer_is_refused():
    class Odd(Other):
        def forward(self, x):
            return {"what": super().forward(x)["what"].square()}

    with pytest.raises(InputError, match="cannot learn from labels"):
        tail_of(Odd().eval(), "what", 3, [torch.randn(4, 5)])


def test_a_model_of_kikuchi_patterns_learns_too(tmp_path):
    rng = np.random.default_rng(0)
    model = load_model("quartz-rutile")
    stack = PatternStack(da.from_array(rng.integers(0, 255, (8, 60, 60), np.uint8)), "scan")
    labels = np.array(["quartz", "rutile"] * 4)
    card = finish(learn(Lesson(stack, np.arange(8), labels), model, tmp_path / "m.safetensors"))
    assert card.classes == model.card.classes
    assert isinstance(load_classifier(tmp_path / "m.safetensors"), Classifier)
    assert NO_HIT not in card.classes


def test_a_model_keeps_what_its_parent_has_learned_from(experiment, spoilt, tmp_path):
    stack, truth, labelled = experiment
    parent = load_classifier(spoilt)
    known = ["0123456789abcdef", content_hash(stack.frame(int(labelled[0])))]
    save_classifier(parent.network, parent.card, tmp_path / "parent.safetensors", known)
    lesson = Lesson(stack, labelled, truth[labelled])
    path = tmp_path / "mine.safetensors"
    card = finish(learn(lesson, load_classifier(tmp_path / "parent.safetensors"), path))
    mine = {content_hash(stack.frame(i)) for i in labelled.tolist()}
    assert training_hashes(path) == mine | set(known)
    # One of the labels is no proof of how good the model is.
    assert card.figures[KNOWN] == 1
    assert "learned from 1 of them" in verdict(card)


def test_labels_that_are_taken_back_do_not_live_on_in_the_next_lesson(
    learned, experiment, spoilt, tmp_path, monkeypatch
):
    stack, truth, labelled = experiment
    monkeypatch.setattr(
        "napari_diffraction.learning.training.fine_tuning.load_model",
        lambda name: load_classifier(spoilt),
    )
    lesson = Lesson(stack, labelled[1:], truth[labelled[1:]])
    again = finish(learn(lesson, load_classifier(learned[0]), tmp_path / "again.safetensors"))
    assert again.recipe["parent"] == "spoilt"
    assert KNOWN not in again.figures
