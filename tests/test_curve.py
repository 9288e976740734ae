"""One curve over batch size and learning rate: recovered, predicting what it has not seen, or refused."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import sympy

from batchtime.errors import FitError
from batchtime.fit.curve import cells, fit_curve
from batchtime.fit.curve_draws import log_updates_of
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.law_draws import quasi_random
from batchtime.fit.measurements import Observation
from batchtime.fit.pairs import best_pair
from batchtime.laws.curve import CurveLaw, Form

LAW = CurveLaw(A=12.0, alpha=4000.0, pole=0.02, lift=1.5, largest_learning_rate=0.32)
RATES = (0.02, 0.08, 0.32)
Table = dict[float, list[Observation]]


def table(
    law: CurveLaw = LAW, *, rates: tuple[float, ...] = RATES, spread: float = 0.1, seeds: int = 6, seed: int = 0
) -> Table:
    """Return runs at each learning rate, at batch sizes from a fifth of the pole's to 512."""
    random = np.random.default_rng(seed)
    runs: Table = {}
    for rate in rates:
        sizes = [m for m in (2, 4, 8, 16, 32, 64, 128, 256, 512) if rate / m < 0.7 * law.pole]
        runs[rate] = [
            Observation(batch_size=m, lower=n, upper=n, seed=k)
            for m in sizes
            for k in range(seeds)
            for n in (law.updates(float(m), rate) * math.exp(random.normal(-(spread**2) / 2, spread)),)
        ]
    return runs


@pytest.mark.parametrize("form", ["pole", "logarithm"])
def test_the_distance_rises_from_a_with_the_slope_alpha_to_the_pole(form: Form) -> None:
    tau, pole, a, alpha = sympy.symbols("tau pole A alpha", positive=True)
    noise = {"pole": alpha * tau / (1 - tau / pole), "logarithm": -alpha * pole * sympy.log(1 - tau / pole)}[form]
    assert sympy.series(a + noise, tau, 0, 2).removeO() == a + alpha * tau
    law = CurveLaw(A=3.0, alpha=500.0, pole=0.01, form=form)
    exact = sympy.lambdify(tau, (a + noise).subs({a: 3, alpha: 500, pole: sympy.Float(0.01)}))
    for value in (1e-4, 5e-3, 9.9e-3):
        assert law.distance(value) == pytest.approx(float(exact(value)))
    assert law.distance(0.01) == math.inf
    assert law.distance(np.array([0.02]))[0] == math.inf


def test_learning_rate_times_updates_is_the_same_at_equal_ratios_without_a_lift() -> None:
    law = CurveLaw(A=3.0, alpha=500.0, pole=0.01)
    assert 0.1 * law.updates(64.0, 0.1) == pytest.approx(0.2 * law.updates(128.0, 0.2))
    # n_inf = A / eta; alpha does not depend on eta.
    assert law.at(0.1).n_inf == pytest.approx(30)
    assert law.at(0.1).alpha == law.at(0.4).alpha == 500
    assert law.updates(1e7, 0.1) == pytest.approx(30, rel=1e-4)


def test_a_curve_is_recovered_within_its_intervals() -> None:
    found = fit_curve(table(seed=1))
    for name in ("A", "alpha", "lift"):
        low, high = found.intervals[name]
        assert low is not None
        assert high is not None
        assert low < getattr(LAW, name) < high
        assert high / low < 1.6
    assert found.intervals["pole"][0] is not None
    assert found.intervals["pole"][0] < LAW.pole
    assert found.law.largest_learning_rate == 0.32
    assert found.lack_of_fit is not None
    assert found.lack_of_fit > 0.01


def test_the_curve_beats_its_rivals_and_predicts_learning_rates_that_it_has_not_seen() -> None:
    found = fit_curve(table(spread=0.03))
    curve, *rivals = found.rivals
    assert all(curve.aicc is not None and one.aicc is not None and curve.aicc < one.aicc for one in rivals)
    assert found.left_out[0.08] < 0.06
    assert set(found.left_out) <= set(RATES)


def test_without_scatter_the_misfit_is_the_rounding_alone() -> None:
    assert fit_curve(table(spread=0.0)).misfit < 1e-3


def test_a_misfit_of_the_curve_is_told_from_sampling() -> None:
    off = iter(np.random.default_rng(1).normal(0, 0.1, size=100))
    bent: Table = {}
    for rate, runs in table(spread=0.02, seeds=8).items():
        factor = {m: math.exp(next(off)) for m in sorted({run.batch_size for run in runs})}
        bent[rate] = [
            Observation(batch_size=r.batch_size, lower=n, upper=n)
            for r in runs
            for n in (r.lower * factor[r.batch_size],)
        ]
    found = fit_curve(bent)
    assert found.misfit == pytest.approx(0.1, rel=0.5)
    assert found.lack_of_fit is not None
    assert found.lack_of_fit < 1e-6


def test_one_learning_rate_alone_predicts_a_schedule_by_the_ratio_alone() -> None:
    plain = CurveLaw(A=12.0, alpha=4000.0, pole=0.02)
    found = fit_curve(table(plain, rates=(0.08,), spread=0.02, seeds=10), one_rate=True)
    for size in (4.0, 16.0, 64.0):  # the capped step 0.08 / (1 + 16 / M)
        rate = 0.08 / (1 + 16 / size)
        assert found.law.updates(size, rate) == pytest.approx(plain.updates(size, rate), rel=0.05)
    assert found.law.lift == pytest.approx(1, abs=1e-5)
    inverse = fit_inverse_law(table(plain, rates=(0.08,), spread=0.02, seeds=10)[0.08])
    assert found.law.at(0.08).n_inf == pytest.approx(inverse.law.n_inf, rel=0.1)


def test_the_best_pair_is_that_of_a_search_and_never_beyond_the_largest_learning_rate() -> None:
    sizes = np.geomspace(2, 512, 300)
    seconds: Callable[[np.ndarray], np.ndarray] = lambda m: 1e-4 + 1e-5 * m  # noqa: E731
    best = best_pair(LAW, seconds, sizes=sizes)
    assert best.learning_rate <= 0.32
    brute = min(
        LAW.updates(float(m), float(rate)) * (1e-4 + 1e-5 * m) for m in sizes for rate in np.geomspace(0.0032, 0.32, 50)
    )
    assert best.seconds == pytest.approx(brute, rel=1e-3)
    with pytest.raises(FitError, match="this side of the pole"):
        best_pair(LAW, seconds, sizes=np.array([1.0]), rates=np.array([0.32]))


def test_the_best_batch_size_grows_with_the_root_of_the_learning_rate_far_from_pole_and_lift() -> None:
    law = CurveLaw(A=12.0, alpha=4000.0)
    best = [
        best_pair(law, lambda m: 1e-4 + 1e-5 * m, sizes=np.geomspace(0.1, 1e4, 4001), rates=np.array([rate])).batch_size
        for rate in (0.01, 0.04, 0.16)
    ]
    for small, large in pairwise(best):
        assert large / small == pytest.approx(2, rel=0.01)


def test_drawn_curves_scatter_about_the_estimate_and_pass_all_cells() -> None:
    found = fit_curve(table())
    sizes = np.array([one.batch_size for one in found.cells])
    rates = np.array([one.learning_rate for one in found.cells])
    logs = log_updates_of(found, quasi_random(500, 16), sizes, rates)
    assert np.isfinite(logs).all()
    assert np.median(logs, axis=0) == pytest.approx(np.log(found.law.updates(sizes, rates)), abs=0.03)
    assert 0.02 < np.std(logs, axis=0).max() < 0.3


def lost(size: float) -> Observation:
    return Observation(batch_size=size, lower=5000, upper=None)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({0.1: [lost(4), lost(8)], 0.2: [lost(4)]}, "past the pole or the largest step"),
        ({0.0: table()[0.02]}, "learning_rate = 0"),
        ({0.02: table()[0.02]}, "a curve needs two"),
        ({0.02: table()[0.02], 0.32: [lost(m) for m in (8, 64)]}, "only learning rate 0.02"),
        ({0.001: table()[0.02], 0.9: table()[0.32]}, "do not overlap"),
        ({0.02: table()[0.02][:6], 0.08: table()[0.08][-6:]}, "needs 5"),
    ],
)  # fmt: skip
def test_runs_that_make_no_curve_are_refused_with_the_reason(runs: Table, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit_curve(runs)


def test_cells_that_not_all_runs_reached_are_left_out_and_said() -> None:
    runs = table()
    runs[0.08] += [lost(4)]
    found = fit_curve(runs)
    assert "(4, 0.08)" in " ".join(found.warnings)
    assert all(one.whole for one in found.cells)
    assert next(one for one in cells(runs) if not one.whole).censored == 1
