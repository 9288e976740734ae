"""The page on the bound at work: certified updates, recursions, margins and first passages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
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
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array, number_text
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Certificate, LastIterate
from batchtime.theory.margins import MARGINS, Case, Toy
from batchtime.theory.problems import NoisyQuadratic, first_passages


def certified_updates(axes: Axes, theorem: Certificate, *, rate: float, necessary: InverseLaw | None) -> pd.DataFrame:
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
    lines: list[tuple[str, Array, Any, dict[str, Any]]] = [
        (
            f"one step size, {rate:g}",
            above,
            [theorem.updates(float(size), rate) for size in above],
            {"color": MEASURED},
        ),
        (
            "the same, to first order in 1 / M",
            sizes,
            theorem.law(rate).updates(sizes),
            {"color": MEASURED, "linestyle": ":"},
        ),
        ("harmonic step: an exact law", sizes, harmonic.updates(sizes), {"color": FITTED, "linestyle": "--"}),
        (
            "best step for each batch size",
            sizes,
            [theorem.best(float(size))[1] for size in sizes],
            {"color": PREDICTED, "linestyle": "-."},
        ),
    ]
    if necessary is not None:
        thick: dict[str, Any] = {"color": LEFT_OUT, "linewidth": 3}
        lines.append(("necessary, whatever the step size", sizes, necessary.updates(sizes), thick))
    for label, where, updates, look in lines:
        axes.plot(where, updates, label=label, **look)
    axes.axvline(pole, color=MEASURED, linewidth=0.8, linestyle="--", label=f"its pole, M = {pole:.3g}")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates $N$")
    legend(axes)
    return pd.concat(
        [pd.DataFrame({"what": label, "batch_size": where, "updates": updates}) for label, where, updates, _ in lines],
        ignore_index=True,
    )


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
