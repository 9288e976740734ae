"""How much room each inequality of the bound leaves: both sides on a problem where it is tight, and where it is loose.

Every function of `MARGINS` is named after the label of an inequality in the chapter "The bound". Sides are computed
exactly where that can be done, and otherwise as a mean over simulated runs, with its standard error.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import quad

from batchtime.errors import check
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import AveragedIterate, Constants, LastIterate, interpolation, necessary

RUNS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Both sides of an inequality left <= right on one problem.

    Args:
        problem: In words.
        left: Smaller side.
        right: Larger side.
        error: Standard error of the difference, 0 where both sides are exact.
    """

    problem: str
    left: float
    right: float
    error: float = 0.0

    @property
    def used(self) -> float:
        """Smaller side as a fraction of the larger one: 1 where the inequality is an equality."""
        return self.left / self.right

    @property
    def holds(self) -> bool:
        """Whether left <= right, up to rounding and to four standard errors."""
        return self.left <= self.right + 4 * self.error + 1e-9 * abs(self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A problem's constants, a step size and a batch size at which an inequality is looked at."""

    constants: Constants
    rate: float
    batch_size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """A function with its minimum 0 at 0, and gradients with Gaussian noise of constant variance.

    Args:
        name: In words.
        value: Of points, shape (runs, d), to shape (runs,).
        gradient: Of points, shape (runs, d), to the same shape.
        start: x_0, shape (d,).
        constants: That the function has, together with the start.
    """

    name: str
    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    start: Array
    constants: Constants

    def batch(self, points: Array, batch_size: float, generator: np.random.Generator) -> Array:
        """Return the gradients of batches, shape (runs, d); a batch of infinite size has no noise."""
        deviation = math.sqrt(self.constants.noise_variance / (batch_size * points.shape[1]))
        return self.gradient(points) + deviation * generator.standard_normal(points.shape)

    def iterates(self, updates: int, rate: float, batch_size: float) -> tuple[Array, Array]:
        """Return x_N and the mean of x_1 ... x_N of independent runs, each of shape (RUNS, d)."""
        generator = np.random.default_rng(0)
        points = np.tile(self.start, (RUNS, 1))
        total = np.zeros_like(points)
        for _ in range(updates):
            points = points - rate * self.batch(points, batch_size, generator)
            total += points
        return points, total / max(updates, 1)


def _started(constants: Constants, start: float, curvature: float) -> Constants:
    """Return the constants of a function that starts at this gap, with a target that lies below it."""
    return replace(constants, start=start, curvature=curvature, gap=min(constants.gap, start / 2))


def quadratic(constants: Constants, curvatures: Sequence[float], name: str) -> Toy:
    """Return half the sum of h x^2, started at the distance D, along all coordinates alike."""
    h = np.asarray(curvatures)
    start = np.full(len(h), constants.distance / math.sqrt(len(h)))
    return Toy(
        name=name,
        value=lambda x: (h * x**2).sum(axis=1) / 2,
        gradient=lambda x: h * x,
        start=start,
        constants=_started(constants, float((h * start**2).sum()) / 2, float(h.min())),
    )


def round_bowl(constants: Constants) -> Toy:
    """Return L |x|^2 / 2 in four dimensions, where mu = L."""
    return quadratic(constants, [constants.smoothness] * 4, "L |x|^2 / 2: all curvatures are L")


def long_valley(constants: Constants) -> Toy:
    """Return a quadratic with curvatures from mu to L in eight dimensions."""
    h = np.geomspace(constants.curvature, constants.smoothness, 8)
    return quadratic(constants, h.tolist(), "a quadratic with curvatures from mu to L")


def huber(constants: Constants, slope: float) -> Toy:
    """Return Huber's function of one variable: L x^2 / 2 near 0, of constant slope further out."""
    edge = slope / constants.smoothness

    def value(x: Array) -> Array:
        size = np.abs(x).sum(axis=1)
        return np.asarray(np.where(size <= edge, constants.smoothness * size**2 / 2, slope * (size - edge / 2)))

    return Toy(
        name="Huber's function, whose slope is constant far out",
        value=value,
        gradient=lambda x: np.clip(constants.smoothness * x, -slope, slope),
        start=np.array([constants.distance], dtype=np.float64),
        constants=constants,
    )


def wavy(constants: Constants) -> Toy:
    """Return L / 8 (x^2 + 3 sin(x)^2): not convex, and PL with mu = L / 256 (Karimi, Nutini and Schmidt 2016)."""
    scale = constants.smoothness / 8

    def value(x: Array) -> Array:
        return np.asarray(scale * (x**2 + 3 * np.sin(x) ** 2).sum(axis=1))

    start = np.array([constants.distance], dtype=np.float64)
    return Toy(
        name="x^2 + 3 sin(x)^2, which is not convex",
        value=value,
        gradient=lambda x: scale * (2 * x + 3 * np.sin(2 * x)),
        start=start,
        constants=_started(constants, float(value(start[None])[0]), constants.smoothness / 256),
    )


def _points(toy: Toy) -> tuple[Array, Array]:
    """Return pairs of points around the minimum, within the distance of the start, each of shape (RUNS, d)."""
    generator = np.random.default_rng(0)
    reach = float(np.linalg.norm(toy.start)) / math.sqrt(len(toy.start))
    x, y = generator.uniform(-reach, reach, (2, RUNS, len(toy.start)))
    return x, y


def _worst(problem: str, left: Array, right: Array) -> Margin:
    """Return the margin at the point where the right side leaves the smallest share of room."""
    place = int(np.argmax((left - right) / np.maximum(np.abs(right), 1e-300)))
    return Margin(problem=problem, left=float(left[place]), right=float(right[place]))


def _mean(problem: str, left: Array, right: Array | float) -> Margin:
    """Return the margin between means over runs."""
    difference = left - right
    error = float(np.std(difference)) / math.sqrt(len(difference))
    return Margin(problem=problem, left=float(np.mean(left)), right=float(np.mean(right)), error=error)


# --- assumptions -----------------------------------------------------------------------------------------------------


def smooth(case: Case) -> list[Margin]:
    """Compare f(y) with its upper parabola at x, above the tangent."""
    c = case.constants

    def margin(toy: Toy) -> Margin:
        x, y = _points(toy)
        above = toy.value(y) - toy.value(x) - (toy.gradient(x) * (y - x)).sum(axis=1)
        return _worst(toy.name, above, c.smoothness / 2 * ((y - x) ** 2).sum(axis=1))

    log_cosh = Toy(
        name="L log cosh x, far from its minimum",
        value=lambda x: c.smoothness * np.log(np.cosh(x)).sum(axis=1),
        gradient=lambda x: c.smoothness * np.tanh(x),
        start=np.ones(1),
        constants=c,
    )
    x, y = np.array([[2.0]]), np.array([[3.0]])
    above = log_cosh.value(y) - log_cosh.value(x) - (log_cosh.gradient(x) * (y - x)).sum(axis=1)
    return [margin(round_bowl(c)), _worst(log_cosh.name, above, np.full(1, c.smoothness / 2))]


def bounded_noise(case: Case) -> list[Margin]:
    """Compare the variance of one example's gradient with sigma^2."""
    toy = round_bowl(case.constants)
    x = np.tile(toy.start, (20_000, 1))
    drawn = ((toy.batch(x, 1, np.random.default_rng(0)) - toy.gradient(x)) ** 2).sum(axis=1)
    sigma2 = toy.constants.noise_variance
    scale = np.random.default_rng(1).uniform(0, 1, len(drawn))
    return [
        _mean("noise of constant variance", drawn, sigma2),
        _mean("noise whose deviation varies from 0 to sigma over space", drawn * scale**2, sigma2),
    ]


def convex(case: Case) -> list[Margin]:
    """Compare f(x) - f* with what the tangent at x promises, <grad f, x - x*>."""
    c = case.constants
    toys = [huber(c, c.smoothness * c.distance / 1000), round_bowl(c)]
    return [_worst(t.name, t.value(t.start[None]), (t.gradient(t.start[None]) * t.start).sum(axis=1)) for t in toys]


def pl(case: Case) -> list[Margin]:
    """Compare 2 mu (f - f*) with the squared gradient."""

    def margin(toy: Toy) -> Margin:
        x, _ = _points(toy)
        return _worst(toy.name, 2 * toy.constants.curvature * toy.value(x), (toy.gradient(x) ** 2).sum(axis=1))

    return [margin(round_bowl(case.constants)), margin(wavy(case.constants))]


def strongly_convex(case: Case) -> list[Margin]:
    """Compare the lower parabola at x with f(y), above the tangent."""
    c = case.constants
    valley, along = long_valley(c), np.eye(8)

    def margin(step: Array, name: str) -> Margin:
        x = valley.start[None]
        y = x + step
        above = valley.value(y) - valley.value(x) - (valley.gradient(x) * step).sum(axis=1)
        return _worst(name, np.array([c.curvature / 2 * (step**2).sum()]), above)

    return [
        margin(along[:1], "a step along the flattest direction of a quadratic"),
        margin(along[-1:], "a step along its steepest direction"),
    ]


# --- one step --------------------------------------------------------------------------------------------------------


def _one_step(toy: Toy, case: Case) -> tuple[Array, Array, Array]:
    """Return x_t, its batch gradients and x_{t+1} of many runs, each of shape (20000, d)."""
    x = np.tile(toy.start, (20_000, 1))
    drawn = toy.batch(x, case.batch_size, np.random.default_rng(0))
    return x, drawn, x - case.rate * drawn


def _luck(toy: Toy, x: Array, drawn: Array, along: Array) -> Array:
    """Return the inner products of the noise with vectors that do not depend on it, shape (20000,): of mean 0.

    Taken off a mean over batches, what is linear in the noise is known without simulation, and errors are small.
    """
    return np.asarray(((drawn - toy.gradient(x)) * along).sum(axis=1))


def expand(case: Case) -> list[Margin]:
    """Compare what a step changes beyond its slope, whatever the noise, with L / 2 times its squared length."""
    c, rate = case.constants, case.rate

    def margin(toy: Toy) -> Margin:
        x, drawn, after = _one_step(toy, case)
        beyond = toy.value(after) - toy.value(x) + rate * (toy.gradient(x) * drawn).sum(axis=1)
        return _worst(toy.name, beyond, c.smoothness * rate**2 / 2 * (drawn**2).sum(axis=1))

    return [margin(round_bowl(c)), margin(long_valley(c))]


def descent(case: Case) -> list[Margin]:
    """Compare what a step changes beyond its slope, in the mean, with what the descent lemma allows for that."""
    c, rate = case.constants, case.rate

    def margin(toy: Toy) -> Margin:
        x, drawn, after = _one_step(toy, case)
        slope = (toy.gradient(x) ** 2).sum(axis=1)
        beyond = toy.value(after) - toy.value(x) + rate * slope + rate * _luck(toy, x, drawn, toy.gradient(x))
        return _mean(toy.name, beyond, c.smoothness * rate**2 / 2 * (slope + c.noise_variance / case.batch_size))

    return [margin(round_bowl(c)), margin(long_valley(c))]


# --- convex, averaged iterates ---------------------------------------------------------------------------------------


def one_step(case: Case) -> list[Margin]:
    """Compare the gap after a step, whatever the noise, with slope and length of the step."""
    c = case.constants

    def margin(toy: Toy, case: Case) -> Margin:
        x, _, after = _one_step(toy, case)
        right = (toy.gradient(x) * after).sum(axis=1) + c.smoothness / 2 * ((after - x) ** 2).sum(axis=1)
        return _worst(toy.name, toy.value(after), right)

    return [margin(*_far_out(case)), margin(round_bowl(c), case)]


def _far_out(case: Case) -> tuple[Toy, Case]:
    """Return Huber's function with a small slope, and a batch so large that no step leaves its straight part."""
    c = case.constants
    enough = 10_000 * (case.rate / c.distance) ** 2 * c.noise_variance  # steps of a hundredth of the distance
    return huber(c, c.smoothness * c.distance / 100), replace(case, batch_size=max(case.batch_size, enough))


def averaged_step(case: Case) -> list[Margin]:
    """Compare the mean gap after a step with the distance that the step took off, and its noise."""
    c, rate = case.constants, case.rate

    def margin(toy: Toy, case: Case) -> Margin:
        x, drawn, after = _one_step(toy, case)
        slope = toy.gradient(x)
        nearer = ((x**2).sum(axis=1) - (after**2).sum(axis=1)) / (2 * rate) - _luck(toy, x, drawn, x - rate * slope)
        noise = rate * (1 + rate * c.smoothness) * c.noise_variance / (2 * case.batch_size)
        return _mean(toy.name, toy.value(after) + rate * _luck(toy, x, drawn, slope), nearer + noise)

    return [margin(*_far_out(case)), margin(round_bowl(c), case)]


def averaged(case: Case) -> list[Margin]:
    """Compare the mean gap of the averaged iterate with the bound: without noise, then with noise after a long run."""
    c, rate = case.constants, case.rate
    theorem = AveragedIterate(constants=c)
    n = _whole(theorem.law(rate).n_inf)
    flat = huber(c, c.distance / (rate * n + 1 / c.smoothness))
    _, mean = flat.iterates(n, rate, math.inf)
    quiet = replace(c, noise_variance=0.0)
    tight = _mean(f"{flat.name}, without noise", flat.value(mean), AveragedIterate(constants=quiet).bound(n, 1, rate))
    bowl = round_bowl(c)
    updates = _whole(theorem.updates(case.batch_size, rate))
    _, mean = bowl.iterates(updates, rate, case.batch_size)
    loose = _mean(bowl.name, bowl.value(mean), theorem.bound(updates, case.batch_size, rate))
    short = min(rate, 0.01 / c.smoothness)
    return [tight, loose, _lopsided(c, short, case.batch_size, 0.05), _lopsided(c, short, case.batch_size, 1.0)]


def _lopsided(c: Constants, rate: float, batch_size: float, ratio: float) -> Margin:
    """Return the margin after infinitely many updates in a valley with a wall of curvature L and a slope.

    The iterates' density at rest is that of the chain itself, on a grid, with Gaussian noise; `ratio` is rho.
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
    mean, edge = float(chances @ grid), slope / c.smoothness
    height = slope * (mean - edge / 2) if mean > edge else c.smoothness * mean**2 / 2
    name = "a wall of curvature L and a slope, after a very long run" + ("" if ratio < 1 else ": no gentle one")
    bound = AveragedIterate(constants=c)
    return Margin(problem=name, left=height, right=bound.pole(rate) * c.gap / batch_size)


MOST_UPDATES = 5000  # that are simulated


def _whole(updates: float) -> int:
    """Return a number of updates to simulate: the certified one, where there is one and it is not too many."""
    return min(math.ceil(updates), MOST_UPDATES) if math.isfinite(updates) else MOST_UPDATES


def _simulated(law: InverseLaw, batch_size: float) -> float:
    """Return the batch size, or the least larger one whose certified updates are few enough to be simulated.

    Raises:
        ParameterError: If none is.
    """
    allowed = f"less than {0.9 * MOST_UPDATES:g} updates; raise mu or epsilon"
    check(law.n_inf < 0.9 * MOST_UPDATES, name="certified n_inf", value=f"{law.n_inf:.0f}", allowed=allowed)
    return max(batch_size, law.alpha / (MOST_UPDATES - law.n_inf))


# --- the last iterate ------------------------------------------------------------------------------------------------


def last_step(case: Case) -> list[Margin]:
    """Compare the mean gap after a step with the recursion."""
    rate = case.rate

    def margin(toy: Toy) -> Margin:
        c = toy.constants
        x, drawn, after = _one_step(toy, case)
        noise = c.smoothness * rate**2 * c.noise_variance / (2 * case.batch_size)
        seen = toy.value(after) + rate * _luck(toy, x, drawn, toy.gradient(x))
        return _mean(toy.name, seen, (1 - LastIterate(constants=c).contraction(rate)) * toy.value(x) + noise)

    return [margin(round_bowl(case.constants)), margin(wavy(case.constants))]


def last(case: Case) -> list[Margin]:
    """Compare the mean gap of the last iterate with the bound, after as many updates as the bound certifies."""

    def margin(toy: Toy) -> Margin:
        theorem = LastIterate(constants=toy.constants)
        updates = _whole(theorem.updates(case.batch_size, case.rate))
        x, _ = toy.iterates(updates, case.rate, case.batch_size)
        return _mean(toy.name, toy.value(x), theorem.bound(updates, case.batch_size, case.rate))

    return [margin(round_bowl(case.constants)), margin(long_valley(case.constants))]


# --- the harmonic step -----------------------------------------------------------------------------------------------


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
        batch_size = _simulated(law, batch_size)
        _, mean = replace(toy, constants=k).iterates(_whole(law.updates(batch_size)), rate.at(batch_size), batch_size)
        return _mean(toy.name, toy.value(mean), k.gap)

    n = _whole(c.smoothness * c.distance**2 / c.gap)
    return [
        margin(huber(c, c.distance * c.smoothness / (n + 1)), 1, 0.0),
        margin(long_valley(c), case.batch_size, c.noise_variance),
    ]


def harmonic_last(case: Case) -> list[Margin]:
    """Compare the mean gap of the last iterate after the certified updates of the harmonic step with the target."""

    def margin(toy: Toy) -> Margin:
        c = toy.constants
        rate, law = LastIterate(constants=c).harmonic()
        size = _simulated(law, case.batch_size)
        x, _ = toy.iterates(_whole(law.updates(size)), rate.at(size), size)
        return _mean(toy.name, toy.value(x), c.gap)

    return [margin(round_bowl(case.constants)), margin(long_valley(case.constants))]


# --- the best step, interpolation ------------------------------------------------------------------------------------


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
        return _worst(words, _second_moment(a, x, case.batch_size), 2 * batch * ((a @ x.T) ** 2).mean(axis=0) / 2)

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
        return _worst(words, after, (1 - small / batch) * before)

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
        for _ in range(_whole(law.updates(size))):
            drawn = a[generator.integers(len(a), size=RUNS)]  # (runs, d)
            x = x - rate.at(size) * (drawn * x).sum(axis=1, keepdims=True) * drawn
        return _mean(words, ((a @ x.T) ** 2).mean(axis=0) / 2, gap)

    return [margin("orthogonal"), margin("random")]


# --- what is necessary -----------------------------------------------------------------------------------------------


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


# --- the pole and first passage --------------------------------------------------------------------------------------


def passage(case: Case) -> list[Margin]:
    """Compare the share of runs that have not been within k epsilon by the certified updates with 1 / k, for k = 2."""

    def margin(batch_size: float, factor: float, name: str) -> Margin:
        toy = round_bowl(case.constants)
        theorem = LastIterate(constants=toy.constants)
        updates = _whole(theorem.updates(batch_size, rate))
        x, _ = toy.iterates(updates, rate, batch_size)
        above = (toy.value(x) > factor * toy.constants.gap).astype(np.float64)
        return _mean(name, above, 1 / factor)

    rate = max(case.rate, 0.002 / case.constants.smoothness)  # so that the certified updates can be simulated
    pole = LastIterate(constants=round_bowl(case.constants).constants).pole(rate)
    return [
        margin(1.02 * pole, 1.2, "just above the pole, within 1.2 epsilon"),
        margin(100 * pole, 2.0, "a hundred poles, within 2 epsilon"),
    ]


MARGINS: dict[str, Callable[[Case], list[Margin]]] = {
    "smooth": smooth,
    "bounded-noise": bounded_noise,
    "convex": convex,
    "pl": pl,
    "strongly-convex": strongly_convex,
    "expand": expand,
    "descent": descent,
    "one-step": one_step,
    "averaged-step": averaged_step,
    "averaged": averaged,
    "last-step": last_step,
    "last": last,
    "harmonic-noise": harmonic_noise,
    "harmonic-averaged": harmonic_averaged,
    "harmonic-last": harmonic_last,
    "best-between": best_between,
    "expected-smoothness": expected_smoothness,
    "interpolation-step": interpolation_step,
    "interpolation-count": interpolation_count,
    "examples-needed-average": examples_needed_average,
    "van-trees": van_trees,
    "step-needed": step_needed,
    "updates-needed": updates_needed,
    "needed-law": needed_law,
    "passage": passage,
}
"""For each inequality of the chapter both sides on a tight problem, then on a loose one."""

CASE = Case(
    constants=Constants(smoothness=1.0, curvature=0.05, noise_variance=10.0, distance=1.0, start=0.5, gap=0.01),
    rate=0.1,
    batch_size=1024,
)
"""The case of the tests: L = 1, mu = 0.05, sigma^2 = 10, D = 1, epsilon = 0.01."""
