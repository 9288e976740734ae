"""Promises of the simulation study: tables are what their design says, and recorded ones can be made again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batchtime.errors import ParameterError
from batchtime.plan import simulation
from batchtime.plan.simulation import (
    BIAS,
    COVERAGE,
    ESTIMATORS,
    INTERVAL,
    QUANTITIES,
    SPREADS,
    STUDIES,
    bias,
    simulate,
    study,
)
from batchtime.runs.records import StudyDesign
from batchtime.runs.store import Store, data_folder


def test_runs_have_the_mean_the_spread_and_the_correlation_of_their_design() -> None:
    design = StudyDesign(cv=0.3, correlation=0.5, seeds=4000, batch_sizes=(2, 64), every=1e-4)
    runs = simulate(design, 0, 0)
    updates = {m: np.array([run.upper for run in runs if run.batch_size == m], dtype=float) for m in (2, 64)}
    for size, values in updates.items():
        assert values.mean() == pytest.approx(design.law.updates(float(size)), rel=0.02)
        assert values.std() / values.mean() == pytest.approx(0.3, rel=0.05)
    assert np.corrcoef(np.log(updates[2]), np.log(updates[64]))[0, 1] == pytest.approx(0.5, abs=0.05)


def test_spreads_fall_to_their_level_as_one_over_the_batch_size() -> None:
    design = StudyDesign(cv=0.1, first_cv=0.4, seeds=4000, batch_sizes=(2, 4, 256), every=1e-4)
    runs = simulate(design, 0, 0)
    squares = {m: np.var(np.log([run.upper for run in runs if run.batch_size == m])) for m in (2, 4, 256)}
    level, first = np.log1p(0.01), np.log1p(0.16)
    assert squares[2] == pytest.approx(first, rel=0.08)
    assert squares[4] == pytest.approx(level + (first - level) / 4, rel=0.08)
    assert squares[256] == pytest.approx(level, rel=0.08)


@pytest.mark.parametrize(
    ("design", "tables"),
    [(SPREADS[0], 20), *(pytest.param(design, 50, marks=pytest.mark.full) for design in SPREADS[::4])],
    ids=lambda part: part if isinstance(part, int) else simulation.design_text(part),
)
def test_intervals_hold_where_spreads_fall_and_seeds_go_together(design: StudyDesign, tables: int) -> None:
    # 92 % less 2.3 standard errors: of 3.8 % with 50 tables. With one spread for all, 40 % censored, it is 37 %.
    least = 0.92 - 2.3 * np.sqrt(0.92 * 0.08 / tables)
    assert simulation.lowest_coverage([study(design, replications=tables)]) >= least


@pytest.mark.parametrize("design", [*COVERAGE[:1], *BIAS[::3]], ids=simulation.design_text)
def test_the_same_run_is_seen_between_two_evaluations_whatever_these_are(design: StudyDesign) -> None:
    # The updates themselves, as seen on a grid so fine that it hides nothing, lie in each interval.
    fine = simulate(replace(design, evaluated="by ratio", every=1e-9, budget="none"), 3, 1)
    for run, exact in zip(simulate(design, 3, 1), fine, strict=True):
        assert exact.upper is not None
        assert run.lower <= exact.upper * (1 + 1e-6)
        assert run.upper is None or exact.lower * (1 - 1e-6) <= run.upper


@pytest.mark.parametrize("design", BIAS[7::3], ids=simulation.design_text)
def test_a_budget_stops_the_expected_share_at_the_batch_sizes_that_it_is_hard_on(design: StudyDesign) -> None:
    runs = simulate(replace(design, seeds=500), 0, 0)
    stopped = [run for run in runs if run.upper is None]
    assert len(stopped) / len(runs) == pytest.approx(0.25, abs=0.02)
    hard = min if design.budget == "updates" else max
    assert hard(run.batch_size for run in runs) in {run.batch_size for run in stopped}
    spent = {run.lower * (run.batch_size if design.budget == "examples" else 1) for run in stopped}
    assert max(spent) == pytest.approx(min(spent))


def test_rare_evaluation_biases_least_squares_by_half_its_distance_and_the_likelihood_by_nothing() -> None:
    for design, quantity, half, near in ((BIAS[1], "n_inf", 50, 15), (BIAS[4], "alpha", 1000, 250)):
        found = study(design, replications=25)
        assert simulation.expected_bias(design) == (quantity, half)
        assert bias(found, "ordinary least squares", quantity) == pytest.approx(half, abs=near)
        assert bias(found, INTERVAL, quantity) == pytest.approx(0, abs=near)
    assert simulation.expected_bias(COVERAGE[0]) is None


def test_a_slice_of_a_study_is_the_study_of_that_slice() -> None:
    design = StudyDesign(batch_sizes=(2, 16, 128), seeds=3)
    whole, part = study(design, replications=6), study(design, replications=2, first=3)
    for name in ESTIMATORS:
        for quantity in ("n_inf", "alpha"):
            assert part.estimates[name][quantity] == whole.estimates[name][quantity][3:5]
    assert all(part.covered[quantity] == whole.covered[quantity][3:5] for quantity in QUANTITIES)
    assert study(design, replications=2, seed=1).estimates != part.estimates


RECORDED = [(name, found) for name in STUDIES for found in Store(data_folder(), recording=True).studies(name)]


@pytest.mark.parametrize(("name", "found"), RECORDED, ids=[f"{name}-{k}" for k, (name, _) in enumerate(RECORDED)])
def test_recorded_tables_come_out_the_same_again(name: str, found: simulation.StudyRecord) -> None:
    assert found.design in STUDIES[name]
    assert found.provenance.commit
    assert found.provenance.dirty is False
    assert found.replications >= simulation.REPLICATIONS[name]
    first = found.replications // 2
    again = study(found.design, replications=2, seed=found.seed, first=first)
    for estimator, quantities in again.estimates.items():
        for quantity, values in quantities.items():
            assert values == pytest.approx(found.estimates[estimator][quantity][first : first + 2], rel=1e-3, abs=0.5)
    assert all(again.covered[quantity] == found.covered[quantity][first : first + 2] for quantity in QUANTITIES)


def test_what_is_recorded_is_read_and_what_is_missing_is_simulated(tmp_path: Path) -> None:
    store = Store(tmp_path)
    designs = [StudyDesign(batch_sizes=(2, 16, 128), seeds=3, cv=cv) for cv in (0.1, 0.2)]
    one = simulation.complete_study(designs[:1], name="coverage", replications=3, store=store)
    steps: list[tuple[int, int]] = []
    both = simulation.complete_study(
        designs, name="coverage", replications=2, store=store, progress=lambda *step: steps.append(step)
    )
    assert both[0] == one[0]
    assert [found.replications for found in both] == [3, 2]
    assert steps == [(1, 2), (2, 2)]
    assert store.studies("coverage") == both
    assert 0 < simulation.lowest_coverage(both) <= simulation.highest_coverage(both) <= 1
    more = simulation.complete_study(designs[1:], name="coverage", replications=4, store=store)
    assert [found.replications for found in more] == [4]


def test_other_coefficients_of_variation_keep_the_rest_of_a_study() -> None:
    assert simulation.with_cvs("bias", (0.05, 0.15, 0.3)) == list(BIAS)
    assert len(simulation.with_cvs("coverage", (0.5,))) == 2


def test_designs_that_cannot_be_simulated_are_refused() -> None:
    for change in ({"cv": 0.0}, {"correlation": 1.5}, {"every": 0.0}, {"censored": 1.0}, {"seeds": 0}):
        with pytest.raises(ParameterError, match=next(iter(change))):
            StudyDesign(**change)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="replications"):
        study(StudyDesign(), replications=0)
