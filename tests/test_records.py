"""Promises of the values and their formulas."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtime.errors import ParameterError
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.time import AllReduceTime, KneeLaw, TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import Evaluations, Outcome
from batchtime.runs.spec import EvaluationGrid, SweepSpec, Target, Workload

from .builders import setting

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)


def evaluations(errors: list[float | None]) -> Evaluations:
    """Return one evaluation every ten updates."""
    return Evaluations(updates=tuple(range(10, 10 * len(errors) + 10, 10)), metrics={"error": tuple(errors)})


def test_a_run_that_dips_once_has_not_reached_a_target_that_must_hold() -> None:
    seen = evaluations([0.5, 0.04, 0.2, 0.05, 0.03, 0.02])
    held = Outcome(status="reached", lower=30, upper=40)
    assert seen.outcome(Target(metric="error", value=0.05, hold=3)) == held
    assert seen.outcome(Target(metric="error", value=0.05, hold=1)) == Outcome(status="reached", lower=10, upper=20)


def test_a_run_below_the_target_from_its_first_evaluation_on_has_the_lower_bound_zero() -> None:
    seen = evaluations([0.01, 0.01])
    assert seen.outcome(Target(metric="error", value=0.05, hold=2)) == Outcome(status="reached", lower=0, upper=10)


def test_a_run_that_ends_below_the_target_without_holding_it_is_censored_where_it_was_last_above() -> None:
    seen = evaluations([0.5, 0.2, 0.04, 0.03])
    expected = Outcome(status="censored", lower=20, upper=None)
    assert seen.outcome(Target(metric="error", value=0.05, hold=3)) == expected


def test_a_run_whose_metric_stops_being_finite_has_diverged() -> None:
    seen = evaluations([0.5, 0.4, None])
    assert seen.outcome(Target(metric="error", value=0.05)) == Outcome(status="diverged", lower=30, upper=None)


@pytest.mark.parametrize(
    ("metric", "value"), [("error", 5), ("error", 0), ("error", 1), ("loss", 0), ("loss", math.nan)]
)
def test_a_target_in_the_wrong_unit_is_refused_with_its_value(metric: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"target = {value}"):
        Workload(name="test", dataset="test", model="test", target=Target(metric=metric, value=value))


def test_the_grid_is_the_same_ratio_everywhere_and_ends_at_the_budget() -> None:
    points = EvaluationGrid(ratio=1.05).points(10_000)
    assert points[0] == 1
    assert points[-1] == 10_000
    assert all(later > sooner for sooner, later in pairwise(points))
    late = np.array([point for point in points if point > 100], dtype=float)
    # Rounding moves a point by half an update at most: 0.5 % of it, above 100 updates.
    assert np.all(np.abs(late[1:-1] / late[:-2] - 1.05) < 0.0105)


def test_a_grid_that_starts_late_has_the_same_points_from_there_on() -> None:
    whole = EvaluationGrid(ratio=1.05).points(10_000)
    assert EvaluationGrid(ratio=1.05, first=300).points(10_000) == [point for point in whole if point >= 300]
    assert EvaluationGrid(ratio=1.05, first=300).points(20) == [20]
    with pytest.raises(ParameterError, match="first = 0"):
        EvaluationGrid(first=0)


def test_the_harmonic_rate_is_half_of_its_maximum_at_the_half_batch_size() -> None:
    assert LearningRate(maximum=0.1, half_batch_size=16).at(16) == pytest.approx(0.05)
    assert LearningRate(maximum=0.1).at(1) == 0.1


@pytest.mark.parametrize("sizes", [(), (0,), (4, 4), (-1, 2)])
def test_a_grid_of_impossible_batch_sizes_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="batch_sizes"):
        SweepSpec(setting=setting(), batch_sizes=sizes, seeds=(0,))


@given(n_inf=POSITIVE, alpha=POSITIVE, size=POSITIVE)
def test_examples_are_updates_times_the_batch_size(n_inf: float, alpha: float, size: float) -> None:
    law = InverseLaw(n_inf=n_inf, alpha=alpha)
    assert law.examples(size) == pytest.approx(law.updates(size) * size)
    assert law.updates(law.critical_batch_size) == pytest.approx(2 * n_inf)


def test_known_training_time() -> None:
    # N(M) = 100 + 1600 / M and t(M) = 4 ms + 1 ms M: critical 16, break-even 4, optimum sqrt(64) = 8;
    # T(8) = (100 + 200) (4 + 8) ms = 3.6 s = (sqrt(0.4) + sqrt(1.6))^2 = 0.4 + 1.6 + 2 sqrt(0.64).
    time = TrainingTime(
        law=InverseLaw(n_inf=100, alpha=1600), update_time=UpdateTime(fixed_seconds=0.004, seconds_per_example=0.001)
    )
    assert time.optimal_batch_size == pytest.approx(8)
    assert time.least_seconds == pytest.approx(3.6)
    assert time.seconds(8.0) == pytest.approx(3.6)


@given(n_inf=POSITIVE, alpha=POSITIVE, fixed=POSITIVE, slope=POSITIVE)
def test_the_closed_form_optimum_is_the_least_of_a_fine_grid(
    n_inf: float, alpha: float, fixed: float, slope: float
) -> None:
    time = TrainingTime(
        law=InverseLaw(n_inf=n_inf, alpha=alpha),
        update_time=UpdateTime(fixed_seconds=fixed, seconds_per_example=slope),
    )
    grid = time.optimal_batch_size * np.geomspace(1e-3, 1e3, 2001)
    seconds = time.seconds(grid)
    assert time.least_seconds == pytest.approx(seconds.min(), rel=1e-9)
    low, high = time.within(0.05)
    assert time.seconds(low) == pytest.approx(1.05 * time.least_seconds, rel=1e-6)
    assert time.seconds(high) == pytest.approx(1.05 * time.least_seconds, rel=1e-6)


def training_time(n_inf: float, alpha: float, fixed: float, slope: float) -> TrainingTime:
    law = InverseLaw(n_inf=n_inf, alpha=alpha)
    return TrainingTime(law=law, update_time=UpdateTime(fixed_seconds=fixed, seconds_per_example=slope))


def test_a_machine_whose_examples_are_free_breaks_even_nowhere() -> None:
    assert UpdateTime(fixed_seconds=0.004, seconds_per_example=0.0).break_even_batch_size == math.inf


@pytest.mark.parametrize(
    ("terms", "optimum"),
    [
        ((0.0, 1600.0, 0.004, 0.001), math.inf),
        ((100.0, 1600.0, 0.004, 0.0), math.inf),
        ((100.0, 0.0, 0.004, 0.001), 0.0),
        ((100.0, 1600.0, 0.0, 0.001), 0.0),
        ((0.0, 1600.0, 0.0, 0.001), 1.0),
        ((100.0, 0.0, 0.004, 0.0), 1.0),
    ],
)
def test_an_optimum_of_a_law_or_machine_of_one_term_is_where_the_time_falls_to(
    terms: tuple[float, float, float, float], optimum: float
) -> None:
    time = training_time(*terms)
    assert time.optimal_batch_size == optimum
    grid = np.geomspace(1e-6, 1e6, 101)
    seconds = time.seconds(grid)
    assert seconds.min() == pytest.approx(time.least_seconds, rel=1e-4)
    low, high = time.within(0.05)
    assert time.within(0.0)[0 if optimum == math.inf else 1] == (math.inf if optimum == 1 else optimum)
    inside = (grid >= low) & (grid <= high)
    assert np.array_equal(inside, seconds <= 1.05 * time.least_seconds)


@given(n_inf=POSITIVE, alpha=POSITIVE, fixed=POSITIVE, slope=POSITIVE)
def test_a_factor_of_two_off_costs_at_most_an_eighth(n_inf: float, alpha: float, fixed: float, slope: float) -> None:
    time = TrainingTime(
        law=InverseLaw(n_inf=n_inf, alpha=alpha),
        update_time=UpdateTime(fixed_seconds=fixed, seconds_per_example=slope),
    )
    assert time.seconds(2 * time.optimal_batch_size) <= 1.125 * time.least_seconds * (1 + 1e-9)


SHARPNESSES = st.sampled_from([0.5, 0.8, 1.0, 2.0, 7.0, math.inf])


@given(a=st.floats(0.1, 1e4), h=st.floats(0.1, 1e4), p=SHARPNESSES, q=SHARPNESSES)
def test_the_optimum_of_bent_costs_is_the_least_of_a_fine_grid(a: float, h: float, p: float, q: float) -> None:
    time = TrainingTime(
        law=KneeLaw(n_inf=100, alpha=100 * a, sharpness=q),
        update_time=UpdateTime(fixed_seconds=0.01, seconds_per_example=0.01 / h, sharpness=p),
    )
    best = time.optimal_batch_size
    seconds = time.seconds(best * np.geomspace(1e-4, 1e4, 2001))
    assert time.least_seconds == pytest.approx(time.seconds(best))
    assert seconds.min() >= time.least_seconds * (1 - 1e-9)
    low, high = time.within(0.05)
    assert low <= best <= high
    assert time.seconds(low) == pytest.approx(1.05 * time.least_seconds)
    assert time.seconds(high) == pytest.approx(1.05 * time.least_seconds)


def test_a_bend_of_sharpness_one_is_the_inverse_law_and_the_line() -> None:
    sizes = np.geomspace(1, 1e4, 50)
    law = InverseLaw(n_inf=100, alpha=1600)
    assert KneeLaw(n_inf=100, alpha=1600, sharpness=1.0).updates(sizes) == pytest.approx(law.updates(sizes))
    # 3-4-5: for p = 2 costs of 3 and 4 make 5, and for an infinite p the larger one.
    assert UpdateTime(fixed_seconds=3, seconds_per_example=2, sharpness=2).seconds(2.0) == pytest.approx(5)
    assert UpdateTime(fixed_seconds=3, seconds_per_example=2, sharpness=math.inf).seconds(2.0) == 4


@given(a=st.floats(0.1, 1e4), h=st.floats(0.1, 1e4), p=st.sampled_from([0.7, 1.0, 3.0]))
def test_the_share_of_noise_is_the_slope_of_the_least_time_in_alpha(a: float, h: float, p: float) -> None:
    def least(alpha: float, n_inf: float = 100) -> float:
        machine = UpdateTime(fixed_seconds=0.01, seconds_per_example=0.01 / h, sharpness=p)
        return math.log(TrainingTime(law=InverseLaw(n_inf=n_inf, alpha=alpha), update_time=machine).least_seconds)

    machine = UpdateTime(fixed_seconds=0.01, seconds_per_example=0.01 / h, sharpness=p)
    share = TrainingTime(law=InverseLaw(n_inf=100, alpha=100 * a), update_time=machine).noise_share
    step = 1e-4
    assert share == pytest.approx((least(100 * a * math.exp(step)) - least(100 * a)) / step, abs=1e-3)
    assert 1 - share == pytest.approx((least(100 * a, 100 * math.exp(step)) - least(100 * a)) / step, abs=1e-3)


def test_a_ring_and_a_tree_of_known_cost() -> None:
    # 4 learners: 6 messages of 1 ms and 6/4 of 100 bytes at 1 us: 6.15 ms; a tree: 2 log2 4 = 4 times (1 + 0.1) ms.
    ring = AllReduceTime(latency_seconds=1e-3, seconds_per_byte=1e-6)
    assert ring.seconds(4, 100) == pytest.approx(6.15e-3)
    assert AllReduceTime(latency_seconds=1e-3, seconds_per_byte=1e-6, shape="tree").seconds(4, 100) == pytest.approx(
        4.4e-3
    )
    assert ring.seconds(1, 100) == 0
    with pytest.raises(ParameterError, match="latency_seconds = -1"):
        AllReduceTime(latency_seconds=-1, seconds_per_byte=0)
