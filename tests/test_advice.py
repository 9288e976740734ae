"""Promises of the advice: a bound that holds, an answer that is refused for a stated reason, and no traceback ever."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from batchtime.errors import BatchtimeError, FitError, ParameterError
from batchtime.fit.advice import recommend
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.law_draws import MISFITS, SCATTERS, hats_of, knots_of, means_of, posterior, primes, quasi_random
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.prediction import predict
from batchtime.fit.recommendation import fastest
from batchtime.fit.seconds import fit_seconds, measured_seconds
from batchtime.laws.scaling import Network
from batchtime.laws.time import AllReduceTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from tests import random_tables

LAW = InverseLaw(n_inf=300.0, alpha=9000.0)
MACHINE = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4)
SIZES = (4, 8, 16, 32, 64, 128, 256)


def exact(batch_size: float, updates: float, seed: int | None = None) -> Observation:
    return Observation(batch_size=batch_size, lower=updates, upper=updates, seed=seed)


def runs(*, seed: int = 0, sizes: Sequence[float] = SIZES, seeds: int = 5, spread: float = 0.1) -> list[Observation]:
    random = np.random.default_rng(seed)
    return [
        exact(m, LAW.updates(float(m)) * math.exp(random.normal(0, spread)), k) for m in sizes for k in range(seeds)
    ]


def timed(seconds: dict[int, float]) -> list[UpdateTiming]:
    return [UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in seconds.items()]


def timings(sizes: Sequence[int] = SIZES) -> list[UpdateTiming]:
    return timed({m: MACHINE.seconds(float(m)) for m in sizes})


def time_of(batch_size: float) -> float:
    return LAW.updates(batch_size) * MACHINE.seconds(batch_size)


LEAST = min(time_of(m) for m in np.geomspace(4, 256, 500))


# The advice


def test_the_loss_of_the_advice_is_within_its_bound_and_small() -> None:
    for seed in range(5):
        found = recommend(runs(seed=seed), timings())
        assert found.batch_size is not None
        assert found.regret is not None
        assert time_of(found.batch_size) / LEAST - 1 <= found.regret + 1e-3
        assert found.regret < 0.1
        assert found.predicted_seconds == pytest.approx(time_of(found.batch_size), rel=0.1)
        low, high = found.predicted_seconds_interval
        assert low is not None
        assert high is not None
        assert low < found.predicted_seconds < high


def test_refused_or_not_there_are_a_guess_a_bound_and_a_next_measurement() -> None:
    few, strict = runs(sizes=(4, 64), seeds=1, spread=0.0), timings((4, 256))
    given, refused = recommend(few, strict, limit=10), recommend(few, strict, limit=0.001)
    assert not given.refused
    assert given.batch_size is not None
    assert refused.refused
    assert refused.batch_size is None
    assert refused.regret == given.regret
    assert refused.best_guess == given.best_guess
    assert refused.best_guess is not None
    assert refused.next_measurement is not None
    assert refused.next_measurement.regret_after < (refused.regret or 0)
    assert "0.1 %" in refused.reasons[0]
    assert refused.next_measurement.text() in refused.reasons[0]


def test_measuring_what_is_proposed_again_and_again_lowers_the_bound() -> None:
    seen, sizes = runs(sizes=(4, 256), seeds=1, spread=0.0), [4, 256]
    bounds = []
    for _ in range(10):
        found = recommend(seen, timings(sizes))
        bounds.append(found.regret or 0.0)
        if found.next_measurement is None:
            break
        m = round(found.next_measurement.batch_size)
        if found.next_measurement.kind == "runs":
            seen = [*seen, exact(m, LAW.updates(float(m)))]
        else:
            sizes = [*sizes, m]
    assert bounds[-1] < 0.7 * bounds[0]


def test_more_runs_and_timings_lower_the_bound() -> None:
    few = recommend(runs(sizes=(4, 256), seeds=1, spread=0.0), timings((4, 256))).regret
    many = recommend(runs(seeds=10, spread=0.05), timings()).regret
    assert few is not None
    assert many is not None
    assert many < 0.7 * few


def test_the_same_tables_give_the_same_advice() -> None:
    assert recommend(runs(), timings()) == recommend(runs(), timings())


def test_the_order_of_rows_and_the_unit_of_seconds_change_nothing() -> None:
    seen = runs()
    here, there = recommend(seen, timings()), recommend(seen[::-1], timings()[::-1])
    assert there.batch_size == here.batch_size
    assert there.regret == pytest.approx(here.regret, rel=1e-6)
    slow = recommend(seen, timed({m: 1e3 * MACHINE.seconds(float(m)) for m in SIZES}))
    assert slow.batch_size == here.batch_size
    assert slow.predicted_seconds == pytest.approx(1e3 * (here.predicted_seconds or 0), rel=1e-6)


def test_tokens_in_place_of_examples_scale_the_advice() -> None:
    seen = [replace(run, batch_size=1024 * run.batch_size) for run in runs()]
    found = recommend(seen, timed({1024 * m: MACHINE.seconds(float(m)) for m in SIZES}))
    one = recommend(runs(), timings())
    assert found.batch_size == pytest.approx(1024 * (one.batch_size or 0), rel=0.15)
    assert found.regret == pytest.approx(one.regret, abs=0.01)


@pytest.mark.parametrize(("learners", "multiple"), [(1, 8), (3, 1), (4, 16)])
def test_the_batch_size_is_a_multiple_for_each_learner(learners: int, multiple: int) -> None:
    found = recommend(runs(), timings(), learners=learners, multiple_of=multiple)
    assert found.best_guess is not None
    assert found.best_guess.batch_size % (learners * multiple) == 0


def test_the_largest_allowed_batch_is_kept_to_and_said_to_hold_back() -> None:
    found = recommend(runs(), timings(), max_batch_size=10)
    assert found.batch_size is not None
    assert found.batch_size <= 10
    assert any("10, holds the optimum back" in warning for warning in found.warnings)
    with pytest.raises(ParameterError, match=r"max_batch_size = 2 .* 3 learners"):
        recommend(runs(), timings(), learners=3, max_batch_size=2)


def test_nothing_below_the_least_allowed_is_advised() -> None:
    found = recommend(runs(), timings(), min_batch_size=100)
    assert found.batch_size is not None
    assert found.batch_size >= 100
    assert (found.within_5_percent or (0, 0))[0] >= 100


def test_a_network_costs_time_and_wants_a_larger_batch() -> None:
    ring = Network(all_reduce=AllReduceTime(latency_seconds=1e-3, seconds_per_byte=1e-9), payload_bytes=1e7)
    free, costly = recommend(runs(), timings(), learners=2), recommend(runs(), timings(), learners=2, network=ring)
    assert (costly.predicted_seconds or 0) > (free.predicted_seconds or 0)
    assert (costly.batch_size or 0) > (free.batch_size or 0)
    assert any("taken to be free" in warning for warning in free.warnings)


def test_where_nothing_was_measured_near_the_answer_it_is_refused() -> None:
    found = recommend(runs(sizes=(4, 8, 16)), timings((256, 512)))
    assert found.refused
    assert "No batch size was both run and timed" in " ".join(found.reasons)
    far = recommend(runs(), timings(), max_batch_size=1)
    assert far.refused
    assert "Nothing was measured near batch size 1" in " ".join(far.reasons)
    assert far.beyond_measured


def test_what_is_said_stays_where_was_measured_and_an_optimum_at_its_end_is_told() -> None:
    found = recommend(runs(), timings((4, 8, 16)))
    assert found.batch_size is not None
    assert found.batch_size <= 16
    assert found.interval[1] is None
    assert not found.beyond_measured
    assert any("may lie above 16, where nothing was timed" in warning for warning in found.warnings)


def test_runs_that_make_no_law_are_refused_with_the_reason_of_the_fit() -> None:
    found = recommend([exact(4, 100)], timings())
    assert found.refused
    assert "only at batch size [4]" in found.reasons[0]
    assert found.best_guess is None
    assert "0 timed updates" in recommend(runs(), []).reasons[0]


def test_one_run_at_each_batch_size_takes_a_typical_scatter_and_says_so() -> None:
    found = recommend(runs(seeds=1), timings())
    assert any("a typical 5.4 %" in warning for warning in found.warnings)
    assert not any("typical" in warning for warning in recommend(runs(), timings()).warnings)


def test_a_pole_is_seen_and_its_law_used() -> None:
    near = [exact(m, 300 + 3000 / (m - 3.2), k) for m in SIZES for k in range(3)]
    found = recommend(near, timings())
    assert any("pole" in warning for warning in found.warnings)
    best = min(np.arange(4, 257), key=lambda m: (300 + 3000 / (m - 3.2)) * MACHINE.seconds(float(m)))
    truth = [(300 + 3000 / (m - 3.2)) * MACHINE.seconds(float(m)) for m in (found.best_guess.batch_size, best)]  # type: ignore[union-attr]
    assert truth[0] / truth[1] - 1 < 0.03


def test_the_fastest_of_several_is_that_of_the_shortest_time() -> None:
    several = [recommend(runs(), timings(), learners=count) for count in (1, 2, 4)]
    assert fastest(several) == several[-1]
    refused = [recommend(runs(), timings(), learners=count, limit=1e-9) for count in (1, 2)]
    assert fastest(refused) == refused[0]


@pytest.mark.parametrize("parameters", [{"learners": 0}, {"multiple_of": 0}, {"limit": 0.0}, {"limit": math.nan}])
def test_parameters_that_are_not_allowed_are_named(parameters: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        recommend(runs(), timings(), **parameters)  # type: ignore[arg-type]


def test_advice_takes_at_most_half_a_second_of_the_processor() -> None:
    seen, seconds = runs(), timings()
    recommend(seen, seconds)
    begun = time.process_time()
    recommend(seen, seconds)
    assert time.process_time() - begun < 0.5


# Several learning rates


def rated(rates: Sequence[float] = (0.02, 0.08, 0.32)) -> dict[float, list[Observation]]:
    """Return runs on A = 12, alpha = 4000 without pole or lift."""
    random = np.random.default_rng(0)
    return {
        rate: [
            exact(m, (12 / rate + 4000 / m) * math.exp(random.normal(0, 0.05)), k)
            for m in (8, 32, 128, 512)
            for k in range(3)
        ]
        for rate in rates
    }


def test_with_several_learning_rates_one_is_advised_and_never_above_the_largest_that_reached() -> None:
    table = rated()
    table[1.28] = [Observation(batch_size=m, lower=5000, upper=None, seed=0) for m in (32, 512)]
    found = recommend(table, timings((8, 32, 128, 512)))
    assert found.learning_rate == pytest.approx(0.32)
    assert found.learning_rate_interval is not None
    assert (found.learning_rate_interval[1] or 9) <= 0.32
    best = min(np.geomspace(8, 512, 300), key=lambda m: (12 / 0.32 + 4000 / m) * MACHINE.seconds(float(m)))
    truth = [(12 / 0.32 + 4000 / m) * MACHINE.seconds(float(m)) for m in (found.batch_size or 0, best)]
    assert truth[0] / truth[1] - 1 <= (found.regret or 0) + 1e-3
    assert any("0.32, the largest at which every seed reached" in warning for warning in found.warnings)


def test_learning_rates_that_make_no_curve_are_advised_on_one_by_one_and_that_is_said() -> None:
    table = {0.001: rated()[0.02], 9.0: rated()[0.32]}
    found = recommend(table, timings((8, 32, 128, 512)))
    assert found.learning_rate == 9.0
    assert any("rests on the runs at learning rate 9 alone" in warning for warning in found.warnings)
    lost = {rate: [Observation(batch_size=8, lower=99, upper=None)] for rate in (1.0, 2.0)}
    assert "past the pole" in recommend(lost, timings()).reasons[0]


# Predictions


def test_predictions_are_the_law_times_the_seconds_and_their_intervals_hold_it() -> None:
    held = []
    for seed in range(4):
        for one in predict(runs(seed=seed, spread=0.05), timings(), batch_sizes=[16, 64]):
            m = one.batch_size
            assert one.updates == pytest.approx(LAW.updates(m), rel=0.08)
            assert one.seconds == pytest.approx(time_of(m), rel=0.1)
            for (low, high), truth in ((one.updates_interval, LAW.updates(m)), (one.seconds_interval, time_of(m))):
                assert low is not None
                assert high is not None
                held.append(low < truth < high)
            assert not one.beyond_measured
    assert sum(held) >= 14  # of 16 intervals of 95 %


def test_predictions_beyond_what_was_measured_say_so_and_are_wider() -> None:
    near, far = predict(runs(sizes=(4, 8, 16, 32)), timings((4, 8, 16, 32)), batch_sizes=[16, 1024])
    assert (near.beyond_measured, far.beyond_measured) == (False, True)
    widths = [math.log((one.seconds_interval[1] or 0) / (one.seconds_interval[0] or 0)) for one in (near, far)]
    assert widths[1] > 2 * widths[0]


def test_without_timings_updates_alone_are_predicted() -> None:
    (one,) = predict(runs(), None, batch_sizes=[64])
    assert (one.seconds, one.seconds_interval) == (None, (None, None))
    (rate,) = predict(rated(), None, batch_sizes=[64], learning_rate=0.08)
    assert rate.updates == pytest.approx(12 / 0.08 + 4000 / 64, rel=0.1)
    with pytest.raises(ParameterError, match=r"learning_rate = 0\.5"):
        predict(rated(), None, batch_sizes=[64], learning_rate=0.5)
    with pytest.raises(ParameterError, match="batch_sizes"):
        predict(runs(), None, batch_sizes=[0])


# What is drawn


def test_the_quasi_random_numbers_are_those_of_one_line() -> None:
    assert list(primes(6)) == [2, 3, 5, 7, 11, 13]
    assert quasi_random(2, 2) == pytest.approx(np.array([[math.sqrt(2) - 1, math.sqrt(3) - 1],
                                                         [2 * math.sqrt(2) - 2, 2 * math.sqrt(3) - 3]]))  # fmt: skip
    numbers = quasi_random(2000, 40)
    assert all(stats.kstest(column, "uniform").statistic < 0.02 for column in numbers.T)


def test_drawn_laws_have_the_moments_of_the_normal_model_that_they_are_drawn_from() -> None:
    # At one ratio, scatter and misfit the posterior of log N is a normal one, whose moments linear algebra gives.
    found = posterior(runs(spread=0.05))
    k = 80
    weights = np.zeros_like(found.weights)
    weights[2 * len(MISFITS) + 4, 0, k] = 1.0
    one = replace(found, weights=weights)
    at = np.array([5.0, 50.0, 200.0])
    sizes, errors = one.means.sizes, one.means.errors[2]
    knots = knots_of(sizes, at)
    logs = one.draws(quasi_random(20_000, one.dimensions(at)), at)
    hats, hats_at = hats_of(knots, np.log(sizes)), hats_of(knots, np.log(at))
    wide = 1e4  # a level of which nothing is known
    tau = MISFITS[4]
    covariance = np.diag(errors**2) + tau**2 * hats @ hats.T + wide
    across = tau**2 * hats_at @ hats.T + wide
    shape = np.log1p(found.ratios[k] / sizes)
    middle = np.log1p(found.ratios[k] / at) + across @ np.linalg.solve(covariance, one.means.logs - shape)
    spread = np.sqrt(np.diag(tau**2 * hats_at @ hats_at.T + wide - across @ np.linalg.solve(covariance, across.T)))
    assert logs.mean(axis=0) == pytest.approx(middle, abs=0.01)
    assert logs.std(axis=0) == pytest.approx(spread, rel=0.1)


def test_the_posterior_of_the_ratio_agrees_with_the_profile_interval_of_many_runs() -> None:
    seen = runs(seeds=30, spread=0.1)
    found = posterior(seen)
    kinds = found.weights.reshape(len(SCATTERS), len(MISFITS), *found.weights.shape[1:])
    share = np.cumsum(kinds[:, :2, 0].sum(axis=(0, 1)))  # hardly any misfit, no pole
    low, high = (found.ratios[np.searchsorted(share / share[-1], at)] for at in (0.025, 0.975))
    interval = fit_inverse_law(seen).intervals.critical_batch_size
    assert (low, high) == pytest.approx(interval, rel=0.1)


def test_a_batch_size_of_which_no_run_is_bounded_from_both_sides_has_a_mean_all_the_same() -> None:
    early = Observation(batch_size=2, lower=0, upper=9_000)
    late = Observation(batch_size=2, lower=3_000, upper=None)
    means = means_of([*runs(sizes=(8, 32, 128)), early, late])
    assert means.sizes[0] == 2
    assert np.isfinite(means.errors).all()


def test_batch_sizes_that_never_reached_raise_the_law_there() -> None:
    seen = runs(sizes=(8, 32, 128, 512))
    lost = [Observation(batch_size=2, lower=60_000, upper=None)]  # ten times what the law says
    assert means_of([*seen, *lost]).never == ((2.0, pytest.approx(math.log(60_000))),)
    assert posterior([*seen, *lost]).weights[:, 0].sum() < posterior(seen).weights[:, 0].sum()


# Seconds


def test_drawn_seconds_scatter_by_their_error_at_timed_sizes_and_more_between() -> None:
    found = measured_seconds(timings((4, 64)))
    logs = found.draws(quasi_random(2000, found.dimensions), np.array([4.0, 16.0, 64.0]))
    assert np.median(logs[:, [0, 2]], axis=0) == pytest.approx(
        np.log([MACHINE.seconds(4.0), MACHINE.seconds(64.0)]), abs=0.01
    )
    assert logs[:, 0].std() == pytest.approx(0.02, rel=0.1)
    assert logs[:, 1].std() > 2 * logs[:, 0].std()
    assert np.quantile(logs[:, 1], 0.025) < math.log(MACHINE.seconds(16.0)) < np.quantile(logs[:, 1], 0.975)


@pytest.mark.parametrize("power", [1.0, 2.0, math.inf])
def test_a_form_is_recovered_from_its_own_seconds(power: float) -> None:
    machine = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4, sharpness=power)
    found = fit_seconds(timed({m: machine.seconds(float(m)) for m in (1, 2, 4, 8, 16, 32, 64, 128, 512)}))
    assert found.power == power
    assert found.delta == pytest.approx(2e-3, rel=0.1)
    assert found.gamma == pytest.approx(1e-4, rel=0.1)
    for name, truth in (("delta", 2e-3), ("gamma", 1e-4)):
        low, high = found.intervals[name]
        assert (low or 0) < truth < (high or 1)


def test_two_timed_sizes_leave_the_form_open() -> None:
    low, high = fit_seconds(timings((32, 64))).intervals["delta"]
    assert (low or 0) < 0.3 * (high or 1)
    with pytest.raises(FitError, match="two timed batch sizes"):
        fit_seconds(timings((32,)))


def test_seconds_that_no_form_describes_are_taken_as_they_are() -> None:
    table = {8: 1.0, 16: 1.1, 32: 3.0, 64: 3.1, 128: 8.0}
    found = measured_seconds(timed(table))
    assert found.weights[-1] > 0.9
    assert {size for size, _ in fit_seconds(timed(table)).misses} <= set(table)
    assert found.at(16) == pytest.approx(1.1)


def test_impossible_timings_are_refused() -> None:
    for seconds in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(FitError, match="a duration is"):
            measured_seconds(timed({8: seconds}))
    with pytest.raises(FitError, match="batch size 0"):
        measured_seconds(timed({0: 1.0}))


# Hostile tables

numbers = st.one_of(st.floats(1e-12, 1e15), st.integers(1, 2000).map(float))


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[float, list[Observation]], list[UpdateTiming]]:
    by_rate: dict[float, list[Observation]] = {}
    for rate in draw(st.lists(st.sampled_from([0.01, 0.1, 0.4, 1e9]), min_size=1, max_size=3, unique=True)):
        sizes = draw(st.lists(numbers, min_size=1, max_size=5))
        by_rate[rate] = []
        for size in sizes:
            for _ in range(draw(st.integers(1, 3))):
                lower, kind = draw(numbers), draw(st.sampled_from(["exact", "exact", "interval", "censored"]))
                upper = {"exact": lower, "interval": 2 * lower, "censored": None}[kind]
                seed = draw(st.sampled_from([None, 0, 1]))
                by_rate[rate].append(Observation(batch_size=size, lower=lower, upper=upper, seed=seed))
    timing = [
        UpdateTiming(batch_size=max(int(m), 1), wall_seconds=(s,), cpu_seconds=(s,))
        for m, s in draw(st.lists(st.tuples(numbers, numbers), max_size=5))
    ]
    return by_rate, timing


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.full)])
def test_any_tables_are_answered_or_refused_without_a_traceback(examples: int) -> None:
    settings(max_examples=examples, deadline=None, derandomize=True)(any_tables)()


@given(tables(), st.sampled_from([1, 3]), st.sampled_from([None, 24]))
def any_tables(
    given_tables: tuple[dict[float, list[Observation]], list[UpdateTiming]], learners: int, most: int | None
) -> None:
    by_rate, timing = given_tables
    for observations in (next(iter(by_rate.values())), by_rate):
        found = recommend(observations, timing, learners=learners, max_batch_size=most)
        assert found.refused == (found.batch_size is None) == bool(found.reasons)
        assert found.regret is None or 0 <= found.regret < math.inf
        if found.best_guess is not None:
            assert 0 < found.best_guess.predicted_seconds < math.inf
            assert most is None or found.best_guess.batch_size <= most
        for seconds in (None, timing):
            try:
                predicted = predict(observations, seconds, batch_sizes=[1.0, 64.0, 1e6])
            except BatchtimeError:
                continue
            assert len(predicted) == 3


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (0, 6),
        pytest.param(6, 100, marks=pytest.mark.full),
        *(pytest.param(at, at + 100, marks=pytest.mark.long) for at in range(100, 1000, 100)),
    ],
)
def test_random_tables_by_number_are_answered_or_refused_in_words(first: int, last: int) -> None:
    assert list(random_tables.wrong(first, last)) == []
