"""What the command line says of tables: advice, predictions, timings, several learning rates; as text and JSON."""

import json
from pathlib import Path

import pytest

from batchtime.cli import main

RUNS = "batch_size,updates\n" + "".join(f"{m},{300 + 9000 / m + k}\n" for m in (4, 16, 64, 256) for k in (-9, 0, 9))
TIMING = "batch_size,seconds\n" + "".join(f"{m},{2e-3 + 1e-4 * m}\n" for m in (4, 8, 16, 32, 64, 128, 256))


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runs.csv").write_text(RUNS)
    (tmp_path / "timing.csv").write_text(TIMING)
    rates = "".join(f"{m},{r},{12 / r + 4000 / m + k}\n" for r in (0.02, 0.08) for m in (8, 32, 128) for k in (-1, 1))
    (tmp_path / "rates.csv").write_text("batch_size,learning_rate,updates\n" + rates)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("tables")
def test_advice_says_its_bound_and_json_has_all_that_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert "slower than the best (95 %)" in said(capsys, "recommend", "runs.csv", "timing.csv")
    found = json.loads(said(capsys, "recommend", "runs.csv", "timing.csv", "--json"))
    for name in (
        "source", "learners", "batch_size", "interval", "within_5_percent", "predicted_seconds", "predicted_updates",
        "refused", "reasons", "warnings", "by_learners", "learning_rate", "learning_rate_interval", "regret",
        "best_guess", "beyond_measured", "next_measurement",
    ):  # fmt: skip
        assert name in found
    assert set(found["best_guess"]) == {"batch_size", "learning_rate", "predicted_seconds", "within_5_percent"}
    assert found["learning_rate"] is None
    assert 8 <= found["batch_size"] <= 64  # sqrt(9000 / 300 * 2e-3 / 1e-4) = 24


@pytest.mark.usefixtures("tables")
def test_a_refusal_ends_with_code_2_and_the_rest_filled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "runs.csv", "timing.csv", "--limit", "1e-6", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["batch_size"] is None
    assert found["refused"] is True
    assert found["regret"] > 0
    assert found["best_guess"]["batch_size"] > 0


@pytest.mark.usefixtures("tables")
def test_multiples_are_kept_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        json.loads(said(capsys, "recommend", "runs.csv", "timing.csv", "--multiple-of", "8", "--json"))["batch_size"]
        % 8
        == 0
    )


@pytest.mark.usefixtures("tables")
def test_predictions_are_a_list_with_an_entry_for_each_batch_size(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = json.loads(
        said(capsys, "predict", "runs.csv", "timing.csv", "--batch-sizes", "16", "2048", "--json")
    )
    assert small["updates"] == pytest.approx(300 + 9000 / 16, rel=0.05)
    assert small["seconds"] == pytest.approx((300 + 9000 / 16) * 3.6e-3, rel=0.07)
    assert (small["beyond_measured"], large["beyond_measured"]) == (False, True)
    assert "beyond what was measured" in said(capsys, "predict", "runs.csv", "--batch-sizes", "2048")


@pytest.mark.usefixtures("tables")
def test_a_table_of_timings_is_fitted_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "fit", "timing.csv", "--json"))
    assert found["form"] == "sum"
    assert found["delta"] == pytest.approx(2e-3, rel=0.05)
    assert found["gamma"] == pytest.approx(1e-4, rel=0.05)
    assert set(found["intervals"]) == {"delta", "gamma"}
    assert "delta" in said(capsys, "fit", "timing.csv")


@pytest.mark.usefixtures("tables")
def test_runs_at_several_learning_rates_are_fitted_as_a_curve_and_advised_on_as_pairs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    curve = json.loads(said(capsys, "fit", "rates.csv", "--json"))["curve"]
    assert {"A", "alpha", "pole", "lift", "largest_learning_rate", "intervals", "misfit"} <= set(curve)
    assert curve["A"] == pytest.approx(12, rel=0.1)
    assert json.loads(said(capsys, "recommend", "rates.csv", "timing.csv", "--json"))["learning_rate"] == 0.08
    assert "one curve" in said(capsys, "fit", "rates.csv")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("8,fast,100\n", "learning_rate, value 'fast'"),
        ("8,0,100\n", "learning_rate, value '0'"),
        ("8,0.1,100\n16,,90\n", "1 of 2 runs have no learning_rate"),
        ("8,0.1,100\n16,0.1,90\n8,0.2,90\n", "needs 5"),
        ("8,0.1,100\n16,0.1,90\n32,0.1,85\n800,0.2,50\n1600,0.2,48\n", "do not overlap"),
    ],
)
def test_learning_rates_that_cannot_be_used_end_in_one_line(
    tables: Path, capsys: pytest.CaptureFixture[str], rows: str, words: str
) -> None:
    (tables / "bad.csv").write_text("batch_size,learning_rate,updates\n" + rows)
    assert main(["fit", "bad.csv"]) == 1
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.count("\n") == 1
