"""Both sides of an inequality on one problem, and how they are computed: exactly, or as a mean over simulated runs."""

import math
from dataclasses import dataclass

import numpy as np

from batchtime.errors import check
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Constants
from batchtime.theory.margins.toys import RUNS, Toy

MOST_UPDATES = 5000  # that are simulated


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


def points_around(toy: Toy) -> tuple[Array, Array]:
    """Return pairs of points around the minimum, within the distance of the start, each of shape (RUNS, d)."""
    generator = np.random.default_rng(0)
    reach = float(np.linalg.norm(toy.start)) / math.sqrt(len(toy.start))
    x, y = generator.uniform(-reach, reach, (2, RUNS, len(toy.start)))
    return x, y


def worst(problem: str, left: Array, right: Array) -> Margin:
    """Return the margin at the point where the right side leaves the smallest share of room."""
    place = int(np.argmax((left - right) / np.maximum(np.abs(right), 1e-300)))
    return Margin(problem=problem, left=float(left[place]), right=float(right[place]))


def mean_over_runs(problem: str, left: Array, right: Array | float) -> Margin:
    """Return the margin between means over runs."""
    difference = left - right
    error = float(np.std(difference)) / math.sqrt(len(difference))
    return Margin(problem=problem, left=float(np.mean(left)), right=float(np.mean(right)), error=error)


def stepped(toy: Toy, case: Case) -> tuple[Array, Array, Array]:
    """Return x_t, its batch gradients and x_{t+1} of many runs, each of shape (20000, d)."""
    x = np.tile(toy.start, (20_000, 1))
    drawn = toy.batch(x, case.batch_size, np.random.default_rng(0))
    return x, drawn, x - case.rate * drawn


def luck(toy: Toy, x: Array, drawn: Array, along: Array) -> Array:
    """Return the inner products of the noise with vectors that do not depend on it, shape (20000,): of mean 0.

    Taken off a mean over batches, what is linear in the noise is known without simulation, and errors are small.
    """
    return np.asarray(((drawn - toy.gradient(x)) * along).sum(axis=1))


def whole_updates(updates: float) -> int:
    """Return a number of updates to simulate: the certified one, where there is one and it is not too many."""
    return min(math.ceil(updates), MOST_UPDATES) if math.isfinite(updates) else MOST_UPDATES


def simulated_size(law: InverseLaw, batch_size: float) -> float:
    """Return the batch size, or the least larger one whose certified updates are few enough to be simulated.

    Raises:
        ParameterError: If none is.
    """
    allowed = f"less than {0.9 * MOST_UPDATES:g} updates; raise mu or epsilon"
    check(law.n_inf < 0.9 * MOST_UPDATES, name="certified n_inf", value=f"{law.n_inf:.0f}", allowed=allowed)
    return max(batch_size, law.alpha / (MOST_UPDATES - law.n_inf))
