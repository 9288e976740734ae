"""The pages that hold recorded sweeps against the bound."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from batchtime.book.comparisons import Arm, arm, at_targets, closed, fitted_pole, power_of
from batchtime.book.frames import with_interval
from batchtime.book.plots import (
    ALPHA,
    COLOURS,
    FITTED,
    LAW,
    LEFT_OUT,
    MARKS,
    MEASURED,
    N_INF,
    PREDICTED,
    SECOND,
    facets,
    intervals,
    legend,
    lines,
    plain_log_axis,
)
from batchtime.fit.inverse_law import LawFit
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.laws.quantity import Interval, number_text
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import EXPERIMENTS
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store
from batchtime.theory.bounds import Constants, LastIterate, necessary
from batchtime.theory.quadratics import Quadratics
from batchtime.theory.weighted import WeightedAverage
from batchtime.train.sweep import recorded

# --- measured --------------------------------------------------------------------------------------------------------


def best_of_rates(arms: Sequence[Arm]) -> dict[float, tuple[float, MeanUpdates]]:
    """Return for each batch size the step size with the fewest mean updates, of those at which every run arrives."""
    best: dict[float, tuple[float, MeanUpdates]] = {}
    for one in arms:
        for seen in one.means():
            before = best.get(seen.batch_size)
            fewer = seen.mean is not None and (before is None or seen.mean < (before[1].mean or math.inf))
            if seen.n_censored == 0 and fewer:
                best[seen.batch_size] = (one.rate, seen)
    return dict(sorted(best.items()))


def certified_and_measured(
    axes: Axes,
    constants: Constants,
    *,
    harmonic: Sequence[RunRecord],
    law: InverseLaw,
    best: Mapping[float, tuple[float, MeanUpdates]],
    size: int,
) -> pd.DataFrame:
    """Draw certified, minimax, necessary and measured updates against the batch size, from the strongest down.

    The title says what the certificate of the weighted average, the minimax number and the runs are at one batch size.

    Args:
        axes: Where to draw.
        constants: Of the problem.
        harmonic: Runs at the capped step of the theorem for the last iterate.
        law: Fitted to these.
        best: By batch size, the best step size that was run and its mean updates.
        size: The batch size of the title, one of `best`.
    """
    sizes = np.geomspace(1, max(record.batch_size for record in harmonic), 100)
    last, weighted = (one(constants=constants).harmonic()[1] for one in (LastIterate, WeightedAverage))
    minimax = [Quadratics(constants=constants).best(float(size))[1] for size in sizes]
    means = mean_updates([record.observation() for record in harmonic])
    fitted = np.geomspace(means[0].batch_size, means[-1].batch_size, 100)
    measured = {"linestyle": "none", "color": FITTED, "marker": "o"}
    at_best = {"linestyle": "none", "color": MEASURED, "marker": "s"}
    least = {"color": LEFT_OUT, "linewidth": 3}
    numbers = weighted.updates(size), Quadratics(constants=constants).best(size)[1], best[size][1].mean or math.nan
    certified, worst, seen = (number_text(float(number), 2) for number in numbers)
    axes.set_title(f"M = {size}: certified {certified}, minimax {worst}, measured {seen}", loc="left")
    return lines(
        axes,
        [
            ("certified: last iterate", sizes, last.updates(sizes), {"color": FITTED}),
            ("certified: weighted average", sizes, weighted.updates(sizes), {"color": SECOND, "linestyle": "-."}),
            ("minimax on quadratics, best step", sizes, minimax, {"color": PREDICTED, "linestyle": "--"}),
            ("necessary, one step size", sizes, necessary(constants).updates(sizes), least),
            ("measured: capped step of the last iterate", *_places(means), measured),
            (f"{LAW}, fitted to them", fitted, law.updates(fitted), {"color": FITTED, "linestyle": ":"}),
            ("measured: best of the step sizes run", *_places([seen for _, seen in best.values()]), at_best),
        ],
    )


def _places(means: Sequence[MeanUpdates]) -> tuple[list[float], list[float]]:
    return [seen.batch_size for seen in means], [seen.mean or math.nan for seen in means]


def rates_table(arms: Sequence[Arm], theorem: LastIterate) -> pd.DataFrame:
    """Return for each step size where its runs arrive, and the pole of the theorem: none where the step is too long."""
    return pd.DataFrame(
        {
            **_arrivals(one),
            "updates, largest M": one.means()[-1].mean,
            "pole, certified": theorem.pole(one.rate) if one.rate < theorem.largest_rate else None,
        }
        for one in arms
    )


def _arrivals(one: Arm) -> dict[str, object]:
    means = one.means()
    partly = [f"{seen.batch_size:g}" for seen in means if seen.n_censored > 0]
    return {
        "learning_rate": one.rate,
        "M where some runs never arrive": ", ".join(partly) or "none",
        "least M where all do": min((seen.batch_size for seen in means if seen.n_censored == 0), default=None),
    }


def arrivals_table(arms: Mapping[str, Sequence[Arm]]) -> pd.DataFrame:
    """Return for each task and step size the batch sizes at which runs stop arriving."""
    return pd.DataFrame(
        {"task": task if position == 0 else "", **_arrivals(one)}
        for task, here in arms.items()
        for position, one in enumerate(here)
    )


# --- scaling ---------------------------------------------------------------------------------------------------------


def recorded_arms(tasks: Sequence[str], store: Store) -> dict[str, list[Arm]]:
    """Return for each task its recorded sweeps at one step size each, by step size; tasks without any are left out.

    A sweep counts when all of its runs are recorded.
    """
    found: dict[str, list[Arm]] = {}
    for task in tasks:
        candidates = [known for name, known in EXPERIMENTS.items() if name == task or name.startswith(f"{task}-rate-")]
        arms = [
            arm(chosen, records, f"step size {chosen.sweep.setting.learning_rate.maximum:g}")
            for chosen in candidates
            if chosen.sweep.setting.learning_rate.half_batch_size == 0
            for records in (recorded(chosen.sweep, name=chosen.name, store=store),)
            if len(records) == len(chosen.sweep.runs())
        ]
        if arms:
            found[task] = sorted(arms, key=lambda one: one.rate)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One quantity of several laws against what was changed between them.

    Args:
        name: Of the quantity, with its unit.
        x: What was changed.
        y: The quantity.
        intervals: 95 %, None on an open side; empty where there are none.
        predicted: What theory says of the quantity at each x, up to a factor.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[Interval]
    predicted: Sequence[float]

    def exponents(self) -> tuple[float, float] | None:
        """Return the exponents of the power laws closest to the points and to the prediction; None for two points.

        By the book's one estimator, the prediction weighed as the points are; two points would always lie on one.
        """
        if len(set(self.x)) < 3:
            return None
        return power_of(self.x, self.y, self.intervals).power, power_of(self.x, self.predicted, self._relative()).power

    def _relative(self) -> list[Interval]:
        """Return intervals of the prediction that are as wide, relative to it, as those of the points."""
        ends = np.array(self.intervals, dtype=np.float64).reshape(-1, 2)
        return [tuple(wide) for wide in ends * (np.array(self.predicted) / np.array(self.y))[: len(ends), None]]


def series_by_rate(arms: Mapping[str, Sequence[Arm]]) -> dict[str, list[Series]]:
    """Return for each task n_inf, alpha and the pole of its sweeps against the step size."""
    found = {}
    for task, here in arms.items():
        laws = [(one.rate, one.fit) for one in here if one.fit is not None]
        poles = {one.rate: pole for one in here for pole in (fitted_pole(one),) if pole is not None}
        found[task] = [
            _series("n_inf (updates)", laws, "n_inf", lambda rate: 1 / rate),
            _series("alpha (examples)", laws, "alpha", lambda _: 1.0),
            Series(name="pole (examples)", x=list(poles), y=list(poles.values()), intervals=(), predicted=list(poles)),
        ]
    return found


_CHANCE = 0.9  # error of ten classes before the first update
_TARGETS = {
    "mnist-logistic": ("mnist-logistic-rate-4", (1.22, 1.24, 1.27, 1.3, 1.35, 1.4, 1.5)),
    "mnist-lenet": ("mnist-lenet", (0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.18)),
    "cifar10-cnn": ("cifar10-cnn", (0.5, 0.51, 0.52, 0.53, 0.56, 0.6, 0.65)),
}
"""The sweep of each task that is read at several targets, and the targets, its own first."""


def series_by_target(arms: Mapping[str, Sequence[Arm]], store: Store) -> dict[str, list[Series]]:
    """Return for each task n_inf, alpha and their quotient against 1 / epsilon, from one sweep read at several targets.

    epsilon is the loss less its minimum where a study gives the minimum, and the target itself where it is an error.
    Predicted is the form of `last-law`: ln(Delta_0 / epsilon), 1 / epsilon - 1 / Delta_0, and their quotient.
    """
    found = {}
    for task, here in arms.items():
        name, targets = _TARGETS[task]
        swept = next((one for one in here if one.experiment.name == name), None)
        if swept is None:
            continue
        own = swept.experiment.workload.target
        known = store.latest_constants(task).values if own.metric == "loss" else {"minimum": 0.0, "start": _CHANCE}  # noqa: PD011
        read = at_targets(swept.experiment, swept.records, targets)
        laws = [
            (1 / (value - known["minimum"]), one.fit)
            for value, one in zip(targets, read, strict=True)
            if one.fit is not None
        ]
        found[task] = _target_series(laws, known["start"])
    return found


def _target_series(laws: Sequence[tuple[float, LawFit]], start: float) -> list[Series]:
    def halvings(inverse_gap: float) -> float:
        return math.log(start * inverse_gap)

    def noise(inverse_gap: float) -> float:
        return inverse_gap - 1 / start

    return [
        _series("n_inf (updates)", laws, "n_inf", halvings),
        _series("alpha (examples)", laws, "alpha", noise),
        _series("alpha / n_inf (examples)", laws, "critical_batch_size", lambda x: noise(x) / halvings(x)),
    ]


def count_sweeps(arms: Mapping[str, Sequence[Arm]]) -> int:
    """Return how many sweeps there are of all tasks."""
    return sum(len(here) for here in arms.values())


def count_runs(arms: Mapping[str, Sequence[Arm]]) -> int:
    """Return how many runs there are in all sweeps."""
    return sum(len(arm.records) for here in arms.values() for arm in here)


def _series(
    name: str, laws: Sequence[tuple[float, LawFit]], quantity: str, predicted: Callable[[float], float]
) -> Series:
    kept = closed(laws)
    return Series(
        name=name,
        x=[x for x, _ in kept],
        y=[getattr(law.law, quantity) for _, law in kept],
        intervals=[getattr(law.intervals, quantity) for _, law in kept],
        predicted=[predicted(x) for x, _ in kept],
    )


def scaling_figure(rows: Mapping[str, Sequence[Series]], *, x_label: str) -> tuple[Figure, pd.DataFrame]:
    """Return a figure with a facet for each quantity, and in each of them the tasks that have two points or more.

    The predicted form goes through the middle of the points.
    """
    points = scaling_points(rows)
    figure, panels = facets(points, "quantity")
    tasks = list(dict.fromkeys(points["task"]))
    for name, axes in panels.items():
        for colour, mark, task in zip(COLOURS, MARKS, tasks, strict=False):
            here = points[(points["quantity"] == name) & (points["task"] == task)]
            intervals(axes, here, "x", "value", colour=colour, mark=mark)
            axes.plot(here["x"], here["predicted"], "--", color=colour, linewidth=1)
            axes.plot([], [], mark, color=colour, label=task)
        axes.plot([], [], "--", color="black", linewidth=1, label="predicted form")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(x_label)
        plain_log_axis(axes, name.replace("n_inf", N_INF).replace("alpha", ALPHA))
    legend(next(iter(panels.values())))
    return figure, points


def scaling_points(rows: Mapping[str, Sequence[Series]]) -> pd.DataFrame:
    """Return each quantity of each task with its interval at each x, and the predicted form scaled to them."""
    return pd.DataFrame(
        {
            "quantity": one.name,
            "task": task,
            "x": x,
            **with_interval("value", y, interval),
            "predicted": predicted * math.exp(float(np.mean(np.log(one.y) - np.log(one.predicted)))),
        }
        for task, series in rows.items()
        if any(len(one.x) >= 2 for one in series)
        for one in series
        for x, y, predicted, interval in zip(
            one.x, one.y, one.predicted, one.intervals or [(None, None)] * len(one.x), strict=True
        )
    )


def exponent_text(rows: Mapping[str, Sequence[Series]], task: str, quantity: str) -> str:
    """Return a found exponent and the predicted one as a reader says them, or that there is none yet."""
    found = next((one.exponents() for one in rows.get(task, ()) if one.name.startswith(f"{quantity} (")), None)
    return "not known, for want of three points" if found is None else f"{found[0]:.2f} (predicted {found[1]:.2f})"


def scaling_table(rows: Mapping[str, Sequence[Series]]) -> pd.DataFrame:
    """Return for each task and quantity the exponent that was found, beside that of the predicted form."""
    return pd.DataFrame(
        {
            "task": task if position == 0 else "",
            "quantity": one.name.split(" (")[0],
            "points": len(one.x),
            "found_ratio": exponents[0],
            "predicted_ratio": exponents[1],
        }
        for task, series in rows.items()
        for position, one in enumerate(series)
        for exponents in (one.exponents() or (None, None),)
    )
