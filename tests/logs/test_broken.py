"""Logs that are broken or doubtful: each is told in one clear line, and read where that is safe."""

import json
from pathlib import Path

import numpy as np
import pytest

from batchtime.errors import LogError, ParameterError
from batchtime.logs.read import Logs, read_logs

LOSSES = {10: 0.9, 20: 0.6, 30: 0.4, 40: 0.25, 50: 0.2}


def lines(values: dict[int, float | None], *, metric: str = "val_loss", **settings: object) -> str:
    """Return a log of JSON lines."""
    return "".join(json.dumps({"step": step, metric: value, **settings}) + "\n" for step, value in values.items())


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, **asked: object) -> Logs:
    """Return what a log tells of when the loss was at most 0.3."""
    return read_logs(path, **{"metric": "val_loss", "at_most": 0.3, **asked})  # type: ignore[arg-type]


def refusal(path: Path, **asked: object) -> str:
    """Return the one line with which a log is refused."""
    with pytest.raises((LogError, ParameterError)) as refused:
        read(path, **asked)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log that is whole: the target is met after more than 30 and at most 40 updates."""
    return write(tmp_path / "a.jsonl", lines(dict(LOSSES), batch_size=8))


def interval(logs: Logs) -> tuple[float, float, bool]:
    """Return what is known of the only run."""
    (row,) = logs.runs.itertuples()
    return float(row.updates_lower), float(row.updates), bool(row.censored)  # type: ignore[arg-type]


def test_a_whole_log_is_read_without_a_word_but_that_it_tells_no_seconds(log: Path) -> None:
    logs = read(log)
    assert interval(logs) == (30, 40, False)
    assert logs.notices == ("no run tells seconds: lines need time stamps for that",)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_log_that_is_cut_off_in_a_line_is_read_up_to_it(tmp_path: Path, form: str) -> None:
    if form == "jsonl":
        path = write(tmp_path / "a.jsonl", lines(dict(LOSSES), batch_size=8)[:-20])
    else:
        rows = "".join(f"{step},8,{loss}\n" for step, loss in LOSSES.items())
        path = write(tmp_path / "a.csv", f"step,batch_size,val_loss\n{rows}"[:-6])
    logs = read(path)
    assert len(logs.evaluations) == 4
    assert f"{path}: its last line is cut off and was left out" in logs.notices


def test_a_line_that_is_damaged_in_the_middle_is_named(tmp_path: Path, log: Path) -> None:
    damaged = log.read_text().replace('"step": 30', '"step 30')
    assert "b.jsonl, line 3 is no JSON object" in refusal(write(tmp_path / "b.jsonl", damaged))
    table = "step,batch_size,val_loss\n10,8,0.9\n20,8,o.6\n"
    assert "c.csv, line 3, column val_loss, value 'o.6'" in refusal(write(tmp_path / "c.csv", table))


def test_a_metric_that_no_log_has_is_answered_with_the_nearest(tmp_path: Path) -> None:
    text = lines({10: 0.5}, metric="valid/loss", accuracy=0.5, batch_size=8)
    assert refusal(write(tmp_path / "a.jsonl", text)).endswith(
        "no line holds the metric 'val_loss'; nearest are: valid/loss"
    )
    assert refusal(tmp_path / "a.jsonl", metric="xyz").endswith("nearest are: accuracy, valid/loss")


def test_a_log_without_a_batch_size_asks_for_it(tmp_path: Path) -> None:
    path = write(tmp_path / "bs16.jsonl", lines(dict(LOSSES)))
    assert "no batch size is in the log; give" in refusal(path)
    assert "--batch-size-from" in refusal(path)
    assert list(read(path, batch_size_from=r"bs(\d+)").runs["batch_size"]) == [16]
    deeper = write(tmp_path / "bs16" / "bs64-a.jsonl", lines(dict(LOSSES)))
    assert list(read(deeper, batch_size_from=r"bs(\d+)").runs["batch_size"]) == [64]
    assert "finds no number in this path" in refusal(path, batch_size_from=r"M(\d+)")
    assert "has no group" in refusal(path, batch_size_from=r"bs\d+")
    assert "is no regular expression" in refusal(path, batch_size_from=r"bs(\d+")


def test_a_batch_size_that_log_and_path_tell_differently_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bs16.jsonl", lines(dict(LOSSES), batch_size=8))
    assert "the log's batch size is 8 and its path's 16" in refusal(path, batch_size_from=r"bs(\d+)")
    assert list(read(path, batch_size_from=r"bs(\d+)", batches_per_update=2).runs["batch_size"]) == [16]


def test_the_batch_of_one_device_asks_how_many_make_an_update(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(dict(LOSSES), per_device_train_batch_size=8, accumulation_steps=2))
    assert "8 is the batch size of one device" in refusal(path)
    assert "--batches-per-update" in refusal(path)
    assert list(read(path, batches_per_update=4).runs["batch_size"]) == [32]
    told = lines(dict(LOSSES), per_device_train_batch_size=8, gradient_accumulation_steps=2, world_size=4)
    assert list(read(write(tmp_path / "b.jsonl", told)).runs["batch_size"]) == [64]


def test_two_runs_in_one_log_are_refused_unless_something_tells_them_apart(tmp_path: Path) -> None:
    once = lines(dict(LOSSES), batch_size=8)
    assert "update 10 follows update 50, so two runs are in one log" in refusal(
        write(tmp_path / "a.jsonl", once + once)
    )
    apart = lines(dict(LOSSES), batch_size=8, seed=0) + lines(dict(LOSSES), batch_size=8, seed=1)
    assert list(read(write(tmp_path / "b.jsonl", apart)).runs["seed"]) == [0, 1]


def test_after_a_restart_the_later_lines_count(tmp_path: Path) -> None:
    again = {30: 0.5, 40: 0.35, 50: 0.28}
    path = write(tmp_path / "a.jsonl", lines(dict(LOSSES), batch_size=8) + lines(dict(again), batch_size=8))
    logs = read(path)
    assert interval(logs) == (40, 50, False)
    assert list(logs.evaluations["value"]) == [0.9, 0.6, 0.5, 0.35, 0.28]
    assert f"{path}: its updates go back, as after a restart: the later lines count" in logs.notices


@pytest.mark.parametrize(
    ("values", "asked", "told"),
    [
        ([0.3, 0.6, 0.9], {"at_least": 90}, "for 90 percent give --at-least 0.9"),
        ([0.7, 0.4, 0.1], {"at_most": 10}, "for 10 percent give --at-most 0.1"),
        ([30.0, 60.0, 95.0], {"at_least": 0.9}, "if they are percent give --at-least 90"),
        ([70.0, 40.0, 9.0], {"at_most": 0.1}, "if they are percent give --at-most 10"),
    ],
)
def test_percent_is_told_from_fractions(
    tmp_path: Path, values: list[float], asked: dict[str, float], told: str
) -> None:
    steps: dict[int, float | None] = dict(zip((10, 20, 30), values, strict=True))
    path = write(tmp_path / "a.jsonl", lines(steps, metric="val_error", batch_size=8))
    assert told in refusal(path, **{"at_most": None, "metric": "val_error", **asked})


def test_runs_in_percent_and_runs_in_fractions_are_not_put_together(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", lines({10: 0.5, 20: 0.9}, metric="val_acc", batch_size=8))
    write(tmp_path / "b.jsonl", lines({10: 50, 20: 90}, metric="val_acc", batch_size=8))
    assert "is a fraction in" in refusal(tmp_path, metric="val_acc", at_most=None, at_least=0.8)


def test_a_loss_of_any_size_is_no_percent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({10: 6.0, 20: 3.0, 30: 1.5}, batch_size=8))
    assert interval(read(path)) == (30, 30, True)


def test_a_value_that_is_not_finite_does_not_meet_the_target(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({10: 0.9, 20: None, 30: 0.2, 40: None}, batch_size=8))
    logs = read(path)
    assert interval(logs) == (20, 30, False)
    assert f"{path}: the metric is not finite at some evaluations: the target is not met there" in logs.notices
    table = "step,batch_size,val_loss,train_loss\n10,8,nan,1\n20,8,,1\n30,8,inf,1\n"
    logs = read(write(tmp_path / "b.csv", table), at_most=None, at_least=0.3)
    assert interval(logs) == (30, 30, True)  # an empty cell is no evaluation, and infinity is no success
    assert list(logs.evaluations["updates"]) == [10, 30]


def test_an_empty_file_is_refused_alone_and_left_out_of_a_folder(tmp_path: Path, log: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", "")
    assert refusal(empty) == f"{empty} is empty; give the log of a run"
    assert f"{empty} is empty and was left out" in read(tmp_path).notices
    assert len(read(tmp_path).runs) == len(read(log).runs) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_log_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    assert interval(read(write(tmp_path / "a.jsonl", lines(dict(LOSSES), batch_size=8), encoding))) == (30, 40, False)


def test_a_log_in_another_code_page_is_read_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "step,batch_size,val_loss,Gerät\n10,8,0.2,Müller\n", "cp1252")
    assert f"{path}: it is not UTF-8 (byte 0xe4 in line 1) and was read as Windows-1252" in read(path).notices


def test_a_metric_that_never_reaches_the_target_says_how_near_it_came(log: Path) -> None:
    logs = read(log, at_most=0.1)
    assert interval(logs) == (50, 50, True)
    assert "no run met val_loss at most 0.1; the best value is 0.2" in logs.notices


def test_files_beside_logs_are_no_hindrance(tmp_path: Path, log: Path) -> None:
    write(tmp_path / "args.json", '{\n  "steps": 100,\n  "val_loss": null\n}\n')
    write(tmp_path / "requirements.txt", "torch\n")
    (tmp_path / "model.pt").write_bytes(bytes(range(256)))
    write(tmp_path / ".cache" / "b.jsonl", log.read_text())
    write(tmp_path / "runs.csv", "batch_size,updates\n8,40\n")
    assert interval(read(tmp_path)) == (30, 40, False)
    write(tmp_path / "bs8.log", "step 10 loss 0.5\nstep 20 loss 0.1\n")
    logs = read(tmp_path, line=r"step (?P<step>\d+) loss (?P<value>\S+)", batch_size_from=r"bs(\d+)")
    assert len(logs.runs) == 1


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    assert "there is no file or folder" in refusal(tmp_path / "absent")
    write(tmp_path / "notes.txt", "loss 0.3 at step 10\n")
    assert "no log is there; give the folder or the file of a log, or --line" in refusal(tmp_path)
    assert "finds no value in any line" in refusal(tmp_path, line=r"epoch (?P<step>\d+) (?P<value>\d+)")
    assert "lacks the groups" in refusal(tmp_path, line=r"loss (?P<value>\S+)")


@pytest.mark.parametrize("asked", [{"at_most": None}, {"at_least": 0.5}, {"at_most": float("nan")}, {"hold": 0}])
def test_a_target_that_is_none_is_refused(log: Path, asked: dict[str, object]) -> None:
    assert "is not allowed; allowed:" in refusal(log, **asked)


def test_the_target_must_hold_as_often_as_asked(tmp_path: Path) -> None:
    values: dict[int, float | None] = {10: 0.9, 20: 0.2, 30: 0.4, 40: 0.2, 50: 0.2, 60: 0.1}
    path = write(tmp_path / "a.jsonl", lines(values, batch_size=8))
    assert interval(read(path)) == (10, 20, False)
    assert interval(read(path, hold=2)) == (30, 40, False)
    assert interval(read(path, hold=4)) == (30, 30, True)  # the last three may be the first of four
    assert interval(read(path, at_most=0.95)) == (0, 10, False)


def test_several_targets_give_a_row_each(log: Path) -> None:
    runs = read(log, at_most=[0.5, 0.3, 0.1]).runs
    assert list(zip(runs["target"], runs["updates"], runs["censored"], strict=True)) == [
        (0.5, 30, False),
        (0.3, 40, False),
        (0.1, 50, True),
    ]


def stamped(stamps: list[tuple[int, float, float | None]], **settings: object) -> str:
    """Return a log of lines with a time stamp, and the metric where it was evaluated."""
    return "".join(
        json.dumps({"step": step, "time": time, **({} if loss is None else {"val_loss": loss}), **settings}) + "\n"
        for step, time, loss in stamps
    )


def test_seconds_leave_out_evaluations_and_interruptions(tmp_path: Path) -> None:
    # 10 updates take 1 s, an evaluation 5 s; the machine stood still for 1,000 s before the restart at update 30.
    told: list[tuple[int, float, float | None]] = [
        (10, 101.0, None),
        (20, 102.0, None),
        (20, 107.0, 0.9),
        (30, 108.0, None),
        (40, 109.0, None),
        (40, 114.0, 0.6),
        (30, 1114.0, None),
        (40, 1115.0, None),
        (40, 1120.0, 0.5),
        (50, 1121.0, None),
        (60, 1122.0, None),
        (60, 1127.0, 0.2),
    ]
    logs = read(write(tmp_path / "a.jsonl", stamped(told, batch_size=8)))
    assert logs.timings["seconds"].to_numpy() == pytest.approx(0.1)
    assert list(logs.evaluations["seconds"]) == pytest.approx([2, 4, 6])


def test_seconds_that_hold_evaluations_are_said_to(tmp_path: Path) -> None:
    told: list[tuple[int, float, float | None]] = [(10 * n, 6.0 * n, 1 / n) for n in range(1, 6)]
    path = write(tmp_path / "a.jsonl", stamped(told, batch_size=8))
    logs = read(path)
    assert logs.timings["seconds"].to_numpy() == pytest.approx(0.6)
    assert any("its seconds hold its evaluations" in notice for notice in logs.notices)


def test_stamps_of_whole_seconds_give_blocks_of_many_ticks(tmp_path: Path) -> None:
    told: list[tuple[int, float, float | None]] = [(n, float(int(0.7 * n)), None) for n in range(1, 201)]
    path = write(tmp_path / "a.jsonl", stamped([*told, (200, 150.0, 0.2)], batch_size=8))
    seconds = read(path).timings["seconds"].to_numpy()
    assert 1 < len(seconds) < 8  # 139 s in blocks of at least 20
    assert np.abs(seconds / 0.7 - 1).max() < 0.06


def test_nan_as_python_writes_it_is_read(tmp_path: Path) -> None:
    text = lines(dict(LOSSES), batch_size=8).replace("0.6", "NaN").replace("0.9", "-Infinity")
    assert interval(read(write(tmp_path / "a.jsonl", text))) == (30, 40, False)
    state = {
        "train_batch_size": 8,
        "log_history": [{"step": 10, "eval_loss": float("nan")}, {"step": 20, "eval_loss": 0.1}],
    }
    write(tmp_path / "run" / "trainer_state.json", json.dumps(state))
    assert interval(read(tmp_path / "run", metric="eval_loss", batches_per_update=1)) == (10, 20, False)


def test_numbers_in_an_object_within_a_line_are_found_by_both_names(tmp_path: Path) -> None:
    text = '{"config": {"batch_size": 8}}\n{"step": 10, "val": {"loss": 0.5}}\n{"step": 20, "val": {"loss": 0.1}}\n'
    assert interval(read(write(tmp_path / "a.jsonl", text), metric="val/loss")) == (10, 20, False)


def test_a_target_that_is_met_before_training_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({0: 0.2, 10: 0.1}, batch_size=8))
    assert refusal(path) == f"{path} meets the target 0.3 before its first update; ask for a better one"


def test_a_run_that_tells_nothing_of_the_target_is_left_out_and_said(tmp_path: Path, log: Path) -> None:
    only_start = write(tmp_path / "b.jsonl", lines({0: 0.9}, batch_size=8))
    logs = read(tmp_path)
    assert interval(logs) == (30, 40, False)
    assert "1 run left out: no evaluation after the first update missed the target" in logs.notices
    assert "no run was evaluated after its first update" in refusal(only_start)
    assert log.exists()
