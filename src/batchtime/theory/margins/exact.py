"""Margins of what is exact on quadratics, of the curve, and of what no first-order method can do."""

import math
from dataclasses import replace

import numpy as np

from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Constants, LastIterate, necessary
from batchtime.theory.curve import FirstOrder, QuadraticCurve
from batchtime.theory.margins.sides import Case, Margin
from batchtime.theory.problems import NoisyQuadratic
from batchtime.theory.quadratics import Quadratics, any_method

# --- quadratics ------------------------------------------------------------------------------------------------------


def spectrum_worst(case: Case) -> list[Margin]:
    """Compare the mean gap of quadratics with that of the worst one: itself, and one that is like it in no way."""
    c, rate = case.constants, min(case.rate, Quadratics(constants=case.constants).largest_rate)
    updates = math.ceil(1 / (rate * c.curvature))

    def margin(h: list[float], starts: list[float], noises: list[float], name: str) -> Margin:
        curvatures = np.array(h)
        left = (1 - rate * curvatures) ** (2 * updates)
        rest = rate * np.array(noises) * c.noise_variance / (2 * case.batch_size * (2 - rate * curvatures))
        gap = float((np.array(starts) * c.start * left + rest * (1 - left)).sum())
        return Margin(problem=name, left=gap, right=Quadratics(constants=c).bound(updates, case.batch_size, rate))

    d = 8
    even = np.geomspace(c.curvature, c.smoothness, d).tolist()
    return [
        margin([c.curvature, c.smoothness], [1, 0], [0, 1], "starts along mu, noise along L"),
        margin(even, [1 / d] * d, [1 / d] * d, "curvatures from mu to L, start and noise spread evenly"),
    ]


def spectrum_count(case: Case) -> list[Margin]:
    """Compare the minimax number with both of its sides, near the pole and near the start."""
    c = case.constants
    near = replace(c, gap=c.start / 1.5)
    round_ = replace(near, curvature=c.smoothness)
    rate = min(case.rate, 0.5 / c.smoothness)

    def sides(c: Constants, factor: float) -> tuple[float, float, float]:
        problems = Quadratics(constants=c)
        size = factor * problems.pole(rate)
        low, high = problems.between(size, rate)
        return low, problems.updates(size, rate), high

    far, close, alike = sides(c, 100), sides(near, 1.1), sides(round_, 1.1)
    return [
        Margin(problem="from below, a hundred poles", left=far[0], right=far[1]),
        Margin(problem="from below, a target near the start", left=close[0], right=close[1]),
        Margin(problem="from above, a hundred poles", left=far[1], right=far[2]),
        Margin(problem="from above, the same with L = mu", left=alike[1], right=alike[2]),
    ]


def spectrum_best(case: Case) -> list[Margin]:
    """Compare the minimax number at its best step with the necessary law, and that number with the sufficient law."""
    c = replace(case.constants, curvature=min(case.constants.curvature, case.constants.smoothness / 100))
    problems, least = Quadratics(constants=c), necessary(c)
    enough = problems.harmonic()[1]
    large, small = 1e4 * least.critical_batch_size, 1e-3 * least.critical_batch_size

    def lower(size: float, name: str) -> Margin:
        return Margin(problem=f"from below, {name}", left=least.updates(size), right=problems.best(size)[1])

    def upper(size: float, name: str) -> Margin:
        return Margin(problem=f"from above, {name}", left=problems.best(size)[1], right=enough.updates(size))

    names = "a very large batch", "a very small batch"
    return [lower(large, names[0]), lower(small, names[1]), upper(small, names[1]), upper(large, names[0])]


# --- any first-order method ------------------------------------------------------------------------------------------


def any_method_quiet(case: Case) -> list[Margin]:
    """Compare the bound with the least gap that any combination of k gradients leaves on a chain, without noise."""
    smoothness = case.constants.smoothness

    def margin(condition: float, k: int) -> Margin:
        n, curvature = 400, smoothness / condition
        chain = (smoothness - curvature) / 4 * (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) + curvature * np.eye(
            n
        )
        pull = (smoothness - curvature) / 4 * np.eye(n)[0]
        best, reached = np.linalg.solve(chain, pull), np.zeros(n)
        reached[:k] = np.linalg.solve(chain[:k, :k], pull[:k])  # the span of k gradients is the first k coordinates
        gap = float((reached - best) @ chain @ (reached - best)) / 2
        root = math.sqrt(condition)
        least = curvature / 2 * ((root - 1) / (root + 1)) ** (2 * k) * float(best @ best)
        return Margin(problem=f"a chain of condition {condition:g}, {k} gradients", left=least, right=gap)

    return [margin(1.02, 1), margin(20, 10)]


def any_method_updates(case: Case) -> list[Margin]:
    """Compare the closed form of the number of gradients with the number itself, for large and small condition."""
    del case

    def margin(condition: float) -> Margin:
        root = math.sqrt(condition)
        exact = 1 / (2 * math.log((root + 1) / (root - 1)))
        return Margin(problem=f"condition {condition:g}", left=(root - 1) / 4, right=exact)

    return [margin(1e6), margin(4)]


def any_method_sum(case: Case) -> list[Margin]:
    """Compare half of the sum with the larger part, where both parts are equal and far from there."""
    c = case.constants
    near = c.start / max(c.smoothness / c.curvature, math.pi**2) / 2
    law = any_method(replace(c, gap=min(c.gap, near)))

    def margin(factor: float, name: str) -> Margin:
        size = factor * law.critical_batch_size
        return Margin(problem=name, left=law.updates(size) / 2, right=max(law.n_inf, law.alpha / size))

    return [margin(1, "the batch size at which both are equal"), margin(1000, "a batch a thousand times as large")]


# --- the curve -------------------------------------------------------------------------------------------------------


def _valley(case: Case) -> NoisyQuadratic:
    """Return a quadratic with curvatures from mu to L, each coordinate of which starts above its floor."""
    c = case.constants
    return NoisyQuadratic(
        curvatures=tuple(np.geomspace(c.curvature, c.smoothness, 8).tolist()),
        examples=1,
        noise_variance=c.noise_variance,
        distance=c.distance,
        gap=min(c.gap, c.curvature * c.distance**2 / 4),
    )


def _bowl(case: Case) -> QuadraticCurve:
    problem = _valley(case)
    return QuadraticCurve(problem=replace(problem, curvatures=(case.constants.smoothness,)))


def curve_quadratic(case: Case) -> list[Margin]:
    """Compare eta N of the recursion with both of its sides, at a short step and at a long one."""
    problem = _valley(case)
    curve = QuadraticCurve(problem=problem)
    tau = curve.pole() / 2

    def sides(x: float) -> tuple[float, float, float]:
        rate = x / case.constants.smoothness
        low, high = curve.between(tau, rate)
        return low, rate * problem.updates(rate / tau, LearningRate(maximum=rate)), high

    short, long = sides(0.01), sides(0.5)
    return [
        Margin(problem="from below, eta L = 0.01", left=short[0], right=short[1]),
        Margin(problem="from below, eta L = 0.5", left=long[0], right=long[1]),
        Margin(problem="from above, eta L = 0.01", left=short[1], right=short[2]),
        Margin(problem="from above, eta L = 0.5", left=long[1], right=long[2]),
    ]


def _bend(curve: QuadraticCurve, hottest: float) -> float:
    """Return beta, half of the largest second derivative of Phi up to a tau, on a bowl, in closed form."""
    (h,), start = curve.problem.curvatures, curve.problem.start
    ends = [1 / (curve.pole() - hottest), -1 / (curve.pole() * start / curve.problem.gap - hottest)]
    return (ends[0] ** 2 - ends[1] ** 2) / (4 * h)


def curve_constant(case: Case) -> list[Margin]:
    """Compare what the inverse law is too low by at one step size with its bound, far above the pole and near it."""
    curve = _bowl(case)
    first = curve.first_order()

    def margin(share: float, name: str) -> Margin:
        tau = share * curve.pole()
        size = case.rate / tau
        missing = curve.distance(tau) / case.rate - first.law(LearningRate(maximum=case.rate)).updates(size)
        return Margin(problem=name, left=missing, right=_bend(curve, tau) * case.rate / size**2)

    return [margin(0.01, "a hundred poles"), margin(0.8, "a quarter above the pole")]


def curve_capped(case: Case) -> list[Margin]:
    """Compare the relative error of the inverse law at the capped step with its uniform bound."""
    curve = _bowl(case)
    first, most = curve.first_order(), case.rate

    def margin(half: float, size: float, name: str) -> Margin:
        rule = LearningRate(maximum=most, half_batch_size=half)
        tau = rule.at(size) / size
        law = first.law(rule).updates(size)
        hottest = most / half
        error = curve.distance(tau) / rule.at(size) / law - 1
        return Margin(problem=name, left=error, right=_bend(curve, hottest) / first.distance * hottest**2)

    pole = most / curve.pole()
    return [
        margin(100 * pole, pole, "H a hundred poles, a small batch"),
        margin(3 * pole, 30 * pole, "H three poles, a large batch"),
    ]


def no_pilot(case: Case) -> list[Margin]:
    """Compare the time at M = delta / gamma with twice the least time, far from the optimum and at it."""
    law = LastIterate(constants=case.constants).harmonic()[1]

    def margin(r: float) -> Margin:
        fixed = law.critical_batch_size / r**2  # delta / gamma, in units of gamma = 1
        return Margin(problem=f"r = {r:g}", left=_seconds(law, fixed, fixed), right=2 * _least_seconds(law, fixed))

    return [margin(1e-3), margin(1)]


def _seconds(law: InverseLaw, fixed: float, size: float) -> float:
    return law.updates(size) * (fixed + size)


def _least_seconds(law: InverseLaw, fixed: float) -> float:
    optimum = FirstOrder(distance=law.n_inf, alpha=law.alpha).best_batch_size(rate=1, fixed=fixed, per_example=1)
    return _seconds(law, fixed, optimum)
