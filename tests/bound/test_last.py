"""Equations of the page "The last iterate", executed."""

import math

import numpy as np
import pytest
import sympy

from batchtime.laws.learning_rate import LearningRate
from batchtime.theory.bounds import Constants, LastIterate
from batchtime.theory.margins import CASE, MARGINS, wavy
from batchtime.theory.problems import NOISY_QUADRATIC

THEOREM = LastIterate(constants=CASE.constants)
eta, mu, smoothness, sigma2, m, start, epsilon, q = sympy.symbols("eta mu L sigma2 M Delta_0 epsilon q", positive=True)
c = mu * eta * (2 - eta * smoothness)
noise = smoothness * eta**2 * sigma2 / (2 * m)
floor = smoothness * eta * sigma2 / (2 * mu * (2 - eta * smoothness) * m)


def test_last_step() -> None:
    tight, loose = MARGINS["last-step"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1, abs=0.01)
    assert loose.holds
    assert loose.used < 0.95
    assert sympy.simplify(eta * (1 - eta * smoothness / 2) * 2 * mu - c) == 0


def test_contraction() -> None:
    (best,) = sympy.solve(sympy.diff(c, eta), eta)
    assert best == 1 / smoothness
    assert sympy.simplify(c.subs(eta, best) - mu / smoothness) == 0
    assert sympy.simplify(sympy.diff(c, eta, 2)) == -2 * mu * smoothness  # so that it is the largest


def test_slope_by_gap() -> None:
    s, slope = sympy.symbols("s slope", positive=True)  # along y = x - s grad f(x)
    parabola = -s * slope**2 + smoothness / 2 * s**2 * slope**2
    (least,) = sympy.solve(sympy.diff(parabola, s), s)
    assert sympy.simplify(parabola.subs(s, least) + slope**2 / (2 * smoothness)) == 0
    # What follows from it, on a function that is not convex: tight at its minimum.
    toy = wavy(CASE.constants)
    x = np.linspace(-4, 4, 4001)[:, None]
    gaps, squares = toy.value(x), (toy.gradient(x) ** 2).sum(axis=1)
    assert (squares <= 2 * CASE.constants.smoothness * gaps + 1e-12).all()
    near = squares[2010] / (2 * CASE.constants.smoothness * gaps[2010])
    assert near == pytest.approx(1, abs=0.01)


def test_last_floor() -> None:
    assert sympy.simplify((1 - c) * floor + noise - floor) == 0


def test_last() -> None:
    tight, loose = MARGINS["last"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1, abs=0.02)
    assert loose.holds
    assert loose.used < 0.1
    # The right side follows the recursion with equality, and starts at Delta_0.
    n = sympy.symbols("n", integer=True, nonnegative=True)
    shrinks, rest = sympy.symbols("s F", positive=True)
    solved = shrinks**n * (start - rest) + rest
    assert solved.subs(n, 0) == start
    assert sympy.simplify(solved.subs(n, n + 1) - (shrinks * solved + (1 - shrinks) * rest)) == 0


def test_last_count() -> None:
    r, per_factor = sympy.symbols("r K", positive=True)  # r = M_0 / M = F / epsilon
    count = per_factor * (sympy.log(1 / q) + sympy.log((1 - q * r) / (1 - r)))
    reached = sympy.exp(-count / per_factor) * (epsilon / q - epsilon * r) + epsilon * r
    assert sympy.simplify(reached - epsilon) == 0
    pole = smoothness * eta * sigma2 / (2 * mu * (2 - eta * smoothness) * epsilon)
    assert sympy.simplify(floor.subs(m, pole) - epsilon) == 0
    for rate in (0.01, 0.5, 1.5):
        size = 3 * THEOREM.pole(rate)
        assert THEOREM.bound(THEOREM.updates(size, rate), size, rate) == pytest.approx(CASE.constants.gap)
        assert THEOREM.updates(THEOREM.pole(rate), rate) == math.inf


def test_last_series() -> None:
    u, pole = sympy.symbols("u M_0", positive=True)  # u = 1 / M
    series = sympy.series(sympy.log((1 - q * pole * u) / (1 - pole * u)), u, 0, 7).removeO()
    terms = sum(pole**k * (1 - q**k) / k * u**k for k in range(1, 7))
    assert sympy.simplify(series - terms) == 0


def test_last_law() -> None:
    law = THEOREM.law(0.1)
    pole = THEOREM.pole(0.1)
    for factor in (1.01, 2, 10, 100):
        assert THEOREM.updates(factor * pole, 0.1) > law.updates(factor * pole)
    far = 1e7 * pole  # where first order in 1 / M is left alone
    assert (THEOREM.updates(far, 0.1) - law.n_inf) * far == pytest.approx(law.alpha, rel=1e-3)


def test_last_small_step() -> None:
    x = sympy.symbols("x", positive=True)
    k_of_x = sympy.series(-1 / sympy.log(1 - x), x, 0, 2).removeO()
    assert sympy.simplify(k_of_x - (1 / x - sympy.Rational(1, 2) - x / 12)) == 0
    pole = smoothness * eta * sigma2 / (2 * mu * (2 - eta * smoothness) * epsilon)
    per_factor = -1 / sympy.log(1 - c)
    n_inf, alpha = per_factor * sympy.log(1 / q), per_factor * pole * (1 - q)
    assert sympy.limit(n_inf * eta, eta, 0) == sympy.log(1 / q) / (2 * mu)
    assert sympy.simplify(sympy.limit(alpha, eta, 0) - smoothness * sigma2 * (1 - q) / (8 * mu**2 * epsilon)) == 0
    assert sympy.simplify(sympy.limit(pole / eta, eta, 0) - smoothness * sigma2 / (4 * mu * epsilon)) == 0


def test_last_exact() -> None:
    h = sympy.symbols("h", positive=True)
    assert sympy.expand((1 - c.subs({mu: h, smoothness: h})) - (1 - eta * h) ** 2) == 0
    # And so the theorem's count is the known count of the noisy quadratic, through code that shares nothing.
    problem = NOISY_QUADRATIC
    constants = Constants(
        smoothness=1,
        curvature=1,
        noise_variance=problem.noise_variance,
        distance=problem.distance,
        start=problem.start,
        gap=problem.gap,
    )
    theorem = LastIterate(constants=constants)
    for rate in (0.05, 0.4):
        for size in (13, 50, 1000):
            assert theorem.updates(size, rate) == pytest.approx(problem.updates(size, LearningRate(maximum=rate)))
