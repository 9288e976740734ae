"""Promises of a sweep that stops when its law is known well enough."""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from batchtime.book.pages import saved
from batchtime.errors import ParameterError
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.laws.updates import InverseLaw
from batchtime.plan.design import grid_precision, is_precise, outlook, pilot, replay, until_precise
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import Cost, Outcome, RunRecord
from batchtime.runs.spec import RunSpec

from .builders import record

LAW = InverseLaw(n_inf=300, alpha=6000)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
CHOSEN = experiment("digits-mlp").changed(batch_sizes=list(SIZES), seeds=40)


def runs_of(law: InverseLaw, runs: Sequence[RunSpec], *, seed: int = 0, spread: float = 0.15) -> list[RunRecord]:
    """Return made-up records of some runs, log-normal about a law; a run's outcome is its own whenever it is made."""
    made = []
    for run in runs:
        draw = np.random.default_rng((seed, run.batch_size, run.seed)).normal()
        updates = max(1, round(law.updates(float(run.batch_size)) * math.exp(spread * draw - spread**2 / 2)))
        seconds = updates * (1e-3 + 1e-4 * run.batch_size)
        cost = Cost(
            wall_seconds=seconds, cpu_seconds=seconds, evaluation_cpu_seconds=0, examples=updates * run.batch_size
        )
        outcome = Outcome(status="reached", lower=updates - 1, upper=updates)
        blank = record(batch_size=run.batch_size, seed=run.seed)
        made.append(replace(blank, setting=run.setting, outcome=outcome, cost=cost))
    return made


@functools.cache
def precise(chosen: Experiment, precision: float, seed: int = 0) -> list[RunRecord]:
    """Return the runs that a design makes."""
    return until_precise(chosen, lambda runs: runs_of(LAW, runs, seed=seed), precision=precision)


def test_it_starts_with_the_ends_and_a_middle() -> None:
    assert {run.batch_size for run in pilot(CHOSEN)} == {2, 16, 256}
    assert len(pilot(CHOSEN)) == 9


@pytest.mark.parametrize("precision", [0.1, 0.2])
def test_it_stops_when_the_interval_is_as_narrow_as_asked_and_not_much_later(precision: float) -> None:
    made = precise(CHOSEN, precision)
    fitted = fit_inverse_law(CHOSEN.fit_observations(made))
    assert is_precise(fitted, precision)
    assert grid_precision(fitted) > precision / 2
    assert len({run.spec for run in made}) == len(made) < len(CHOSEN.sweep.runs())


@pytest.mark.parametrize("finest", [0.2, pytest.param(0.05, marks=pytest.mark.full)])
def test_more_precision_takes_more_runs(finest: float) -> None:
    between = (finest + 0.3) / 2
    assert len(precise(CHOSEN, finest)) > len(precise(CHOSEN, between)) > len(precise(CHOSEN, 0.3))


def test_a_sweep_without_enough_runs_makes_them_all_and_is_not_precise() -> None:
    few = CHOSEN.changed(seeds=4)
    made = precise(few, 0.02)
    assert {run.spec for run in made} == set(few.sweep.runs())
    assert not is_precise(fit_inverse_law(few.fit_observations(made)), 0.02)


def test_the_outlook_after_the_pilot_is_about_what_is_then_made() -> None:
    start = runs_of(LAW, pilot(CHOSEN))
    ahead = outlook(CHOSEN, start, precision=0.1)
    assert ahead.enough
    made = len(precise(CHOSEN, 0.1)) - len(start)
    assert made / 3 < len(ahead.runs) < made * 3
    assert ahead.cpu_seconds > 0


# Intervals that hold the truth 95 times in 100 do so at least as often as is asked in 299 of 300 such tests.
@pytest.mark.parametrize(("sweeps", "least"), [(10, 7), pytest.param(40, 34, marks=pytest.mark.full)])
def test_an_interval_holds_the_truth_though_it_said_when_to_stop(sweeps: int, least: int) -> None:
    held = 0
    for seed in range(sweeps):
        low, high = fit_inverse_law(CHOSEN.fit_observations(precise(CHOSEN, 0.3, seed))).intervals.critical_batch_size
        held += low is not None and high is not None and low <= LAW.critical_batch_size <= high
    assert held >= least


def test_a_replay_costs_less_than_the_grid_for_the_same_interval() -> None:
    few = CHOSEN.changed(seeds=10)
    records = runs_of(LAW, few.sweep.runs())
    found = replay(few, records)
    assert found.precise
    assert found.grid_runs == 80
    assert 0.2 < found.saved < 1
    assert found.cpu_seconds < found.grid_cpu_seconds
    assert replay(few, records, shuffle=1) == replay(few, records, shuffle=1)


def test_a_precision_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ParameterError, match="precision = 10 is not allowed"):
        until_precise(CHOSEN, lambda runs: runs_of(LAW, runs), precision=10)


def test_the_table_of_replays_has_a_row_a_sweep() -> None:
    few = CHOSEN.changed(seeds=10)
    found = [replay(few, runs_of(LAW, few.sweep.runs()), shuffle=k) for k in (1, 2)]
    assert list(saved.replays_frame({"a": found, "b": found})["sweep"]) == ["a", "b"]
    assert saved.saved_text({"a": found}).endswith("% on a")
