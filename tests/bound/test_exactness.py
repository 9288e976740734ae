"""Equations of the page "Exact, bound, or first order", executed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from batchtime.laws.learning_rate import LearningRate
from batchtime.theory.bounds import AveragedIterate, Constants, LastIterate
from batchtime.theory.curve import passage_spread
from batchtime.theory.margins import CASE, MARGINS
from batchtime.theory.problems import NOISY_QUADRATIC, SCHEDULES, first_passages, law_deviation
from batchtime.theory.weighted import WeightedAverage


def test_pole() -> None:
    eta, smoothness, mu, sigma2, epsilon = sympy.symbols("eta L mu sigma2 epsilon", positive=True)
    averaged = eta * (1 + eta * smoothness) * sigma2 / (2 * epsilon)
    last = smoothness * eta * sigma2 / (2 * mu * (2 - eta * smoothness) * epsilon)
    assert sympy.limit(averaged / eta, eta, 0) == sigma2 / (2 * epsilon)
    assert sympy.simplify(sympy.limit(last / eta, eta, 0) - smoothness * sigma2 / (4 * mu * epsilon)) == 0
    for theorem in (AveragedIterate(constants=CASE.constants), LastIterate(constants=CASE.constants)):
        assert theorem.pole(0.001) / theorem.pole(0.0001) == pytest.approx(10, rel=0.01)
        assert theorem.updates(theorem.pole(0.1), 0.1) == math.inf
        assert theorem.updates(theorem.pole(0.1) * 1.001, 0.1) < math.inf


def slopes(exponent: float, noise_variance: float) -> list[float]:
    """Return slopes of ln N against ln M on the isotropic quadratic, for short steps in proportion to M^exponent."""
    constants = Constants(smoothness=1, curvature=1, noise_variance=noise_variance, distance=1, start=1, gap=0.01)
    theorem = LastIterate(constants=constants)
    sizes = np.array([1.0, 4.0, 16.0])
    updates = [theorem.updates(size, 1e-5 * size**exponent) for size in sizes]
    return (np.diff(np.log(updates)) / np.diff(np.log(sizes))).tolist()


def test_power_step() -> None:
    # Noise takes half of the target at each batch size: the power is exact, however near the pole.
    assert slopes(1.0, 2000) == pytest.approx([-1, -1], abs=1e-3)
    # Far above the pole, and close to it.
    assert slopes(0.5, 20) == pytest.approx([-0.5, -0.5], abs=2e-3)
    assert slopes(0.5, 2000)[0] < -0.55
    # What the best inverse law makes of each schedule, over a factor of 256 in M: exact, and far from it.
    off = {name: law_deviation(name) for name in SCHEDULES}
    assert off["fixed"] < 0.01
    assert off["harmonic"] < 0.01
    assert 0.05 < off["best for each batch size"] < 0.25
    assert off["square root up to a cap"] > 0.2
    assert off["linear up to a cap"] > 0.4


def test_critical_below_pole() -> None:
    tight, loose = MARGINS["critical-below-pole"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.5
    # ln(1 / q) - (1 - q) is 0 at q = 1 and falls until there; the weighted average has 1 / (1 + B) for q.
    q = sympy.symbols("q", positive=True)
    difference = sympy.log(1 / q) - (1 - q)
    assert difference.subs(q, 1) == 0
    assert sympy.simplify(sympy.diff(difference, q) - (1 - 1 / q)) == 0
    for rate in (0.01, 0.3, 1.0):
        for theorem in (LastIterate(constants=CASE.constants), WeightedAverage(constants=CASE.constants)):
            assert theorem.law(rate).critical_batch_size < theorem.pole(rate)


@pytest.mark.parametrize(("factor", "dimension"), [(4, 10), (16, 10), (4, 64)])
def test_passage_spread(factor: float, dimension: int) -> None:
    problem, rate = replace(NOISY_QUADRATIC, curvatures=(1.0,) * dimension), 0.01
    size = factor * problem.pole(LearningRate(maximum=rate))
    stated = passage_spread(problem, batch_size=size, rate=rate)
    seen = first_passages(problem, batch_size=size, rate=rate, runs=4000, most_updates=3000)
    assert np.isfinite(seen).all()
    assert float(seen.std()) == pytest.approx(stated, rel=0.1)
    # In proportion to the root of the temperature far above the pole, and faster near it.
    spreads = [passage_spread(problem, batch_size=k * size, rate=rate) for k in (1e4, 4e4)]
    assert spreads[0] / spreads[1] == pytest.approx(2, rel=0.01)
    near = [passage_spread(problem, batch_size=k, rate=rate) for k in (size / factor * 1.2, size / factor * 4.8)]
    assert near[0] / near[1] > 2.2


def test_passage() -> None:
    tight, loose = MARGINS["passage"](CASE)
    assert tight.holds
    assert tight.used > 0.2  # Markov's inequality is tight only for a variable with two values
    assert loose.holds
    assert loose.used < 0.01


def test_scatter_of_a_run() -> None:
    # The gap of a stationary run is a sum of d squares of normal variables: mean d, variance 2 d.
    x, d = sympy.symbols("x d", positive=True)
    normal = sympy.exp(-(x**2) / 2) * sympy.sqrt(2 / sympy.pi)  # over x > 0, by symmetry
    mean = sympy.integrate(x**2 * normal, (x, 0, sympy.oo))
    variance = sympy.integrate(x**4 * normal, (x, 0, sympy.oo)) - mean**2
    assert (mean, variance) == (1, 2)
    assert sympy.simplify(sympy.sqrt(d * variance) / (d * mean) - sympy.sqrt(2 / d)) == 0
