"""Equations of the page "What is necessary", executed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from batchtime.errors import ParameterError
from batchtime.theory.bounds import LastIterate, examples_needed, necessary
from batchtime.theory.margins import CASE, MARGINS
from batchtime.theory.quadratics import any_method
from batchtime.theory.weighted import WeightedAverage, bent_floor


def test_posterior() -> None:
    x, mean, spread2, noise2, seen, mu, start, sigma2 = sympy.symbols("x m tau2 v k mu Delta_0 sigma2", positive=True)
    # Minus the logarithm of prior times likelihood: a parabola in x*, whose curvature is one over the variance.
    exponent = x**2 / (2 * spread2) + seen * (mean - x) ** 2 / (2 * noise2)
    variance = 1 / sympy.diff(exponent, x, 2)
    gap = mu / 2 * variance.subs({noise2: sigma2 / mu**2, spread2: 2 * start / mu})
    assert sympy.simplify(gap - 1 / (1 / start + 2 * mu * seen / sigma2)) == 0


def test_examples_needed_average() -> None:
    tight, loose = MARGINS["examples-needed-average"](CASE)
    assert tight.holds
    assert tight.used > 0.95
    assert loose.holds
    assert loose.used < 0.5
    mu, start, sigma2, epsilon = sympy.symbols("mu Delta_0 sigma2 epsilon", positive=True)
    seen = sigma2 / (2 * mu) * (1 / epsilon - 1 / start)
    assert sympy.simplify(1 / (1 / start + 2 * mu * seen / sigma2) - epsilon) == 0


def test_van_trees() -> None:
    tight, loose = MARGINS["van-trees"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used < 0.8


def test_cosine_prior() -> None:
    x, d = sympy.symbols("x D", positive=True)
    density = sympy.cos(sympy.pi * x / (2 * d)) ** 2 / d
    assert sympy.simplify(sympy.integrate(density, (x, -d, d)) - 1) == 0
    assert density.subs(x, d) == 0
    # p'^2 / p, which is nowhere singular: with p = cos(u)^2 / D it is 4 sin(u)^2 (pi / 2 D)^2 / D.
    shown = sympy.pi**2 / d**3 * sympy.sin(sympy.pi * x / (2 * d)) ** 2
    assert sympy.simplify(sympy.diff(density, x) ** 2 - shown * density) == 0
    assert sympy.simplify(sympy.integrate(shown, (x, -d, d)) - sympy.pi**2 / d**2) == 0


def test_examples_needed() -> None:
    mu, start, sigma2, epsilon, seen = sympy.symbols("mu Delta_0 sigma2 epsilon k", positive=True)
    # |x*| at most D with mu D^2 / 2 = Delta_0; each query tells mu^2 / sigma^2.
    error2 = 1 / (seen * mu**2 / sigma2 + sympy.pi**2 / (2 * start / mu))
    needed = sigma2 / (2 * mu) * (1 / epsilon - sympy.pi**2 / start)
    assert sympy.simplify(mu / 2 * error2.subs(seen, needed) - epsilon) == 0
    assert examples_needed(CASE.constants) == pytest.approx(100 * (1 / 0.01 - math.pi**2 / 0.5))
    # Near the start nothing is claimed.
    assert examples_needed(replace(CASE.constants, gap=0.1)) == 0


def test_any_method_quiet() -> None:
    tight, loose = MARGINS["any-method-quiet"](CASE)
    assert tight.holds
    assert tight.used > 0.95
    assert loose.holds
    assert loose.used < 0.5
    # The infinite chain, (L - mu) / 4 (2 x_i - x_(i-1) - x_(i+1)) + mu x_i = 0, is solved by powers of rho.
    root = sympy.symbols("root", positive=True)  # of L / mu, with mu = 1
    rho = (root - 1) / (root + 1)
    assert sympy.simplify((root**2 - 1) / 4 * (2 - 1 / rho - rho) + 1) == 0


def test_any_method_updates() -> None:
    tight, loose = MARGINS["any-method-updates"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used < 0.6
    # ln(1 + y) <= y at y = 2 / (root - 1): both are 0 at 0, and the difference rises.
    y, root = sympy.symbols("y root", positive=True)
    assert sympy.simplify(sympy.diff(y - sympy.log(1 + y), y) - y / (1 + y)) == 0
    assert sympy.simplify(1 + 2 / (root - 1) - (root + 1) / (root - 1)) == 0


def test_any_method() -> None:
    tight, loose = MARGINS["any-method"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.6
    c = CASE.constants
    law, enough = any_method(c), WeightedAverage(constants=c).harmonic()[1]
    assert law.alpha == examples_needed(c)
    for size in (1, 100, 10_000, 1_000_000):
        assert max(law.n_inf, law.alpha / size) < enough.updates(size)
    with pytest.raises(ParameterError, match=r"gap = 0\.1"):
        any_method(replace(c, gap=0.1))


def test_step_needed() -> None:
    tight, loose = MARGINS["step-needed"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.1
    eta, smoothness, sigma2, epsilon, m = sympy.symbols("eta L sigma2 epsilon M", positive=True)
    floor = eta * sigma2 / (2 * (2 - eta * smoothness) * m)
    assert sympy.simplify(floor.subs(eta, 1 / (smoothness / 2 + sigma2 / (4 * epsilon * m))) - epsilon) == 0
    # The floor is that of `last-floor` at mu = L, and grows with the step.
    exact = smoothness * eta * sigma2 / (2 * smoothness * (2 - eta * smoothness) * m)
    assert sympy.simplify(exact - floor) == 0
    assert sympy.simplify(sympy.diff(floor, eta) - sigma2 / (m * (2 - eta * smoothness) ** 2)) == 0


@pytest.mark.parametrize(("condition", "height"), [(100.0, 1.3), (4.0, 0.5)])
def test_pl_floor(condition: float, height: float) -> None:
    # By quadrature over x, with T = L = 1: a wall of curvature L up to the edge, one of curvature mu beyond it.
    mu, edge = 1 / condition, math.sqrt(2 * height)
    shift = math.sqrt(2 * height / mu) - edge
    x = np.linspace(0, 60 * math.sqrt(condition), 2_000_001)
    f = np.where(x < edge, x**2 / 2, mu / 2 * (x + shift) ** 2)
    density = np.exp(-f)
    assert bent_floor(condition, height) == pytest.approx(float((f * density).sum() / density.sum()), rel=1e-3)
    # PL with mu, and below the upper parabola with L, at a thousand pairs of points on both sides.
    slope = np.where(x < edge, x, mu * (x + shift))
    assert (2 * mu * f <= slope**2 * (1 + 1e-12)).all()
    picked = np.random.default_rng(0).integers(0, 60_000, (2, 1000))
    for sign in (1, -1):
        here, there = x[picked[0]], sign * x[picked[1]]
        above = f[picked[1]] - f[picked[0]] - slope[picked[0]] * (there - here)
        assert (above <= (there - here) ** 2 / 2 + 1e-9).all()
    # SGD itself, at a short step.
    rate, generator, points, total = 0.02, np.random.default_rng(0), np.zeros(2000), []
    scale = math.sqrt(rate / 2)  # the unit of x, for sigma = M = 1
    for update in range(8000 if condition == 100 else 0):
        size = np.abs(points) / scale
        pull = np.where(size < edge, size, mu * (size + shift)) * np.sign(points) * scale
        points = points - rate * pull + rate * generator.standard_normal(2000)
        if update >= 4000 and update % 50 == 0:
            size = np.abs(points) / scale
            total.append(float(np.where(size < edge, size**2 / 2, mu / 2 * (size + shift) ** 2).mean()))
    assert not total or float(np.mean(total)) == pytest.approx(bent_floor(condition, height), rel=0.05)
    # More than any convex function at rest, and growing as a logarithm.
    most = [max(bent_floor(k, u) for u in np.linspace(0.1, 12, 500)) for k in (1e2, 1e4, 1e8, 1e16)]
    assert most[0] > 1.25
    assert most == sorted(most)
    assert 1 / 2 < most[3] / math.log(1e16) * 2 < 1


def test_updates_needed() -> None:
    tight, loose = MARGINS["updates-needed"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used < 0.5
    # -ln(1 - y) <= y / (1 - y): both are 0 at 0, and the difference rises.
    y = sympy.symbols("y", positive=True)
    difference = y / (1 - y) + sympy.log(1 - y)
    assert difference.subs(y, 0) == 0
    assert sympy.simplify(sympy.diff(difference, y) - y / (1 - y) ** 2) == 0


def test_needed_law() -> None:
    tight, loose = MARGINS["needed-law"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used < 0.7
    eta, mu, smoothness, sigma2, epsilon, m = sympy.symbols("eta mu L sigma2 epsilon M", positive=True)
    longest = 1 / (smoothness / 2 + sigma2 / (4 * epsilon * m))
    law = smoothness / (4 * mu) - sympy.Rational(1, 2) + sigma2 / (8 * mu * epsilon * m)
    assert sympy.simplify(((1 / (eta * mu) - 1) / 2).subs(eta, longest) - law) == 0
    # What is necessary is less than what suffices, at every batch size; the largest quotient is 8 L / mu.
    c = CASE.constants
    least, enough = necessary(c), LastIterate(constants=c).harmonic()[1]
    for size in (1, 100, 10_000, 1_000_000):
        assert least.updates(size) < enough.updates(size)
    logarithms = math.log(2 * c.start / c.gap) / math.log(c.start / c.gap)
    assert enough.alpha / least.alpha == pytest.approx(8 * c.smoothness / c.curvature * logarithms)
