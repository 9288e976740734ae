"""Promises of the curve, the exact minimax and the weighted average beyond the equations; and of recorded points."""

import math
from dataclasses import replace

import numpy as np
import pytest

from batchtime.book.pages import bound_curve
from batchtime.errors import FitError, ParameterError
from batchtime.fit.means import MeanUpdates
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.time import UpdateTime
from batchtime.runs.store import Store, data_folder
from batchtime.theory.bounds import Constants, LastIterate
from batchtime.theory.curve import FirstOrder, QuadraticCurve, clock, passage_spread
from batchtime.theory.problems import ANISOTROPIC_QUADRATIC, NOISY_QUADRATIC
from batchtime.theory.quadratics import Quadratics, simulated_updates
from batchtime.theory.weighted import WeightedAverage, floor_at_rest

CONSTANTS = Constants(smoothness=2, curvature=0.1, noise_variance=3, distance=1, start=1, gap=0.01)
CURVE = bound_curve.Curve(first=FirstOrder(distance=20.0, alpha=400.0), pole=0.1, error=0.0, points=0)


def seen(curve: bound_curve.Curve, rates: tuple[float, ...] = (0.01, 0.04, 0.16)) -> list[bound_curve.Point]:
    """Return points that lie on a curve, at powers of two."""
    return [
        bound_curve.Point(rate=rate, batch_size=size, updates=curve.distance(rate / size) / rate, runs=10)
        for rate in rates
        for size in np.exp2(np.arange(12.0))
        if rate / size < 0.9 * curve.pole
    ]


@pytest.mark.parametrize("rate", [0.0, 0.51, -1.0])
def test_a_step_for_which_the_weighted_average_or_the_family_says_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ParameterError, match="learning_rate = "):
        WeightedAverage(constants=CONSTANTS).updates(100, rate)
    with pytest.raises(ParameterError, match="learning_rate = "):
        Quadratics(constants=CONSTANTS).updates(100, 2 * rate)
    with pytest.raises(ParameterError, match="learning_rate = "):
        floor_at_rest(CONSTANTS, 100, 2 * rate)


def test_what_has_no_meaning_on_the_curve_is_refused() -> None:
    curve = QuadraticCurve(problem=ANISOTROPIC_QUADRATIC)
    with pytest.raises(ParameterError, match="learning_rate = 1"):
        curve.between(0.01, 1.0)
    cold = QuadraticCurve(problem=replace(ANISOTROPIC_QUADRATIC, distance=0.5, gap=0.04))
    with pytest.raises(ParameterError, match="every coordinate starts higher"):
        cold.between(0.03, 0.1)
    with pytest.raises(ParameterError, match="more than the pole"):
        passage_spread(NOISY_QUADRATIC, batch_size=1, rate=0.1)
    with pytest.raises(ParameterError, match="split = 1"):
        WeightedAverage(constants=CONSTANTS).harmonic(1)
    with pytest.raises(ParameterError, match="share = 0"):
        Quadratics(constants=CONSTANTS).harmonic(0)
    assert curve.distance(curve.pole()) == math.inf
    assert clock(0) == 1


def test_the_weighted_average_is_certified_with_fewer_updates_and_far_fewer_examples() -> None:
    last, weighted = (theorem(constants=CONSTANTS).harmonic()[1] for theorem in (LastIterate, WeightedAverage))
    assert weighted.n_inf < last.n_inf
    assert weighted.alpha < 2 * CONSTANTS.curvature / CONSTANTS.smoothness * last.alpha


@pytest.mark.parametrize("size", [60, 500])
def test_simulated_runs_of_the_worst_quadratic_take_the_minimax_number(size: int) -> None:
    exact = Quadratics(constants=CONSTANTS).updates(size, 0.3)
    assert simulated_updates(CONSTANTS, batch_size=size, rate=0.3) == pytest.approx(exact, rel=0.05, abs=1)
    below = 0.9 * Quadratics(constants=CONSTANTS).pole(0.3)
    assert simulated_updates(CONSTANTS, batch_size=below, rate=0.3, most_updates=500) == math.inf


def test_without_noise_the_family_needs_the_same_at_every_batch_size() -> None:
    quiet = Quadratics(constants=replace(CONSTANTS, noise_variance=0.0))
    assert quiet.updates(1, 0.3) == pytest.approx(quiet.updates(1000, 0.3))
    assert quiet.best(1)[0] == pytest.approx(quiet.largest_rate, rel=1e-3)


def test_a_curve_is_recovered_from_its_own_points() -> None:
    found = bound_curve.fit_curve(seen(CURVE))
    assert found.first.distance == pytest.approx(20, rel=1e-3)
    assert found.first.alpha == pytest.approx(400, rel=1e-2)
    assert found.pole == pytest.approx(0.1, rel=1e-2)
    assert found.error < 1e-3
    with pytest.raises(FitError, match="4 means determine no curve"):
        bound_curve.fit_curve(seen(CURVE)[:4])


def test_points_of_one_curve_agree_at_equal_temperature_and_a_longer_step_lifts_off() -> None:
    points = seen(CURVE)
    groups = bound_curve.equal_temperatures(points)
    assert all(len({point.rate for point in group}) == 3 for group in groups.values())
    assert bound_curve.spread(groups) == pytest.approx(0, abs=1e-9)
    lifted = [replace(point, updates=1.7 * point.updates) if point.rate == 0.16 else point for point in points]
    assert bound_curve.lift(lifted, 0.16, CURVE) == pytest.approx(1.7)
    assert bound_curve.lift(lifted, 0.04, CURVE) == pytest.approx(1.0)
    assert bound_curve.spread(bound_curve.equal_temperatures(lifted)) == pytest.approx(0.7)


def test_batch_sizes_at_which_some_run_never_arrives_are_no_points() -> None:
    means = [
        MeanUpdates(batch_size=size, mean=100.0, interval=(None, None), n_runs=10, n_censored=censored)
        for size, censored in ((1, 3), (2, 0), (4, 0))
    ]
    found = bound_curve.points_of(means, LearningRate(maximum=0.1, half_batch_size=2))
    assert [(point.batch_size, point.rate) for point in found] == [(2, 0.05), (4, pytest.approx(0.1 / 1.5))]


def test_the_optimum_of_points_moves_with_the_root_of_the_step_size() -> None:
    flat = replace(CURVE, pole=1e6)
    time = UpdateTime(fixed_seconds=1e-3, seconds_per_example=1e-5)
    optima = bound_curve.optima(seen(flat, (0.04, 0.16, 0.64)), flat, time)
    assert [one.predicted / optima[0].predicted for one in optima] == pytest.approx([1, 2, 4])
    for one in optima:  # the grid is one of powers of two
        assert 0.7 < one.best_run / one.predicted < 1.5


def test_the_first_order_is_too_low_by_what_the_curve_says_and_the_capped_step_by_no_more_than_its_bound() -> None:
    by_means, by_curve = bound_curve.beyond_first_order(CURVE, seen(CURVE))
    assert by_means == pytest.approx(by_curve)
    assert by_means == pytest.approx(400 * 0.01 * (0.01 / 0.1 / 0.9) / (20 + 400 * 0.01))  # R over A + alpha tau
    rule = LearningRate(maximum=0.1, half_batch_size=2)  # temperatures up to half of the pole's
    capped = [
        bound_curve.Point(rate=rate, batch_size=size, updates=CURVE.distance(rate / size) / rate, runs=10)
        for size in (0.01, 1.0, 10.0, 1000.0)
        for rate in (rule.at(size),)
    ]
    assert bound_curve.capped_bound(CURVE, rule) == pytest.approx(400 / 0.1 / 0.5 * 0.05**2 / 20)
    assert 0.4 < bound_curve.capped_excess(CURVE, rule, capped) < bound_curve.capped_bound(CURVE, rule)
    assert bound_curve.capped_bound(CURVE, LearningRate(maximum=0.1, half_batch_size=1)) == math.inf


def test_sweeps_that_are_not_whole_give_the_points_at_which_every_run_arrived() -> None:
    store = Store(data_folder())
    points = bound_curve.arrived("mnist-error-2", store)
    assert len(bound_curve.step_sizes(points)) >= 4
    assert min(point.runs for point in points) >= 3
    assert all(point.tau < 0.02 for point in points)  # where no run arrives
    assert 0.1 < bound_curve.scatter("mnist-error-2", store) < 0.5
    three = [bound_curve.Point(rate=1, batch_size=size, updates=60 / size, runs=3) for size in (4, 1, 2)]
    assert (bound_curve.sizes_text(three), bound_curve.updates_text(three)) == ("1, 2 and 4", "60, 30 and 15")
