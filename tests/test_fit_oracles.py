"""The fit against scipy's own treatment of censored data, and tables that leave an end of the law unseen."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize, stats

from batchtime.errors import FitError
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation
from batchtime.fit.roots import roots

from .test_fit import GRID, LAW, exact, log_likelihood, sampled, seen, spreads_of

SIZES = (2, 8, 32, 128)


def censored_data(runs: Sequence[Observation]) -> stats.CensoredData:
    """Return runs as scipy takes them."""
    return stats.CensoredData(
        interval=np.array([[run.lower, run.upper] for run in runs if run.upper is not None]),
        right=np.array([run.lower for run in runs if run.upper is None]),
    )


def test_the_saturated_model_and_the_lack_of_fit_agree_with_scipy() -> None:
    # Each batch size has a median of its own, found by scipy at a given spread; then the best spread is sought. How it
    # falls with the batch size is settled beforehand.
    runs = [seen(run, GRID[GRID < 2600]) for run in sampled(3, cv=0.3, sizes=SIZES, seeds=15)]
    groups = {size: [run for run in runs if run.batch_size == size] for size in SIZES}
    assert any(run.censored for run in runs)

    _, relative = spreads_of(runs)

    def means_at(spread: float) -> dict[int, float]:
        own = {m: spread * relative[m] for m in groups}
        return {
            m: stats.lognorm.fit(censored_data(some), f0=own[m], floc=0)[2] * math.exp(own[m] ** 2 / 2)
            for m, some in groups.items()
        }

    def loss(spread: float) -> float:
        means = means_at(spread)
        return -sum(log_likelihood(some, means[m], 0.0, spread, relative) for m, some in groups.items())

    best = optimize.minimize_scalar(loss, bounds=(0.1, 0.6), method="bounded", options={"xatol": 1e-5})
    means = means_at(best.x)
    for summary in mean_updates(runs):
        assert summary.mean == pytest.approx(means[int(summary.batch_size)], rel=2e-3)

    law = optimize.minimize(
        lambda p: -log_likelihood(runs, *np.exp(p), relative), np.log([300, 4000, 0.3]), method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-9},
    )  # fmt: skip
    fit = fit_inverse_law(runs)
    n, k = fit.n_runs - fit.n_censored, len(SIZES)
    deviance = 2 * (float(law.fun) - float(best.fun))
    p_value = stats.f.sf(math.expm1(deviance / n) * (n - k) / (k - 2), k - 2, n - k)
    assert fit.lack_of_fit == pytest.approx(p_value, rel=0.02)


def test_runs_censored_at_both_ends_leave_both_sides_wide_and_are_told() -> None:
    # Small batches never got there, large ones before they were first evaluated: only the middle is bounded.
    middle = [seen(run, GRID) for run in sampled(1, sizes=(16, 32), seeds=5)]
    lost = [Observation(batch_size=2, lower=500, upper=None, seed=k) for k in range(5)]
    early = [Observation(batch_size=512, lower=0, upper=400, seed=k) for k in range(5)]
    fit = fit_inverse_law([*middle, *lost, *early])
    low, high = fit.intervals.critical_batch_size
    assert low is None or low < LAW.critical_batch_size
    assert high is None or high > LAW.critical_batch_size
    said = "\n".join(fit.warnings)
    assert "5 of 20 runs (25 %) did not reach the target" in said
    assert "No run reached the target at batch sizes [2]" in said
    with pytest.raises(FitError, match="before the first evaluation"):
        fit_inverse_law([*lost, *early, *middle[:5]])


def test_batch_sizes_too_close_to_identify_the_critical_one_leave_it_open() -> None:
    fit = fit_inverse_law(sampled(1, sizes=(32, 36), seeds=5))
    assert None in fit.intervals.critical_batch_size
    assert "too close to tell" in "\n".join(fit.warnings)


def test_two_equal_batch_sizes_are_one_and_a_single_update_is_a_number() -> None:
    with pytest.raises(FitError, match=r"only at batch size \[8\]"):
        fit_inverse_law([exact(8, 100), exact(8, 120), exact(8.0, 110)])
    fit = fit_inverse_law([exact(m, n) for m in (4, 64, 1024) for n in (1, 1, 2)])
    assert 1 <= fit.law.updates(64.0) <= 2
    assert fit.intervals.alpha[0] is None


def test_roots_are_those_of_scipy_and_none_is_made_up() -> None:
    shifts = np.array([0.1, 2.0, 30.0, 1e6, 5.0])
    shapes = [lambda x: x**3, lambda x: np.expm1(np.minimum(x, 700)), lambda x: np.arctan(x - 1), np.sqrt, lambda x: -x]

    def function(x: np.ndarray) -> np.ndarray:
        return np.array([shape(at) - shift for shape, at, shift in zip(shapes, x, shifts, strict=True)])

    found = roots(function, np.zeros(5), np.array([9.0, 600.0, 1e9, 1e13, 1e3]))
    for k, last in enumerate([9.0, 600.0, None, 1e13, None]):
        if last is None:  # an arc tangent never gets to 30, and what falls from 0 never to 5
            assert np.isnan(found[k])
        else:
            theirs = optimize.brentq(lambda x, k=k: shapes[k](x) - shifts[k], 0.0, last)
            assert found[k] == pytest.approx(theirs, rel=1e-9)
