"""Equations of the page "What is necessary", executed."""

import math

import pytest
import sympy

from batchtime.bounds import LastIterate, necessary
from batchtime.margins import CASE, MARGINS


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
    assert necessary(CASE.constants).alpha == pytest.approx(100 * (1 / 0.01 - math.pi**2 / 0.5) / 2)


def test_updates_needed() -> None:
    tight, loose = MARGINS["updates-needed"](CASE)
    assert tight.holds
    assert tight.used > 0.95
    assert loose.holds
    assert loose.used < 0.2
    ratio = sympy.symbols("r", positive=True)  # mu / L
    series = sympy.series(-1 / (2 * sympy.log(1 - 2 * ratio)), ratio, 0, 1).removeO()
    assert sympy.simplify(series - (1 / (4 * ratio) - sympy.Rational(1, 4))) == 0


def test_needed_law() -> None:
    tight, loose = MARGINS["needed-law"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.51
    # What is necessary is less than what suffices, at every batch size.
    least, enough = necessary(CASE.constants), LastIterate(constants=CASE.constants).harmonic()[1]
    for size in (1, 100, 10_000, 1_000_000):
        assert least.updates(size) < enough.updates(size)
