"""The page on the bound at work: certified updates, recursions, margins and first passages."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from scipy.optimize import minimize_scalar

from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    MARKS,
    MEASURED,
    PREDICTED,
    SECOND,
    batch_size_axis,
    legend,
    plain_log_axis,
    shades,
)
from batchtime.book.tables import number_text, table
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Certificate, Constants, LastIterate, necessary
from batchtime.theory.curve import passage_spread
from batchtime.theory.margins import MARGINS, Case, Toy
from batchtime.theory.problems import NOISY_QUADRATIC, NoisyQuadratic, first_passages
from batchtime.theory.quadratics import Quadratics, simulated_updates
from batchtime.theory.weighted import WeightedAverage, bent_floor


def certified_updates(axes: Axes, theorem: Certificate, *, rate: float, least: InverseLaw | None) -> None:
    """Draw the updates that a theorem certifies against the batch size: one step size, the harmonic and the best one.

    Args:
        axes: Where to draw.
        theorem: With the constants of a problem.
        rate: The one step size.
        least: Updates that no step size can do without, if they are known.
    """
    harmonic = theorem.harmonic()[1]
    pole = theorem.pole(rate)
    low = min(1.0, harmonic.critical_batch_size / 100)
    sizes = np.geomspace(low, 30 * max(harmonic.critical_batch_size, pole), 300)
    above = np.concatenate([pole * (1 + np.geomspace(1e-3, 1, 60)), sizes[sizes > 2 * pole]])
    at_one_step = [theorem.updates(float(size), rate) for size in above]
    axes.plot(above, at_one_step, color=MEASURED, label=f"one step size, {rate:g}")
    first_order = theorem.law(rate)
    axes.plot(
        sizes, first_order.updates(sizes), color=MEASURED, linestyle=":", label="the same, to first order in 1 / M"
    )
    axes.axvline(pole, color=MEASURED, linewidth=0.8, linestyle="--", label=f"its pole, M = {pole:.3g}")
    axes.plot(sizes, harmonic.updates(sizes), "--", color=FITTED, label="capped linear step: an exact law")
    best = [theorem.best(float(size))[1] for size in sizes]
    axes.plot(sizes, best, "-.", color=PREDICTED, label="best step for each batch size")
    if least is not None:
        axes.plot(sizes, least.updates(sizes), linewidth=3, color=LEFT_OUT, label="necessary, whatever the step size")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N")
    legend(axes)


def certified_minimax_simulated(axes: Axes, constants: Constants, *, rate: float) -> None:
    """Draw what is certified, what is minimax on quadratics and what simulated runs take, at one step size.

    Args:
        axes: Where to draw.
        constants: Of the problem.
        rate: Step size, at most 1 / L.
    """
    last, quadratics = LastIterate(constants=constants), Quadratics(constants=constants)
    poles = last.pole(rate), quadratics.pole(rate)
    sizes = np.geomspace(1.02 * poles[1], 100 * max(poles), 200)
    for theorem, line, label in ((last, "-", "certified: last iterate"), (quadratics, "--", "minimax on quadratics")):
        drawn = sizes[sizes > theorem.pole(rate)]
        updates = [theorem.updates(float(size), rate) for size in drawn]
        axes.plot(drawn, updates, line, color=FITTED if theorem is last else PREDICTED, label=label)
    tried = np.geomspace(1.5 * poles[1], 50 * max(poles), 7)
    seen = [simulated_updates(constants, batch_size=float(size), rate=rate) for size in tried]
    axes.plot(tried, seen, "o", color=MEASURED, label="simulated: the worst quadratic")
    axes.set_title(f"one step size, {rate:g}", loc="left")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N")
    legend(axes)


def best_steps(axes: Axes, constants: Constants) -> None:
    """Draw what is certified, minimax and necessary where the step size is chosen for each batch size."""
    last, weighted = LastIterate(constants=constants).harmonic()[1], WeightedAverage(constants=constants).harmonic()[1]
    quadratics, least = Quadratics(constants=constants), necessary(constants)
    critical = least.critical_batch_size
    sizes = np.geomspace(0.01 * critical, max(100 * critical, 3 * last.critical_batch_size), 100)
    axes.plot(sizes, last.updates(sizes), color=FITTED, label="certified: last iterate")
    axes.plot(sizes, weighted.updates(sizes), "-.", color=SECOND, label="certified: weighted average")
    minimax = [quadratics.best(float(size))[1] for size in sizes]
    axes.plot(sizes, minimax, "--", color=PREDICTED, label="minimax on quadratics")
    axes.plot(sizes, least.updates(sizes), color=LEFT_OUT, linewidth=3, label="necessary, one step size")
    axes.set_title("best step for each batch size", loc="left")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N")
    legend(axes)


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


def recursion(axes: Axes, toy: Toy, *, rate: float, batch_sizes: Sequence[float], updates: int) -> None:
    """Draw the mean gap of simulated runs beside the bound for the last iterate, against updates.

    Args:
        axes: Where to draw.
        toy: The problem, with its constants.
        rate: Step size.
        batch_sizes: One colour each.
        updates: How far to go.
    """
    theorem = LastIterate(constants=toy.constants)
    counts = sorted({round(k) for k in np.linspace(0, updates, 25)})
    for colour, mark, size in zip(shades(len(batch_sizes)), MARKS, batch_sizes, strict=False):
        seen = [float(np.mean(toy.value(toy.iterates(n, rate, size)[0]))) for n in counts]
        axes.plot(counts, seen, mark, color=colour, markersize=4, label=f"_M = {number_text(size, 4)}, simulated")
        axes.plot(
            counts, [theorem.bound(n, size, rate) for n in counts], color=colour, label=f"M = {number_text(size, 4)}"
        )
    axes.axhline(toy.constants.gap, color="black", linestyle="--", linewidth=1, label="target")
    axes.plot([], [], "o", color="grey", label="mean of simulated runs")
    plain_log_axis(axes, "mean gap")
    axes.set_xlabel("updates")
    legend(axes)


def margins_table(case: Case) -> HTML:
    """Return both sides of every inequality of the chapter, on a tight problem and on a loose one, said which."""
    rows = [
        (
            label if position == 0 else "",
            margin.problem,
            ("tight", "loose")[position % 2],
            f"{margin.left:.4g}",
            f"{margin.right:.4g}",
            f"{margin.used:.3f}",
            "yes" if margin.holds else "NO",
        )
        for label, sides in MARGINS.items()
        for position, margin in enumerate(sides(case))
    ]
    return table(["equation", "problem", "shown as", "smaller side", "larger side", "ratio", "holds"], rows)


def passage_table(
    problem: NoisyQuadratic, *, rate: float, batch_sizes: Sequence[float], dimensions: Sequence[int]
) -> HTML:
    """Return for each batch size the updates of the mean gap, those of the law, and of a run in some dimensions."""
    step = LearningRate(maximum=rate)
    law = problem.law(step)

    def passage(size: float, dimension: int) -> str:
        here = NoisyQuadratic(
            curvatures=(1.0,) * dimension,
            examples=problem.examples,
            noise_variance=problem.noise_variance,
            distance=problem.distance,
            gap=problem.gap,
        )
        passed = first_passages(here, batch_size=size, rate=rate, runs=1000, most_updates=3000)
        share = float(np.isfinite(passed).mean())
        return f"{passed.mean():.1f}" if share == 1 else f"{100 * share:.0f} % arrive"

    rows = [
        (
            f"{size:g}",
            f"{exact:.1f}" if math.isfinite(exact) else "never",
            f"{law.updates(size):.1f}",
            *(passage(size, dimension) for dimension in dimensions),
        )
        for size in batch_sizes
        for exact in (problem.updates(size, step),)
    ]
    return table(["M", "mean gap", "law", *(f"a run, d = {dimension}" for dimension in dimensions)], rows)
