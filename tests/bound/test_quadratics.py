"""Equations of the page "Quadratics, exactly", executed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from batchtime.theory.bounds import necessary
from batchtime.theory.margins import CASE, MARGINS
from batchtime.theory.quadratics import Quadratics

PROBLEMS = Quadratics(constants=CASE.constants)


def test_spectrum_worst() -> None:
    tight, loose = MARGINS["spectrum-worst"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.3
    # No quadratic of a thousand has a larger gap, with curvatures, start and noise at random; update by update.
    c, rate, size, generator = CASE.constants, 1.3, 500.0, np.random.default_rng(0)
    h = generator.uniform(c.curvature, c.smoothness, (1000, 3))
    gaps = c.start * generator.dirichlet(np.ones(3) / 3, 1000)
    noise = c.noise_variance * generator.dirichlet(np.ones(3) / 3, 1000)
    for updates in range(1, 40):
        gaps = (1 - rate * h) ** 2 * gaps + h * rate**2 * noise / (2 * size)
        assert gaps.sum(axis=1).max() <= PROBLEMS.bound(updates, size, rate) * (1 + 1e-12)
    # Noise that turns on the way does more, by a factor that grows as a logarithm: the sum of each update's worst h.
    more = []
    for condition in (1e2, 1e4, 1e6):
        steep = replace(c, curvature=c.smoothness / condition, gap=c.start / 2)
        step, before = 1 / c.smoothness, np.arange(0, int(condition))
        worst = np.clip(1 / (step * (2 * before + 1)), steep.curvature, c.smoothness)
        turning = step**2 * c.noise_variance / (2 * size) * (worst * (1 - step * worst) ** (2 * before)).sum()
        more.append(turning / Quadratics(constants=steep).floor(size, step))
    assert more[0] > 1.5
    assert np.diff(more) == pytest.approx(math.log(100) / (2 * math.e), rel=0.02)


def test_spectrum_count() -> None:
    for margin in MARGINS["spectrum-count"](CASE):
        assert margin.holds
    below, below_loose, above, above_loose = MARGINS["spectrum-count"](CASE)
    assert below.used > 0.99
    assert above.used > 0.99
    assert below_loose.used < 0.8
    assert above_loose.used < 0.8
    for rate in (0.05, 0.5, 1.5):
        pole = PROBLEMS.pole(rate)
        assert PROBLEMS.updates(pole, rate) == math.inf
        for factor in (1.001, 2, 100):
            size = factor * pole
            low, high = PROBLEMS.between(size, rate)
            updates = PROBLEMS.updates(size, rate)
            assert low * (1 - 1e-9) <= updates <= high * (1 + 1e-9)
            assert PROBLEMS.bound(updates, size, rate) == pytest.approx(CASE.constants.gap)
        # The inverse law is its first order.
        law, far = PROBLEMS.law(rate), 1e6 * pole
        assert (PROBLEMS.updates(far, rate) - PROBLEMS.updates(1e12 * pole, rate)) * far == pytest.approx(
            law.alpha, rel=1e-3
        )


@pytest.mark.parametrize("gap", [1e-1, 1e-2, 1e-5])
def test_spectrum_best(gap: float) -> None:
    below, below_loose, above, above_loose = MARGINS["spectrum-best"](CASE)
    for margin in (below, below_loose, above, above_loose):
        assert margin.holds
    assert below.used > 0.95
    assert above.used > 0.95
    assert below_loose.used < 0.7
    assert above_loose.used < 0.8
    c = replace(CASE.constants, gap=gap * CASE.constants.start)
    problems, least = Quadratics(constants=c), necessary(c)
    for size in np.geomspace(1e-2, 1e7, 19):
        rate, updates = problems.best(float(size))
        assert rate <= problems.largest_rate
        assert least.updates(float(size)) <= updates
        for share in (None, 0.3, 0.95):
            step, law = problems.harmonic(share)
            assert updates <= law.updates(float(size)) * (1 + 1e-9)
            assert problems.bound(law.updates(float(size)), float(size), step.at(float(size))) <= c.gap * (1 + 1e-9)
        # No step of a fine grid is better.
        grid = np.geomspace(rate / 30, problems.largest_rate, 200)
        assert updates <= min(problems.updates(float(size), float(other)) for other in grid) * (1 + 1e-9)


def test_spectrum_leading() -> None:
    factors = sympy.symbols("Lambda", positive=True)
    share = factors / (1 + factors)
    larger = (1 - sympy.log(1 - share) / factors) / share
    stated = (1 + 1 / factors) * (1 + sympy.log(1 + factors) / factors)
    assert sympy.simplify(larger - stated) == 0
    assert sympy.limit(stated, factors, sympy.oo) == 1
    # As the quotient of the constants themselves, for L far above mu.
    c = replace(CASE.constants, curvature=1e-7, gap=1e-6)
    value = float(stated.subs(factors, math.log(c.start / c.gap)))
    least, enough = necessary(c), Quadratics(constants=c).harmonic()[1]
    assert enough.alpha / least.alpha == pytest.approx(value)
    assert enough.n_inf / least.n_inf <= value
