"""Equations of the page "Without noise at the minimum", executed."""

import math

import numpy as np
import pytest
import sympy

from batchtime.theory.bounds import interpolation
from batchtime.theory.margins import CASE, MARGINS
from batchtime.theory.problems import LEAST_SQUARES


@pytest.mark.parametrize("size", [1, 4, 1024])
def test_expected_smoothness(size: int) -> None:
    case = type(CASE)(constants=CASE.constants, rate=CASE.rate, batch_size=size)
    tight, loose = MARGINS["expected-smoothness"](case)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.999


@pytest.mark.parametrize("size", [1, 4, 1024])
def test_interpolation_step(size: int) -> None:
    case = type(CASE)(constants=CASE.constants, rate=CASE.rate, batch_size=size)
    tight, loose = MARGINS["interpolation-step"](case)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.999


def test_interpolation_count() -> None:
    tight, loose = MARGINS["interpolation-count"](CASE)
    assert tight.holds
    assert tight.used > 0.5
    assert loose.holds
    assert loose.used < 0.1
    rate, law = interpolation(smoothness=2, largest_smoothness=50, curvature=0.1, distance=3, gap=0.01)
    for size in (1, 10, 1000):
        assert rate.at(size) == pytest.approx(1 / (2 + 48 / size))
        left = (1 - 0.1 * rate.at(size)) ** law.updates(size)
        assert 2 / 2 * left * 3**2 <= 0.01
    assert law.critical_batch_size == pytest.approx(50 / 2 - 1)


def test_gaussian_step() -> None:
    # E (a a^T)^2 = (d + 2) I by the fourth moments of a normal variable: E a_1^4 = 3 and E a_1^2 a_k^2 = 1.
    d, m, eta = sympy.symbols("d M eta", positive=True)
    fourth = 3 + (d - 1)
    squared = fourth / m + (1 - 1 / m)
    left = 1 - 2 * eta + eta**2 * squared
    assert sympy.simplify(left - (1 - 2 * eta + eta**2 * (1 + (d + 1) / m))) == 0
    # And by simulation, in five dimensions.
    generator = np.random.default_rng(0)
    x = np.array([1.0, -2.0, 0.5, 0.0, 1.0])
    a = generator.standard_normal((100_000, 3, 5))
    after = x - 0.3 * np.einsum("nm,nmd->nd", a @ x, a) / 3
    seen = (after**2).sum(axis=1) / (x**2).sum()
    expected = 1 - 2 * 0.3 + 0.3**2 * (1 + 6 / 3)
    assert seen.mean() == pytest.approx(expected, abs=4 * seen.std() / math.sqrt(len(seen)))


def test_gaussian_count() -> None:
    d, m, eta, z = sympy.symbols("d M eta z", positive=True)
    left = 1 - 2 * eta + eta**2 * (1 + (d + 1) / m)
    (best,) = sympy.solve(sympy.diff(left, eta), eta)
    assert sympy.simplify(best - 1 / (1 + (d + 1) / m)) == 0
    assert sympy.simplify(left.subs(eta, best) - (1 - best)) == 0
    assert sympy.simplify(1 / (1 - best) - (1 + m / (d + 1))) == 0
    series = sympy.series(1 / sympy.log(1 + z), z, 0, 2).removeO()
    assert sympy.simplify(series - (1 / z + sympy.Rational(1, 2) - z / 12)) == 0
    problem = LEAST_SQUARES
    ratio = math.log(problem.start / problem.gap)
    for size in (1, 65, 4096):
        expected = ratio / math.log(1 + size / (problem.dimension + 1))
        assert problem.updates(size, problem.best_rate) == pytest.approx(expected)
    assert problem.law(problem.best_rate).updates(1) == pytest.approx(problem.updates(1, problem.best_rate), rel=1e-3)
