"""Functions whose minimum is 0 at 0, with Gaussian noise: what inequalities are tried on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchtime.laws.quantity import Array
from batchtime.theory.bounds import Constants

RUNS = 2000


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

    def iterates(self, updates: int, rate: float, batch_size: float, *, forget: float = 0.0) -> tuple[Array, Array]:
        """Return x_N and an average of x_1 ... x_N of independent runs, each of shape (RUNS, d).

        Args:
            updates: N.
            rate: Step size.
            batch_size: M.
            forget: Each iterate weighs 1 / (1 - forget) times as much as the one before it; 0 for the plain mean.
        """
        generator = np.random.default_rng(0)
        points = np.tile(self.start, (RUNS, 1))
        total, weight = np.zeros_like(points), 0.0
        for _ in range(updates):
            points = points - rate * self.batch(points, batch_size, generator)
            total, weight = (1 - forget) * total + points, (1 - forget) * weight + 1
        return points, total / max(weight, 1)


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


def sloping(constants: Constants, slope: float) -> Toy:
    """Return mu x^2 / 2 and a slope that is constant but near 0, where the curvature is L."""
    c = constants
    inner = huber(replace(c, smoothness=c.smoothness - c.curvature), slope)
    return Toy(
        name="mu x^2 / 2 and a constant slope",
        value=lambda x: inner.value(x) + c.curvature / 2 * (x**2).sum(axis=1),
        gradient=lambda x: inner.gradient(x) + c.curvature * x,
        start=inner.start,
        constants=c,
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
