"""Equations of the page "Convex, averaged iterates", executed."""

from fractions import Fraction

import pytest
import sympy

from batchtime.theory.bounds import AveragedIterate
from batchtime.theory.margins import CASE, MARGINS

THEOREM = AveragedIterate(constants=CASE.constants)


def test_one_step() -> None:
    tight, loose = MARGINS["one-step"](CASE)
    assert tight.holds
    assert tight.used > 0.98
    assert loose.holds
    assert loose.used < 0.6


def test_three_points() -> None:
    # In two dimensions, with x* = 0: x_{t+1} = x_t - eta G.
    x1, x2, g1, g2, eta = sympy.symbols("x1 x2 g1 g2 eta", real=True)
    after = (x1 - eta * g1, x2 - eta * g2)
    inner = g1 * after[0] + g2 * after[1]
    squares = (x1**2 + x2**2) - (after[0] ** 2 + after[1] ** 2) - eta**2 * (g1**2 + g2**2)
    assert sympy.simplify(inner - squares / (2 * eta)) == 0


@pytest.mark.parametrize("noise", [[(3, 1), (-1, 0), (-2, -1)], [(1, 0), (-1, 0)]])
def test_noise_meets_step(noise: list[tuple[int, int]]) -> None:
    # Exactly, over noise that takes a few values with equal chances and has mean 0.
    x, full, eta = (Fraction(2), Fraction(-1)), (Fraction(1, 3), Fraction(2)), Fraction(1, 7)
    inner = squares = Fraction(0)
    for d in noise:
        after = [x[k] - eta * (full[k] + d[k]) for k in range(2)]
        inner += (d[0] * after[0] + d[1] * after[1]) / Fraction(len(noise))
        squares += Fraction(d[0] ** 2 + d[1] ** 2, len(noise))
    assert -inner == eta * squares


def test_step_length() -> None:
    full, eta = (Fraction(1, 3), Fraction(2)), Fraction(1, 7)
    noise = [(3, 1), (-1, 0), (-2, -1)]
    length = sum(eta**2 * ((full[0] + a) ** 2 + (full[1] + b) ** 2) for a, b in noise) / 3
    squares = Fraction(sum(a**2 + b**2 for a, b in noise), 3)
    assert length == eta**2 * (full[0] ** 2 + full[1] ** 2 + squares)


def test_noise_factor() -> None:
    eta, smoothness = sympy.symbols("eta L", positive=True)
    assert sympy.expand(eta - eta * (1 - eta * smoothness) / 2 - eta * (1 + eta * smoothness) / 2) == 0


def test_averaged_step() -> None:
    tight, loose = MARGINS["averaged-step"](CASE)
    assert tight.holds
    assert tight.used > 0.9
    assert tight.error < 0.01 * CASE.rate * CASE.constants.noise_variance / CASE.batch_size  # the noise term is seen
    assert loose.holds
    assert loose.used < 0.6


def test_averaged() -> None:
    quiet, quiet_loose, noisy, noisy_loose = MARGINS["averaged"](CASE)
    for margin in (quiet, quiet_loose, noisy, noisy_loose):
        assert margin.holds
    assert quiet.used > 0.97
    assert quiet_loose.used < 0.1
    assert noisy.used > 0.92
    assert noisy_loose.used < 0.1


def test_averaged_tight() -> None:
    # Step by step, with exact fractions: L = 2, D = 3, eta = 1/5, N = 7.
    smoothness, distance, eta, n = Fraction(2), Fraction(3), Fraction(1, 5), 7
    a = eta * n + 1 / smoothness
    slope, x, total = distance / a, distance, Fraction(0)
    for _ in range(n):
        assert x >= slope / smoothness  # on the straight part
        x -= eta * slope
        total += x
    assert x == slope / smoothness
    mean = total / n
    assert slope * (mean - slope / smoothness / 2) == distance**2 / (2 * a) * (1 - eta / a)
    # As a share of the first term of the bound: one, less 1 + 1 / (eta L) parts in N.
    updates, x = sympy.symbols("N x", positive=True)  # x = eta L
    share = updates * x / (updates * x + 1) * (1 - x / (updates * x + 1))
    assert sympy.simplify(sympy.limit((1 - share) * updates, updates, sympy.oo) - (1 + 1 / x)) == 0


def test_lopsided() -> None:
    # In units of sqrt(T / L) and T: f' = min(x, rho), so that f = x^2 / 2 up to rho, and rho x - rho^2 / 2 beyond.
    x = sympy.symbols("x", real=True)
    rho = sympy.symbols("rho", positive=True)
    wall, slope = sympy.exp(-(x**2) / 2), sympy.exp(rho**2 / 2 - rho * x)
    mass, first = (
        sympy.integrate(power * wall, (x, -sympy.oo, rho)) + sympy.integrate(power * slope, (x, rho, sympy.oo))
        for power in (1, x)
    )
    below = (1 + sympy.erf(rho / sympy.sqrt(2))) / 2  # the normal distribution function
    height = 1 / (1 + rho * sympy.sqrt(2 * sympy.pi) * below * sympy.exp(rho**2 / 2)) - rho**2 / 2
    assert sympy.simplify((rho * first / mass - rho**2 / 2 - height).rewrite(sympy.erf)) == 0
    # And the chain itself, at a step of a hundredth of 1 / L; for rho = 1 its mean lies below the slope.
    _, _, gentle, steep = MARGINS["averaged"](CASE)
    assert gentle.used * 1.01 == pytest.approx(float(height.subs(rho, 0.05)), rel=1e-3)
    assert steep.used * 1.01 == pytest.approx(float((first / mass).subs(rho, 1)) ** 2 / 2, rel=0.02)


def test_averaged_count() -> None:
    distance, eta, smoothness, sigma2, m, epsilon = sympy.symbols("D eta L sigma2 M epsilon", positive=True)
    n_inf = distance**2 / (2 * eta * epsilon)
    pole = eta * (1 + eta * smoothness) * sigma2 / (2 * epsilon)
    alpha = (1 + eta * smoothness) * sigma2 * distance**2 / (4 * epsilon**2)
    count = n_inf / (1 - pole / m)
    bound = distance**2 / (2 * eta * count) + eta * (1 + eta * smoothness) * sigma2 / (2 * m)
    assert sympy.simplify(bound - epsilon) == 0
    assert sympy.simplify(alpha - n_inf * pole) == 0
    assert sympy.simplify(count - n_inf - alpha / (m - pole)) == 0
    for rate in (0.01, 0.5, 1.0):
        size = 3 * THEOREM.pole(rate)
        updates = THEOREM.updates(size, rate)
        assert THEOREM.bound(updates, size, rate) == pytest.approx(CASE.constants.gap)


def test_averaged_excess() -> None:
    n_inf, pole, m = sympy.symbols("n_inf M_0 M", positive=True)
    count, law = n_inf / (1 - pole / m), n_inf + n_inf * pole / m
    assert sympy.simplify((count - law) / count - (pole / m) ** 2) == 0
    size = 5 * THEOREM.pole(0.1)
    assert THEOREM.law(0.1).updates(size) / THEOREM.updates(size, 0.1) == pytest.approx(1 - 1 / 25)
