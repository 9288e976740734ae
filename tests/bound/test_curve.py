"""Equations of the page "One curve for every step size", executed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array
from batchtime.theory.bounds import LastIterate
from batchtime.theory.curve import FirstOrder, QuadraticCurve, clock
from batchtime.theory.margins import CASE, MARGINS
from batchtime.theory.problems import ANISOTROPIC_QUADRATIC, NOISY_QUADRATIC

CURVE = QuadraticCurve(problem=ANISOTROPIC_QUADRATIC)
BOWL = QuadraticCurve(problem=replace(NOISY_QUADRATIC, curvatures=(0.7,) * 64))


def test_curve_step() -> None:
    eta, m = sympy.symbols("eta M", positive=True)
    assert sympy.simplify(eta / sympy.sqrt(m) - sympy.sqrt(eta / m) * sympy.sqrt(eta)) == 0
    # So two runs with one noise vector a step differ by their time step alone: covariance over a stretch of distance.
    for rate, size in ((0.1, 10), (0.01, 1)):
        assert (rate / math.sqrt(size)) ** 2 * (1 / rate) == pytest.approx(0.01)  # tau times a distance of one


def test_curve_sde() -> None:
    # Ito's formula for h X^2 / 2 gives dG / ds = -2 h G + tau v h / 2 for noise of variance v; solved it is `mean_gap`.
    s, h, tau, v, start = sympy.symbols("s h tau v G_0", positive=True)
    solved = start * sympy.exp(-2 * h * s) + tau * v / 4 * (1 - sympy.exp(-2 * h * s))
    assert sympy.simplify(sympy.diff(solved, s) + 2 * h * solved - tau * v * h / 2) == 0
    # The recursion approaches it at the rate of the step, at one temperature and distance.
    problem, distance, at = ANISOTROPIC_QUADRATIC, 5.0, 0.4 * CURVE.pole()
    rates = np.array([0.08, 0.04, 0.02, 0.01])
    errors = [problem.mean_gap(distance / r, r / at, r) - CURVE.mean_gap(distance, at) for r in rates]
    assert np.diff(np.log(np.abs(errors))) / np.diff(np.log(rates)) == pytest.approx([1, 1, 1], abs=0.1)


def first_held(rate: float, tau: float, hold: float, *, normal: bool, runs: int = 4000) -> Array:
    """Return the distance at which each run, on a function that is not convex, has stayed near a minimum for a while.

    f(x) = x^2 / 2 + 0.4 sin(3 x)^2, whose curvature is between -2.6 and 4.6; the noise grows with |x|.
    """
    generator = np.random.default_rng(0)
    x, since, done = np.full(runs, 3.0), np.zeros(runs), np.full(runs, np.nan)
    scale = math.sqrt(tau * rate)
    for step in range(1, int(60 / rate)):
        noise = generator.standard_normal(runs) if normal else generator.choice([-1.0, 1.0], runs)
        x = x - rate * (x + 1.2 * np.sin(6 * x)) - scale * np.sqrt(1 + x**2) * noise
        since = np.where(np.abs(x) < 0.45, since + rate, 0.0)
        done = np.where(np.isnan(done) & (since >= hold), step * rate, done)
        if not np.isnan(done).any():
            break
    return done


@pytest.mark.parametrize("normal", [True, False])
def test_curve_law(*, normal: bool) -> None:
    # No convexity, noise that depends on the place, a rule that asks for a hold: eta N at three steps, one temperature.
    distances = [first_held(rate, 1.5, 0.25, normal=normal) for rate in (0.01, 0.005)]
    assert not any(np.isnan(found).any() for found in distances)
    means = [float(found.mean()) for found in distances]
    errors = [float(found.std()) / math.sqrt(len(found)) for found in distances]
    assert means[0] == pytest.approx(means[1], abs=4 * math.hypot(*errors) + 0.02 * means[1])
    # At another temperature it is another number.
    colder = first_held(0.01, 0.75, 0.25, normal=normal)
    assert abs(float(np.nanmean(colder)) / means[0] - 1) > 0.05


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.2])
def test_curve_isotropic(rate: float) -> None:
    problem, h = BOWL.problem, 0.7
    hot = BOWL.pole() * (1 - rate * h / 2)
    for share in (0.05, 0.5, 0.95):
        tau = share * hot
        updates = problem.updates(rate / tau, LearningRate(maximum=rate))
        assert rate * updates == pytest.approx(clock(rate * h) * BOWL.distance(tau / (1 - rate * h / 2)))
        closed = math.log((problem.start - tau * problem.noise_variance / 4) / (problem.gap - tau * 5 / 4)) / (2 * h)
        assert BOWL.distance(tau) == pytest.approx(closed)


def test_curve_step_error() -> None:
    x, tau = sympy.symbols("x tau", positive=True)  # x = eta h
    slope = sympy.limit(sympy.diff(-x / sympy.log(1 - x), x), x, 0)
    assert slope == sympy.Rational(-1, 2)
    assert sympy.diff(tau / (1 - x / 2), x).subs(x, 0) == tau / 2
    # As numbers: what is left is of second order.
    at = 0.5 * BOWL.pole()
    first = (BOWL.distance(at * 1.0001) - BOWL.distance(at * 0.9999)) / (0.0002 * at)
    left = []
    for rate in (0.02, 0.01):
        updates = BOWL.problem.updates(rate / at, LearningRate(maximum=rate))
        stated = BOWL.distance(at) - rate * 0.7 / 2 * (BOWL.distance(at) - at * first)
        left.append(rate * updates - stated)
    assert left[0] / left[1] == pytest.approx(4, rel=0.1)


def test_curve_quadratic() -> None:
    below, below_loose, above, above_loose = MARGINS["curve-quadratic"](CASE)
    for margin in (below, below_loose, above, above_loose):
        assert margin.holds
    assert below.used > 0.99
    assert above.used > 0.99
    assert below_loose.used < 0.8
    assert above_loose.used < 0.9
    for rate in (0.01, 0.3, 0.9):
        for share in (0.01, 0.3, 0.8):
            tau = share * CURVE.pole()
            low, high = CURVE.between(tau, rate)
            assert low <= rate * ANISOTROPIC_QUADRATIC.updates(rate / tau, LearningRate(maximum=rate)) <= high


def test_curve_constant() -> None:
    tight, loose = MARGINS["curve-constant"](CASE)
    assert tight.holds
    assert tight.used > 0.95
    assert loose.holds
    assert loose.used < 0.3
    first = CURVE.first_order()
    tau = 1e-6
    assert first.alpha == pytest.approx((CURVE.distance(tau) - first.distance) / tau, rel=1e-4)
    # Double the step size: n_inf halves, alpha stays, and so does the law of the problem itself.
    for rate in (0.002, 0.004):
        law, exact = first.law(LearningRate(maximum=rate)), ANISOTROPIC_QUADRATIC.law(LearningRate(maximum=rate))
        assert law.alpha == first.alpha
        assert exact.n_inf == pytest.approx(law.n_inf, rel=rate)
        assert exact.alpha == pytest.approx(law.alpha, rel=2 * rate)


def test_curve_capped() -> None:
    tight, loose = MARGINS["curve-capped"](CASE)
    assert tight.holds
    assert tight.used > 0.9
    assert loose.holds
    assert loose.used < 0.1
    most, m, half, a, alpha = sympy.symbols("eta_max M H A alpha", positive=True)
    step = most / (1 + half / m)
    law = a / most + (half * a / most + alpha) / m
    assert sympy.simplify(a / step + alpha / m - law) == 0
    assert sympy.limit(step / m, m, 0) == most / half
    # On the recursion itself: with H at three poles the law holds at M = 1 / 100, where a constant step never arrives.
    rate = 0.01
    rule = LearningRate(maximum=rate, half_batch_size=3 * rate / CURVE.pole())
    law_of = CURVE.first_order().law(rule)
    for size in (0.01, 1.0, 100.0):
        assert ANISOTROPIC_QUADRATIC.updates(size, rule) == pytest.approx(law_of.updates(size), rel=0.03)
    assert ANISOTROPIC_QUADRATIC.updates(0.01, LearningRate(maximum=rate)) == math.inf


def test_curve_linear() -> None:
    slope = CURVE.pole() / 3
    updates = [ANISOTROPIC_QUADRATIC.updates(m, LearningRate(maximum=slope * m)) for m in (0.01, 0.02, 0.04)]
    assert updates[0] / updates[1] == pytest.approx(2, rel=1e-3)
    assert updates[0] / updates[2] == pytest.approx(4, rel=3e-3)
    assert updates[0] * 0.01 * slope == pytest.approx(CURVE.distance(slope), rel=1e-3)


def test_curve_tuned() -> None:
    phi, eta, tau, delta, gamma = sympy.symbols("Phi eta tau delta gamma", positive=True)
    seconds = phi / eta * (delta + gamma * eta / tau)
    assert sympy.simplify(seconds - delta * phi / eta - gamma * phi / tau) == 0
    assert sympy.simplify(sympy.diff(seconds, eta) + delta * phi / eta**2) == 0  # it falls


def test_curve_optimum() -> None:
    m, a, alpha, eta, delta, gamma = sympy.symbols("M A alpha eta delta gamma", positive=True)
    seconds = (a / eta + alpha / m) * (delta + gamma * m)
    (best,) = sympy.solve(sympy.diff(seconds, m), m)
    assert sympy.simplify(best - sympy.sqrt(alpha / a * eta * delta / gamma)) == 0
    first = FirstOrder(distance=8.0, alpha=60.0)
    optima = [first.best_batch_size(rate=rate, fixed=1e-3, per_example=1e-5) for rate in (0.01, 0.04)]
    assert optima[1] / optima[0] == pytest.approx(2)


def test_no_pilot() -> None:
    tight, loose = MARGINS["no-pilot"](CASE)
    assert tight.holds
    assert tight.used > 0.99
    assert loose.holds
    assert loose.used == pytest.approx(0.5)
    law = LastIterate(constants=CASE.constants).harmonic()[1]
    grid = np.geomspace(1e-3, 1e9, 4000)
    for fixed in (1.0, 1e3, 1e6):
        least = float(((law.n_inf + law.alpha / grid) * (fixed + grid)).min())
        r = math.sqrt(law.critical_batch_size / fixed)
        ratio = law.updates(fixed) * 2 * fixed / least
        assert ratio == pytest.approx(2 * (1 + r**2) / (1 + r) ** 2, rel=1e-3)
