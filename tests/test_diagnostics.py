"""Promises of the diagnostics: parts of a known scatter come back, and the words say what the numbers say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from batchtime.book import diagnostics
from batchtime.book.comparisons import Arm, arm
from batchtime.errors import FitError
from batchtime.fit.measurements import Observation
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome

from .builders import record

LAW = InverseLaw(n_inf=300, alpha=4000)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 512)


def runs(
    *,
    seed: float = 0.0,
    run: float = 0.1,
    off: Sequence[float] | Array = (),
    seeds: int = 30,
    additive: float = 0.0,
) -> list[Observation]:
    """Return exact runs with given scatter between seeds and of their own, and errors of the law by batch size."""
    random = np.random.default_rng(5)
    shared = seed * random.standard_normal(seeds)
    found = []
    for size, error in zip(SIZES, off if len(off) else np.zeros(len(SIZES)), strict=True):
        updates = LAW.updates(float(size)) * np.exp(error + shared + run * random.standard_normal(seeds))
        updates += additive * random.standard_normal(seeds)
        found += [Observation(batch_size=size, lower=float(n), upper=float(n), seed=k) for k, n in enumerate(updates)]
    return found


@pytest.mark.parametrize(("seed", "run"), [(0.3, 0.05), (0.1, 0.1), (0.0, 0.2)])
def test_scatter_of_seeds_and_of_runs_comes_back_apart(seed: float, run: float) -> None:
    parts = diagnostics.scatter_parts(LAW, runs(seed=seed, run=run))
    assert parts.seed == pytest.approx(seed, rel=0.3, abs=0.02)
    assert parts.run == pytest.approx(run, rel=0.1)
    assert parts.batch_size < run / 4


def test_an_error_of_the_law_itself_is_told_from_scatter_that_seeds_share() -> None:
    off = 0.1 * np.array([1, -1, 1, -1, 0, 1, -1, 1, -1])
    parts = diagnostics.scatter_parts(LAW, runs(seed=0.3, run=0.05, off=off))
    # eight errors of 0.1 about nothing, with 9 - 2 degrees of freedom: 0.1 sqrt(8 / 7)
    assert parts.batch_size == pytest.approx(0.1 * np.sqrt(8 / 7), rel=0.1)


def test_scatter_that_cannot_be_split_is_refused_with_the_remedy() -> None:
    with pytest.raises(FitError, match="same two or more seeds at three or more batch sizes"):
        diagnostics.scatter_parts(LAW, runs(seeds=1))
    with pytest.raises(FitError, match="0 runs at 0 batch sizes"):
        diagnostics.scatter_parts(LAW, [replace(run, upper=None) for run in runs()])


def test_a_multiplicative_error_is_told_from_an_additive_one() -> None:
    found = diagnostics.spread_test(runs(run=0.15))
    assert found.multiplicative
    assert found.power == pytest.approx(1, abs=0.15)
    assert found.interval[0] is not None
    assert found.interval[0] < found.power
    assert found.spreads == pytest.approx([0.15] * len(SIZES), rel=0.35)
    other = diagnostics.spread_test(runs(run=1e-6, additive=20.0))
    assert not other.multiplicative
    assert other.power == pytest.approx(0, abs=0.2)
    assert other.equal_in_updates > 0.01 > other.equal_in_logs
    with pytest.raises(FitError, match="0 batch sizes have three runs"):
        diagnostics.spread_test(runs(seeds=2))


def test_residuals_are_means_over_the_law_and_hold_runs_that_were_not_fitted() -> None:
    found = diagnostics.residuals(LAW, runs(run=1e-3, off=0.01 * np.arange(len(SIZES))), SIZES[2:])
    assert [one.error for one in found] == pytest.approx(list(np.expm1(0.01 * np.arange(len(SIZES)))), abs=1e-3)
    assert [one.fitted for one in found] == [False, False, True, True, True, True, True, True, True]
    assert all(one.interval[0] is not None and one.interval[0] < one.error for one in found)


def test_the_batch_size_that_is_off_has_the_most_influence() -> None:
    found = diagnostics.influences(runs(run=0.02, off=[0, 0, 0, 0, 0, 0, 0, 0, 0.3]))
    most = max(found, key=lambda one: abs(one.n_inf))
    assert most.batch_size == 512
    assert most.n_inf < -0.02  # without the runs that took too long
    assert len(found) == len(SIZES)
    # of two batch sizes none can be left out
    assert diagnostics.influences([run for run in runs() if run.batch_size in (2, 64)]) == []


def an_arm(updates: dict[int, float], *, left_out: tuple[int, ...] = (), spread: float = 0.05) -> Arm:
    """Return an arm with runs around given mean updates, seen to 2 %."""
    random = np.random.default_rng(2)
    chosen = experiment("mnist-lenet").changed(batch_sizes=list(updates), seeds=12)
    chosen = replace(chosen, left_out=left_out)
    records = []
    for spec in chosen.sweep.runs():
        middle = updates[spec.batch_size] * np.exp(spread * random.standard_normal())
        outcome = Outcome(status="reached", lower=round(middle * 0.99), upper=round(middle * 1.01))
        records.append(replace(record(batch_size=spec.batch_size, seed=spec.seed), outcome=outcome))
    return arm(chosen, records, "some task")


def test_the_verdict_of_runs_on_the_law_says_so() -> None:
    said = " ".join(diagnostics.verdict(an_arm({size: 100 * LAW.updates(float(size)) for size in SIZES})))
    assert "The law describes these runs to within" in said
    assert "at batch sizes 2 to 512" in said
    assert "is enough to explain that" in said
    assert "The error is multiplicative, as the fit assumes" in said
    assert "has the most influence" in said
    assert "below" not in said


def test_the_verdict_names_batch_sizes_near_the_pole_and_a_law_that_is_not_exact() -> None:
    means = {size: 100 * LAW.updates(float(size)) for size in SIZES}
    means |= {2: 3 * means[2], 4: 2 * means[4], 32: 1.2 * means[32]}
    found = diagnostics.verdict(an_arm(means, left_out=(2, 4)))
    said = " ".join(found)
    assert (
        "Two batch sizes below 8 lie above the law, as theory expects near the pole of a fixed learning rate." in found
    )
    assert "more than the scatter of the runs explains" in said
    assert "furthest off at 32." in said
    assert "the law itself is off by" in said


def test_the_verdict_speaks_of_a_pole_only_where_the_learning_rate_is_fixed() -> None:
    means = {size: 100 * LAW.updates(float(size)) for size in SIZES} | {2: 600_000.0}
    seen = an_arm(means, left_out=(2,))
    sweep = seen.experiment.sweep
    harmonic = replace(sweep.setting, learning_rate=LearningRate(maximum=0.1, half_batch_size=8))
    other = replace(seen, experiment=replace(seen.experiment, sweep=replace(sweep, setting=harmonic)))
    assert "One batch size below 4 lies above the law." in diagnostics.verdict(other)
    assert any("pole" in sentence for sentence in diagnostics.verdict(seen))


def test_a_sweep_without_a_law_has_no_verdict() -> None:
    lost = an_arm({4: 100.0, 16: 100.0})
    with pytest.raises(FitError, match="some task has no law to look into: none"):
        diagnostics.verdict(replace(lost, fit=None, reason="none"))
