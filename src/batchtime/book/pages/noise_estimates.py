"""Three estimates of alpha / n_inf beside each other: the noise scale along runs, the sweep's, and theory's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from batchtime.book.figures import note
from batchtime.book.plots import FITTED, MEASURED, PREDICTED, SECOND, legend, panels, plain_log_axis
from batchtime.book.tables import interval_text, number_text, table
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.laws.quantity import Interval
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.noise_scale import noise_scales
from batchtime.runs.records import NoiseRecord
from batchtime.runs.store import Store
from batchtime.theory.bounds import Constants
from batchtime.train.noise import complete_noise
from batchtime.train.sweep import complete

Scale = tuple[float, float, float]
"""A value in examples, and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What is known of one task's alpha / n_inf.

    Args:
        records: Gradient noise along runs of several seeds.
        scales: For each of them the noise scale at each point.
        swept: From the law of the sweep.
        swept_interval: 95 %.
        theory: Where it can be computed.
    """

    records: list[NoiseRecord]
    scales: list[list[Scale]]
    swept: float
    swept_interval: Interval
    theory: float | None

    @property
    def at_the_end(self) -> tuple[float, float]:
        """Least and largest noise scale, over seeds, where the target is reached."""
        last = [points[-1][0] for points in self.scales]
        return min(last), max(last)

    @property
    def half_way(self) -> tuple[float, float]:
        """Least and largest noise scale, over seeds, in the middle of the logarithm of the updates."""
        middle = [points[len(points) // 2][0] for points in self.scales]
        return min(middle), max(middle)


def estimate(
    chosen: Experiment,
    *,
    store: Store,
    batch_size: int,
    seeds: int,
    examples: int,
    theory: float | None = None,
) -> Estimates:
    """Return the estimates of one task, training and measuring what is not recorded.

    Args:
        chosen: The task's sweep.
        store: Of its runs and noise.
        batch_size: Of the runs along which the noise is measured.
        seeds: How many of these.
        examples: Whose gradients are taken at each point.
        theory: alpha / n_inf by theory, where it can be computed.

    Raises:
        FitError: If the runs do not determine a law.
        ParameterError: If a value is not allowed.
    """
    records = complete_noise(chosen, store=store, batch_size=batch_size, seeds=seeds, examples=examples)
    found = fit_inverse_law(chosen.fit_observations(complete(chosen.sweep, name=chosen.name, store=store)))
    return Estimates(
        records=records,
        scales=[noise_scales(record) for record in records],
        swept=found.law.critical_batch_size,
        swept_interval=found.intervals.critical_batch_size,
        theory=theory,
    )


def noise_figure(estimates: Mapping[str, Estimates]) -> Figure:
    """Draw the estimates of each task in a panel of its own."""
    figure, several = panels(len(estimates))
    for axes, (label, one) in zip(several, estimates.items(), strict=True):
        axes.set_title(label, loc="left")
        low, high = (one.swept if side is None else side for side in one.swept_interval)
        marks = {"alpha / n_inf of the sweep": (one.swept, low, high)}
        if one.theory is not None:
            marks["alpha / n_inf by theory"] = (one.theory, one.theory, one.theory)
        noise_panel(axes, one.records, one.scales, marks)
    return figure


def estimates_table(estimates: Mapping[str, Estimates]) -> HTML:
    """Return the estimates of each task in examples."""
    rows: list[Sequence[str]] = [
        (
            label,
            " to ".join(number_text(end) for end in one.half_way),
            " to ".join(number_text(end) for end in one.at_the_end),
            f"{number_text(one.swept)} ({interval_text(one.swept_interval)})",
            "not computable" if one.theory is None else number_text(one.theory),
        )
        for label, one in estimates.items()
    ]
    return table(["task", "noise scale half way", "at the target", "sweep's alpha / n_inf", "theory's"], rows)


def range_text(ends: tuple[float, float]) -> str:
    """Return two numbers as a reader says them."""
    return f"{number_text(ends[0])} to {number_text(ends[1])}"


def ratio_text(one: Estimates) -> str:
    """Return the noise scale where the target is reached over the sweep's alpha / n_inf, least and largest of seeds."""
    low, high = (end / one.swept for end in one.at_the_end)
    return f"{number_text(low, 2)} to {number_text(high, 2)}"


def certified_constants(store: Store) -> Constants:
    """Return the constants of softmax regression that were computed.

    Raises:
        StoreError: If they were not.
    """
    chosen = experiment("mnist-logistic")
    known = store.latest_constants(chosen.name).values
    return Constants(
        smoothness=known["smoothness"],
        curvature=known["curvature"],
        noise_variance=known["noise_variance"],
        distance=known["distance"],
        start=known["start"],
        gap=chosen.workload.target.value - known["minimum"],
    )


def noise_panel(
    axes: Axes,
    records: Sequence[NoiseRecord],
    scales: Sequence[Sequence[tuple[float, float, float]]],
    marks: Mapping[str, tuple[float, float, float]],
) -> None:
    """Draw the simple noise scale along training, one line a seed with its interval, beside constant estimates.

    Args:
        axes: Where to draw.
        records: Of several seeds.
        scales: For each record and point the noise scale and the ends of its interval.
        marks: What to call each constant estimate, and its value and the ends of its interval.
    """
    for record, points in zip(records, scales, strict=True):
        place = np.array(record.updates) / record.updates[-1]
        values, lows, highs = np.array(points).T
        errors = np.clip([values - lows, highs - values], 0, None)
        look: dict[str, Any] = {"fmt": "o-", "color": MEASURED, "alpha": 0.6, "markersize": 3, "linewidth": 1}
        bars = axes.errorbar(place, values, yerr=errors, **look, label="_noise scale")
        note(bars, {"seed": record.seed, "low": lows, "high": highs})
    axes.plot([], [], "o-", color=MEASURED, label="tr S / |G|^2, one line a seed, 95 %")
    for colour, style, (label, (value, low, high)) in zip(
        (FITTED, PREDICTED, SECOND), ("-", "--", ":"), marks.items(), strict=False
    ):
        axes.axhline(value, color=colour, linestyle=style, label=label)
        axes.axhspan(low, high, color=colour, alpha=0.15, label=f"_{label}, 95 %")
    axes.set_xlabel("updates, as a fraction of those to the target")
    plain_log_axis(axes, "examples")
    legend(axes)
