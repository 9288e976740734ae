"""Advice held against measured times: what counts as a case, what a loss is, and what the chapter says came out."""

import numpy as np
import pandas as pd
import pytest

from batchtime.book.beyond import gpu_truth
from batchtime.book.beyond.gpu_truth import advise_by_regret, cases, held, line, pilot, score

SIZES = 8.0 * 2.0 ** np.arange(8)


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


def runs_of(updates: np.ndarray, sizes: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"batch_size": sizes, "updates": updates})


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
    losses = held(made(updates, seconds), lambda _runs, _timings: 70.0).set_index("way")
    total = updates * seconds
    assert losses.loc["advice", "used"] == 64
    assert losses.loc["advice", "loss"] == pytest.approx(total[3] / total.min() - 1)
    assert losses.loc["largest", "loss"] == pytest.approx(total[-1] / total.min() - 1)
    assert losses.loc["delta / gamma", "asked"] == pytest.approx(10.0, rel=1e-6)
    assert np.isnan(losses.loc["noise scale", "loss"])


def test_advice_sees_the_runs_of_three_sizes_only_and_all_seconds() -> None:
    seen = []

    def advise(runs: pd.DataFrame, timings: pd.DataFrame) -> float | None:
        seen.append((runs["batch_size"].tolist(), timings["batch_size"].tolist()))
        return None

    held(made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES), advise)
    assert seen == [([8.0, 64.0, 1024.0], SIZES.tolist())]
    assert pilot(SIZES) == [0, 3, 7]


def test_advice_can_be_given_the_seconds_of_its_three_sizes_alone() -> None:
    seen = []

    def advise(_runs: pd.DataFrame, timings: pd.DataFrame) -> float | None:
        seen.append(timings["batch_size"].tolist())
        return None

    held(made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES), advise, all_seconds=False)
    assert seen == [[8.0, 64.0, 1024.0]]


def test_refusals_are_counted_and_cases_with_a_reason_stand_apart() -> None:
    both = [made(100 * (1 + 64 / SIZES), 0.01 + 0.001 * SIZES, reason=reason) for reason in ("", "one arm")]
    losses = held(pd.concat(both), lambda _runs, _timings: None)
    table = score(losses).set_index("way")
    assert table.loc["advice", ["cases", "answered", "refused"]].tolist() == [1, 0, 1.0]
    assert table.loc["advice, not answerable", "cases"] == 1
    assert table.loc["64", "answered"] == 1


def test_delta_and_gamma_are_recovered_from_their_own_line() -> None:
    assert line(SIZES, 0.02 + 0.003 * SIZES) == pytest.approx((0.02, 0.003))


# The simple advice


@pytest.mark.parametrize("ratio", [20.0, 100.0, 400.0])
def test_advice_is_near_the_optimum_of_an_exact_law(ratio: float) -> None:
    seconds = 0.05 + 0.001 * SIZES
    found = advise_by_regret(
        runs_of(100 * (1 + ratio / SIZES), SIZES).iloc[[0, 3, 7]],
        pd.DataFrame({"batch_size": SIZES, "seconds": seconds}),
    )
    assert found is not None
    best = np.sqrt(ratio * 50.0)
    loss = (1 + ratio / found) * (0.05 + 0.001 * found) / ((1 + ratio / best) * (0.05 + 0.001 * best)) - 1
    assert loss < 0.02


def test_runs_that_fit_no_law_are_refused() -> None:
    timings = pd.DataFrame({"batch_size": SIZES, "seconds": 0.05 + 0.001 * SIZES})
    assert advise_by_regret(runs_of(np.array([1000.0, 100.0, 400.0]), SIZES[[0, 3, 7]]), timings) is None


def test_runs_that_are_known_too_coarsely_are_refused() -> None:
    timings = pd.DataFrame({"batch_size": SIZES, "seconds": 0.05 + 0.001 * SIZES})
    runs = runs_of(100 * (1 + 64 / SIZES), SIZES).iloc[[0, 3, 7]]
    assert advise_by_regret(runs.assign(updates_lower=0.8 * runs["updates"]), timings) is not None
    assert advise_by_regret(runs.assign(updates_lower=0.5 * runs["updates"]), timings) is None


def test_a_limit_that_nothing_keeps_is_a_refusal() -> None:
    timings = pd.DataFrame({"batch_size": SIZES, "seconds": 0.05 + 0.001 * SIZES})
    runs = runs_of(100 * (1 + 64 / SIZES), SIZES).iloc[[0, 3, 7]]
    assert advise_by_regret(runs, timings, limit=0.0) is None


# What came out


def test_on_zeus_advice_beats_every_habit(chosen: pd.DataFrame) -> None:
    zeus = chosen[chosen["workload"].str.startswith("zeus-cifar100") & (chosen["reason"] == "")]
    table = score(held(zeus)).set_index("way")
    assert table.loc["advice", "refused"] == 0
    assert table.loc["advice", "within_10"] > 0.9
    for habit in ("32", "64", "largest", "delta / gamma"):
        assert table.loc[habit, "within_10"] < table.loc["advice", "within_10"], habit
        assert table.loc[habit, "within_95"] > 2 * table.loc["advice", "within_95"], habit


def test_runs_of_imagenet_that_jump_are_refused(chosen: pd.DataFrame) -> None:
    jumping = chosen[chosen["series"].isin(["zeus-imagenet-0.5", "zeus-imagenet-0.55"])]
    losses = held(jumping)
    assert losses[losses["way"] == "advice"]["loss"].isna().all()
    assert len(gpu_truth.HABITS) * len(jumping) == len(losses)
