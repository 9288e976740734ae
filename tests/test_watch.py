"""A loop of one's own that is watched: what it counts, times and writes, and what survives of it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import batchtime as bt
from batchtime.errors import BatchtimeError
from batchtime.logs.tables import FILES
from batchtime.train.watch import Watched

TARGET: dict[str, Any] = {"metric": "val_acc", "at_least": 0.9}


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that stands still until somebody moves its hand."""
    hand = [0.0]
    monkeypatch.setattr("batchtime.train.watch.perf_counter", lambda: hand[0])
    return hand


def train(out: Path, hand: list[float], values: list[float], *, batch_size: int = 64, **more: Any) -> bool:
    """Watch a run of ten updates of 0.2 s between evaluations that take 100 s; return whether it met the target."""
    with bt.watch(batch_size=batch_size, out=out, **TARGET, **more) as run:
        for value in values:
            for _ in range(10):
                hand[0] += 0.2
                run.update()
            hand[0] += 100
            if run.evaluate(value):
                break
    return run.reached


def table(out: Path, name: str = "runs.csv") -> pd.DataFrame:
    """Return a table that was written."""
    return pd.read_csv(out / name)


def test_a_watched_run_writes_three_tables_with_its_updates_and_their_seconds(
    tmp_path: Path, ticks: list[float]
) -> None:
    assert train(tmp_path, ticks, [0.3, 0.8, 0.95, 0.99], learning_rate=0.1, seed=3)
    (run,) = table(tmp_path).to_dict("records")
    assert run == {
        "batch_size": 64,
        "updates": 30,  # not 40: the loop ended at the target
        "learning_rate": 0.1,
        "seed": 3,
        "updates_lower": 20,
        "censored": False,
    }
    assert table(tmp_path, "timing.csv")["seconds"].to_numpy() == pytest.approx(0.2)  # without evaluations
    evaluations = table(tmp_path, "evaluations.csv")
    assert evaluations["updates"].to_list() == [10, 20, 30]
    assert evaluations["seconds"].to_list() == pytest.approx([2, 4, 6])
    assert evaluations["value"].to_list() == [0.3, 0.8, 0.95]


def test_the_tables_are_those_that_reading_the_logs_writes(tmp_path: Path, ticks: list[float]) -> None:
    for seed, values in enumerate([[0.3, 0.95], [0.2, 0.3, 0.4]]):
        train(tmp_path, ticks, values, seed=seed)
    from batchtime import cli

    out = tmp_path / "read"
    assert (
        cli.main(["read", str(tmp_path / "logs"), "--metric", "val_acc", "--at-least", "0.9", "--out", str(out)]) == 0
    )
    for name in FILES:
        assert (out / name).read_bytes() == (tmp_path / name).read_bytes()


def test_runs_of_one_folder_come_together_and_a_repeated_run_takes_its_own_place(
    tmp_path: Path, ticks: list[float]
) -> None:
    for size in (8, 64, 512):
        for seed in (0, 1):
            train(tmp_path, ticks, [0.5, 0.95], batch_size=size, learning_rate=0.1, seed=seed)
    before = table(tmp_path)
    assert len(before) == 6
    train(tmp_path, ticks, [0.5, 0.6, 0.95], batch_size=64, learning_rate=0.1, seed=1)
    after = table(tmp_path)
    again = (after["batch_size"] == 64) & (after["seed"] == 1)
    assert after[again]["updates"].to_list() == [30]
    assert after[~again].equals(before[~again])
    assert bt.fit(bt.read_runs(tmp_path / "runs.csv")) is not None


def test_runs_without_a_seed_are_all_kept(tmp_path: Path, ticks: list[float]) -> None:
    for _ in range(3):
        train(tmp_path, ticks, [0.5, 0.95])
    assert len(table(tmp_path)) == 3


def test_a_repeated_run_that_evaluates_nothing_changes_nothing(tmp_path: Path, ticks: list[float]) -> None:
    train(tmp_path, ticks, [0.5, 0.95], seed=0)
    before = {name: (tmp_path / name).read_bytes() for name in (*FILES, "logs/bs64-seed0.jsonl")}
    train(tmp_path, ticks, [], seed=0)
    train(tmp_path, ticks, [], seed=1)  # nor does one that was not there
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    assert len(list((tmp_path / "logs").glob("*.jsonl"))) == 1


def test_a_run_that_goes_on_from_a_checkpoint_is_one_run(tmp_path: Path, ticks: list[float]) -> None:
    train(tmp_path, ticks, [0.3, 0.5, 0.6], seed=0)
    log = tmp_path / "logs" / "bs64-seed0.jsonl"
    log.write_bytes(log.read_bytes() + b'{"step": 31, "ti')  # torn by a power cut
    ticks[0] += 1e6  # the machine was down
    with bt.watch(batch_size=64, out=tmp_path, seed=0, done=20, **TARGET) as run:
        ticks[0] += 2
        run.update(5)
        run.evaluate(0.95)
    assert run.updates == 25
    (row,) = table(tmp_path).to_dict("records")
    assert (row["updates_lower"], row["updates"], row["censored"]) == (20, 25, False)
    assert table(tmp_path, "evaluations.csv")["updates"].to_list() == [10, 20, 25]
    assert table(tmp_path, "timing.csv")["seconds"].max() < 1


def test_a_target_that_falls_holds_and_an_evaluation_that_is_not_finite_miss_as_they_should(tmp_path: Path) -> None:
    with bt.watch(batch_size=8, metric="loss", at_most=-1.0, hold=2, out=tmp_path) as run:
        reached = []
        for value in (-2.0, float("nan"), -1.5, -0.5, -1.0, -1.2):
            run.update(10)
            reached.append(run.evaluate(value))
    assert reached == [False] * 5 + [True]
    (row,) = table(tmp_path).to_dict("records")
    assert (row["updates_lower"], row["updates"]) == (40, 50)


def test_without_a_folder_nothing_is_written_and_the_target_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with bt.watch(batch_size=8, out=None, **TARGET) as run:
        run.update()
        assert run.evaluate(0.9)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import itertools, signal, sys, batchtime as bt
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have been told to ignore it
with bt.watch(batch_size=64, metric="val_acc", at_least=0.9, out=sys.argv[1], seed=0) as run:
    for number in itertools.count(1):
        run.update(10)
        run.evaluate(0.1)
        print(number, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_loses_no_evaluation(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as train_on:
        assert train_on.stdout is not None
        for _ in range(20):
            train_on.stdout.readline()
        train_on.send_signal(number)
        told = 20 + len(train_on.stdout.readlines())
    assert (tmp_path / "runs.csv").exists()
    kept = bt.read_logs(tmp_path / "logs", metric="val_acc", at_least=0.9).evaluations
    assert len(kept) >= told
    assert kept["updates"].to_list() == [10 * (one + 1) for one in range(len(kept))]
    if number == signal.SIGINT:  # the block was left, not cut off
        assert len(table(tmp_path, "evaluations.csv")) == len(kept)


TOGETHER = """
import sys, batchtime as bt
with bt.watch(batch_size=64, metric="val_acc", at_least=0.9, out=sys.argv[1], seed=int(sys.argv[2])) as run:
    for number in range(10):
        run.update(10)
        run.evaluate(number / 10)
"""


def test_processes_that_write_to_one_folder_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    several = [subprocess.Popen([sys.executable, "-c", TOGETHER, str(tmp_path), str(seed)]) for seed in range(3)]
    assert [one.wait(timeout=120) for one in several] == [0, 0, 0]
    assert sorted(table(tmp_path)["seed"]) == [0, 1, 2]
    assert len(table(tmp_path, "evaluations.csv")) == 30


def test_two_processes_of_one_run_are_not_both_written(tmp_path: Path) -> None:
    with (
        bt.watch(batch_size=64, out=tmp_path, seed=0, **TARGET),
        pytest.raises(
            bt.BatchtimeError, match=r"another process is writing .*bs64-seed0.jsonl; give each run another seed"
        ),
    ):
        bt.watch(batch_size=64, out=tmp_path, seed=0, **TARGET)


def test_a_full_disk_stops_no_training(tmp_path: Path, ticks: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("batchtime.logs.tables.Path.replace", full)
    with pytest.warns(UserWarning, match="is not up to date: .*No space left on device.*training goes on") as told:
        train(tmp_path, ticks, [0.1, 0.2, 0.95], seed=0)
    assert len(told) == 1
    monkeypatch.undo()
    assert len(bt.read_logs(tmp_path / "logs", metric="val_acc", at_least=0.9).evaluations) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_size": 0}, "batch_size = 0 is not allowed; allowed: a whole number of examples of an update"),
        ({"batch_size": "64"}, "batch_size = '64' is not allowed"),
        ({"metric": "seed"}, "metric = 'seed' is not allowed"),
        ({"metric": None}, "metric = None is not allowed"),
        ({"at_least": None}, "one of the two: the target"),
        ({"at_most": 0.1}, "one of the two: the target"),
        ({"at_least": "high"}, "target = 'high' is not allowed; allowed: a finite number"),
        ({"at_least": float("nan")}, "target = nan is not allowed"),
        ({"hold": 0}, "--hold = 0 is not allowed"),
        ({"seed": -1}, "seed = -1 is not allowed"),
        ({"learning_rate": 0}, "learning_rate = 0 is not allowed"),
        ({"done": -1}, "done = -1 is not allowed"),
        ({"done": 5}, "seed = None is not allowed; allowed: that of the run that goes on"),
        ({"out": "file"}, "cannot write to file/logs: Not a directory; name another folder"),
    ],
)
def test_what_cannot_be_watched_is_refused_in_one_line(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(BatchtimeError) as refusal:
        bt.watch(**({"batch_size": 64, "out": "measured"} | TARGET | given))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_folder_with_runs_to_another_target_is_refused(tmp_path: Path, ticks: list[float]) -> None:
    train(tmp_path, ticks, [0.95], seed=0)
    said = r"at_least 0.8, hold 1' is not allowed; .*\(metric val_acc, at_least 0.9, hold 1\); or name another folder"
    with pytest.raises(bt.ParameterError, match=said):
        bt.watch(batch_size=64, metric="val_acc", at_least=0.8, out=tmp_path, seed=1)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda run: run.update(0), "n = 0 is not allowed"),
        (lambda run: run.evaluate("high"), "val_acc = 'high' is not allowed; allowed: one number"),
        (lambda run: run.evaluate([1, 2]), r"val_acc = \[1, 2\] is not allowed"),
    ],
)
def test_what_a_loop_says_wrongly_is_refused_in_one_line(act: Any, said: str) -> None:
    with bt.watch(batch_size=64, out=None, **TARGET) as run, pytest.raises(bt.ParameterError, match=said):
        act(run)


def test_a_trainer_that_begins_again_with_a_smaller_batch_leaves_one_run(tmp_path: Path) -> None:
    watched = Watched(out=tmp_path, **TARGET)
    for size in (64, 32):  # the first did not fit into memory
        watched.begin(writes=True, done=0, batch_size=size, learning_rate=0.1, seed=0)
        watched.count(5)
    watched.evaluate({"val_acc": 0.95})
    watched.end()
    assert table(tmp_path)["batch_size"].to_list() == [32]
    assert [path.name for path in (tmp_path / "logs").glob("*.jsonl")] == ["bs32-lr0.1-seed0.jsonl"]


@pytest.mark.parametrize("name", ["lightning", "huggingface"])
def test_a_callback_is_under_sixty_lines(name: str, root: Path) -> None:
    assert len((root / "src" / "batchtime" / f"{name}.py").read_text().splitlines()) < 60
