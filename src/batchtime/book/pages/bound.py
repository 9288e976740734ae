"""The page on the bound at work: certified updates, recursions, margins and first passages."""

import math
from collections.abc import Sequence

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    MARKS,
    MEASURED,
    PREDICTED,
    batch_size_axis,
    legend,
    plain_log_axis,
    shades,
)
from batchtime.book.tables import number_text, table
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Certificate, LastIterate
from batchtime.theory.margins import MARGINS, Case, Toy
from batchtime.theory.problems import NoisyQuadratic, first_passages


def certified_updates(axes: Axes, theorem: Certificate, *, rate: float, necessary: InverseLaw | None) -> None:
    """Draw the updates that a theorem certifies against the batch size: one step size, the harmonic and the best one.

    Args:
        axes: Where to draw.
        theorem: With the constants of a problem.
        rate: The one step size.
        necessary: Updates that no step size can do without, if they are known.
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
    axes.plot(sizes, harmonic.updates(sizes), "--", color=FITTED, label="harmonic step: an exact law")
    best = [theorem.best(float(size))[1] for size in sizes]
    axes.plot(sizes, best, "-.", color=PREDICTED, label="best step for each batch size")
    if necessary is not None:
        axes.plot(
            sizes, necessary.updates(sizes), linewidth=3, color=LEFT_OUT, label="necessary, whatever the step size"
        )
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N")
    legend(axes)


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
