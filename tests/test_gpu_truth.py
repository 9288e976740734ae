"""Advice held against measured times: what counts as a case, what a loss is, and what the chapter says came out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import batchtime
from batchtime.book.beyond import gpu_truth
from batchtime.book.beyond.gpu_truth import advised, cases, held, line, pilot, recorded, score
from batchtime.errors import StoreError
from batchtime.fit.recommendation import Recommendation
from batchtime.runs.store import Store, writing

SIZES = 8.0 * 2.0 ** np.arange(8)
STORE = Store(Path(__file__).parents[1] / "data")


def says(batch_size: int | None) -> gpu_truth.Advise:
    """Return advice that is always the same."""
    return lambda _runs, _timings: Recommendation(learners=1, batch_size=batch_size, refused=batch_size is None)


@pytest.fixture(scope="module")
def chosen() -> pd.DataFrame:
    return cases()


def made(updates: np.ndarray, seconds: np.ndarray, *, reason: str = "", sizes: np.ndarray = SIZES) -> pd.DataFrame:
    case = {"series": "made", "workload": "made", "device": "V100", "learners": 1, "reason": reason}
    columns = {
        "batch_sizes": sizes,
        "updates": updates,
        "updates_lower": np.full(len(sizes), np.nan),
        "seconds": seconds,
    }
    return pd.DataFrame([case | {name: tuple(values) for name, values in columns.items()}])


def test_a_case_has_updates_and_seconds_at_four_batch_sizes_or_more(chosen: pd.DataFrame) -> None:
    assert len(chosen) > 500
    assert chosen["batch_sizes"].map(len).min() == 4
    for column in ("updates", "updates_lower", "seconds"):
        assert (chosen[column].map(len) == chosen["batch_sizes"].map(len)).all()


def test_seven_power_limits_are_seven_cases(chosen: pd.DataFrame) -> None:
    zeus = chosen[chosen["series"] == "zeus-cifar100-0.5"]
    assert sorted(zeus["device"]) == [f"V100 at {watts} W" for watts in (100, 125, 150, 175, 200, 225, 250)]
    assert (zeus["reason"] == "").all()


def test_flat_and_coarse_tasks_are_no_answerable_cases(chosen: pd.DataFrame) -> None:
    reasons = chosen.groupby("workload")["reason"].agg(set)
    assert reasons["zeus-sentiment140-adamw"] == {"looked at too seldom", "one arm"}
    assert "" not in reasons["zeus-squad-adamw"]


def test_the_measured_time_of_a_case_is_epochs_times_seconds_of_an_epoch(chosen: pd.DataFrame) -> None:
    case = chosen.set_index(["series", "device"]).loc[("zeus-cifar100-0.5", "V100 at 250 W")]
    place = case["batch_sizes"].index(512)
    # 16.4 epochs of 8.277 seconds
    assert case["updates"][place] * case["seconds"][place] == pytest.approx(16.4 * 8.2767, rel=1e-4)


def test_a_loss_is_the_time_of_the_nearest_measured_size_over_the_least() -> None:
    seconds = 0.01 + 0.001 * SIZES
    updates = 100 * (1 + 64 / SIZES)
    case = made(updates, seconds)
    losses = held(case, advised(case, says(70))).set_index("way")
    total = updates * seconds
    assert losses.loc["advice", "used"] == 64
    assert losses.loc["advice", "loss"] == pytest.approx(total[3] / total.min() - 1)
    assert losses.loc["largest", "loss"] == pytest.approx(total[-1] / total.min() - 1)
    assert losses.loc["delta / gamma", "asked"] == pytest.approx(10.0, rel=1e-6)
    assert np.isnan(losses.loc["noise scale", "loss"])


def test_advice_sees_the_runs_of_three_sizes_only_and_all_seconds() -> None:
    seen = []

    def advise(runs: pd.DataFrame, timings: pd.DataFrame) -> Recommendation:
        seen.append((runs["batch_size"].tolist(), timings["batch_size"].tolist()))
        return Recommendation(learners=1)

    advised(made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES), advise)
    assert seen == [([8.0, 64.0, 1024.0], SIZES.tolist())]
    assert pilot(SIZES) == [0, 3, 7]


def test_the_advice_is_what_the_package_recommends() -> None:
    case = made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES)
    runs, timings = gpu_truth.runs_seen(case.iloc[0]), gpu_truth.timings_seen(case.iloc[0])
    assert advised(case).batch_size == (batchtime.recommend(runs, timings).batch_size,)


def test_refusals_are_counted_and_cases_with_a_reason_stand_apart() -> None:
    both = pd.concat([made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES, reason=reason) for reason in ("", "one arm")])
    losses = held(both, advised(both, says(None)))
    table = score(losses).set_index("way")
    assert table.loc["advice", ["cases", "answered", "refused"]].tolist() == [1, 0, 1.0]
    assert table.loc["advice, not answerable", "cases"] == 1
    assert table.loc["64", "answered"] == 1


def test_delta_and_gamma_are_recovered_from_their_own_line() -> None:
    assert line(SIZES, 0.02 + 0.003 * SIZES) == pytest.approx((0.02, 0.003))


# What came out


def test_the_recorded_answers_are_those_of_every_case_and_of_todays_advice(chosen: pd.DataFrame) -> None:
    kept = recorded(chosen, STORE)
    assert len(kept.batch_size) == len(chosen)
    for place in np.linspace(0, len(chosen) - 1, 5).astype(int):
        again = advised(chosen.iloc[[place]])
        assert (again.batch_size[0], again.regret[0], again.reasons[0]) == (
            kept.batch_size[place],
            kept.regret[place],
            kept.reasons[place],
        ), "run benchmarks/gpu_truth.py --record"


@pytest.mark.parametrize("every", [pytest.param(7, marks=pytest.mark.full), pytest.param(1, marks=pytest.mark.long)])
def test_all_recorded_answers_are_those_of_todays_advice(chosen: pd.DataFrame, every: int) -> None:
    assert advised(chosen[::every]).batch_size == recorded(chosen, STORE).batch_size[::every]


def test_answers_to_other_cases_are_refused_with_what_to_run(chosen: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"560 published cases.*benchmarks/gpu_truth.py --record"):
        recorded(chosen, Store(tmp_path))
    store = Store(tmp_path, recording=True)
    with writing(store.advice_file(gpu_truth.RECORD)) as file:
        file.append(advised(chosen.iloc[:1], says(8)))
    assert recorded(chosen.iloc[:1], store).batch_size == (8,)
    with pytest.raises(StoreError, match="not recorded"):
        recorded(chosen.iloc[1:2], store)


@pytest.fixture(scope="module")
def losses(chosen: pd.DataFrame) -> pd.DataFrame:
    return held(chosen, recorded(chosen, STORE))


def test_advice_beats_every_habit_and_refuses_few_of_what_can_be_answered(losses: pd.DataFrame) -> None:
    table = score(losses).set_index("way")
    assert table.loc["advice", "cases"] == 288
    assert table.loc["advice", "refused"] <= 0.10
    assert table.loc["advice", "within_10"] > 0.85
    for habit in gpu_truth.HABITS[1:]:
        assert table.loc[habit, "within_10"] < table.loc["advice", "within_10"] - 0.3, habit
        assert table.loc[habit, "within_95"] > 3 * table.loc["advice", "within_95"], habit
