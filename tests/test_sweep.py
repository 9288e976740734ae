"""Promises of a sweep: resumable, order-free, and nothing trained that is recorded."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from batchtime.errors import SweepError
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import RunSpec, SweepSpec
from batchtime.runs.store import Store
from batchtime.train.sweep import complete, missing_runs, train

from .builders import at_a_terminal, setting

SWEEP = SweepSpec(setting=setting(), batch_sizes=(8, 32), seeds=(0, 1, 2))


class Here(Executor):
    """An executor that runs a call where it is made, and counts."""

    def __init__(self) -> None:
        """Start with no call."""
        self.calls: list[RunSpec] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run the call."""
        self.calls.append(args[0])
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def results(records: list[RunRecord]) -> list[object]:
    """Return what of records does not depend on when and where they were made."""
    return [(record.spec, record.outcome, record.evaluations) for record in records]


def test_a_complete_sweep_is_read_and_not_trained_again(tmp_path: Path) -> None:
    here = Here()
    store = Store(tmp_path)
    first = complete(SWEEP, name="a", store=store, executor=here)
    assert [record.spec for record in first] == SWEEP.runs()
    assert len(here.calls) == 6
    assert complete(SWEEP, name="a", store=store, executor=here) == first
    assert len(here.calls) == 6


def test_what_is_recorded_of_a_sweep_is_kept_and_the_rest_is_trained(tmp_path: Path) -> None:
    here, store = Here(), Store(tmp_path)
    part = SweepSpec(setting=SWEEP.setting, batch_sizes=(32,), seeds=(1, 2))
    kept = complete(part, name="a", store=store, executor=here)
    records = complete(SWEEP, name="a", store=store, executor=here)
    assert len(here.calls) == 6
    assert [record for record in records if record.spec in set(part.runs())] == kept
    assert len(store.runs("a")) == 6


def test_runs_made_for_another_target_are_not_reused(tmp_path: Path) -> None:
    here, store = Here(), Store(tmp_path)
    complete(SWEEP, name="a", store=store, executor=here)
    other = SweepSpec(setting=setting(target=0.3), batch_sizes=(8, 32), seeds=(0, 1, 2))
    assert len(missing_runs(other.runs(), store.runs("a"))) == 6


@pytest.mark.full  # of one worker process, test_own.py says the same
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_worker_count_and_order_do_not_change_a_record(tmp_path: Path, workers: int) -> None:
    alone = complete(SWEEP, name="a", store=Store(tmp_path), executor=Here())
    (tmp_path / "two").mkdir()
    pooled = complete(SWEEP, name="a", store=Store(tmp_path / "two"), workers=workers)
    assert results(alone) == results(pooled)
    shuffled = [train(spec) for spec in reversed(SWEEP.runs())]
    assert results(list(reversed(shuffled))) == results(alone)


def test_any_executor_of_the_standard_library_serves(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        assert len(complete(SWEEP, name="a", store=Store(tmp_path), executor=executor)) == 6


def test_progress_starts_at_what_is_recorded_and_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    part = SweepSpec(setting=SWEEP.setting, batch_sizes=(8,), seeds=(0, 1))
    complete(part, name="a", store=Store(tmp_path), executor=Here())
    complete(
        SWEEP, name="a", store=Store(tmp_path), executor=Here(), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 6) for done in range(2, 7)]


def test_the_longest_runs_start_first() -> None:
    assert [spec.batch_size for spec in missing_runs(SWEEP.runs(), [])] == [32, 32, 32, 8, 8, 8]


def test_a_worker_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SweepError, match=r"the worker on .* has no GPU that torch can use; start workers where one is"):
        train(SWEEP.runs()[0], device="cuda")


def die(spec: RunSpec, expected: Mapping[str, str], _device: str) -> RunRecord:
    """End the worker that gets the last seed as the operating system does when memory is short."""
    if spec.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(spec, expected)


def test_a_killed_worker_is_one_line_and_the_finished_runs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchtime.train.sweep.train", die)
    order = SweepSpec(setting=SWEEP.setting, batch_sizes=(8,), seeds=(0, 1, 2))
    with pytest.raises(SweepError, match=r"a worker process died; \d of 3 runs are recorded"):
        complete(order, name="a", store=Store(tmp_path), workers=1)
    kept = Store(tmp_path).runs("a")
    monkeypatch.undo()
    records = complete(order, name="a", store=Store(tmp_path), executor=Here())
    assert all(record in records for record in kept)
    assert len(Store(tmp_path).runs("a")) == 3


def fail(spec: RunSpec, _expected: Mapping[str, str], _device: str) -> RunRecord:
    """Stop as a program does that runs out of memory."""
    raise MemoryError(f"no room for\na batch of {spec.batch_size}")


def test_a_run_that_stops_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchtime.train.sweep.train", fail)
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(SweepError, match=r"a run stopped \(MemoryError: no room for a batch of 32\)"),
    ):
        complete(SWEEP, name="a", store=Store(tmp_path), executor=executor)


def start(data: Path, workers: int) -> "subprocess.Popen[str]":
    """Start a sweep of the digits on the command line, in so many processes beside its own."""
    command = [str(Path(sys.executable).with_name("batchtime")), "sweep", "digits-mlp", "--data", str(data)]
    return at_a_terminal([*command, "--workers", str(workers)])


def wait_for_runs(data: Path, count: int) -> None:
    """Wait until so many runs are on the disk."""
    path = Store(data).runs_file("digits-mlp")
    for _ in range(1200):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    pytest.fail(f"{path} did not get {count} runs in a minute")


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGINT, 1),
        pytest.param(signal.SIGINT, 2, marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.full),
        # Fast ones are in test_reliability.py, of runs that take no time.
        pytest.param(signal.SIGKILL, 1, marks=pytest.mark.full),
        pytest.param(signal.SIGKILL, 2, marks=pytest.mark.full),
    ],
)
def test_a_sweep_that_is_stopped_goes_on_where_it_was(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    process = start(tmp_path, workers)
    wait_for_runs(tmp_path, 3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert errors.strip().splitlines()[-1].startswith("batchtime: stopped; what was recorded is whole")
        assert "Traceback" not in errors
    kept = Store(tmp_path).runs("digits-mlp")
    assert len(kept) >= 3
    again = experiment("digits-mlp").changed(batch_sizes=[512])
    complete(again.sweep, name="digits-mlp", store=Store(tmp_path), executor=Here())
    records = Store(tmp_path).runs("digits-mlp")
    assert records[: len(kept)] == kept
    assert len({record.spec for record in records}) == len(records)
    assert sum(record.batch_size == 512 for record in records) == 10
