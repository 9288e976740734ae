"""Three estimates of alpha / n_inf beside each other: the noise scale along runs, the sweep's, and theory's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from batchtime.book.frames import with_interval
from batchtime.book.plots import (
    CRITICAL,
    FITTED,
    MEASURED,
    PREDICTED,
    facets,
    intervals,
    legend,
    plain_log_axis,
    together,
)
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.laws.quantity import Interval, interval_text
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


def scales_frame(estimates: Mapping[str, Estimates]) -> pd.DataFrame:
    """Return the noise scale of each task at each point of each run, with 95 % intervals, one a row."""
    return pd.DataFrame(
        {
            "task": label,
            "seed": record.seed,
            "progress": updates / record.updates[-1],
            **with_interval("examples", value, (low, high)),
        }
        for label, one in estimates.items()
        for record, points in zip(one.records, one.scales, strict=True)
        for updates, (value, low, high) in zip(record.updates, points, strict=True)
    )


def noise_figure(estimates: Mapping[str, Estimates]) -> tuple[Figure, pd.DataFrame]:
    """Draw the simple noise scale along training, a facet a task and a line a seed, beside estimates that are constant.

    Returns:
        The figure and what it is drawn from.
    """
    scales, constants = scales_frame(estimates), estimates_frame(estimates)
    figure, panels = facets(scales, "task")
    for (label, axes), constant in zip(panels.items(), constants.to_dict("records"), strict=True):
        here = scales[scales["task"] == label]
        for _, run in here.groupby("seed"):
            axes.plot(run["progress"], run["examples"], color=MEASURED, linewidth=1, alpha=0.6)
            intervals(axes, run, "progress", "examples", colour=MEASURED)
        axes.plot([], [], "o-", color=MEASURED, label="tr S / |G|², a line a seed, 95 %")
        axes.axhline(constant["critical_batch_size"], color=FITTED, label=f"{CRITICAL} of the sweep")
        axes.axhspan(
            constant["critical_batch_size_low"], constant["critical_batch_size_high"], color=FITTED, alpha=0.15
        )
        if np.isfinite(constant["theory"]):
            axes.axhline(constant["theory"], color=PREDICTED, linestyle="--", label=f"{CRITICAL} by theory")
        axes.set_title(label, loc="left")
        axes.set_xlabel("updates, as a fraction of those to the target")
        plain_log_axis(axes, "examples")
        legend(axes)
    return figure, together(scales=scales, constants=constants)


def estimates_frame(estimates: Mapping[str, Estimates]) -> pd.DataFrame:
    """Return the estimates of each task in examples."""
    return pd.DataFrame(
        {
            "task": label,
            "half_way_low": one.half_way[0],
            "half_way_high": one.half_way[1],
            "at_the_target_low": one.at_the_end[0],
            "at_the_target_high": one.at_the_end[1],
            **with_interval("critical_batch_size", one.swept, one.swept_interval),
            "theory": math.nan if one.theory is None else one.theory,
        }
        for label, one in estimates.items()
    )


def range_text(ends: tuple[float, float]) -> str:
    """Return two numbers as a reader says them."""
    return interval_text(ends)


def ratio_text(one: Estimates) -> str:
    """Return the noise scale where the target is reached over the sweep's alpha / n_inf, least and largest of seeds."""
    low, high = (end / one.swept for end in one.at_the_end)
    return interval_text((low, high), 2)


def certified_constants(store: Store) -> Constants:
    """Return the constants of softmax regression that were computed.

    Raises:
        StoreError: If they were not.
    """
    chosen = experiment("mnist-logistic")
    known = store.latest_constants(chosen.name).values  # noqa: PD011 - no frame
    return Constants(
        smoothness=known["smoothness"],
        curvature=known["curvature"],
        noise_variance=known["noise_variance"],
        distance=known["distance"],
        start=known["start"],
        gap=chosen.workload.target.value - known["minimum"],
    )
