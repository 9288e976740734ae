"""Margins of what suffices: averaged iterates, the last iterate, the capped step, interpolation."""

import math
from dataclasses import replace

import numpy as np

from batchtime.laws.quantity import Array
from batchtime.theory.bounds import AveragedIterate, Constants, LastIterate, interpolation
from batchtime.theory.margins.sides import (
    Case,
    Margin,
    luck,
    mean_over_runs,
    simulated_size,
    stepped,
    whole_updates,
    worst,
)
from batchtime.theory.margins.toys import RUNS, Toy, huber, long_valley, round_bowl, sloping, wavy
from batchtime.theory.weighted import WeightedAverage, floor_at_rest


def one_step(case: Case) -> list[Margin]:
    """Compare the gap after a step, whatever the noise, with slope and length of the step."""
    c = case.constants

    def margin(toy: Toy, case: Case) -> Margin:
        x, _, after = stepped(toy, case)
        right = (toy.gradient(x) * after).sum(axis=1) + c.smoothness / 2 * ((after - x) ** 2).sum(axis=1)
        return worst(toy.name, toy.value(after), right)

    return [margin(*_far_out(case)), margin(round_bowl(c), case)]


def _far_out(case: Case) -> tuple[Toy, Case]:
    """Return Huber's function with a small slope, and a batch so large that no step leaves its straight part."""
    c = case.constants
    enough = 10_000 * (case.rate / c.distance) ** 2 * c.noise_variance  # steps of a hundredth of the distance
    return huber(c, c.smoothness * c.distance / 100), replace(case, batch_size=max(case.batch_size, enough))


def averaged_step(case: Case) -> list[Margin]:
    """Compare the mean gap after a step with the distance that the step took off, and its noise."""
    return [_towards(*_far_out(case)), _towards(round_bowl(case.constants), case)]


def _towards(toy: Toy, case: Case, *, curvature: float = 0.0) -> Margin:
    """Return the margin of `averaged-step`, or of `weighted-step` where the curvature is that of strong convexity."""
    c, rate = case.constants, case.rate
    x, drawn, after = stepped(toy, case)
    slope = toy.gradient(x)
    nearer = ((x**2).sum(axis=1) - (after**2).sum(axis=1)) / (2 * rate) - luck(toy, x, drawn, x - rate * slope)
    noise = rate * (1 + rate * c.smoothness) * c.noise_variance / (2 * case.batch_size)
    right = nearer - curvature / 2 * (x**2).sum(axis=1) + noise
    return mean_over_runs(toy.name, toy.value(after) + rate * luck(toy, x, drawn, slope), right)


def averaged(case: Case) -> list[Margin]:
    """Compare the mean gap of the averaged iterate with the bound: without noise, then with noise after a long run."""
    c, rate = case.constants, case.rate
    theorem = AveragedIterate(constants=c)
    n = whole_updates(theorem.law(rate).n_inf)
    flat = huber(c, c.distance / (rate * n + 1 / c.smoothness))
    _, mean = flat.iterates(n, rate, math.inf)
    quiet = replace(c, noise_variance=0.0)
    tight = mean_over_runs(
        f"{flat.name}, without noise", flat.value(mean), AveragedIterate(constants=quiet).bound(n, 1, rate)
    )
    bowl = round_bowl(c)
    updates = whole_updates(theorem.updates(case.batch_size, rate))
    _, mean = bowl.iterates(updates, rate, case.batch_size)
    loose = mean_over_runs(bowl.name, bowl.value(mean), theorem.bound(updates, case.batch_size, rate))
    short = min(rate, 0.01 / c.smoothness)
    return [tight, loose, _lopsided(c, short, case.batch_size, 0.05), _lopsided(c, short, case.batch_size, 1.0)]


def _lopsided(c: Constants, rate: float, batch_size: float, ratio: float) -> Margin:
    """Return the margin after infinitely many updates in a valley with a wall of curvature L and a slope."""
    grid, chances, slope = _at_rest(c, rate, batch_size, ratio)
    mean, edge = float(chances @ grid), slope / c.smoothness
    height = slope * (mean - edge / 2) if mean > edge else c.smoothness * mean**2 / 2
    name = "a wall of curvature L and a slope, after a very long run" + ("" if ratio < 1 else ": no gentle one")
    bound = AveragedIterate(constants=c)
    return Margin(problem=name, left=height, right=bound.pole(rate) * c.gap / batch_size)


def _at_rest(c: Constants, rate: float, batch_size: float, ratio: float) -> tuple[Array, Array, float]:
    """Return points of the valley with a wall and a slope, the chance of each of them at rest, and the slope.

    The density at rest is that of the chain itself, on a grid, with Gaussian noise; `ratio` is rho.
    """
    temperature = rate * c.noise_variance / (2 * batch_size)
    slope = ratio * math.sqrt(c.smoothness * temperature)
    deviation = rate * math.sqrt(c.noise_variance / batch_size)
    lowest = -7 * math.sqrt(temperature / c.smoothness)
    grid = np.arange(lowest, 12 * temperature / slope - lowest, deviation / 1.5)
    after = grid - rate * np.minimum(c.smoothness * grid, slope)
    moves = np.exp(-(((grid[:, None] - after) / deviation) ** 2) / 2)  # (to, from)
    balance = moves / moves.sum(axis=0) - np.eye(len(grid))
    balance[-1] = 1  # the chances sum to one, which stands in the place of one balance too many
    chances = np.linalg.solve(balance, np.eye(len(grid))[-1])
    return grid, chances, slope


def rest(case: Case) -> list[Margin]:
    """Compare the mean gap at rest with the bound that has no L / mu, on a gentle slope and in a bowl."""
    c, rate = case.constants, min(case.rate, 0.01 / case.constants.smoothness)
    grid, chances, slope = _at_rest(c, rate, case.batch_size, 0.05)
    edge = slope / c.smoothness
    height = np.where(grid > edge, slope * (grid - edge / 2), c.smoothness * grid**2 / 2)
    name = "a wall of curvature L and a gentle slope"
    valley = Margin(problem=name, left=float(chances @ height), right=floor_at_rest(c, case.batch_size, rate))
    x = case.rate * c.smoothness
    bowl = case.rate * c.noise_variance / (2 * case.batch_size * (2 - x))
    return [
        valley,
        Margin(problem="a bowl of curvature L", left=bowl, right=floor_at_rest(c, case.batch_size, case.rate)),
    ]


def weighted_step(case: Case) -> list[Margin]:
    """Compare the mean gap after a step with the distance that it took off, curvature and noise."""
    c = case.constants
    short = replace(case, rate=min(case.rate, 0.01 / c.smoothness))
    return [
        _towards(round_bowl(c), short, curvature=c.smoothness),
        _towards(long_valley(c), case, curvature=c.curvature),
    ]


def weighted(case: Case) -> list[Margin]:
    """Compare the mean gap of the weighted average with the bound: a short quiet run, and a long one with noise."""
    c = replace(
        case.constants, noise_variance=0.0, curvature=min(case.constants.curvature, case.constants.smoothness / 50)
    )
    rate = min(case.rate, 0.1 / c.smoothness)
    n = whole_updates(0.2 / (rate * c.curvature))
    toy = _ending(c, n, rate)
    _, mean = toy.iterates(n, rate, 1, forget=rate * c.curvature)
    tight = mean_over_runs(
        f"{toy.name}, without noise", toy.value(mean), WeightedAverage(constants=c).bound(n, 1, rate)
    )
    return [tight, _weighted_run(long_valley(case.constants), case.rate, case.batch_size)]


def _weighted_run(toy: Toy, rate: float, batch_size: float) -> Margin:
    c = toy.constants
    theorem = WeightedAverage(constants=c)
    updates = whole_updates(theorem.updates(batch_size, rate))
    _, mean = toy.iterates(updates, rate, batch_size, forget=rate * c.curvature)
    return mean_over_runs(toy.name, toy.value(mean), theorem.bound(updates, batch_size, rate))


def weighted_law(case: Case) -> list[Margin]:
    """Compare the mean gap of the weighted average after the certified updates of the capped step with the target.

    First on a slope without noise, with so little curvature that the run is a short one; half of the target, which is
    kept for the noise, stays unused there.
    """

    def margin(toy: Toy) -> Margin:
        c = toy.constants
        rate, law = WeightedAverage(constants=c).harmonic()
        size = simulated_size(law, case.batch_size)
        step = rate.at(size)
        _, mean = toy.iterates(whole_updates(law.updates(size)), step, size, forget=min(step * c.curvature, 1 - 1e-9))
        return mean_over_runs(toy.name, toy.value(mean), c.gap)

    c = case.constants
    flat = min(c.curvature, c.gap / (10 * c.distance**2))
    quiet = replace(c, noise_variance=0.0, curvature=flat)
    n = whole_updates(WeightedAverage(constants=quiet).harmonic()[1].n_inf)
    return [margin(_ending(quiet, n, 1 / c.smoothness)), margin(long_valley(c))]


def _ending(c: Constants, updates: int, rate: float) -> Toy:
    """Return mu x^2 / 2 and the slope that brings x to the edge of the wall at the last of some updates."""
    shrinks = (1 - rate * c.curvature) ** updates  # x falls by eta (mu x + s) an update
    return sloping(c, c.curvature * c.distance * shrinks / (1 - shrinks + c.curvature / c.smoothness))


def critical_below_pole(case: Case) -> list[Margin]:
    """Compare alpha / n_inf at one step size with the pole, for averaged iterates and for the last one."""

    def margin(theorem: AveragedIterate | LastIterate, name: str) -> Margin:
        return Margin(problem=name, left=theorem.law(case.rate).critical_batch_size, right=theorem.pole(case.rate))

    c = case.constants
    return [
        margin(AveragedIterate(constants=c), "averaged iterates, where both are equal"),
        margin(LastIterate(constants=c), "the last iterate"),
    ]


def last_step(case: Case) -> list[Margin]:
    """Compare the mean gap after a step with the recursion."""
    rate = case.rate

    def margin(toy: Toy) -> Margin:
        c = toy.constants
        x, drawn, after = stepped(toy, case)
        noise = c.smoothness * rate**2 * c.noise_variance / (2 * case.batch_size)
        seen = toy.value(after) + rate * luck(toy, x, drawn, toy.gradient(x))
        return mean_over_runs(toy.name, seen, (1 - LastIterate(constants=c).contraction(rate)) * toy.value(x) + noise)

    return [margin(round_bowl(case.constants)), margin(wavy(case.constants))]


def last(case: Case) -> list[Margin]:
    """Compare the mean gap of the last iterate with the bound, after as many updates as the bound certifies."""

    def margin(toy: Toy) -> Margin:
        theorem = LastIterate(constants=toy.constants)
        updates = whole_updates(theorem.updates(case.batch_size, case.rate))
        x, _ = toy.iterates(updates, case.rate, case.batch_size)
        return mean_over_runs(toy.name, toy.value(x), theorem.bound(updates, case.batch_size, case.rate))

    return [margin(round_bowl(case.constants)), margin(long_valley(case.constants))]


def harmonic_noise(case: Case) -> list[Margin]:
    """Compare eta (1 + eta L) with eta / (1 - eta L), at a short and at a long step."""

    def margin(x: float) -> Margin:
        return Margin(problem=f"eta L = {x:g}", left=x * (1 + x), right=x / (1 - x))

    del case  # both sides are pure numbers
    return [margin(0.01), margin(0.9)]


def harmonic_averaged(case: Case) -> list[Margin]:
    """Compare the mean gap of the averaged iterate after the certified updates of the harmonic step with the target."""
    c = case.constants

    def margin(toy: Toy, batch_size: float, noise_variance: float) -> Margin:
        k = replace(c, noise_variance=noise_variance)
        rate, law = AveragedIterate(constants=k).harmonic()
        batch_size = simulated_size(law, batch_size)
        _, mean = replace(toy, constants=k).iterates(
            whole_updates(law.updates(batch_size)), rate.at(batch_size), batch_size
        )
        return mean_over_runs(toy.name, toy.value(mean), k.gap)

    n = whole_updates(c.smoothness * c.distance**2 / c.gap)
    return [
        margin(huber(c, c.distance * c.smoothness / (n + 1)), 1, 0.0),
        margin(long_valley(c), case.batch_size, c.noise_variance),
    ]


def harmonic_last(case: Case) -> list[Margin]:
    """Compare the mean gap of the last iterate after the certified updates of the harmonic step with the target."""

    def margin(toy: Toy) -> Margin:
        c = toy.constants
        rate, law = LastIterate(constants=c).harmonic()
        size = simulated_size(law, case.batch_size)
        x, _ = toy.iterates(whole_updates(law.updates(size)), rate.at(size), size)
        return mean_over_runs(toy.name, toy.value(x), c.gap)

    return [margin(round_bowl(case.constants)), margin(long_valley(case.constants))]


def best_between(case: Case) -> list[Margin]:
    """Compare half of the harmonic law with the fewest certified updates, and these with all of it."""
    theorem = AveragedIterate(constants=case.constants)
    law = theorem.harmonic()[1]
    large, small = 1000 * law.critical_batch_size, 0.001 * law.critical_batch_size

    def lower(size: float, name: str) -> Margin:
        return Margin(problem=f"from below, {name}", left=law.updates(size) / 2, right=theorem.best(size)[1])

    def upper(size: float, name: str) -> Margin:
        return Margin(problem=f"from above, {name}", left=theorem.best(size)[1], right=law.updates(size))

    names = "a batch of 1000 critical sizes", "a batch of a thousandth of it"
    return [lower(large, names[0]), lower(small, names[1]), upper(small, names[1]), upper(large, names[0])]


def _interpolating(case: Case, name: str) -> tuple[Array, str]:
    """Return vectors a, shape (n, d), of f_i(x) = (a_i x)^2 / 2: orthogonal ones, or drawn at random."""
    d, most = 8, case.constants.smoothness * 8
    if name == "orthogonal":
        return math.sqrt(most) * np.eye(d), "examples that are orthogonal to each other"
    drawn = np.random.default_rng(0).standard_normal((64, d))
    return drawn * math.sqrt(most / (drawn**2).sum(axis=1).max()), "examples drawn at random"


def _second_moment(a: Array, x: Array, batch_size: float) -> Array:
    """Return E |G|^2 at points x, shape (runs, d), exactly."""
    mean = (a.T @ a / len(a)) @ x.T  # (d, runs)
    each = (a**2).sum(axis=1) @ (a @ x.T) ** 2 / len(a)
    return np.asarray((1 - 1 / batch_size) * (mean**2).sum(axis=0) + each / batch_size)


def _smoothness(a: Array) -> tuple[float, float, float]:
    """Return L, L_max and mu of the mean of (a_i x)^2 / 2."""
    eigenvalues = np.linalg.eigvalsh(a.T @ a / len(a))
    return float(eigenvalues[-1]), float((a**2).sum(axis=1).max()), float(eigenvalues[0])


def expected_smoothness(case: Case) -> list[Margin]:
    """Compare E |G|^2 with 2 L_M (f - f*) where one minimum serves every example."""

    def margin(name: str) -> Margin:
        a, words = _interpolating(case, name)
        large, largest, _ = _smoothness(a)
        x = np.random.default_rng(1).standard_normal((RUNS, a.shape[1]))
        batch = large + (largest - large) / case.batch_size
        return worst(words, _second_moment(a, x, case.batch_size), 2 * batch * ((a @ x.T) ** 2).mean(axis=0) / 2)

    return [margin("orthogonal"), margin("random")]


def interpolation_step(case: Case) -> list[Margin]:
    """Compare the mean squared distance after a step with the fraction that the step leaves at most."""

    def margin(name: str) -> Margin:
        a, words = _interpolating(case, name)
        large, largest, small = _smoothness(a)
        x = np.random.default_rng(1).standard_normal((RUNS, a.shape[1]))
        batch = large + (largest - large) / case.batch_size
        inner = ((a @ x.T) ** 2).mean(axis=0)
        before = (x**2).sum(axis=1)
        after = before - 2 * inner / batch + _second_moment(a, x, case.batch_size) / batch**2
        return worst(words, after, (1 - small / batch) * before)

    return [margin("orthogonal"), margin("random")]


def interpolation_count(case: Case) -> list[Margin]:
    """Compare the mean gap after the certified updates, one example each, with the target of a hundredth."""

    def margin(name: str) -> Margin:
        a, words = _interpolating(case, name)
        large, largest, small = _smoothness(a)
        distance, size = case.constants.distance, 1
        gap = large * distance**2 / 2 / 100
        rate, law = interpolation(
            smoothness=large, largest_smoothness=largest, curvature=small, distance=distance, gap=gap
        )
        generator = np.random.default_rng(0)
        x = np.tile(np.full(a.shape[1], distance / math.sqrt(a.shape[1])), (RUNS, 1))
        for _ in range(whole_updates(law.updates(size))):
            drawn = a[generator.integers(len(a), size=RUNS)]  # (runs, d)
            x = x - rate.at(size) * (drawn * x).sum(axis=1, keepdims=True) * drawn
        return mean_over_runs(words, ((a @ x.T) ** 2).mean(axis=0) / 2, gap)

    return [margin("orthogonal"), margin("random")]
