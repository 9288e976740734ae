"""Other ends than seconds to the target: the least metric within a time, energy, money, and other units."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchtime.cli import main
from batchtime.errors import FitError, ParameterError
from batchtime.fit.energy import of_energy
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.within import within

SIZES = (4, 8, 16, 32, 64, 128, 256, 512)
RUNS = [Observation(batch_size=m, lower=n, upper=n) for m in SIZES for k in (-2, 0, 2) for n in (300 + 9000 / m + k,)]


def timings(fixed_joules: float = 1.0, joules_each: float = 0.01) -> list[UpdateTiming]:
    return [
        UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,), joules=(fixed_joules + joules_each * m,))
        for m in SIZES
        for s in (2e-3 + 1e-4 * m,)
    ]


def curves(seeds: int = 3, spread: float = 0.01) -> pd.DataFrame:
    """Return curves metric = 2000 / (examples) + 1 / updates, with 1 s for 100 updates of 8 or 25 of 64."""
    random = np.random.default_rng(0)
    rows = []
    for m, each in ((8, 0.01), (64, 0.04)):
        for seed in range(seeds):
            off = random.normal(0, spread)
            rows += [
                (f"{m}-{seed}", m, n, n * each, 20 / n + 100 / (n * m) + 0.1 + off) for n in (10, 30, 100, 300, 1000)
            ]
    return pd.DataFrame(rows, columns=["run", "batch_size", "updates", "seconds", "value"])


def test_the_best_within_a_time_changes_with_the_time() -> None:
    table = curves(spread=1e-4)
    table.loc[table["batch_size"] == 8, "value"] += 0.02 * np.log(table["updates"] / 10)  # good at first, then worse
    assert within(table, 1.0).best.batch_size == 8
    assert within(table, 9.0).best.batch_size == 64


def test_a_metric_is_read_between_evaluations_and_those_as_good_are_named() -> None:
    table = pd.DataFrame(
        [("a", 8, 1, 1.0, 0.8), ("a", 8, 100, 100.0, 0.4), ("b", 64, 1, 1.0, 0.9), ("b", 64, 100, 100.0, 0.5)],
        columns=["run", "batch_size", "updates", "seconds", "value"],
    )
    found = within(table, 10.0)
    assert found.best.value == pytest.approx(0.6)
    assert found.warnings
    assert within(table, 10.0, grows=True).best.batch_size == 64
    noisy = within(curves(spread=0.5), 3.0)
    assert all(one.as_good for one in noisy.all)
    assert sum(one.as_good for one in within(curves(spread=1e-5), 3.0).all) == 1


def test_what_cannot_be_asked_of_evaluations_is_named() -> None:
    with pytest.raises(FitError, match="lacks seconds"):
        within(curves().drop(columns="seconds"), 1.0)
    with pytest.raises(FitError, match="no run has an evaluation within"):
        within(curves(), 1e-6)
    with pytest.raises(ParameterError, match="--within"):
        within(curves(), 0.0)


def test_energy_has_the_closed_form_of_time() -> None:
    found = of_energy(RUNS, timings())
    assert found is not None
    assert found.batch_size == pytest.approx((9000 / 300 * 1.0 / 0.01) ** 0.5, rel=0.25)  # 55
    least = min((300 + 9000 / m) * (1 + 0.01 * m) for m in range(4, 513))
    assert found.joules == pytest.approx(least, rel=0.05)
    assert of_energy(RUNS, [UpdateTiming(batch_size=8, wall_seconds=(1.0,), cpu_seconds=(1.0,))]) is None


def test_on_the_frontier_no_size_is_beaten_in_both() -> None:
    found = of_energy(RUNS, timings(fixed_joules=10.0))
    assert found is not None
    seconds = [one.seconds for one in found.frontier]
    joules = [one.joules for one in found.frontier]
    assert len(found.frontier) > 2
    assert seconds == sorted(seconds)
    assert joules == sorted(joules, reverse=True)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = "".join(f"{m},{300 + 9000 / m + k}\n" for m in (4, 16, 64, 256) for k in (-2, 0, 2))
    (tmp_path / "runs.csv").write_text("batch_size,updates\n" + rows)
    rows = "".join(f"{m},{2e-3 + 1e-4 * m},{1 + 0.01 * m}\n" for m in SIZES)
    (tmp_path / "timing.csv").write_text("batch_size,seconds,joules\n" + rows)
    curves().to_csv(tmp_path / "evaluations.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("tables")
def test_the_command_line_says_energy_money_and_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["recommend", "runs.csv", "timing.csv", "--learners", "1", "2", "--price-per-hour", "3.6"]
    words += ["--unit", "tokens", "--max-batch-size", "1e6", "--multiple-of", "2"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unit"] == "tokens"
    assert found["energy"]["batch_size"] > found["batch_size"] / 2
    one, two = found["money"]
    assert one["cost"] == pytest.approx(one["seconds"] * 3.6 / 3600)
    assert two["cost"] == pytest.approx(2 * two["seconds"] * 3.6 / 3600)
    assert one["on_frontier"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "energy: batch size" in text
    assert "batch sizes count tokens" in text


@pytest.mark.usefixtures("tables")
def test_the_command_line_answers_within_a_time_from_a_table_and_from_recorded_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["recommend", "evaluations.csv", "--within", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batch_size"] in (8, 64)
    assert main(["recommend", "mnist-lenet", "--within", "1.5", "--batch-sizes", "[4, 16, 64]", "--seeds", "2"]) == 0
    assert "within 1.5 s: batch size" in capsys.readouterr().out
