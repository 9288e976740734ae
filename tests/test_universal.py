"""One curve: laws are found in their own values, and what is promised of published series holds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtime.book.beyond import universal
from batchtime.book.beyond.universal import Bent, fit_bent, fit_hard_knee, fit_power
from batchtime.errors import FitError
from batchtime.laws.curve import CurveLaw
from batchtime.runs.store import Store

SIZES = 4.0 * 2.0 ** np.arange(9)
DATA = Path(__file__).parents[1] / "data"


def means(
    updates: np.ndarray, *, sizes: np.ndarray = SIZES, name: str = "made", rule: str = "constant"
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series": name,
            "source": "made",
            "workload": name,
            "step_rule": rule,
            "batch_size": sizes,
            "updates": updates,
            "runs": 1,
            "coarseness": 0.0,
        }
    )


@pytest.fixture(scope="module")
def everything() -> pd.DataFrame:
    return universal.points(universal.recorded_means(Store(DATA)))


# Laws


@settings(max_examples=30, deadline=None)
@given(ratio=st.floats(8.0, 500.0), share=st.floats(0.05, 0.9), power=st.sampled_from([0.5, 1.0]))
def test_a_law_with_a_pole_is_recovered_from_its_own_values(ratio: float, share: float, power: float) -> None:
    truth = Bent(n_inf=300.0, alpha=300.0 * ratio, pole=share * SIZES[0], power=power)
    law = fit_bent(SIZES, truth.updates(SIZES), power=power)
    assert law.critical_batch_size == pytest.approx(ratio, rel=0.03)
    assert law.updates(SIZES) == pytest.approx(truth.updates(SIZES), rel=0.003)


@given(ratio=st.floats(1.0, 5000.0))
def test_a_law_without_a_pole_is_recovered_from_its_own_values(ratio: float) -> None:
    law = fit_bent(SIZES, 50.0 * (1 + ratio / SIZES), power=0.0)
    assert law.critical_batch_size == pytest.approx(ratio, rel=1e-2)
    assert law.pole == 0


def test_a_series_without_a_pole_gets_none_or_a_small_one() -> None:
    law = fit_bent(SIZES, 50.0 * (1 + 100.0 / SIZES), power=1.0)
    assert law.pole < 0.01 * SIZES[0]


def test_updates_grow_without_bound_towards_the_pole() -> None:
    law = Bent(n_inf=100.0, alpha=1000.0, pole=2.0, power=1.0)
    assert law.updates(np.array([4.0])) == pytest.approx(100 + 1000 / 4 / (1 - 2 / 4))
    assert law.updates(np.array([2.000002]))[0] > 1e8


@pytest.mark.parametrize("pole", [0.0, 0.5, 3.0])
def test_at_a_constant_step_the_law_with_a_pole_is_the_curve_at_one_learning_rate(pole: float) -> None:
    law = Bent(n_inf=300.0, alpha=9000.0, pole=pole, power=1.0)
    curve = CurveLaw(A=300.0, alpha=9000.0, pole=1 / pole if pole else np.inf)
    assert law.updates(SIZES) == pytest.approx(curve.distance(1 / SIZES))


def test_a_power_law_and_a_hard_knee_are_recovered_from_their_own_values() -> None:
    power = 3000.0 * SIZES**-0.7
    assert fit_power(SIZES, power)(SIZES) == pytest.approx(power)
    knee = np.maximum(100.0, 100.0 * 40.0 / SIZES)
    assert fit_hard_knee(SIZES, knee)(SIZES) == pytest.approx(knee, rel=0.01)


def test_too_few_batch_sizes_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(FitError, match="2 batch sizes for a law of 3 parameters"):
        fit_bent(SIZES[:2], SIZES[:2], power=1.0)


# Which series are fitted


@pytest.mark.parametrize(
    ("updates", "sizes", "reason"),
    [
        (100 + 1000 / SIZES[:2], SIZES[:2], "fewer than 3"),
        (100 + 1000 / SIZES[:3] * 1.0, np.array([4.0, 6.0, 8.0]), "within a factor of 4"),
        (1000 / SIZES, SIZES, "one arm"),
        (100 + SIZES, SIZES, "rise"),
    ],
)
def test_a_series_that_cannot_be_fitted_is_refused_with_its_reason(
    updates: np.ndarray, sizes: np.ndarray, reason: str
) -> None:
    assert reason in universal.screened(means(updates, sizes=sizes)).loc["made", "reason"]


def test_coarse_and_doubled_series_are_refused_with_their_reasons() -> None:
    updates = 100 + 10_000 / SIZES
    coarse = means(updates, name="coarse").assign(coarseness=0.3)
    both = pd.concat([means(updates, name="one"), means(updates, name="two"), coarse])
    reasons = universal.screened(both)["reason"]
    assert reasons["one"] == ""
    assert reasons["two"] == "the same numbers as one"
    assert "seldom" in reasons["coarse"]


def test_only_batch_sizes_at_which_every_run_arrived_are_points(everything: pd.DataFrame) -> None:
    chosen = everything[everything["series"] == "zeus-cifar100-0.6"]
    assert 4096 not in chosen["batch_size"].tolist()
    assert 1 not in everything[everything["series"] == "mnist-logistic-rate-4"]["batch_size"].tolist()


# The curve


def test_series_of_one_law_lie_on_the_curve_wherever_they_are() -> None:
    frames = [
        means(n_inf * (1 + ratio / SIZES), name=f"{n_inf} {ratio}")
        for n_inf, ratio in ((10.0, 5.0), (1e5, 200.0), (3.0, 900.0))
    ]
    curve = universal.curve(pd.concat(frames))
    assert curve["y"].to_numpy() == pytest.approx(1 + curve["x"].to_numpy(), rel=0.01)
    assert curve["deviation"].abs().max() < 0.01


def test_a_pole_is_in_the_bend_and_not_in_the_deviations() -> None:
    truth = Bent(n_inf=50.0, alpha=5000.0, pole=3.0, power=1.0)
    curve = universal.curve(means(truth.updates(SIZES)))
    assert curve["deviation"].abs().max() < 0.01
    assert curve["unbent"].to_numpy() == pytest.approx(1 + curve["x"].to_numpy(), rel=0.01)
    assert curve["y"].iloc[0] / (1 + curve["x"].iloc[0]) > 3  # pole over M is 3/4: four times alpha / M
    assert curve["deviation_without"].abs().max() > 0.2


def test_the_curve_spans_more_than_five_decades_and_says_which_ratios_are_open(everything: pd.DataFrame) -> None:
    curve = universal.curve(everything)
    known = curve[~curve["open"]]["x"]
    assert known.max() / known.min() > 5e5
    assert set(curve[curve["open"]]["series"]) <= {
        "zeus-imagenet-0.6",
        "zeus-movielens-0.41",
        "pollux-ncf-0.69089",
        "zeus-imagenet-0.55",
    }


def test_deviations_are_counted_once_in_one_decade(everything: pd.DataFrame) -> None:
    curve = universal.curve(everything)
    decades = universal.by_decade(curve)
    assert decades["points"].iloc[1:].sum() == len(curve)
    assert decades["points"].iloc[0] == decades["points"].iloc[1:3].sum()
    part = curve[(curve["x"] > 0.1) & (curve["x"] <= 0.3)]
    row = decades.set_index("from").loc[0.1]
    assert row["mean"] == pytest.approx(part["deviation"].mean())
    assert row["within_90"] == pytest.approx(part["deviation"].abs().quantile(0.9))


def test_left_out_sizes_are_predicted_without_their_own_values() -> None:
    truth = 100 + 10_000 / SIZES
    changed = truth.copy()
    changed[1] *= 2
    before, after = (universal.left_out(means(updates)).set_index("batch_size") for updates in (truth, changed))
    assert 8.0 in before.index
    assert {SIZES[0], SIZES[4], SIZES[-1]}.isdisjoint(before.index)
    assert before["pole"].abs().max() < 0.01
    assert after.loc[8.0, "law"] == pytest.approx((1 + before.loc[8.0, "law"]) / 2 - 1)
    assert after.drop(8.0)["law"].tolist() == before.drop(8.0)["law"].tolist()


def test_quantiles_come_with_intervals_over_workloads() -> None:
    errors = pd.DataFrame({"series": list("abcd"), "workload": list("aabc"), "pole": [0.1, -0.1, 0.2, -0.4]})
    row = universal.error_quantiles(errors.assign(law=0.0, power_law=0.0, hard_knee=0.0)).iloc[0]
    assert row[["workloads", "series", "points"]].tolist() == [3, 4, 4]
    assert row["median"] == pytest.approx(0.15)
    assert row["median_low"] == pytest.approx(0.1)
    assert row["median_high"] == pytest.approx(0.4)
    assert row["worst"] == 0.4


def test_each_law_leaves_itself_out_best() -> None:
    knee = means(np.maximum(100.0, 100.0 * 70.0 / SIZES), name="knee")
    power = means(3000.0 * SIZES**-0.6, name="power")
    errors = universal.left_out(pd.concat([knee, power])).groupby("series")[["law", "power_law", "hard_knee"]]
    worst = errors.agg(lambda column: column.abs().max())
    assert worst.loc["knee"].idxmin() == "hard_knee"
    assert worst.loc["power"].idxmin() == "power_law"


# What the chapter says of published and recorded series


def test_the_left_out_sizes_are_predicted_to_five_percent_and_fifteen(everything: pd.DataFrame) -> None:
    quantiles = universal.error_quantiles(universal.left_out(everything)).set_index("law")
    assert quantiles.loc["pole", "points"] > 300
    assert quantiles.loc["pole", "workloads"] > 25
    assert quantiles.loc["pole", "median"] < 0.05
    assert quantiles.loc["pole", "within_90"] < 0.15
    assert quantiles.loc["power_law", "median"] > 4 * quantiles.loc["pole", "median"]


def test_the_pole_takes_the_bend_out_of_the_left_end(everything: pd.DataFrame) -> None:
    curve = universal.curve(everything)
    left = universal.by_decade(curve).iloc[0]
    assert left["to"] == 0.03
    assert abs(left["mean"]) < 0.03
    assert universal.by_decade(curve, pole=False).iloc[0]["mean"] > 0.08


def test_capped_steps_show_no_pole_and_constant_ones_do(everything: pd.DataFrame) -> None:
    rules = universal.by_rule(everything).set_index("step_rule")
    assert rules.loc["capped linear", "pole_share"] < 0.05
    assert rules.loc["constant", "pole_share"] > 0.2
    assert rules.loc["constant", "rms_1"] < 0.5 * rules.loc["constant", "rms_without"]
