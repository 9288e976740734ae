"""Promises of the predicted training time: its interval covers, and it is held against clocks fairly."""

import itertools
import math

import numpy as np
import pytest

from batchtime.book.pages.several_learners import learners_recorded
from batchtime.errors import FitError
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.training_time import fit_training_time, least_measured, least_time, where_the_optimum_lies
from batchtime.fit.update_time import BentTime
from batchtime.laws.quantity import holds
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.plan.clock import against_the_clock, clocked_batch_sizes, nearest_to
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import LearnersRecord, Outcome, TimedRun

from .builders import record, setting

LAW = InverseLaw(n_inf=300, alpha=6000)
MACHINE = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256)


def runs(seed: int, *, sizes: tuple[int, ...] = SIZES, seeds: int = 8, cv: float = 0.1) -> list[Observation]:
    """Return runs that scatter about the law."""
    generator = np.random.default_rng(seed)
    spread = math.sqrt(math.log1p(cv**2))
    drawn = {
        (size, s): LAW.updates(float(size)) * math.exp(generator.normal(-(spread**2) / 2, spread))
        for size in sizes
        for s in range(seeds)
    }
    return [
        Observation(batch_size=size, lower=updates / 1.02, upper=updates * 1.02, seed=s)
        for (size, s), updates in drawn.items()
    ]


def timings(seed: int, machine: UpdateTime = MACHINE, *, scatter: float = 0.02) -> list[UpdateTiming]:
    """Return timings whose medians scatter about a machine's."""
    generator = np.random.default_rng(seed)
    sizes = (1, *SIZES, 3, 12, 48, 96, 512)
    found = []
    for size in sizes:
        off = math.exp(generator.normal(0, scatter))
        seconds = tuple(machine.seconds(float(size)) * off * np.exp(generator.normal(0, 0.02, size=9)))
        found.append(UpdateTiming(batch_size=size, wall_seconds=seconds, cpu_seconds=seconds))
    return found


def timed(size: int, seed: int, updates: int, machine: UpdateTime = MACHINE) -> TimedRun:
    """Return a run by the clock."""
    each = machine.seconds(float(size))
    return TimedRun(
        setting=setting(),
        batch_size=size,
        seed=seed,
        outcome=Outcome(status="reached", lower=updates - 10, upper=updates),
        lower_seconds=(updates - 10) * each,
        upper_seconds=updates * each,
        wall_over_cpu=1.0,
        provenance=record().provenance,
    )


# At 95 %, fewer hits than these have a probability of 1 % in 10 draws, and of 0.3 % in 40.
DRAWS = pytest.mark.parametrize(("draws", "least"), [(10, 8), pytest.param(40, 34, marks=pytest.mark.full)])


@DRAWS
@pytest.mark.parametrize("p", [1.0, 0.8, 2.0])
def test_the_interval_of_the_optimum_covers_the_truth(p: float, draws: int, least: int) -> None:
    machine = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4, sharpness=p)
    truth = TrainingTime(law=LAW, update_time=machine).optimal_batch_size
    found = [fit_training_time(runs(seed), timings(seed, machine)) for seed in range(draws)]
    ends = [one.optimal_batch_size for one in found]
    hits = [low is not None and high is not None and low <= truth <= high for low, high in ends]
    assert sum(hits) >= least
    assert np.median([high / low for low, high in ends if low and high]) < 1.6


def test_timings_with_scatter_widen_the_interval() -> None:
    def width(scatter: float) -> float:
        low, high = fit_training_time(runs(0), timings(0, scatter=scatter)).optimal_batch_size
        assert low is not None
        assert high is not None
        return high / low

    assert width(0.10) > width(0.01)


@pytest.mark.parametrize("sizes", [(64, 128), (32, 64), (8, 32)])
@pytest.mark.parametrize("updates", list(itertools.permutations((90, 100, 110))))
def test_an_open_law_leaves_the_optimum_open(sizes: tuple[int, ...], updates: tuple[int, ...]) -> None:
    # alpha is 0 but for rounding, and an end of its interval open, 0 or next to it: which one depends on the order.
    flat = [Observation(batch_size=m, lower=u, upper=u, seed=s) for m in sizes for s, u in enumerate(updates)]
    assert None in fit_training_time(flat, timings(0)).optimal_batch_size


def test_the_least_time_of_any_form_is_found_by_search() -> None:
    assert least_time(LAW, MACHINE) == pytest.approx(
        (20, TrainingTime(law=LAW, update_time=MACHINE).least_seconds), rel=1e-3
    )
    bent = BentTime(fixed_seconds=2e-3, seconds_per_example=1e-4, later_seconds_per_example=1e-2, bend=10.0)
    assert least_time(LAW, bent)[0] == pytest.approx(10, rel=1e-3)


def test_the_batch_sizes_of_the_clock_are_around_the_optimum_and_the_sealed_ones() -> None:
    chosen = experiment("mnist-lenet")
    found = fit_training_time(runs(0), timings(0))
    best = found.time.optimal_batch_size
    assert clocked_batch_sizes(chosen, found) == tuple(sorted({round(best / 2), round(best), round(2 * best), 6, 96}))


def test_an_optimum_below_what_the_law_was_fitted_to_is_said_and_not_advised() -> None:
    found = fit_training_time(runs(0, sizes=(64, 128, 256, 512)), timings(0))
    assert found.time.optimal_batch_size < 64
    assert found.advised_batch_size == 64
    assert "below the batch sizes that the law was fitted to, 64 to 512" in where_the_optimum_lies(found)
    assert "inside" in where_the_optimum_lies(fit_training_time(runs(0), timings(0)))
    assert min(clocked_batch_sizes(experiment("digits-mlp"), found)) == 8  # a sealed one; the others are not below 64


def test_a_clock_that_agrees_has_no_error_and_one_of_a_slower_machine_says_whose_part_it_is() -> None:
    updates = round(LAW.updates(20.0))
    exact = [timed(20, seed, updates + 5) for seed in range(5)]
    row = against_the_clock(runs(1, cv=0.02), timings(1, scatter=0.005), exact)[0]
    assert row.n_runs == 5
    assert row.error == pytest.approx(0, abs=0.03)
    slow = UpdateTime(fixed_seconds=4e-3, seconds_per_example=2e-4)
    slower = [timed(20, seed, updates + 5, slow) for seed in range(5)]
    row = against_the_clock(runs(1, cv=0.02), timings(1, scatter=0.005), slower)[0]
    assert row.seconds_error == pytest.approx(-0.5, abs=0.02)
    assert row.updates_error == pytest.approx(0, abs=0.03)
    assert row.error == pytest.approx(-0.5, abs=0.03)


@DRAWS
def test_runs_of_other_seeds_lie_in_the_predicted_interval(draws: int, least: int) -> None:
    hits = []
    for seed in range(draws):
        new = [round(run.upper or 0) for run in runs(1000 + seed, sizes=(20,), seeds=5)]
        rows = against_the_clock(runs(seed), timings(seed), [timed(20, s, n) for s, n in enumerate(new)])
        low, high = rows[0].predicted_interval
        assert rows[0].measured is not None
        hits.append(low is not None and high is not None and low <= rows[0].measured <= high)
    assert sum(hits) >= least


def test_no_clock_is_refused_with_the_remedy() -> None:
    with pytest.raises(FitError, match="0 timed runs; time some with `batchtime clock`"):
        against_the_clock(runs(0), timings(0), [])
    with pytest.raises(FitError, match="batchtime clock"):
        nearest_to([], 8)


def test_the_row_nearest_to_the_optimum_is_nearest_as_a_ratio() -> None:
    rows = against_the_clock(runs(0), timings(0), [timed(size, 0, 500) for size in (8, 32)])
    assert nearest_to(rows, 17).batch_size == 32  # 17 / 8 > 32 / 17, though 17 - 8 < 32 - 17


def test_the_least_measured_time_is_at_a_timed_batch_size() -> None:
    exact = [UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in ((10, 3e-3), (30, 5e-3))]
    assert least_measured(LAW, exact) == (30, pytest.approx(500 * 5e-3))  # 900 x 3 ms = 2.7 s; 500 x 5 ms = 2.5 s


def test_learners_that_were_not_timed_are_named() -> None:
    one = LearnersRecord(
        workload="test", learners=1, gradient_bytes=4, timings={}, all_reduce=(), provenance=record().provenance
    )
    assert learners_recorded([one], 1) == (one,)
    with pytest.raises(FitError, match="no timings of 2 learners; measure them: batchtime learners NAME --learners 2"):
        learners_recorded([one], 1, 2)


def test_an_interval_holds_its_ends_and_all_on_a_side_that_is_open() -> None:
    assert [holds((1.0, 2.0), value) for value in (0.9, 1.0, 2.0, 2.1, None)] == [False, True, True, False, False]
    assert holds((None, 2.0), -9.0)
    assert holds((1.0, None), 9.0)
