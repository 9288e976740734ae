"""Equations of the pages "The harmonic step" and "The best step for each batch size", executed."""

import math

import numpy as np
import pytest
import sympy

from batchtime.theory.bounds import AveragedIterate, LastIterate
from batchtime.theory.margins import CASE, MARGINS

AVERAGED, LAST = AveragedIterate(constants=CASE.constants), LastIterate(constants=CASE.constants)
SIZES = [1, 10, 1000, 100_000]


def test_harmonic_noise() -> None:
    tight, loose = MARGINS["harmonic-noise"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used < 0.2
    a, smoothness = sympy.symbols("a L", positive=True)
    eta = 1 / (smoothness + 1 / a)
    assert sympy.simplify(eta / (1 - eta * smoothness) - a) == 0


def test_harmonic_averaged() -> None:
    tight, loose = MARGINS["harmonic-averaged"](CASE)
    assert tight.holds
    assert tight.used > 0.45  # without noise half of the target stays unused, for that half is kept for the noise
    assert loose.holds
    assert loose.used < 0.1
    split, smoothness, sigma2, distance, epsilon, m = sympy.symbols("lambda L sigma2 D epsilon M", positive=True)
    inverse_rate = smoothness + sigma2 / (2 * (1 - split) * epsilon * m)
    count = smoothness * distance**2 / (2 * split * epsilon)
    count += sigma2 * distance**2 / (4 * split * (1 - split) * epsilon**2 * m)
    assert sympy.simplify(distance**2 * inverse_rate / (2 * count) - split * epsilon) == 0
    for share in (0.2, 0.5, 0.9):
        rate, law = AVERAGED.harmonic(share)
        for size in SIZES:
            assert AVERAGED.bound(law.updates(size), size, rate.at(size)) <= CASE.constants.gap * (1 + 1e-12)


def test_harmonic_last() -> None:
    tight, loose = MARGINS["harmonic-last"](CASE)
    assert tight.holds
    assert tight.used > 0.1
    assert loose.holds
    assert loose.used < 0.05
    rate, law = LAST.harmonic()
    mu, eta, start, epsilon = sympy.symbols("mu eta Delta_0 epsilon", positive=True)
    count = sympy.log(2 * start / epsilon) / (mu * eta)
    assert sympy.simplify(sympy.exp(-mu * eta * count) * start - epsilon / 2) == 0
    c = CASE.constants
    for size in SIZES:
        assert rate.at(size) == pytest.approx(
            1 / (c.smoothness + c.smoothness * c.noise_variance / (c.curvature * c.gap * size))
        )
        assert law.updates(size) == pytest.approx(math.log(2 * c.start / c.gap) / (c.curvature * rate.at(size)))
        assert LAST.floor(size, rate.at(size)) <= CASE.constants.gap / 2
        assert LAST.contraction(rate.at(size)) >= CASE.constants.curvature * rate.at(size)
        assert LAST.bound(law.updates(size), size, rate.at(size)) <= CASE.constants.gap


@pytest.mark.parametrize("theorem", [AVERAGED, LAST])
def test_harmonic_form(theorem: AveragedIterate | LastIterate) -> None:
    rate, law = theorem.harmonic()
    assert rate.half_batch_size == pytest.approx(law.critical_batch_size)
    for size in SIZES:
        # Updates times step size: the same at every batch size.
        assert law.updates(size) * rate.at(size) == pytest.approx(law.n_inf * rate.maximum)


@pytest.mark.parametrize("size", [*np.geomspace(1, 1e6, 13), 2000, 2499, 2501])  # the limit is reached at 2500
def test_best_rate(size: float) -> None:
    x, m = sympy.symbols("x m", positive=True)
    root = (sympy.sqrt(1 + 6 * m) - 1) / 3
    assert sympy.simplify(sympy.diff(x - x**2 * (1 + x) / (2 * m), x).subs(x, root)) == 0
    assert root.subs(m, sympy.Rational(5, 2)) == 1
    # No step size of a fine grid needs fewer updates.
    rate, updates = AVERAGED.best(size)
    grid = np.geomspace(1e-9, 1, 2000) * AVERAGED.largest_rate
    assert updates == pytest.approx(AVERAGED.updates(size, rate))
    assert updates <= min(AVERAGED.updates(size, float(other)) for other in grid) * (1 + 1e-12)


def test_best_between() -> None:
    below, below_loose, above, above_loose = MARGINS["best-between"](CASE)
    for margin in (below, below_loose, above, above_loose):
        assert margin.holds
    assert below.used > 0.99
    assert below_loose.used < 0.51
    assert above.used > 0.99
    assert above_loose.used < 0.51
    law = AVERAGED.harmonic()[1]
    for size in np.geomspace(1, 1e6, 200):
        assert law.updates(size) / 2 <= AVERAGED.best(size)[1] <= law.updates(size)


def test_best_limits() -> None:
    m = sympy.symbols("m", positive=True)
    x = (sympy.sqrt(1 + 6 * m) - 1) / 3
    small = sympy.series(1 / (x - x**2 * (1 + x) / (2 * m)), m, 0, 2).removeO()
    assert sympy.simplify(small - (2 / m + 2 - 5 * m / 2)) == 0
    assert sympy.simplify(1 / (1 - 2 / (2 * m)) - m / (m - 1)) == 0  # at x = 1
    c = CASE.constants
    for size in (1e-3, 1e6):
        scaled = size * c.smoothness * c.gap / c.noise_variance
        expected = 2 / scaled + 2 if scaled < 1 else scaled / (scaled - 1)
        assert AVERAGED.best(size)[1] * 2 * c.gap / (c.smoothness * c.distance**2) == pytest.approx(expected, rel=1e-3)


def test_best_last() -> None:
    # For the last iterate the best step has no closed form: a fine grid finds none better, and the law is above it.
    law = LAST.harmonic()[1]
    grid = np.geomspace(1e-7, 1.999, 4000) / CASE.constants.smoothness
    for size in SIZES:
        best = LAST.best(size)[1]
        assert best <= min(LAST.updates(size, float(rate)) for rate in grid) * (1 + 1e-9)
        assert best <= law.updates(size)
        assert math.isfinite(best)
