"""The page on the bound at work: certified updates, recursions, margins and first passages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    MARKS,
    MEASURED,
    PREDICTED,
    SECOND,
    legend,
    lines,
    plain_log_axis,
    shades,
)
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array, number_text
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Certificate, Constants, LastIterate, necessary
from batchtime.theory.curve import passage_spread
from batchtime.theory.margins import MARGINS, Case, Toy
from batchtime.theory.problems import NOISY_QUADRATIC, NoisyQuadratic, first_passages
from batchtime.theory.quadratics import Quadratics, simulated_updates
from batchtime.theory.weighted import WeightedAverage, bent_floor


def certified_updates(axes: Axes, theorem: Certificate, *, rate: float, least: InverseLaw | None) -> pd.DataFrame:
    """Draw the updates that a theorem certifies against the batch size: one step size, the harmonic and the best one.

    Args:
        axes: Where to draw.
        theorem: With the constants of a problem.
        rate: The one step size.
        least: Updates that no step size can do without, if they are known.
    """
    harmonic, pole = theorem.harmonic()[1], theorem.pole(rate)
    low = min(1.0, harmonic.critical_batch_size / 100)
    sizes = np.geomspace(low, 30 * max(harmonic.critical_batch_size, pole), 300)
    above = np.concatenate([pole * (1 + np.geomspace(1e-3, 1, 60)), sizes[sizes > 2 * pole]])
    at_one_step = [theorem.updates(float(size), rate) for size in above]
    first_order, look = theorem.law(rate).updates(sizes), {"color": MEASURED, "linestyle": ":"}
    best = [theorem.best(float(size))[1] for size in sizes]
    drawn: list[tuple[str, ArrayLike, ArrayLike, dict[str, Any]]] = [
        (f"one step size, {rate:g}", above, at_one_step, {"color": MEASURED}),
        ("the same, to first order in 1 / M", sizes, first_order, look),
        ("capped linear step: an exact law", sizes, harmonic.updates(sizes), {"color": FITTED, "linestyle": "--"}),
        ("best step for each batch size", sizes, best, {"color": PREDICTED, "linestyle": "-."}),
    ]
    if least is not None:
        thick = {"color": LEFT_OUT, "linewidth": 3}
        drawn.append(("necessary, whatever the step size", sizes, least.updates(sizes), thick))
    axes.axvline(
        pole, color=MEASURED, linewidth=0.8, linestyle="--", label=f"pole at step size {rate:g}, M = {pole:.3g}"
    )
    return lines(axes, drawn)


def certified_minimax_simulated(axes: Axes, constants: Constants, *, rate: float) -> pd.DataFrame:
    """Draw what is certified, what is minimax on quadratics and what simulated runs take, at one step size.

    Args:
        axes: Where to draw.
        constants: Of the problem.
        rate: Step size, at most 1 / L.
    """
    last, quadratics = LastIterate(constants=constants), Quadratics(constants=constants)
    poles = last.pole(rate), quadratics.pole(rate)
    sizes = np.geomspace(1.02 * poles[1], 100 * max(poles), 200)
    certified = sizes[sizes > poles[0]]
    tried = np.geomspace(1.5 * poles[1], 50 * max(poles), 7)
    simulated = [simulated_updates(constants, batch_size=float(size), rate=rate) for size in tried]
    axes.set_title(f"step size {rate:g}: the worst quadratic takes the minimax number", loc="left")
    return lines(
        axes,
        [
            ("certified: last iterate", certified, _at(last, certified, rate), {"color": FITTED}),
            ("minimax on quadratics", sizes, _at(quadratics, sizes, rate), {"color": PREDICTED, "linestyle": "--"}),
            (
                "simulated: the worst quadratic",
                tried,
                simulated,
                {"color": MEASURED, "marker": "o", "linestyle": "none"},
            ),
        ],
    )


def _at(theorem: LastIterate | Quadratics, sizes: Array, rate: float) -> list[float]:
    return [theorem.updates(float(size), rate) for size in sizes]


def best_steps(axes: Axes, constants: Constants) -> pd.DataFrame:
    """Draw what is certified, minimax and necessary where the step size is chosen for each batch size."""
    last, weighted = (one(constants=constants).harmonic()[1] for one in (LastIterate, WeightedAverage))
    quadratics, least = Quadratics(constants=constants), necessary(constants)
    critical = least.critical_batch_size
    sizes = np.geomspace(0.01 * critical, max(100 * critical, 3 * last.critical_batch_size), 100)
    minimax = [quadratics.best(float(size))[1] for size in sizes]
    axes.set_title("best step for each batch size: one form, four pairs of constants", loc="left")
    return lines(
        axes,
        [
            ("certified: last iterate", sizes, last.updates(sizes), {"color": FITTED}),
            ("certified: weighted average", sizes, weighted.updates(sizes), {"color": SECOND, "linestyle": "-."}),
            ("minimax on quadratics", sizes, minimax, {"color": PREDICTED, "linestyle": "--"}),
            ("necessary, one step size", sizes, least.updates(sizes), {"color": LEFT_OUT, "linewidth": 3}),
        ],
    )


def minimax_gap(start_over_gap: float, size: float) -> float:
    """Return the minimax number over the necessary law at L = 100 mu, at so many critical batch sizes of that law."""
    constants = Constants(smoothness=1, curvature=0.01, noise_variance=1, distance=1, start=1, gap=1 / start_over_gap)
    least = necessary(constants)
    batch_size = size * least.critical_batch_size
    return Quadratics(constants=constants).best(batch_size)[1] / least.updates(batch_size)


def worst_bent_floor(condition: float) -> float:
    """Return `pl-floor` over eta sigma^2 / (2 M) at its worst bend."""
    found = minimize_scalar(lambda height: -bent_floor(condition, height), bounds=(0.1, 20), method="bounded")
    return -float(found.fun)


def spread_of_runs(factor: float, *, rate: float = 0.01) -> tuple[float, float]:
    """Return sd(N) / N of the isotropic quadratic in ten dimensions at so many poles: by formula, and simulated."""
    problem = replace(NOISY_QUADRATIC, curvatures=(1.0,) * 10)
    size = factor * problem.pole(LearningRate(maximum=rate))
    updates = problem.updates(size, LearningRate(maximum=rate))
    seen = first_passages(problem, batch_size=size, rate=rate, runs=4000, most_updates=5000)
    return passage_spread(problem, batch_size=size, rate=rate) / updates, float(seen.std() / seen.mean())


def recursion(axes: Axes, toy: Toy, *, rate: float, batch_sizes: Sequence[float], updates: int) -> pd.DataFrame:
    """Draw the mean gap of simulated runs beside the bound for the last iterate, against updates.

    Args:
        axes: Where to draw.
        toy: The problem, with its constants.
        rate: Step size.
        batch_sizes: One colour each.
        updates: How far to go.
    """
    theorem = LastIterate(constants=toy.constants)
    frame = pd.DataFrame(
        {
            "batch_size": size,
            "updates": count,
            "mean_gap": float(np.mean(toy.value(toy.iterates(count, rate, size)[0]))),
            "bound": theorem.bound(count, size, rate),
        }
        for size in batch_sizes
        for count in sorted({round(k) for k in np.linspace(0, updates, 25)})
    )
    for colour, mark, size in zip(shades(len(batch_sizes)), MARKS, batch_sizes, strict=False):
        part = frame[frame["batch_size"] == size]
        axes.plot(part["updates"], part["mean_gap"], mark, color=colour, markersize=4)
        axes.plot(part["updates"], part["bound"], color=colour, label=f"M = {number_text(size, 4)}")
    axes.axhline(toy.constants.gap, color="black", linestyle="--", linewidth=1, label="target")
    axes.plot([], [], "o", color="grey", label="mean of simulated runs")
    plain_log_axis(axes, "mean gap")
    axes.set_xlabel("updates")
    legend(axes)
    return frame


def margins_table(case: Case) -> pd.DataFrame:
    """Return both sides of every inequality of the chapter, on a tight problem and on a loose one, said which."""
    return pd.DataFrame(
        {
            "equation": label if position == 0 else "",
            "problem": margin.problem,
            "shown as": ("tight", "loose")[position % 2],
            "smaller side": margin.left,
            "larger side": margin.right,
            "ratio": margin.used,
            "holds": margin.holds,
        }
        for label, sides in MARGINS.items()
        for position, margin in enumerate(sides(case))
    )


def passage_table(
    problem: NoisyQuadratic, *, rate: float, batch_sizes: Sequence[float], dimensions: Sequence[int]
) -> pd.DataFrame:
    """Return for each batch size the updates of the mean gap, those of the law, and of a run in some dimensions.

    Infinite where not every run arrives.
    """
    step = LearningRate(maximum=rate)
    law = problem.law(step)

    def passage(size: float, dimension: int) -> float:
        here = NoisyQuadratic(
            curvatures=(1.0,) * dimension,
            examples=problem.examples,
            noise_variance=problem.noise_variance,
            distance=problem.distance,
            gap=problem.gap,
        )
        return float(first_passages(here, batch_size=size, rate=rate, runs=1000, most_updates=3000).mean())

    return pd.DataFrame(
        {
            "batch_size": size,
            "mean gap": problem.updates(size, step),
            "law": law.updates(size),
            **{f"a run, d = {dimension}": passage(size, dimension) for dimension in dimensions},
        }
        for size in batch_sizes
    )
