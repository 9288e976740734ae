"""Margins of the assumptions and of one step."""

import numpy as np

from batchtime.laws.quantity import Array
from batchtime.theory.margins.sides import Case, Margin, luck, mean_over_runs, points_around, stepped, worst
from batchtime.theory.margins.toys import Toy, huber, long_valley, round_bowl, wavy


def smooth(case: Case) -> list[Margin]:
    """Compare f(y) with its upper parabola at x, above the tangent."""
    c = case.constants

    def margin(toy: Toy) -> Margin:
        x, y = points_around(toy)
        above = toy.value(y) - toy.value(x) - (toy.gradient(x) * (y - x)).sum(axis=1)
        return worst(toy.name, above, c.smoothness / 2 * ((y - x) ** 2).sum(axis=1))

    log_cosh = Toy(
        name="L log cosh x, far from its minimum",
        value=lambda x: c.smoothness * np.log(np.cosh(x)).sum(axis=1),
        gradient=lambda x: c.smoothness * np.tanh(x),
        start=np.ones(1),
        constants=c,
    )
    x, y = np.array([[2.0]]), np.array([[3.0]])
    above = log_cosh.value(y) - log_cosh.value(x) - (log_cosh.gradient(x) * (y - x)).sum(axis=1)
    return [margin(round_bowl(c)), worst(log_cosh.name, above, np.full(1, c.smoothness / 2))]


def bounded_noise(case: Case) -> list[Margin]:
    """Compare the variance of one example's gradient with sigma^2."""
    toy = round_bowl(case.constants)
    x = np.tile(toy.start, (20_000, 1))
    drawn = ((toy.batch(x, 1, np.random.default_rng(0)) - toy.gradient(x)) ** 2).sum(axis=1)
    sigma2 = toy.constants.noise_variance
    scale = np.random.default_rng(1).uniform(0, 1, len(drawn))
    return [
        mean_over_runs("noise of constant variance", drawn, sigma2),
        mean_over_runs("noise whose deviation varies from 0 to sigma over space", drawn * scale**2, sigma2),
    ]


def convex(case: Case) -> list[Margin]:
    """Compare f(x) - f* with what the tangent at x promises, <grad f, x - x*>."""
    c = case.constants
    toys = [huber(c, c.smoothness * c.distance / 1000), round_bowl(c)]
    return [worst(t.name, t.value(t.start[None]), (t.gradient(t.start[None]) * t.start).sum(axis=1)) for t in toys]


def pl(case: Case) -> list[Margin]:
    """Compare 2 mu (f - f*) with the squared gradient."""

    def margin(toy: Toy) -> Margin:
        x, _ = points_around(toy)
        return worst(toy.name, 2 * toy.constants.curvature * toy.value(x), (toy.gradient(x) ** 2).sum(axis=1))

    return [margin(round_bowl(case.constants)), margin(wavy(case.constants))]


def strongly_convex(case: Case) -> list[Margin]:
    """Compare the lower parabola at x with f(y), above the tangent."""
    c = case.constants
    valley, along = long_valley(c), np.eye(8)

    def margin(step: Array, name: str) -> Margin:
        x = valley.start[None]
        y = x + step
        above = valley.value(y) - valley.value(x) - (valley.gradient(x) * step).sum(axis=1)
        return worst(name, np.array([c.curvature / 2 * (step**2).sum()]), above)

    return [
        margin(along[:1], "a step along the flattest direction of a quadratic"),
        margin(along[-1:], "a step along its steepest direction"),
    ]


def expand(case: Case) -> list[Margin]:
    """Compare what a step changes beyond its slope, whatever the noise, with L / 2 times its squared length."""
    c, rate = case.constants, case.rate

    def margin(toy: Toy) -> Margin:
        x, drawn, after = stepped(toy, case)
        beyond = toy.value(after) - toy.value(x) + rate * (toy.gradient(x) * drawn).sum(axis=1)
        return worst(toy.name, beyond, c.smoothness * rate**2 / 2 * (drawn**2).sum(axis=1))

    return [margin(round_bowl(c)), margin(long_valley(c))]


def descent(case: Case) -> list[Margin]:
    """Compare what a step changes beyond its slope, in the mean, with what the descent lemma allows for that."""
    c, rate = case.constants, case.rate

    def margin(toy: Toy) -> Margin:
        x, drawn, after = stepped(toy, case)
        slope = (toy.gradient(x) ** 2).sum(axis=1)
        beyond = toy.value(after) - toy.value(x) + rate * slope + rate * luck(toy, x, drawn, toy.gradient(x))
        return mean_over_runs(
            toy.name, beyond, c.smoothness * rate**2 / 2 * (slope + c.noise_variance / case.batch_size)
        )

    return [margin(round_bowl(c)), margin(long_valley(c))]
