"""Work spread over real processes of dask.distributed gives what one process gives."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, Worker
from untrained import untrained_classifier

from napari_diffraction import workers as module
from napari_diffraction.cli.app import run
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.zones.peak_tables import find_in_stack
from napari_diffraction.patterns.elsewhere import StackElsewhere
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish, in_order
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi
from napari_diffraction.simulation.spots.dataset import simulate_spots
from napari_diffraction.simulation.spots.redraw import redrawn_stack
from napari_diffraction.workers import Workers, workers

COUNT = 40
SAMPLE = Path(__file__).parents[1] / "sample_data" / "serial_60.h5"


@pytest.fixture(scope="module")
def crew() -> Iterator[Workers]:
    with workers(count=2) as them:
        assert them is not None
        yield them


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patterns with a net of spots each."""
    frames = np.random.default_rng(0).poisson(5, (COUNT, 64, 72)).astype(np.uint16)
    for number, frame in enumerate(frames):
        frame[8 + number % 5 :: 9, 5 + number % 7 :: 11] += 60
    path = tmp_path_factory.mktemp("spots") / "spots.npy"
    np.save(path, frames)
    return path


def table_of(stack: PatternStack, them: Workers | None) -> pd.DataFrame:
    work = classify(stack, untrained_classifier(), device="cpu", batch_size=4, workers=them)
    return finish(work)


def test_workers_classify_as_one_process_does(crew: Workers, spots: Path) -> None:
    stack = open_stack(spots)
    pd.testing.assert_frame_equal(table_of(stack, crew), table_of(stack, None), check_exact=True)


def test_workers_see_redrawn_patterns(crew: Workers, spots: Path) -> None:
    stack = redrawn_stack(open_stack(spots))
    pd.testing.assert_frame_equal(table_of(stack, crew), table_of(stack, None), check_exact=True)


def test_workers_find_the_same_spots(crew: Workers) -> None:
    stack, some = open_stack(SAMPLE), range(0, 60, 3)
    found = finish(find_in_stack(stack, indices=some, workers=crew))
    assert found["index"].nunique() > 10
    near = finish(find_in_stack(stack, indices=some))
    pd.testing.assert_frame_equal(found, near, check_exact=True)


def test_workers_index_the_same_orientations(crew: Workers, tmp_path: Path) -> None:
    nickel, pc = load_structure("Ni"), (0.52, 0.28, 0.55)
    angles = euler_angles(random_orientations(6, np.random.default_rng(5))).repeat(100, axis=0)
    conditions = KikuchiConditions(pc_x=pc[0], pc_y=pc[1], pc_z=pc[2])
    effects = KikuchiEffects(contrast=0.2, noise=0.1)
    made = finish(simulate_kikuchi([nickel], conditions, effects, size=48, orientations=angles))
    path = tmp_path / "scan.npy"
    np.save(path, made.images.reshape(20, 30, 48, 48))
    stack = open_stack(path)
    settings = IndexSettings(pc=pc, phases=(nickel,))
    far = finish(index_scan(stack, settings, workers=crew))
    near = finish(index_scan(stack, settings))
    assert (near.phase == 0).mean() > 0.9
    for name in ("phase", "rotation", "misfit_deg", "bands", "confidence", "quality", "done"):
        np.testing.assert_array_equal(getattr(far, name), getattr(near, name), err_msg=name)


def test_workers_simulate_the_same_patterns(crew: Workers) -> None:
    cells = [UnitCell(6, 8, 10, 80, 95, 100), UnitCell(5, 5, 9)]
    far = finish(simulate_spots(cells, orientations=200, size=64, crystals=2, workers=crew))
    near = finish(simulate_spots(cells, orientations=200, size=64, crystals=2))
    np.testing.assert_array_equal(far.images, near.images)
    pd.testing.assert_frame_equal(far.labels, near.labels, check_exact=True)
    pd.testing.assert_frame_equal(far.spots, near.spots, check_exact=True)
    nickel, effects = [load_structure("Ni")], KikuchiEffects(noise=0.3)
    far_bands = finish(
        simulate_kikuchi(nickel, effects=effects, patterns=600, size=24, seed=3, workers=crew)
    )
    near_bands = finish(simulate_kikuchi(nickel, effects=effects, patterns=600, size=24, seed=3))
    np.testing.assert_array_equal(far_bands.images, near_bands.images)


def test_a_worker_that_dies_costs_nothing_but_time(spots: Path) -> None:
    stack = open_stack(spots)
    with workers(count=2) as them:
        assert them is not None
        victims: list[int] = []

        def kill_one(step: object) -> None:
            if not victims:
                victims.append(next(iter(them._client.run(os.getpid).values())))
                os.kill(victims[0], signal.SIGKILL)

        work = classify(stack, untrained_classifier(), device="cpu", batch_size=4, workers=them)
        table = finish(work, kill_one)
        assert victims
    pd.testing.assert_frame_equal(table, table_of(stack, None), check_exact=True)


def test_scheduler_and_workers_may_be_programs_of_their_own(
    spots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask_scheduler = [
        *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
        *("--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"),
    ]
    dask_worker = [
        *(sys.executable, "-m", "distributed.cli.dask_worker", address),
        *("--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)),
    ]
    processes = [
        subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for command in (dask_scheduler, dask_worker)
    ]
    try:
        options = ["--border", "off", "--batch-size", "8"]
        far, near = tmp_path / "far.csv", tmp_path / "near.csv"
        command = ["classify", str(spots), *options, "--output"]
        assert run([*command, str(far), "--scheduler", address]) == 0, capsys.readouterr().err
        assert run([*command, str(near)]) == 0
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
    assert far.read_bytes() == near.read_bytes()


def test_an_address_where_nobody_answers_is_said(
    monkeypatch: pytest.MonkeyPatch, spots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_ANSWER", 1)
    output = tmp_path / "out.csv"
    command = ["classify", str(spots), "--output", str(output), "--scheduler", "tcp://127.0.0.1:9"]
    assert run(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "tcp://127.0.0.1:9: no scheduler of dask answers there" in said
    assert run([*command, "--workers", "2"]) == 2
    assert "not both" in capsys.readouterr().err


def test_a_scheduler_without_workers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WORKER", 0.1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        pytest.raises(InputError, match="the scheduler has no workers; start some"),
        workers(cluster.scheduler_address),
    ):
        pass


def test_workers_of_a_scheduler_keep_nothing_of_what_was_shared() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for number in range(2):
            with workers(cluster.scheduler_address) as them:
                assert them is not None
                assert them.submit(them.share(list, "ab"), _counted, number)() == 2 + number
        (kept,) = client.run(_plugins).values()
        assert not [name for name in kept if name.startswith("napari-diffraction")]


def test_a_scheduler_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER", 1)
    cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=None)
    with cluster, workers(cluster.scheduler_address) as them:
        assert them is not None
        key = them.share(list, "ab")
        result = them.submit(key, _held)
        cluster.close()
        _GO_ON.set()
        for asked in (result, them.ahead, lambda: them.share(list, "c")):
            with pytest.raises(InputError, match="The scheduler is gone: start it again"):
                asked()


_GO_ON = threading.Event()


def _held(made: list[str]) -> list[str]:
    _GO_ON.wait()
    return made


def _counted(made: list[str], more: int) -> int:
    return len(made) + more


def _plugins(dask_worker: Worker) -> list[str]:
    return list(dask_worker.plugins)


def test_patterns_in_memory_cannot_be_sent() -> None:
    stack = PatternStack(da.zeros((3, 8, 8)), "mine")
    with pytest.raises(InputError, match="mine is in no file"):
        StackElsewhere.of(stack)


def test_a_stack_that_has_changed_is_not_taken(spots: Path) -> None:
    stack = StackElsewhere.of(open_stack(spots))
    assert len(stack.open()) == COUNT
    with pytest.raises(InputError, match="other patterns"):
        replace(stack, shape=(COUNT + 1, 64, 72)).open()


def test_the_geometry_known_by_now_goes_with_it(spots: Path) -> None:
    stack = open_stack(spots).with_centre((0.5, 0.3, 0.6))
    assert StackElsewhere.of(stack).open().geometry == stack.geometry


def test_results_come_in_order_and_work_is_begun_ahead() -> None:
    begun: list[int] = []

    def submit(piece: int) -> object:
        begun.append(piece)
        return lambda: piece * 10

    results = in_order(submit, range(5), lambda: 3)
    assert next(results) == 0
    assert begun == [0, 1, 2]
    assert list(results) == [10, 20, 30, 40]
