"""One task at all its learning rates: pairs about the curve, held-out pairs, seconds over both, what habits cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from scipy.optimize import brentq
from scipy.special import chdtri

from batchtime.book import plots
from batchtime.errors import FitError
from batchtime.fit.curve import Cell, CurveFit, cells, fit_curve
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.pairs import Pair, best_pair
from batchtime.fit.seconds import Seconds, measured_seconds
from batchtime.laws.curve import CurveLaw
from batchtime.laws.quantity import Array, Interval
from batchtime.runs.catalogue import EXPERIMENTS, experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import Optimizer
from batchtime.runs.store import Store, data_folder

WITHIN = 0.05
"""Of the least time: the region that counts as best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One task at several constant learning rates, and where it was swept so, with the capped one.

    Args:
        workload: Name of the task.
        sweeps: Its sweeps with plain SGD.
        records: The runs that each sweep asks for and that are recorded.
    """

    workload: str
    sweeps: tuple[Experiment, ...]
    records: Mapping[str, Sequence[RunRecord]]

    def runs(self, *, held_out: bool) -> dict[float, list[Observation]]:
        """Return the runs at constant learning rates, by rate: those held out, or the others."""
        found: dict[float, list[Observation]] = {}
        for one in self.sweeps:
            rate = one.sweep.setting.learning_rate
            seen = [r for r in self.records[one.name] if (r.batch_size in one.sealed) == held_out]
            if rate.half_batch_size == 0 and seen:
                found[rate.maximum] = [record.observation() for record in seen]
        return found

    def capped(self) -> list[Cell]:
        """Return the means under the capped learning rate, each with the rate that it had at its batch size."""
        found: list[Cell] = []
        for one in self.sweeps:
            rate = one.sweep.setting.learning_rate
            for size in sorted({r.batch_size for r in self.records[one.name]} if rate.half_batch_size else set()):
                here = [r.observation() for r in self.records[one.name] if r.batch_size == size]
                found += cells({rate.at(size): here})
        return found

    def count(self) -> int:
        """Return how many runs there are."""
        return sum(map(len, self.records.values()))


def swept(workload: str, store: Store, *, seeds: int | None = None) -> Swept:
    """Return the recorded runs of a task with plain SGD, at each learning rate.

    Args:
        workload: A task of the catalogue that was swept at several learning rates.
        store: Where its runs are.
        seeds: How many seeds of each sweep, counted from the first; None for all that are recorded.

    Raises:
        FitError: If fewer than two constant learning rates were swept.
        ParameterError: If there is no such task.
    """
    base = experiment(workload).name
    known = (one for one in EXPERIMENTS.values() if base in (one.name, one.variant_of))
    plain = [one.changed(seeds=seeds) for one in known if one.sweep.setting.optimizer == Optimizer()]
    same = [one for one in plain if one.sweep.setting.sampling == plain[0].sweep.setting.sampling]
    records = {}
    for one in same:
        wanted = set(one.sweep.runs())
        records[one.name] = [record for record in store.runs(one.name) if record.spec in wanted]
    constant = [o for o in same if o.sweep.setting.learning_rate.half_batch_size == 0 and records[o.name]]
    if len(constant) < 2:
        raise FitError(
            f"{workload} has runs at {len(constant)} constant learning rates; a curve needs two: sweep another"
        )
    return Swept(workload=workload, sweeps=tuple(same), records=records)


# Every cell on one curve


def points(task: Swept, curve: CurveFit) -> pd.DataFrame:
    """Return each cell that all its runs reached, a row each: learning rate times updates, and the curve there.

    Columns learning_rate, batch_size, quotient (learning rate / batch size), distance (learning rate times mean
    updates) with distance_low and distance_high (95 %), cell (fitted, held out, capped rate) and curve.
    """
    kinds = {
        "fitted": cells(task.runs(held_out=False)),
        "held out": cells(task.runs(held_out=True)) if task.runs(held_out=True) else (),
        "capped rate": task.capped(),
    }
    rows = [
        {
            "learning_rate": one.learning_rate,
            "batch_size": one.batch_size,
            "quotient": one.tau,
            **_around(one),
            "cell": kind,
            "runs": one.runs,
            "curve": one.learning_rate * curve.law.updates(one.batch_size, one.learning_rate),
        }
        for kind, some in kinds.items()
        for one in some
        if one.whole
    ]
    return pd.DataFrame(rows)


def lost(task: Swept) -> pd.DataFrame:
    """Return the cells at which some run did not reach the target: learning_rate, batch_size, runs, not_reached."""
    every = [*cells(task.runs(held_out=False)), *cells(task.runs(held_out=True) or {}), *task.capped()]
    rows = [(o.learning_rate, o.batch_size, o.runs, o.censored) for o in every if not o.whole]
    return pd.DataFrame(rows, columns=["learning_rate", "batch_size", "runs", "not_reached"])


def _around(one: Cell) -> dict[str, float | None]:
    """Return the learning rate times the mean, with the interval of its sampling error."""
    assert one.mean is not None  # noqa: S101 - asked of whole cells only
    middle = one.learning_rate * one.mean
    if one.error is None:
        return {"distance": middle, "distance_low": None, "distance_high": None}
    reach = math.exp(1.96 * one.error)
    return {"distance": middle, "distance_low": middle / reach, "distance_high": middle * reach}


def draw_curve(axes: Axes, seen: pd.DataFrame, law: CurveLaw) -> pd.DataFrame:
    """Draw learning rate times updates against learning rate over batch size, and the curve without its lift.

    Args:
        axes: Where to draw.
        seen: Of `points`.
        law: Fitted to the cells that are "fitted".
    """
    rates = sorted(seen["learning_rate"][seen["cell"] != "capped rate"].unique())
    for rate, colour in zip(rates, plots.shades(len(rates)), strict=True):
        for kind, part in seen[seen["learning_rate"] == rate].groupby("cell"):
            look: dict[str, Any] = {"colour": colour, "mark": "o", "full": kind == "fitted"}
            plots.intervals(axes, part, "quotient", "distance", **look)
        axes.plot([], [], "o", color=colour, markersize=5, label=f"learning rate {rate:g}")
    capped = seen[seen["cell"] == "capped rate"]
    if len(capped):
        plots.intervals(axes, capped, "quotient", "distance", colour=plots.PREDICTED, mark="D", full=False)
        axes.plot([], [], "D", color=plots.PREDICTED, fillstyle="none", markersize=5, label="capped rate")
    if (seen["cell"] == "held out").any():
        axes.plot([], [], "o", color="black", fillstyle="none", markersize=5, label="held out")
    ends = seen["quotient"].min() / 1.3, min(seen["quotient"].max() * 1.3, 0.98 * law.pole)
    grid = np.geomspace(*ends, plots.CURVE_POINTS)
    line = pd.DataFrame({"quotient": grid, "distance": law.distance(grid)})
    axes.plot(line["quotient"], line["distance"], color="black", linewidth=1, label=r"$\Phi(\eta / M)$")
    axes.set_xscale("log")
    axes.set_xlabel(r"learning rate over batch size $\eta / M$")
    plots.plain_log_axis(axes, r"learning rate times updates $\eta N$")
    plots.legend(axes)
    return plots.together(cells=seen, curve=line)


# Predicted before they were run


def held_out(task: Swept) -> pd.DataFrame:
    """Return the cells that were predicted before they were run, with what came of them.

    Columns sweep, batch_size, learning_rate, predicted with interval, measured, runs, not_reached, error (log of
    measured / predicted), sampling (standard error of the log mean); None where no mean is known.
    """
    path = data_folder() / "predictions" / f"{task.workload}.csv"
    written = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["sweep", "batch_size"])
    rows = []
    for one in written.to_dict("records"):
        here = [r.observation() for r in task.records.get(one["sweep"], ()) if r.batch_size == one["batch_size"]]
        if not here:
            continue
        (cell,) = cells({one["learning_rate"]: here})
        known = cell.whole and math.isfinite(one["updates"])
        rows.append(
            {
                "sweep": one["sweep"],
                "batch_size": one["batch_size"],
                "learning_rate": one["learning_rate"],
                "predicted": one["updates"] if math.isfinite(one["updates"]) else None,
                "predicted_low": one["updates_low"],
                "predicted_high": one["updates_high"] if math.isfinite(one["updates_high"]) else None,
                "measured": cell.mean if cell.whole else None,
                "runs": cell.runs,
                "not_reached": cell.censored,
                "error": math.log(cell.mean / one["updates"]) if known and cell.mean else None,
                "sampling": cell.error if known else None,
            }
        )
    return pd.DataFrame(rows, columns=_HELD_OUT)


_HELD_OUT = [
    "sweep",
    "batch_size",
    "learning_rate",
    "predicted",
    "predicted_low",
    "predicted_high",
    "measured",
    "runs",
    "not_reached",
    "error",
    "sampling",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Error beyond sampling: estimate, 95 % interval, and of how many cells."""

    estimate: float
    interval: Interval
    cells: int


def beyond_sampling(errors: Sequence[float], sampling: Sequence[float]) -> Beyond:
    """Return the standard deviation that errors of means have beyond what their sampling gives them.

    Args:
        errors: (n,) of log means.
        sampling: (n,) standard errors of them.

    Returns:
        Where the sum of errors^2 / (sampling^2 + e^2) is its expectation, and its 2.5 and 97.5 % points: chi-squared
        with n degrees of freedom.

    Raises:
        FitError: If there are none.
    """
    off, known = np.asarray(errors, dtype=np.float64), np.asarray(sampling, dtype=np.float64)
    if not len(off):
        raise FitError("no cell was predicted and then run")

    def at(wanted: float) -> float:
        def above(e: float) -> float:
            return float(np.sum(off**2 / (known**2 + e**2))) - wanted

        least = 1e-9
        return 0.0 if above(least) <= 0 else float(brentq(above, least, 10 + 10 * float(np.abs(off).max())))

    n = len(off)
    low, high = (at(float(chdtri(n, tail))) for tail in (0.025, 0.975))
    return Beyond(estimate=at(float(n)), interval=(low, high), cells=n)


# Seconds over both


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Predicted seconds to the target over batch size and learning rate.

    Args:
        sizes: (S,) batch sizes.
        rates: (R,) learning rates, up to the largest at which every seed reached the target.
        seconds: (R, S); infinite where the target is never reached.
        best: The pair of least time.
    """

    sizes: Array
    rates: Array
    seconds: Array
    best: Pair

    def frame(self) -> pd.DataFrame:
        """Return a row a pair: batch_size, learning_rate, seconds."""
        rates, sizes = np.meshgrid(self.rates, self.sizes, indexing="ij")
        columns = {"batch_size": sizes.ravel(), "learning_rate": rates.ravel(), "seconds": self.seconds.ravel()}
        return pd.DataFrame(columns).replace(np.inf, np.nan)

    def within(self) -> dict[str, Interval]:
        """Return over which batch sizes and which learning rates some pair is within 5 % of the best."""
        near = self.seconds <= (1 + WITHIN) * self.best.seconds
        sizes, rates = self.sizes[near.any(axis=0)], self.rates[near.any(axis=1)]
        return {
            "batch_size": (float(sizes[0]), float(sizes[-1])),
            "learning_rate": (float(rates[0]), float(rates[-1])),
        }


def _measured(timings: Sequence[UpdateTiming], curve: CurveFit) -> tuple[Seconds, Array]:
    """Return the seconds of an update, and batch sizes over what was both run and timed."""
    seconds = measured_seconds(timings)
    run = [one.batch_size for one in curve.cells]
    ends = max(min(run), seconds.sizes[0]), min(max(run), seconds.sizes[-1])
    return seconds, np.geomspace(*ends, 121)


def surface(curve: CurveFit, timings: Sequence[UpdateTiming]) -> Surface:
    """Return seconds to the target over the batch sizes and the learning rates that were run and timed.

    Raises:
        FitError: If no pair lies this side of the pole.
    """
    seconds, sizes = _measured(timings, curve)
    run = sorted({one.learning_rate for one in curve.cells})
    rates = np.geomspace(run[0], run[-1], 81)
    each = np.array([seconds.at(float(size)) for size in sizes])
    times = np.asarray(curve.law.updates(sizes[None, :], rates[:, None])) * each[None, :]
    best = best_pair(curve.law, lambda some: np.interp(some, sizes, each), sizes=sizes, rates=rates)
    return Surface(sizes=sizes, rates=rates, seconds=times, best=best)


def draw_surface(axes: Axes, found: Surface, curve: CurveFit, seen: pd.DataFrame) -> pd.DataFrame:
    """Draw seconds over batch size and learning rate: the ridge of best batch sizes, the pole and the edge.

    Args:
        axes: Where to draw.
        found: Of `surface`.
        curve: Fitted.
        seen: Of `points`; each cell is a mark.
    """
    shown = np.where(np.isfinite(found.seconds), found.seconds, np.nan)
    norm = LogNorm(found.best.seconds, min(float(np.nanmax(shown)), 30 * found.best.seconds))
    colours = colormaps["rocket_r"] if "rocket_r" in colormaps else colormaps["magma_r"]
    mesh = axes.pcolormesh(found.sizes, found.rates, shown, norm=norm, cmap=colours, shading="gouraud", rasterized=True)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that are drawn on have one
    bar = figure.colorbar(mesh, ax=axes, label="seconds to the target", format=plots.PLAIN)
    bar.minorticks_off()
    axes.contour(
        found.sizes, found.rates, shown, levels=[(1 + WITHIN) * found.best.seconds], colors="white", linewidths=1.5
    )
    ridge = found.sizes[np.argmin(found.seconds, axis=1)]
    inner = (ridge > found.sizes[0]) & (ridge < found.sizes[-1])
    axes.plot(ridge[inner], found.rates[inner], color="white", linewidth=1.5, linestyle="--")
    pole = curve.law.pole * found.sizes
    axes.plot(found.sizes, pole, color="black", linewidth=1.2, linestyle=":")
    axes.plot(seen["batch_size"], seen["learning_rate"], ".", color="black", markersize=4)
    axes.plot(
        found.best.batch_size, found.best.learning_rate, "*", color="white", markeredgecolor="black", markersize=13
    )
    axes.set(xlim=(found.sizes[0], found.sizes[-1]), ylim=(found.rates[0], found.rates[-1] * 1.02))
    axes.grid(visible=False)
    plots.batch_size_axis(axes)
    axes.set_yscale("log")
    rates = sorted({one.learning_rate for one in curve.cells})
    axes.set_yticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set_ylabel(r"learning rate $\eta$")
    return found.frame().iloc[::16]


def by_rate(found: Surface) -> pd.DataFrame:
    """Return the best batch size at each of five learning rates: learning_rate, batch_size, seconds, cost_share, inner.

    `cost_share` is what it takes more than the best pair; `inner` says that it lies inside of what was measured.
    """
    rows = []
    for k in np.linspace(0, len(found.rates) - 1, 5).round().astype(int):
        place = int(np.argmin(found.seconds[k]))
        rows.append(
            {
                "learning_rate": float(found.rates[k]),
                "batch_size": float(found.sizes[place]),
                "seconds": float(found.seconds[k, place]),
                "cost_share": float(found.seconds[k, place] / found.best.seconds - 1),
                "inner": 0 < place < len(found.sizes) - 1,
            }
        )
    return pd.DataFrame(rows)


def power_of_rate(rows: pd.DataFrame) -> float:
    """Return the power of the learning rate with which the best batch size grows; 0.5 by theory.

    Raises:
        FitError: If fewer than two optima lie inside of what was measured.
    """
    inner = rows[rows["inner"]]
    if len(inner) < 2:
        raise FitError("fewer than two learning rates have their best batch size inside of what was measured")
    return float(np.polyfit(np.log(inner["learning_rate"]), np.log(inner["batch_size"]), 1)[0])


def habits(found: Surface, curve: CurveFit, timings: Sequence[UpdateTiming]) -> pd.DataFrame:
    """Return what usual ways to choose cost beside the best pair, by the curve.

    Each starts from the middle learning rate that was run with its best batch size, and changes the batch size: with
    the rate kept, scaled in proportion (up to the largest), or with the root; or takes the largest batch that was
    measured, with its best rate. Columns habit, batch_size, learning_rate, seconds, cost_share.
    """
    seconds, sizes = _measured(timings, curve)
    each = np.array([seconds.at(float(size)) for size in sizes])
    largest = curve.law.largest_learning_rate
    run = sorted({one.learning_rate for one in curve.cells})
    middle = run[len(run) // 2] if len(run) % 2 else run[len(run) // 2 - 1]
    at_middle = np.asarray(curve.law.updates(sizes, np.full(len(sizes), middle))) * each
    base = float(sizes[int(np.argmin(at_middle))])
    ways = {
        "the middle learning rate kept, its best batch size": np.full(len(sizes), middle),
        "linear scaling from there, up to the largest rate": np.minimum(middle * sizes / base, largest),
        "square-root scaling from there": np.minimum(middle * np.sqrt(sizes / base), largest),
    }
    rows = [("the best pair", found.best.batch_size, found.best.learning_rate, found.best.seconds)]
    for name, rates in ways.items():
        times = np.asarray(curve.law.updates(sizes, rates)) * each
        k = int(np.argmin(times))
        rows.append((name, float(sizes[k]), float(rates[k]), float(times[k])))
    k = int(np.argmin(found.seconds[:, -1]))
    name = "the largest batch that was measured, its best rate"
    rows.append((name, float(found.sizes[-1]), float(found.rates[k]), float(found.seconds[k, -1])))
    frame = pd.DataFrame(rows, columns=["habit", "batch_size", "learning_rate", "seconds"])
    return frame.assign(cost_share=frame["seconds"] / found.best.seconds - 1)


# What the model is worth on test images


def test_errors(task: Swept) -> pd.DataFrame:
    """Return the test error of the models that reached the target: batch_size, runs, test_error with 95 % interval."""
    rows = [
        {"batch_size": r.batch_size, "test_error": r.reports["test_error"]}
        for some in task.records.values()
        for r in some
        if "test_error" in r.reports
    ]
    if not rows:
        return pd.DataFrame(columns=["batch_size", "runs", "test_error"])
    found = pd.DataFrame(rows).groupby("batch_size")["test_error"].agg(["count", "mean", "std"]).reset_index()
    reach = 1.96 * found["std"] / np.sqrt(found["count"])
    return pd.DataFrame(
        {
            "batch_size": found["batch_size"],
            "runs": found["count"],
            "test_error": found["mean"],
            "test_error_low": found["mean"] - reach,
            "test_error_high": found["mean"] + reach,
        }
    )


def fitted(task: Swept) -> CurveFit:
    """Return the curve through the cells that were not held out.

    Raises:
        FitError: If they make no curve.
    """
    return fit_curve(task.runs(held_out=False))


# In words and tables


def rivals(curve: CurveFit) -> pd.DataFrame:
    """Return the curve and its rivals: description, parameters, rms and AICc."""
    rows = [(one.name, one.parameters, one.rms, one.aicc) for one in curve.rivals]
    return pd.DataFrame(rows, columns=["description", "parameters", "rms_share", "aicc"])


def left_out(curve: CurveFit) -> pd.DataFrame:
    """Return for each learning rate left out the rms error of its prediction by the others."""
    return pd.DataFrame(
        {"learning_rate": rate, "pairs": sum(one.learning_rate == rate for one in curve.cells), "rms_share": error}
        for rate, error in curve.left_out.items()
    )


def held_out_text(held: pd.DataFrame) -> str:
    """Return in words how far predicted pairs were off, by those at which every run reached the target."""
    if not len(held):
        return "No pair of this task was predicted before it was run."
    known = held.dropna(subset=["error"])
    if not len(known):
        return f"{len(held)} pairs were predicted; at none of them did every run reach the target."
    found = beyond_sampling(list(known["error"]), list(known["sampling"]))
    low, high = (100 * (end or 0.0) for end in found.interval)
    inside = ((known["measured"] >= known["predicted_low"]) & (known["measured"] <= known["predicted_high"])).sum()
    return (
        f"{len(held)} pairs were predicted before their runs; at {len(known)} every run reached the target. "
        f"Their means stand {100 * float(np.sqrt(np.mean(known['error'] ** 2))):.2g} % off (rms), "
        f"{100 * found.estimate:.2g} % beyond what {found.cells} means of this many runs scatter by themselves "
        f"(95 % interval {low:.2g} to {high:.2g} %); {inside} of {len(known)} lie in their 95 % intervals."
    )
