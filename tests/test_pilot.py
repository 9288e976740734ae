"""Promises of a pilot: a few runs chosen on the way, priced before it begins, trained once, answered as tables are."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from batchtime import cli
from batchtime.book.pages import own_model, pilots
from batchtime.errors import FitError, ParameterError
from batchtime.fit.advice import recommend
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.laws.time import UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.plan import pilot, pilot_runs
from batchtime.plan.replay import replays
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, data_folder
from batchtime.train.own import own_experiment

REGRESSION = "batchtime.train.samples.regression:regression"
MACHINE = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
TIMINGS = [
    UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m in SIZES for s in (MACHINE.seconds(m),)
]
pytestmark = pytest.mark.usefixtures("in_this_process")


def runs_of(law: InverseLaw) -> Callable[[int, float], tuple[Observation, float]]:
    def make(size: int, most: float) -> tuple[Observation, float]:
        updates = law.updates(float(size))
        if updates > most:
            return Observation(batch_size=size, lower=most, upper=None), most
        return Observation(batch_size=size, lower=updates, upper=updates), updates

    return make


# Which runs


@pytest.mark.parametrize("ratio", [0.5, 5.0, 20.0, 80.0, 500.0])
def test_a_pilot_costs_at_most_five_optimal_trainings_and_loses_a_few_percent_whatever_the_ratio(ratio: float) -> None:
    law = InverseLaw(n_inf=1000, alpha=1000 * ratio)
    trail = pilot_runs.run_pilot(SIZES, TIMINGS, runs_of(law))
    time = {m: law.updates(float(m)) * MACHINE.seconds(float(m)) for m in range(2, 257)}
    assert trail.cost <= 5 * min(time.values())
    found = recommend(trail.observations, TIMINGS, reach=math.inf)
    assert found.best_guess is not None
    assert time[found.best_guess.batch_size] <= 1.1 * min(time.values())


def test_the_first_run_is_at_half_the_break_even_size_and_the_second_at_four_times_that() -> None:
    assert pilot_runs.first_sizes(SIZES, TIMINGS) == (8, 32)  # delta / gamma = 20
    assert pilot_runs.first_sizes((2, 8), TIMINGS) == (8, 2)
    with pytest.raises(ParameterError, match="a factor of 2 apart"):
        pilot_runs.first_sizes((8, 9), TIMINGS)


def test_a_run_that_costs_half_as_much_again_as_the_cheapest_is_stopped() -> None:
    law = InverseLaw(n_inf=1000, alpha=1)  # a larger batch saves nothing
    trail = pilot_runs.run_pilot(SIZES, TIMINGS, runs_of(law))
    first, second = trail.observations[:2]
    assert first.upper is not None
    assert second.upper is None
    spent = [seen.lower * MACHINE.seconds(float(seen.batch_size)) for seen in (first, second)]
    assert spent[1] == pytest.approx(pilot_runs.STOPPED * spent[0])


def test_an_easier_target_lies_a_share_of_the_way_and_is_crossed_between_evaluations() -> None:
    assert pilot_runs.easier(0.1, 0.9, 0.5) == pytest.approx(0.3)
    assert pilot_runs.crossing([1, 10, 100], [0.9, 0.6, 0.15], 0.3) == pytest.approx(math.sqrt(1000))
    assert pilot_runs.crossing([1, 10], [0.9, 0.6], 0.3) is None
    with pytest.raises(FitError, match=r"starts at 0\.1"):
        pilot_runs.easier(0.2, 0.1, 0.5)


def test_a_ratio_that_moves_with_the_target_is_refused() -> None:
    late = [Observation(batch_size=m, lower=n, upper=n) for m, n in ((8, 400.0), (32, 200.0))]
    assert pilot_runs.refusal(pilot_runs.moved(late, [50.0, 25.0])) is None
    assert "do the pilot without --early" in (pilot_runs.refusal(pilot_runs.moved(late, [50.0, 50.0])) or "")


# Replays


@pytest.fixture(scope="module")
def recorded(root: Path) -> pd.DataFrame:
    return pilots.recorded(root / "data")


def test_recorded_replays_cost_at_most_five_trainings_and_lose_what_the_page_says(recorded: pd.DataFrame) -> None:
    usual, early, answered = (row for _, row in pilots.summary(recorded).iterrows())
    assert usual["sweeps"] >= 20
    assert usual["cost"] <= 5
    assert usual["mean_loss_share"] <= 0.02
    assert usual["worst_tenth_share"] <= 0.10
    assert usual["bound_holds_share"] >= 0.9
    assert usual["price_within_2_share"] >= 0.9
    assert early["cost"] < 1.5
    assert answered["mean_loss_share"] < 0.1


def test_the_recorded_replays_are_those_of_the_program(recorded: pd.DataFrame) -> None:
    chosen = experiment("europarl-gru-harmonic")
    store = Store(data_folder(), recording=True)
    timings = chosen.relevant(store.latest_timing("europarl-gru").timings)
    wanted = set(chosen.sweep.runs())
    again = list(replays(chosen, [r for r in store.runs(chosen.name) if r.spec in wanted], timings))
    rows = recorded[recorded["sweep"] == chosen.name]
    assert len(again) == len(rows)
    for one, (_, row) in zip(again, rows.iterrows(), strict=True):
        assert (one.seed, one.early, one.runs, one.refused) == tuple(row[["seed", "early", "runs", "refused"]])
        assert one.cost == pytest.approx(row["cost"], rel=1e-3)
        assert one.loss == pytest.approx(row["loss"], abs=2e-3)


def test_an_easier_target_of_a_metric_that_rises_lies_straight_on_the_way_and_is_no_early_one(tmp_path: Path) -> None:
    chosen = own_experiment("batchtime.train.samples.tabular:tabular")
    runner = pilot._Runner(workload=chosen, store=Store(tmp_path), progress=lambda *_: None)  # noqa: SLF001
    runner.start = 0.25
    easier = runner._easier(0.5, 8)  # noqa: SLF001
    assert (easier.value, easier.hold, easier.rises) == (pytest.approx(0.55), 1, True)  # from 0.25 to 0.85
    with pytest.raises(ParameterError, match="early = True is not allowed; allowed: only where the metric falls"):
        pilot.pilot(chosen, store=Store(tmp_path), early=True)


# Trained


@pytest.mark.parametrize("early", [False, True])
def test_a_pilot_is_priced_before_it_begins_and_trained_once(tmp_path: Path, early: bool) -> None:
    store = Store(tmp_path)
    chosen = own_experiment(REGRESSION, batch_sizes=[2, 8, 16, 64])
    told: list[float] = []
    first = pilot.pilot(chosen, store=store, cpu_time=True, early=early, learners=(1, 2), tell_price=told.append)
    assert first.price == told[0]
    assert first.price is not None
    assert first.price > 0
    assert [one.learners for one in first.recommendations] == [1, 2]
    assert {one.seed for one in first.records} == {0}
    again = pilot.pilot(chosen, store=store, cpu_time=True, early=early)
    assert all(record in store.runs(chosen.name) for record in again.records)
    assert own_model.in_words(again.best).startswith(("batch size ", "no recommendation. "))
    if early:
        assert "an easier target" in again.best.warnings[0]


def test_a_pilot_from_the_command_line_tells_its_price_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["recommend", REGRESSION, "--pilot", "--json", "--data", str(tmp_path)])
    out, err = capsys.readouterr()
    assert "this pilot will cost about" in err.splitlines()[0]
    assert code == (2 if '"refused": true' in out else 0)
    assert 3 <= len(Store(tmp_path).runs(own_experiment(REGRESSION).name)) <= 7
