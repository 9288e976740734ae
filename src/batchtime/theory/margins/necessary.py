"""Margins of what is necessary, and of first passage."""

import math
from dataclasses import replace

import numpy as np
from scipy.integrate import quad

from batchtime.laws.quantity import Array
from batchtime.theory.bounds import Constants, LastIterate, necessary
from batchtime.theory.margins.sides import Case, Margin, mean_over_runs, whole_updates
from batchtime.theory.margins.toys import round_bowl


def examples_needed_average(case: Case) -> list[Margin]:
    """Compare the least possible mean gap with that of two methods that saw as many examples: the best one, and SGD."""
    c = case.constants
    spread2 = 2 * c.start / c.curvature  # tau^2
    seen = max(int(c.noise_variance / (2 * c.curvature) * (1 / c.gap - 1 / c.start)), 1)
    least = 1 / (1 / c.start + 2 * c.curvature * seen / c.noise_variance)
    generator = np.random.default_rng(0)
    best = math.sqrt(spread2) * generator.standard_normal(20_000)
    noise = math.sqrt(c.noise_variance) / c.curvature
    told = best + noise / math.sqrt(seen) * generator.standard_normal(20_000)  # mean of what the queries say
    guess = told * spread2 / (spread2 + noise**2 / seen)
    x, rate = np.zeros(20_000), min(case.rate, 0.5 / c.curvature)
    updates = min(seen, 2000)
    for _ in range(updates):
        deviation = math.sqrt(c.noise_variance * updates / seen)
        x = x - rate * (c.curvature * (x - best) + deviation * generator.standard_normal(20_000))

    def margin(name: str, answer: Array) -> Margin:
        gaps = c.curvature / 2 * (answer - best) ** 2
        error = float(gaps.std()) / math.sqrt(len(gaps))
        return Margin(problem=name, left=least, right=float(gaps.mean()), error=error)

    return [margin("the posterior mean, which no method beats", guess), margin("SGD with this step size", x)]


def van_trees(case: Case) -> list[Margin]:
    """Compare the bound with the least mean squared error under the prior, for many examples and for none."""
    del case  # in units of the prior's half width the only parameter is how much the examples tell

    def margin(information: float, name: str) -> Margin:
        # A prior cos(pi x / 2)^2 on [-1, 1], and one Gaussian observation of this information.
        grid = np.linspace(-1, 1, 4001)
        prior = np.cos(math.pi * grid / 2) ** 2
        if information == 0:
            risk = quad(lambda x: x**2 * math.cos(math.pi * x / 2) ** 2, -1, 1)[0]
            return Margin(problem=name, left=1 / math.pi**2, right=float(risk))
        told = np.linspace(-1 - 6 / math.sqrt(information), 1 + 6 / math.sqrt(information), 2001)
        joint = prior * np.exp(-information / 2 * (told[:, None] - grid) ** 2) * math.sqrt(information / (2 * math.pi))
        mass, first = joint.sum(axis=1), (joint * grid).sum(axis=1)
        second = (joint * grid**2).sum(axis=1)
        posterior = second - first**2 / np.maximum(mass, 1e-300)  # times the density of what is told
        risk = posterior.sum() * (told[1] - told[0]) * (grid[1] - grid[0])
        return Margin(problem=name, left=1 / (information + math.pi**2), right=float(risk))

    return [margin(400, "many examples"), margin(0, "no example")]


def _longest_step(case: Case) -> float:
    """Return the longest step size of `step-needed`."""
    c = case.constants
    return 1 / (c.smoothness / 2 + c.noise_variance / (4 * c.gap * case.batch_size))


def step_needed(case: Case) -> list[Margin]:
    """Compare the floor on L x^2 / 2 with the target, at the longest step and at a tenth of it."""
    c = case.constants

    def margin(share: float, name: str) -> Margin:
        rate = share * _longest_step(case)
        keeps = (1 - rate * c.smoothness) ** 2
        floor = c.smoothness / 2 * rate**2 * c.noise_variance / case.batch_size / (1 - keeps)
        return Margin(problem=name, left=floor, right=c.gap)

    return [margin(1, "the longest step that is allowed"), margin(0.1, "a tenth of it")]


def updates_needed(case: Case) -> list[Margin]:
    """Compare the lower bound of the updates with those that a step takes on mu x^2 / 2, a short and a long one."""
    c = case.constants
    halvings = math.log(c.start / c.gap)

    def margin(y: float) -> Margin:
        taken = halvings / (-2 * math.log1p(-y))
        return Margin(problem=f"eta mu = {y:g}", left=(1 / y - 1) * halvings / 2, right=taken)

    return [margin(0.01), margin(0.8)]


def needed_law(case: Case) -> list[Margin]:
    """Compare the necessary law with the fewest updates, at any step size, that serve both of the proof's problems.

    The flat one has no noise, which the family allows. First for L = 1000 mu, then for these constants with noise on
    both problems.
    """

    def fewest(c: Constants, batch_size: float, *, quiet: bool) -> float:
        steep = replace(c, curvature=c.smoothness)
        flat = replace(c, smoothness=c.curvature, noise_variance=0.0 if quiet else c.noise_variance)
        longest = _longest_step(Case(constants=c, rate=case.rate, batch_size=batch_size))

        def updates(rate: float) -> float:
            return max(LastIterate(constants=k).updates(batch_size, rate) for k in (steep, flat))

        return min(updates(longest * (1 - float(less))) for less in np.geomspace(1e-9, 0.99, 2000))

    def margin(c: Constants, factor: float, name: str, *, quiet: bool) -> Margin:
        law = necessary(c)
        size = factor * law.critical_batch_size
        return Margin(problem=name, left=law.updates(size), right=fewest(c, size, quiet=quiet))

    c = case.constants
    far = replace(c, curvature=c.smoothness / 1000)
    return [
        margin(far, 1, "noise on the steep problem alone, L = 1000 mu", quiet=True),
        margin(c, 0.1, "noise on both problems, a small batch", quiet=False),
    ]


def passage(case: Case) -> list[Margin]:
    """Compare the share of runs that have not been within k epsilon by the certified updates with 1 / k, for k = 2."""

    def margin(batch_size: float, factor: float, name: str) -> Margin:
        toy = round_bowl(case.constants)
        theorem = LastIterate(constants=toy.constants)
        updates = whole_updates(theorem.updates(batch_size, rate))
        x, _ = toy.iterates(updates, rate, batch_size)
        above = (toy.value(x) > factor * toy.constants.gap).astype(np.float64)
        return mean_over_runs(name, above, 1 / factor)

    rate = max(case.rate, 0.002 / case.constants.smoothness)  # so that the certified updates can be simulated
    pole = LastIterate(constants=round_bowl(case.constants).constants).pole(rate)
    return [
        margin(1.02 * pole, 1.2, "just above the pole, within 1.2 epsilon"),
        margin(100 * pole, 2.0, "a hundred poles, within 2 epsilon"),
    ]
