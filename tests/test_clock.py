"""Promises of whole runs by the clock: the updates' own seconds, one run at a time, none of a busy machine."""

import math
from pathlib import Path

import pytest

from batchtime.errors import ClockError
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store, writing
from batchtime.train.clock import time_runs
from batchtime.train.loop import Stopwatch, train_to_target
from batchtime.train.sweep import train
from batchtime.train.workloads import build

from .builders import setting


def specs(count: int = 2) -> list[RunSpec]:
    return [RunSpec(setting=setting(), batch_size=16, seed=seed) for seed in range(count)]


def test_a_run_by_the_clock_is_the_same_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with writing(store.timed_runs_file("test")) as writer:
        timed = time_runs(specs(), writer=writer, most_wall_over_cpu=math.inf)
    assert store.timed_runs("test", own=True) == timed
    assert store.timed_runs("test") == []  # published ones are others
    assert [run.outcome for run in timed] == [train(run.spec).outcome for run in timed]
    for run in timed:
        assert run.upper_seconds is not None
        assert 0 < run.lower_seconds < run.upper_seconds
        assert run.wall_over_cpu > 0.9


def test_the_clock_stands_still_while_a_run_is_evaluated() -> None:
    stopwatch = Stopwatch()
    record = train_to_target(specs()[0], build(setting().workload), stopwatch=stopwatch)
    assert len(stopwatch.wall_seconds) == len(stopwatch.cpu_seconds) == len(record.evaluations.updates)
    assert stopwatch.wall_seconds == sorted(stopwatch.wall_seconds)
    evaluating = record.cost.evaluation_cpu_seconds
    assert stopwatch.cpu_seconds[-1] <= record.cost.cpu_seconds - 0.9 * evaluating


def test_a_run_that_never_got_there_has_no_upper_end(tmp_path: Path) -> None:
    lost = RunSpec(setting=setting(target=1e-6, metric="loss", max_updates=20), batch_size=4, seed=0)
    with writing(Store(tmp_path).timed_runs_file("test")) as writer:
        run = time_runs([lost], writer=writer, most_wall_over_cpu=math.inf)[0]
    assert (run.outcome.status, run.upper_seconds) == ("censored", None)
    assert run.lower_seconds > 0


def test_a_busy_machine_is_told_and_the_run_is_not_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with (
        writing(store.timed_runs_file("test")) as writer,
        pytest.raises(ClockError, match=r"batch size 16, seed 0 took .* times its CPU time \(allowed: 0.001\)"),
    ):
        time_runs(specs(), writer=writer, most_wall_over_cpu=0.001)
    assert store.timed_runs("test", own=True) == []
