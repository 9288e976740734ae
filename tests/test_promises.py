"""Promises of predictions made before: the pairs, their intervals, and what the clock says of them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batchtime.errors import FitError, LogError, ParameterError
from batchtime.fit.learners import as_timings, errors_of, fit_learners
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.laws.learning_rate import LearningRate
from batchtime.plan.clock import against_promises
from batchtime.plan.promises import chosen_pairs, promise, promises_frame, ratio, read_promises, scatter
from batchtime.runs.records import Outcome, TimedRun

from .builders import record, setting

SIZES = (4, 8, 16, 32, 64, 128, 256)


def timing(size: int, seconds: float) -> UpdateTiming:
    return UpdateTiming(batch_size=size, wall_seconds=(seconds,) * 5, cpu_seconds=(seconds,) * 5)


def alone(size: float) -> float:
    return 1e-3 + 2e-5 * size


TIMINGS = [timing(size, alone(size)) for size in (1, 2, *SIZES, 512)]


def curve_runs(spread: float = 0.05, seeds: int = 4) -> dict[float, list[Observation]]:
    """Return runs whose updates are (20 + 12,000 rate / M) / rate, on the curve of rate / M."""
    generator = np.random.default_rng(0)
    found: dict[float, list[Observation]] = {}
    for rate in (0.01, 0.04, 0.16):
        for size in SIZES:
            for seed in range(seeds):
                updates = (20 + 12_000 * rate / size) / rate * math.exp(generator.normal(0, spread))
                found.setdefault(rate, []).append(Observation(batch_size=size, lower=updates, upper=updates, seed=seed))
    return found


def test_the_pairs_are_two_optima_neighbours_and_two_more_where_runs_were_made() -> None:
    pairs = chosen_pairs(curve_runs(), TIMINGS, middle=0.04)
    roles = {role: pair for pair, role in pairs.items()}
    assert len(pairs) >= 5
    best, rate = roles["joint optimum"]
    assert rate == 0.16  # the largest is the best, as the curve has no lift
    # sqrt(alpha / n_inf delta / gamma) with n_inf = 20 / 0.16, alpha = 12,000: sqrt(96 x 50) = 69.
    assert 50 < best < 95
    assert roles["half of it"] == (round(best / 2), 0.16)
    # At 0.04 it is sqrt(24 x 50) = 35.
    middle, at = roles["optimum at learning rate 0.04"]
    assert (at, 25 < middle < 48) == (0.04, True)
    assert all(SIZES[0] <= size <= SIZES[-1] for size, _ in pairs)
    with pytest.raises(ParameterError, match=r"middle = 0.5 is not allowed; allowed: 0.01, 0.04, 0.16"):
        chosen_pairs(curve_runs(), TIMINGS, middle=0.5)


def test_what_is_promised_holds_the_truth_and_more_runs_promise_more() -> None:
    pairs = {(64, 0.16): "joint optimum", (32, 0.04): "other"}
    several, few = (promise(curve_runs(), TIMINGS, pairs, n_runs=count) for count in (20, 2))
    truth = {(64, 0.16): (20 + 30) / 0.16 * alone(64), (32, 0.04): (20 + 15) / 0.04 * alone(32)}
    for many, two in zip(several, few, strict=True):
        low, high = many.interval
        assert low is not None
        assert high is not None
        assert low < truth[many.batch_size, many.learning_rate] < high
        assert two.interval[1] is not None
        assert two.interval[1] > high
    factor, (low, high) = ratio(several[1], several[0])
    assert low is not None
    assert high is not None
    assert low < truth[32, 0.04] / truth[64, 0.16] < high
    assert low < factor < high


def test_the_scatter_of_runs_is_that_about_their_own_batch_size() -> None:
    assert scatter(curve_runs(spread=0.1, seeds=20)[0.04]) == pytest.approx(0.1, rel=0.15)
    assert scatter([Observation(batch_size=8, lower=9, upper=10)]) == 0


def test_promises_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = promise(curve_runs(), TIMINGS, {(64, 0.16): "joint optimum"}, n_runs=5)
    promises_frame(made).to_csv(tmp_path / "made.csv", index=False)
    assert read_promises(tmp_path / "made.csv") == made
    (tmp_path / "other.csv").write_text("batch_size,seconds\n8,1\n")
    with pytest.raises(LogError, match="lacks the columns high, learning_rate, low, role, runs"):
        read_promises(tmp_path / "other.csv")
    with pytest.raises(LogError, match="holds no predictions"):
        read_promises(tmp_path / "absent.csv")


def test_the_clock_is_read_at_each_pair_by_itself() -> None:
    made = promise(curve_runs(), TIMINGS, {(64, 0.16): "joint optimum", (64, 0.04): "other"}, n_runs=3)
    runs = []
    for one in made:
        here = replace(setting(), learning_rate=LearningRate(maximum=one.learning_rate))
        outcome = Outcome(status="reached", lower=round(one.updates) - 1, upper=round(one.updates) + 1)
        runs += [
            TimedRun(
                setting=here,
                batch_size=64,
                seed=1000 + seed,
                outcome=outcome,
                lower_seconds=0.99 * one.seconds,
                upper_seconds=1.01 * one.seconds,
                wall_over_cpu=1.0,
                provenance=record().provenance,
            )
            for seed in range(3)
        ]
    rows = against_promises(made, runs)
    assert [(row.role, row.n_runs) for row in rows] == [("joint optimum", 3), ("other", 3)]
    assert all(abs(row.error or 1) < 0.02 for row in rows)
    assert len(against_promises(made, runs[:3])) == 1
    with pytest.raises(FitError, match="0 timed runs at the pairs that were predicted"):
        against_promises(made, [])


def test_several_learners_are_predicted_at_every_size_from_two_of_them() -> None:
    together = [timing(size, 1.19 * alone(size / 2) + 2.2e-3) for size in (8, 16, 64, 128, 256, 512)]
    model = fit_learners(TIMINGS, together, learners=2, sizes=(16, 256))
    assert model.slowdown == pytest.approx(1.19, rel=1e-6)
    assert model.exchange_seconds == pytest.approx(2.2e-3, rel=1e-6)
    assert max(map(abs, errors_of(model, together).values())) < 1e-6
    assert as_timings(model, [128])[0].seconds == pytest.approx(1.19 * alone(64) + 2.2e-3)
    with pytest.raises(ParameterError, match=r"batch_size = 2048.0 .*from 2 to 1024"):
        model.seconds(2048.0)


def test_an_exchange_that_costs_nothing_is_not_negative() -> None:
    together = [timing(size, 1.5 * alone(size / 2) - 1e-4) for size in (8, 512)]
    model = fit_learners(TIMINGS, together, learners=2, sizes=(8, 512))
    assert model.exchange_seconds == 0
    assert model.slowdown == pytest.approx(1.45, abs=0.05)


def test_learners_that_do_not_divide_a_size_and_one_size_alone_are_refused() -> None:
    together = [timing(15, 1e-3), timing(16, 1e-3)]
    with pytest.raises(ParameterError, match="multiples of the 2 learners"):
        fit_learners(TIMINGS, together, learners=2, sizes=(15, 16))
    with pytest.raises(FitError, match=r"need two timed sizes of 2 learners, not \[16\]"):
        fit_learners(TIMINGS, together, learners=2, sizes=(16, 64))
