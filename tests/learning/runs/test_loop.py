"""The loop that all trainings share: steps, averages, schedules, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_diffraction.errors import InputError
from napari_diffraction.learning.runs import loop
from napari_diffraction.learning.runs.checkpoint import keep, take_up
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.learner import Learner
from napari_diffraction.learning.runs.loop import descend, train
from napari_diffraction.learning.runs.schedule import one_cycle, warm_cosine
from napari_diffraction.progress import finish

EPOCHS, STEPS = 3, 4


class Line:
    """Learn a straight line from noisy points that are drawn at random in each step."""

    def __init__(self, poison: bool = False) -> None:
        self.poison = poison
        self.judged: list[float] = []

    def is_over(self, learner: Learner) -> bool:
        return learner.epoch >= EPOCHS

    def share(self, learner: Learner) -> float:
        return (learner.epoch + learner.step / STEPS) / EPOCHS

    def batches(self, learner: Learner) -> Iterator[torch.Tensor | None]:
        torch.manual_seed(learner.epoch)
        if learner.step and learner.random is not None:
            torch.set_rng_state(learner.random)
        yield None
        for _ in range(learner.step, STEPS):
            yield torch.randn(16, 1)

    def backward(self, learner: Learner, batch: torch.Tensor) -> float:
        wrong = learner.network(batch) - 2 * batch + torch.randn(16, 1) / 10
        loss = wrong.square().mean() * (float("nan") if self.poison else 1)
        descend(learner, loss)
        return float(loss.detach())

    def judge(self, learner: Learner) -> None:
        self.judged.append(learner.loss)

    def progress(self, learner: Learner) -> Epoch:
        done = learner.epoch * STEPS + learner.step
        return Epoch(done, EPOCHS * STEPS, "", learner.epoch)


def fresh() -> Learner:
    torch.manual_seed(5)
    network = nn.Linear(1, 1)
    learner = Learner(network, torch.optim.AdamW(network.parameters()), 0.3)
    learner.averaged()
    return learner


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_WAIT", 0.0)


def test_steps_epochs_and_waiting_are_told() -> None:
    task, learner, said = Line(), fresh(), []
    finish(train(task, learner), said.append)
    per_epoch = [0, 1, 2, 3, 4]  # the first while it waits
    done = [STEPS * epoch + step for epoch in range(EPOCHS) for step in (*per_epoch, 4)]
    assert [step.done for step in said] == done
    assert len(task.judged) == EPOCHS
    assert task.judged[-1] < task.judged[0]
    assert learner.averages == EPOCHS * STEPS
    assert learner.result is learner.smooth


def test_a_training_goes_on_within_an_epoch_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fresh()
    finish(train(Line(), whole))
    path = tmp_path / "checkpoint.pt"
    monkeypatch.setattr(loop, "_KEEP", -1.0)  # after every step
    stopped = train(Line(), fresh(), path, {"seed": 1})
    for step in stopped:
        if step.done == STEPS + 3:
            break
    stopped.close()
    resumed = fresh()
    take_up(path, {"seed": 1}, resumed)
    assert (resumed.epoch, resumed.step) == (1, 2)  # the third step was told before it was kept
    finish(train(Line(), resumed))
    assert resumed.epoch_loss == whole.epoch_loss
    for mine, theirs in ((whole.network, resumed.network), (whole.smooth, resumed.smooth)):
        assert mine is not None
        assert theirs is not None
        for name, values in mine.state_dict().items():
            torch.testing.assert_close(values, theirs.state_dict()[name], rtol=0, atol=0)
    assert list(tmp_path.iterdir()) == [path]


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(InputError, match=r"epoch 1: lower learning_rate in the recipe \(it is 0.3"):
        finish(train(Line(poison=True), fresh()))


def test_a_checkpoint_of_another_recipe_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    keep(path, {"seed": 1}, fresh())
    with pytest.raises(InputError, match="another recipe"):
        take_up(path, {"seed": 2}, fresh())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged"):
        take_up(path, {"seed": 1}, fresh())


@pytest.mark.parametrize("steps", [1, 3, 40, 1000])
def test_the_one_cycle_is_that_of_torch(steps: int) -> None:
    optimiser = torch.optim.AdamW(nn.Linear(1, 1).parameters(), lr=3e-3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 3e-3, total_steps=steps + 1, pct_start=0.2
    )
    mine = one_cycle(steps)
    for step in range(steps):
        settings, group = mine(step / steps), optimiser.param_groups[0]
        assert 3e-3 * settings["lr"] == pytest.approx(group["lr"], rel=1e-9)
        assert settings["betas"] == pytest.approx(group["betas"], rel=1e-9)
        optimiser.step()
        theirs.step()


@given(st.floats(0, 1))
def test_the_rate_stays_between_almost_nothing_and_all(done: float) -> None:
    assert 0.009 < warm_cosine(done)["lr"] <= 1
    assert np.isclose(warm_cosine(0.02)["lr"], 1)
