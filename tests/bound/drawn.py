"""Small cases with every outcome in them, on which a machine evaluates equations that speak of means and vectors.

Each function returns what the names of an equation stand for. Batches are all that can be drawn from a few examples;
their gradients and the step are those of the book's own training loop. Normal variables are the nodes of a quadrature.
"""

import math
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from torch import nn

from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array
from batchtime.theory.bounds import Constants, LastIterate
from batchtime.theory.curve import passage_spread
from batchtime.theory.margins import Toy, huber, round_bowl
from batchtime.theory.problems import NOISY_QUADRATIC
from batchtime.train.datasets import Examples
from batchtime.train.loop import Trainer
from batchtime.train.workloads import Task
from tests.latex import Between, Of, Vector

Names = dict[str, Any]
EVEN = np.sqrt(3) * np.array([[1, 0], [0, 1], [1, 0], [0, 1]])  # with all curvatures 3 / 2
UNEVEN = np.array([[1, 0.5], [0, 1], [2, 0], [0.3, -1]])
HEIGHT = 0.3  # of the least value of a function, which is not 0
ANSWERS = np.array([1.0, -2.0, 4.0, 0.5])
ELSEWHERE = np.array([0.7, -1.9])


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of each example."""
    return (outputs[:, 0] - targets).square() / 2


def one_update(inputs: Array, targets: Array, weights: Array, rate: float) -> Array:
    """Return the weights after an update of the book's training loop on this batch, shape (d,)."""
    batch = Examples(inputs=torch.from_numpy(inputs), targets=torch.from_numpy(targets))
    model = nn.Linear(len(weights), 1, bias=False, dtype=torch.float64)
    model.weight.data[0] = torch.from_numpy(weights)
    task = Task(model=nn.Identity, train=batch, validation=batch, loss=squared_error, metrics={})
    trainer = Trainer(model=model, task=task, batch_size=len(targets), rate=rate, generator=torch.Generator())
    trainer.step(batch.inputs, batch.targets)
    return np.asarray(model.weight.detach().numpy()[0])


def batch_gradient(inputs: Array, targets: Array, weights: Array) -> Array:
    """Return the gradient of a batch's mean loss, by automatic differentiation, shape (d,)."""
    at = torch.from_numpy(weights)[None].requires_grad_()
    loss = squared_error(torch.from_numpy(inputs) @ at.T, torch.from_numpy(targets)).mean()
    return np.asarray(torch.autograd.grad(loss, at)[0].numpy()[0])


def regression(
    weights: Array = ELSEWHERE,
    *,
    inputs: Array = EVEN,
    targets: Array = ANSWERS,
    size: int = 3,
    rate: float = 0.4,
    again: bool = True,
) -> Names:
    """Return the names of one update of linear regression from x_t: every batch, with replacement or without."""
    n = len(targets)
    drawn = np.array(list(product(range(n), repeat=size) if again else combinations(range(n), size)))  # (batches, M)
    best, *_ = np.linalg.lstsq(inputs, targets, rcond=None)
    hessian = inputs.T @ inputs / n
    curvatures = np.linalg.eigvalsh(hessian)

    def loss(x: Vector) -> Array:
        return np.asarray(HEIGHT + ((x.rows @ inputs.T - targets) ** 2).mean(axis=1) / 2)

    def slope(x: Vector) -> Vector:
        return Vector((x.rows - best) @ hessian)

    def of_example(x: Vector, example: Array) -> Vector:
        (at,) = x.rows
        return Vector([batch_gradient(inputs[[i]], targets[[i]], at) for i in np.atleast_1d(example)])

    def deviation(x: Vector) -> float:
        each = inputs * (x.rows @ inputs.T - targets).T  # (n, d)
        return math.sqrt(float(each.var(axis=0).sum()))

    x = Vector(weights)
    gradients = Vector([batch_gradient(inputs[batch], targets[batch], weights) for batch in drawn])
    return {
        "x_t": x,
        "x": x,
        "y": Vector(best + np.array([0.3, 1.1])),
        "x_{t+1}": Vector([one_update(inputs[batch], targets[batch], weights, rate) for batch in drawn]),
        "x^*": Vector(best),
        "f": loss,
        "f^*": loss(Vector(best)),
        r"\nabla f": slope,
        "G_t": gradients,
        "G": gradients,
        r"\delta_t": gradients - slope(x),
        "g": of_example,
        r"\xi_i": Of(lambda names: drawn[:, int(names["i"]) - 1]),
        r"\xi": np.arange(n),
        "s": deviation,
        r"\sigma": deviation(x),
        "L": float(curvatures[-1]),
        r"\mu": float(curvatures[0]),
        r"\eta": rate,
        "M": float(size),
        "n": float(n),
    }


def at_the_minimum(**other: Any) -> Names:
    """Return the names of an update that starts at the minimum, where what is known of convex functions is equality."""
    return regression(np.linalg.lstsq(EVEN, ANSWERS, rcond=None)[0], **other)


def interpolated(inputs: Array) -> Names:
    """Return the names of an update of examples without noise at the minimum, at the step size 1 / L_M."""
    size, largest = 3, float((inputs**2).sum(axis=1).max())
    smooth = float(np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1])
    mean = smooth + (largest - smooth) / size
    known = regression(inputs=inputs, targets=inputs @ np.array([0.8, 1.1]), size=size, rate=1 / mean)
    return known | {"L_M": mean, r"L_{\max}": largest}


def of_toy(toy: Toy) -> Names:
    """Return what a function of the margins is called on the pages; moved, so that its minimum is not at 0."""
    best = Vector(np.full_like(toy.start, 0.4))
    return {
        "f": lambda x: HEIGHT + toy.value((x - best).rows),
        r"\nabla f": lambda x: Vector(toy.gradient((x - best).rows)),
        "f^*": HEIGHT,
        "x^*": best,
    }


def far_out(c: Constants, rate: float) -> Names:
    """Return the names of an update on Huber's gentle slope, with noise that takes two values."""
    slope = c.smoothness * c.distance / 1000
    toy = huber(c, slope)
    known = of_toy(toy)
    x = known["x^*"] + Vector(toy.start)
    noise = Vector([[slope], [-slope]])
    after = x - (Vector([slope]) + noise) * rate
    return known | {"x": x, "x_t": x, "x_{t+1}": after, r"\sigma": slope, "M": 1.0, r"\eta": rate, "within": 0.002}


def quiet_slope(c: Constants, rate: float, updates: int = 7) -> Names:
    """Return the names of a run without noise on the slope that ends where the wall begins."""
    toy = huber(c, c.distance / (rate * updates + 1 / c.smoothness))
    _, mean = toy.iterates(updates, rate, math.inf)
    known = of_toy(toy)
    quiet: Names = {"N": float(updates), "a": rate * updates + 1 / c.smoothness}
    return known | quiet | {r"\bar x_N": known["x^*"] + Vector(mean[0]), "f": lambda x: known["f"](x) - HEIGHT}


def lopsided(c: Constants, rate: float, size: float, ratio: float = 0.3) -> Names:
    """Return the names of the valley with a wall and a slope: points, each with its chance at rest for short steps."""
    temperature = rate * c.noise_variance / (2 * size)
    slope = ratio * math.sqrt(c.smoothness * temperature)
    wide = math.sqrt(temperature / c.smoothness)
    x = np.linspace(-12 * wide, 40 * temperature / slope, 400_001)

    def height(x: Array) -> Array:
        edge = slope / c.smoothness
        return np.asarray(np.where(x > edge, slope * (x - edge / 2), c.smoothness * x**2 / 2))

    return {
        "x": x,
        "weights": np.exp(-height(x) / temperature),
        "f": height,
        "s": slope,
        "T": temperature,
        r"\rho": ratio,
        r"\Phi": lambda z: (1 + math.erf(z / math.sqrt(2))) / 2,
    }


def normal(nodes: int = 20) -> tuple[Array, Array]:
    """Return the nodes of a quadrature for a standard normal variable, and their weights."""
    x, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return x, weights / weights.sum()


def bowl_at_rest(c: Constants, rate: float, size: float) -> Names:
    """Return the names of a bowl of curvature L at rest, whose iterates are normal there."""
    alike = replace(c, curvature=c.smoothness)
    z, weights = normal()
    x = math.sqrt(2 * LastIterate(constants=alike).floor(size, rate) / c.smoothness) * z
    return {
        "x": Vector(x[:, None]),
        "weights": weights,
        "x^*": Vector([0.0]),
        r"\nabla f": lambda x: x * c.smoothness,
        "s": lambda _: math.sqrt(c.noise_variance),
    }


def chain(condition: float = 1.02, updates: int = 1, coordinates: int = 400) -> Names:
    """Return the names of a long chain of springs after the best combination of k gradients."""
    mu = 0.7
    stiff = (condition - 1) * mu / 4
    hessian = stiff * (2 * np.eye(coordinates) - np.eye(coordinates, k=1) - np.eye(coordinates, k=-1))
    hessian += mu * np.eye(coordinates)
    pull = stiff * np.eye(coordinates)[0]
    best, reached = np.linalg.solve(hessian, pull), np.zeros(coordinates)
    reached[:updates] = np.linalg.solve(hessian[:updates, :updates], pull[:updates])

    def height(x: Vector) -> float:
        return HEIGHT + float((x.rows[0] - best) @ hessian @ (x.rows[0] - best)) / 2

    return {
        "f": height,
        "f^*": HEIGHT,
        "x_k": Vector(reached),
        "k": float(updates),
        "L": condition * mu,
        r"\mu": mu,
        "D": float(np.linalg.norm(best)),
        "within": 0.06,  # the best point is not only right in the coordinates that no gradient has reached
    }


def cosine(half_width: float) -> Names:
    """Return the names of the prior, a squared cosine."""

    def density(x: float) -> float:
        return math.cos(math.pi * x / (2 * half_width)) ** 2 / half_width

    def slope2(x: float) -> float:  # p'^2 / p, which is nowhere singular
        return math.pi**2 / half_width**3 * math.sin(math.pi * x / (2 * half_width)) ** 2

    known = quad(slope2, -half_width, half_width)[0]
    return {"p": density, "support": Between(-half_width, half_width), "I": lambda _: known, "D": half_width}


def estimated(told: float = 400.0) -> Names:
    """Return the names of van Trees's inequality: x* with the prior, and its mean given one normal observation."""
    grid = np.linspace(-1, 1, 801)
    seen = np.linspace(-1.4, 1.4, 801)
    prior = np.cos(math.pi * grid / 2) ** 2
    joint = prior * np.exp(-told / 2 * (seen[:, None] - grid) ** 2)
    guess = (joint @ grid) / joint.sum(axis=1)
    names: Names = {r"\hat x": np.repeat(guess, len(grid)), "x^*": np.tile(grid, len(seen)), "weights": joint.ravel()}
    return cosine(1.0) | names | {"k": told * 9 / 4, r"\mu": 2.0, r"\sigma": 3.0, "within": 0.01}


def run_certified(c: Constants, size_over_pole: float = 1.02, rate: float = 0.1) -> Names:
    """Return the names of many runs in a bowl after the updates that are certified."""
    toy = round_bowl(c)
    theorem = LastIterate(constants=toy.constants)
    size = size_over_pole * theorem.pole(rate)
    x, _ = toy.iterates(math.ceil(theorem.updates(size, rate)), rate, size)
    known = of_toy(toy)
    return known | {"x_N": known["x^*"] + Vector(x), "k": 1.2, r"\varepsilon": toy.constants.gap}


def passage() -> Names:
    """Return the names of a run's updates: the gap is that of one normal coordinate, after any number of updates."""
    problem, rate = replace(NOISY_QUADRATIC, curvatures=(0.8,)), 0.01
    size = 20.0
    z, weights = normal()

    def gap(names: Names) -> Array:
        keeps = (1 - rate * 0.8) ** names["N"]
        rest = rate * problem.noise_variance / (size * 0.8 * (2 - rate * 0.8))
        return np.asarray(0.4 * (keeps * problem.distance + math.sqrt(rest * (1 - keeps**2)) * z) ** 2)

    updates = problem.updates(size, LearningRate(maximum=rate))
    return {
        r"\spread": passage_spread(problem, batch_size=size, rate=rate),
        "N": updates,
        "g_N": Of(gap),
        "weights": weights,
        "within": 1e-6,
    }
