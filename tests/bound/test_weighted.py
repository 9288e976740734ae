"""Equations of the page "Strongly convex, weighted average", executed."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from batchtime.theory.bounds import AveragedIterate, LastIterate, examples_needed
from batchtime.theory.margins import CASE, MARGINS, huber, wavy
from batchtime.theory.weighted import WeightedAverage, floor_at_rest

THEOREM = WeightedAverage(constants=CASE.constants)
eta, mu, smoothness, sigma2, m, distance, epsilon = sympy.symbols("eta mu L sigma2 M D epsilon", positive=True)


def test_weighted_step() -> None:
    tight, loose = MARGINS["weighted-step"](CASE)
    assert tight.holds
    assert tight.used > 0.98
    assert loose.holds
    assert loose.used < 0.6
    # What strong convexity takes off the distance before the step.
    before, after = sympy.symbols("a b", positive=True)
    convex = (before - after) / (2 * eta)
    assert sympy.simplify(convex - mu / 2 * before - ((1 - eta * mu) * before - after) / (2 * eta)) == 0


@pytest.mark.parametrize(("keeps", "updates"), [(Fraction(1, 3), 4), (Fraction(9, 10), 7)])
def test_weights(keeps: Fraction, updates: int) -> None:
    total = sum(keeps**-t for t in range(1, updates + 1))
    assert total == (keeps**-updates - 1) / (1 - keeps)


def test_weighted() -> None:
    tight, loose = MARGINS["weighted"](CASE)
    assert tight.holds
    assert tight.used > 0.85
    assert loose.holds
    assert loose.used < 0.3
    # The weighted sum of the steps: distances cancel, exactly, for any numbers in their place.
    keeps, gaps = Fraction(4, 5), [Fraction(7), Fraction(2), Fraction(5), Fraction(3)]
    total = sum(keeps ** -(t + 1) * (keeps * gaps[t] - gaps[t + 1]) for t in range(3))
    assert total == gaps[0] - keeps**-3 * gaps[3]
    # As mu goes to zero it is the bound for averaged iterates.
    flat = replace(CASE.constants, curvature=1e-9)
    averaged = AveragedIterate(constants=flat).bound(50, 1024, 0.1)
    assert WeightedAverage(constants=flat).bound(50, 1024, 0.1) == pytest.approx(averaged)


def test_weighted_count() -> None:
    for rate in (0.01, 0.5, 1.0):
        pole = THEOREM.pole(rate)
        assert THEOREM.bound(THEOREM.updates(3 * pole, rate), 3 * pole, rate) == pytest.approx(CASE.constants.gap)
        assert THEOREM.updates(pole, rate) == math.inf
        assert pole == AveragedIterate(constants=CASE.constants).pole(rate)
        # Its first order in 1 / M, and below the count itself.
        law, far = THEOREM.law(rate), 1e7 * pole
        assert (THEOREM.updates(far, rate) - law.n_inf) * far == pytest.approx(law.alpha, rel=1e-3)
        assert law.updates(2 * pole) < THEOREM.updates(2 * pole, rate)


def test_weighted_law() -> None:
    tight, loose = MARGINS["weighted-law"](CASE)
    assert tight.holds
    assert tight.used > 0.45  # without noise half of the target stays unused, for that half is kept for the noise
    assert loose.holds
    assert loose.used < 0.2
    for share in (0.2, 0.5, 0.9):
        rate, law = THEOREM.harmonic(share)
        for size in (1, 10, 1000, 100_000):
            assert THEOREM.bound(law.updates(size), size, rate.at(size)) <= CASE.constants.gap * (1 + 1e-12)
            assert THEOREM.best(size)[1] <= law.updates(size)
    # Beside the last iterate alpha is smaller by L / mu, apart from logarithms, and it is near what any method needs.
    c = CASE.constants
    law, last = THEOREM.harmonic()[1], LastIterate(constants=c).harmonic()[1]
    logarithms = math.log1p(c.curvature * c.distance**2 / c.gap) / math.log(2 * c.start / c.gap)
    assert last.alpha / law.alpha == pytest.approx(c.smoothness / c.curvature / logarithms)
    assert 1 < law.alpha / examples_needed(c) < 5


def test_rest_balance() -> None:
    # On h x^2 / 2 at rest: E x^2 = eta s^2 / (M h (2 - eta h)), with grad f = h x.
    h, s2 = sympy.symbols("h s2", positive=True)
    spread = eta * s2 / (m * h * (2 - eta * h))
    assert sympy.simplify(2 * h * spread - eta * (h**2 * spread + s2 / m)) == 0
    # And on Huber's function, by simulation: 20,000 updates of 2000 runs are at rest long before their end.
    toy, rate, size = huber(CASE.constants, 0.3), 0.2, 100.0
    x, _ = toy.iterates(2000, rate, size)
    slope = toy.gradient(x)
    difference = 2 * (slope * x).sum(axis=1) - rate * ((slope**2).sum(axis=1) + CASE.constants.noise_variance / size)
    assert abs(np.mean(difference)) < 4 * np.std(difference) / math.sqrt(len(difference))


def test_cocoercive() -> None:
    toy = huber(CASE.constants, 0.3)
    x = np.linspace(-1, 1, 2001)[:, None]
    slope = toy.gradient(x)
    left = toy.value(x) + (slope**2).sum(axis=1) / (2 * CASE.constants.smoothness)
    right = (slope * x).sum(axis=1)
    assert (left <= right + 1e-12).all()
    inside = np.abs(x[:, 0]) < 0.3  # a bowl of curvature L: equality
    assert left[inside] == pytest.approx(right[inside])
    # Without convexity it does not hold.
    bent = wavy(CASE.constants)
    points = np.linspace(1, 4, 2001)[:, None]
    slope = bent.gradient(points)
    assert (bent.value(points) + (slope**2).sum(axis=1) / 2 > (slope * points).sum(axis=1)).any()


def test_rest() -> None:
    tight, loose = MARGINS["rest"](CASE)
    assert tight.holds
    assert tight.used > 0.95
    assert loose.holds
    assert loose.used < 0.6
    # The two cases of the proof, from P and Q = (2 P - eta s^2 / M) / eta.
    p = sympy.symbols("P", positive=True)
    gap = p - (2 * p - eta * sigma2 / m) / (2 * eta * smoothness)
    assert sympy.simplify(gap - p * (1 - 1 / (eta * smoothness)) - sigma2 / (2 * smoothness * m)) == 0
    assert sympy.simplify(gap.subs(p, eta * sigma2 / (2 * m)) - eta * sigma2 / (2 * m)) == 0
    longest = eta * sigma2 / ((2 - eta * smoothness) * m)
    assert sympy.simplify(gap.subs(p, longest) - longest / 2) == 0
    # From 1 / L on a bowl of curvature L reaches it; the last iterate's floor under PL is larger by L / mu.
    c = replace(CASE.constants, curvature=CASE.constants.smoothness)
    for rate in (1.0, 1.5):
        assert floor_at_rest(c, 100, rate) == pytest.approx(LastIterate(constants=c).floor(100, rate))
    floor = LastIterate(constants=CASE.constants).floor(100, 1e-6)
    ratio = CASE.constants.smoothness / (2 * CASE.constants.curvature)
    assert floor / floor_at_rest(CASE.constants, 100, 1e-6) == pytest.approx(ratio, rel=1e-3)
