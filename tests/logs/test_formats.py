"""The logs of one task, written by the libraries themselves (write.py), tell the same runs and the same law."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import observations_of
from batchtime.logs.read import Logs, read_logs

HERE = Path(__file__).parent
DATA = HERE / "data"
BY_PATH = {"batch_size_from": r"bs(\d+)", "seed_from": r"seed(\d+)"}
FORMATS: dict[str, dict[str, Any]] = {
    "lightning": {"metric": "val_loss"},
    "transformers": {"metric": "eval_loss", "seed_from": r"seed(\d+)"},
    "tensorboard": {"metric": "loss/validation"},
    "keras": {"metric": "val_loss", "examples": 1437, **BY_PATH},
    "mlperf": {"metric": "eval_loss"},
    "json": {"metric": "val_loss"},
    "text": {
        "metric": "validation loss",
        "line": [
            r"\[(?P<time>.*)\] update (?P<step>\d+): loss",
            r"update (?P<step>\d+): validation loss (?P<value>\S+)",
        ],
        **BY_PATH,
    },
}
TIMED = {"transformers", "tensorboard", "mlperf", "json", "text"}
"""Formats that tell when."""


def read(name: str, folder: Path = DATA, target: float = 0.3) -> Logs:
    """Return what the logs of one format tell."""
    return read_logs(folder / name, at_most=target, **FORMATS[name])


def table(logs: Logs) -> pd.DataFrame:
    """Return the runs in order."""
    return logs.runs.sort_values(["batch_size", "seed"], ignore_index=True)


def same_law(folder: Path) -> None:
    """Check that every format tells the law of the JSON lines."""
    law = fit_inverse_law(observations_of(read("json", folder).runs)).law
    for name in FORMATS:
        other = fit_inverse_law(observations_of(read(name, folder).runs)).law
        assert other.n_inf == pytest.approx(law.n_inf, rel=0.15), name
        assert other.alpha == pytest.approx(law.alpha, rel=0.15), name


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_tells_the_batch_size_and_seed_of_every_run(name: str) -> None:
    runs = table(read(name))
    assert list(zip(runs["batch_size"], runs["seed"], strict=True)) == [
        (size, seed) for size in (8, 32, 96, 256) for seed in (0, 1)
    ]
    if name in {"lightning", "transformers", "tensorboard", "mlperf", "json"}:
        assert runs["learning_rate"].to_numpy() == pytest.approx(0.2)


def test_each_format_tells_the_same_interval_of_each_run() -> None:
    # Only rounding tells the trainings apart, and no run of these comes so near to the target that it matters.
    wanted = table(read("json"))
    assert not wanted["censored"].any()
    for name in FORMATS:
        found = table(read(name))
        alike = (found[["updates_lower", "updates"]] == wanted[["updates_lower", "updates"]]).all(axis=1)
        assert alike.all(), name


def test_each_format_tells_the_same_law() -> None:
    same_law(DATA)


@pytest.mark.parametrize("name", sorted(TIMED))
def test_formats_with_time_stamps_tell_the_seconds_of_an_update(name: str) -> None:
    seconds = read(name).timings.groupby("batch_size")["seconds"].median()
    assert list(seconds.index) == [8, 32, 96, 256]
    assert ((seconds > 1e-5) & (seconds < 1)).all()


def test_formats_without_time_stamps_say_that_they_tell_no_seconds() -> None:
    for name in FORMATS.keys() - TIMED:
        logs = read(name)
        assert len(logs.timings) == 0
        assert any("tells seconds" in notice for notice in logs.notices)
        assert logs.evaluations["seconds"].isna().all()


def test_seconds_of_evaluations_grow_along_a_run() -> None:
    for name in TIMED:
        for _, run in read(name).evaluations.groupby("run"):
            assert run["seconds"].is_monotonic_increasing
            assert run["seconds"].iloc[0] > 0


def test_runs_at_several_learning_rates_are_told_apart() -> None:
    logs = read_logs(DATA / "grid", metric="val_loss", at_most=0.3)
    runs = logs.runs.groupby(["batch_size", "learning_rate"])["censored"].agg(["size", "sum"])
    assert (runs["size"] == 2).all()
    assert list(runs.index.levels[1]) == [0.1, 0.2, 0.4, 0.8]
    assert runs["sum"].to_dict() == {
        **dict.fromkeys(runs.index, 0),
        (8, 0.8): 1,
    }  # too large a step for so small a batch
    at_one_rate = logs.runs[logs.runs["learning_rate"] == 0.2].sort_values(["batch_size", "seed"], ignore_index=True)
    assert at_one_rate[["updates_lower", "updates"]].equals(table(read("json"))[["updates_lower", "updates"]])


def test_batches_that_were_accumulated_are_multiplied_where_the_log_tells() -> None:
    runs = read_logs(DATA / "accumulated", metric="eval_loss", at_most=0.3).runs
    assert list(runs["batch_size"]) == [64]  # four batches of 16


def test_a_run_that_was_logged_twice_is_read_once(tmp_path: Path) -> None:
    for name in ("lightning", "json"):
        shutil.copytree(DATA / name, tmp_path / name)
    logs = read_logs(tmp_path, metric="val_loss", at_most=0.3)
    assert logs.formats == {"Lightning's CSVLogger": 8}
    assert any("8 logs of JSON lines lie beside others and were left out" in notice for notice in logs.notices)
    assert len(read_logs([tmp_path / "json", tmp_path / "lightning"], metric="val_loss", at_most=0.3).runs) == 16


@pytest.mark.full
def test_the_libraries_write_the_same_law_again(libraries: str, tmp_path: Path) -> None:
    subprocess.run([libraries, HERE / "write.py", tmp_path / "logs"], check=True, stdout=subprocess.DEVNULL)
    same_law(tmp_path / "logs")
    law = fit_inverse_law(observations_of(read("json").runs)).law
    again = fit_inverse_law(observations_of(read("json", tmp_path / "logs").runs)).law
    assert again.n_inf == pytest.approx(law.n_inf, rel=0.15)
    assert again.alpha == pytest.approx(law.alpha, rel=0.15)
