"""Promises of `batchtime read`, and of `fit` and `recommend` for logs and tables of one's own."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batchtime import cli

DATA = Path(__file__).parent / "data"
ASKED = ("--metric", "val_loss", "--at-most", "0.3")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """Return the JSON object that a command prints."""
    assert cli.main([*map(str, arguments), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the one line with which a command fails."""
    assert cli.main([*map(str, arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.fixture
def timing(tmp_path: Path) -> Path:
    """Return a table of durations: 4 ms an update and 0.1 ms an example, in milliseconds."""
    rows = "".join(f"{size};{(4 + 0.1 * size) * f:.4f}\n" for size in (8, 32, 96, 256) for f in (0.99, 1, 1.01))
    path = tmp_path / "timing.csv"
    path.write_text(f"Batch Size;ms\n{rows}".replace(".", ","))
    return path


def test_read_writes_the_three_tables_that_fit_and_recommend_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "measured"
    found = answer(capsys, "read", DATA / "json", *ASKED, "--out", out)
    assert found["files"] == [str(out / name) for name in ("runs.csv", "timing.csv", "evaluations.csv")]
    assert (found["n_runs"], found["n_censored"], found["formats"]) == (8, 0, {"JSON lines": 8})
    runs, timings, evaluations = map(pd.read_csv, found["files"])
    assert list(runs) == ["batch_size", "updates", "learning_rate", "seed", "updates_lower", "censored"]
    assert list(timings) == ["batch_size", "seconds"]
    assert list(evaluations) == ["run", "batch_size", "learning_rate", "seed", "updates", "seconds", "value"]
    by_table, by_folder, by_logs = (
        answer(capsys, "fit", *source)
        for source in ([out / "runs.csv"], [out], [DATA / "json", "--metric", "val_loss", "--at-most", "0.3"])
    )
    for name in ("n_inf", "alpha", "intervals", "n_runs"):
        assert by_table[name] == by_folder[name] == by_logs[name]


def test_the_same_is_told_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["read", str(DATA / "lightning"), *ASKED]) == 0
    out = capsys.readouterr().out
    assert out.startswith("8 runs, from logs: 8 of Lightning's CSVLogger\n")
    assert [line.split()[:3] for line in out.splitlines()[2:6]] == [[str(m), "2", "2"] for m in (8, 32, 96, 256)]
    assert "note: no run tells seconds" in out


def test_several_targets_are_read_at_once_and_one_of_them_is_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = ("--metric", "val_loss", "--at-most", "0.5", "0.3")
    found = answer(capsys, "read", DATA / "json", *several, "--out", tmp_path)
    assert [row["target"] for row in found["batch_sizes"]] == [0.3] * 4 + [0.5] * 4
    runs = tmp_path / "runs.csv"
    assert "allowed: one of the table's targets: 0.3, 0.5" in complaint(capsys, "fit", runs)
    easy, hard = (answer(capsys, "fit", runs, "--at-most", target)["n_inf"] for target in ("0.5", "0.3"))
    assert easy < hard
    assert hard == answer(capsys, "fit", DATA / "json", *ASKED)["n_inf"]
    assert "allowed: one target" in complaint(capsys, "fit", DATA / "json", *several)


def test_logs_with_time_stamps_are_all_that_recommend_needs(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["recommend", str(DATA / "json"), *ASKED, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (2 if found["refused"] else 0)  # how the machine was used while they were written decides
    assert found["source"] == str(DATA / "json")


def test_logs_without_time_stamps_want_a_table_of_timings(timing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = (DATA / "lightning", *ASKED)
    assert "a second table, with columns batch_size,seconds" in complaint(capsys, "recommend", *logs)
    found = answer(capsys, "recommend", DATA / "lightning", timing, "--limit", "1", *ASKED)
    assert found["refused"] is False
    assert 4 < found["batch_size"] < 40  # alpha / n_inf is about 2, and 4 / 0.1 is 40
    assert "read column 'ms' as milliseconds" in found["missing"]


def test_a_folder_of_logs_asks_for_the_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name the metric of its logs, --metric NAME" in complaint(capsys, "fit", DATA / "json")
    assert "--metric = None" in complaint(capsys, "read", DATA / "json")
    assert "--at-most, --at-least" in complaint(capsys, "read", DATA / "json", "--metric", "val_loss")
    assert "nearest are: loss, val_loss" in complaint(capsys, "fit", DATA / "json", "--metric", "los", "--at-most", "1")
    assert "cannot write to" in complaint(
        capsys, "read", DATA / "json", *ASKED, "--out", DATA / "json" / "bs8-seed0.jsonl"
    )
    assert "nothing beside a table" in complaint(capsys, "fit", DATA / "json", *ASKED, "--seeds", "3")
    assert "cannot read absent.jsonl" in complaint(capsys, "fit", "absent.jsonl")
    assert "--hold = 2 is not allowed" in complaint(capsys, "fit", "absent.csv", "--hold", "2")
    assert "--at-most = [0.3] is not allowed" in complaint(capsys, "fit", "digits-mlp", "--at-most", "0.3")
    assert not list(tmp_path.iterdir())


def test_what_was_understood_of_a_table_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{size};{100 + 1600 / size + seed}\n" for size in (4, 16, 64) for seed in range(3))
    (tmp_path / "a.csv").write_text(f"Batch Size;Steps\n{rows}".replace(".", ","))
    warnings = answer(capsys, "fit", tmp_path / "a.csv")["warnings"]
    assert {"read column 'Steps' as updates", "read commas as decimal marks"} <= set(warnings)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    both = answer(capsys, "fit", tmp_path / "a.csv", tmp_path / "a.csv.gz")
    assert both["n_runs"] == 18


def test_epochs_and_doubtful_numbers_name_the_option_that_settles_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("batch_size,epochs\n4,8\n16,9\n64,14\n")
    assert "--examples N" in complaint(capsys, "fit", tmp_path / "a.csv")
    assert answer(capsys, "fit", tmp_path / "a.csv", "--examples", "640")["n_runs"] == 3
    (tmp_path / "b.csv").write_text("batch_size,updates\n4,14.640\n16,8.120\n64,3.410\n")
    assert "--decimal" in complaint(capsys, "fit", tmp_path / "b.csv")
    in_thousands = answer(capsys, "fit", tmp_path / "b.csv", "--decimal", ",")
    assert in_thousands["n_inf"] > 1000


def test_standard_input_is_a_table(table: bytes) -> None:
    code = "import sys; from batchtime.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", "-", "--json"], input=table, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["n_runs"] == 9


@pytest.fixture
def table() -> bytes:
    """Return a table of nine runs."""
    rows = "".join(f"{size},{round(100 + 1600 / size) + seed}\n" for size in (4, 16, 64) for seed in range(3))
    return f"batch_size,updates\n{rows}".encode()


def test_the_help_of_read_answers_in_half_a_second_and_without_pandas() -> None:
    code = """
import sys, time
from batchtime import cli
try:
    cli.main(["read", "--help"])
except SystemExit:
    print("pandas" in sys.modules, time.process_time())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--batch-size-from REGEX" in done.stdout
    imported, seconds = done.stdout.split()[-2:]
    assert imported == "False"
    assert float(seconds) < 0.5


def test_a_run_that_ends_first_is_censored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA / "json", tmp_path / "json")
    path = tmp_path / "json" / "bs8-seed0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]))  # its first evaluation, and no more
    found = answer(capsys, "read", tmp_path / "json", *ASKED, "--out", tmp_path)
    assert (found["n_runs"], found["n_censored"]) == (8, 1)
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert list(runs.loc[runs["censored"], "updates"]) == [180]
