"""Scaling the learning rate with the batch: the best rate at each batch size, what rules cost, what Adam does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import least_squares

from batchtime.book import plots
from batchtime.book.one_curve import habits, surface, swept
from batchtime.fit.curve import Cell, CurveFit, cells
from batchtime.fit.measurements import UpdateTiming
from batchtime.laws.quantity import Array
from batchtime.runs.catalogue import EXPERIMENTS
from batchtime.runs.store import Store


def best_rates(seen: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return at each batch size run at two or more learning rates the one of least mean updates, by task.

    Args:
        seen: By task, the pairs that all runs reached (columns batch_size, learning_rate, distance, cell).

    Returns:
        Columns task, batch_size, learning_rate, rates (how many were run and reached), at_the_edge (the least or the
        largest of them was best: a better one may lie beyond).
    """
    rows = []
    for task, frame in seen.items():
        constant = frame[frame["cell"] != "capped rate"]
        for size, here in constant.groupby("batch_size"):
            if len(here) < 2:
                continue
            updates = (here["distance"] / here["learning_rate"]).to_numpy()
            rate = float(here["learning_rate"].to_numpy()[np.argmin(updates)])
            edge = rate in (here["learning_rate"].min(), here["learning_rate"].max())
            rows.append((task, float(str(size)), rate, len(here), edge))
    return pd.DataFrame(rows, columns=["task", "batch_size", "learning_rate", "rates", "at_the_edge"])


def by_curve(curve: CurveFit, sizes: Array) -> Array:
    """Return (S,) the learning rates of least updates at batch sizes (S,), up to the largest of the curve."""
    rates = curve.law.largest_learning_rate * np.geomspace(1e-4, 1, 801)
    updates = np.asarray(curve.law.updates(sizes[:, None], rates[None, :]))
    return np.asarray(rates[np.argmin(updates, axis=1)], dtype=np.float64)


def on_one_curve_each(axes: Axes, seen: Mapping[str, pd.DataFrame], curves: Mapping[str, CurveFit]) -> pd.DataFrame:
    """Draw every mean of every task on the curve of its task, in units of that curve, one task above the other.

    Across, eta / M times alpha / A: 1 where noise costs as much as the way; upward, eta N over A times a factor that
    sets the tasks apart. Dark marks have the smallest learning rate of their task, bright ones the largest; hollow
    ones were predicted before they were run.

    Args:
        axes: Where to draw.
        seen: By task, of `one_curve.points`.
        curves: By task, the lowest first.
    """
    drawn = {}
    for k, (task, curve) in enumerate(curves.items()):
        law, factor = curve.law, _APART**k
        unit = law.alpha / law.A
        frame = seen[task].assign(x=seen[task]["quotient"] * unit)
        for end in ("", "_low", "_high"):
            frame[f"y{end}"] = frame[f"distance{end}"].astype(float) * factor / law.A
        rates = sorted(frame["learning_rate"][frame["cell"] != "capped rate"].unique())
        for rate, colour in zip(rates, plots.shades(len(rates)), strict=True):
            for kind, part in frame[(frame["learning_rate"] == rate) & (frame["cell"] != "capped rate")].groupby(
                "cell"
            ):
                look: dict[str, Any] = {"colour": colour, "full": kind == "fitted"}
                plots.intervals(axes, part, "x", "y", **look)
        capped = frame[frame["cell"] == "capped rate"]
        if len(capped):
            plots.intervals(axes, capped, "x", "y", colour=plots.PREDICTED, mark="D", full=False)
        ends = frame["quotient"].min() / 1.3, min(frame["quotient"].max() * 1.3, 0.98 * law.pole)
        grid = np.geomspace(*ends, plots.CURVE_POINTS)
        axes.plot(grid * unit, law.distance(grid) * factor / law.A, color="black", linewidth=1)
        start = grid[0] * unit
        place: dict[str, Any] = {"ha": "right", "va": "center"} if start > _ROOM else {"ha": "left", "va": "top"}
        at = (start / 1.15, factor) if start > _ROOM else (start, factor / 1.3)
        axes.annotate(f"{task}: {len(rates)} rates", at, fontsize=10, **place)
        drawn[task] = frame[["learning_rate", "batch_size", "cell", "runs", "x", "y", "y_low", "y_high"]]
    axes.set_xscale("log")
    axes.set_xlabel(r"noise over way, $(\eta / M)\, \alpha / A$")
    plots.plain_log_axis(axes, rf"$\eta N / A$, each task {_APART} times above the one below")
    return plots.together(**drawn)


_APART = 6
_ROOM = 5e-3  # from where on a name has room left of its curve


def draw(best: pd.DataFrame, curves: Mapping[str, CurveFit]) -> tuple[Figure, pd.DataFrame]:
    """Draw a panel a task: the best learning rate at each batch size, run and by the curve, beside both rules.

    Args:
        best: Of `best_rates`.
        curves: By task.
    """
    figure, panels = plots.panels(len(curves))
    drawn = {}
    for axes, (task, curve) in zip(panels, curves.items(), strict=True):
        run = [one.batch_size for one in curve.cells]
        sizes = np.geomspace(min(run), max(run), 61)
        by = by_curve(curve, sizes)
        axes.plot(sizes, by, color=plots.FITTED, label="by the curve")
        largest = curve.law.largest_learning_rate
        for power, line, name in ((1.0, "--", "in proportion"), (0.5, ":", "with the root")):
            rule = by[0] * (sizes / sizes[0]) ** power
            look: dict[str, Any] = {"color": "black", "linewidth": 1, "linestyle": line, "label": name}
            axes.plot(sizes[rule <= 1.5 * largest], rule[rule <= 1.5 * largest], **look)
        here = best[best["task"] == task]
        for edge, part in here.groupby("at_the_edge"):
            axes.plot(
                part["batch_size"],
                part["learning_rate"],
                "o",
                color=plots.MEASURED,
                fillstyle="none" if edge else "full",
            )
        axes.plot([], [], "o", color=plots.MEASURED, label="best of those run")
        plots.batch_size_axis(axes)
        plots.plain_log_axis(axes, r"learning rate $\eta$ of least updates")
        axes.set_title(task, fontsize=11, loc="left")
        drawn[task] = pd.DataFrame({"batch_size": sizes, "learning_rate": by})
    plots.legend(panels[0])
    return figure, plots.together(best=best, **drawn)


def regimes(curve: CurveFit) -> dict[str, float]:
    """Return where linear scaling ends by the curve: quotient eta / M of least examples, and the batch size of the end.

    Below that batch size the best learning rate is the quotient times the batch size; above it is the largest.
    """
    run = [one.batch_size for one in curve.cells]
    sizes = np.geomspace(min(run) / 4, max(run) * 4, 801)
    by = by_curve(curve, sizes)
    top = by >= 0.98 * by.max()
    below = ~top
    quotient = float(by[0] / sizes[0]) if below.any() else float("nan")
    return {"quotient": quotient, "end": float(sizes[top][0]), "rate": float(by.max())}


# What takes the place of eta / M


def other_arms(base: str, part: str, store: Store) -> tuple[Cell, ...]:
    """Return the means of a task's sweeps whose names hold a part ("momentum", "adam"), at each learning rate."""
    runs = {}
    for one in EXPERIMENTS.values():
        if one.variant_of == base and part in one.name:
            wanted = set(one.sweep.runs())
            seen = [r.observation() for r in store.runs(one.name) if r.spec in wanted]
            if seen:
                runs[one.sweep.setting.learning_rate.maximum] = seen
    return cells(runs) if runs else ()


def collapse(some: tuple[Cell, ...]) -> pd.DataFrame:
    """Return how well eta N is one curve of eta / M^p, for p = 0, 1/2 and 1: power, pairs, rms.

    The curve is log(eta N) = log(A + alpha x^k), three free numbers, at each p fitted to all pairs that every run
    reached.
    """
    used = [one for one in some if one.whole and one.mean is not None]
    rate = np.array([one.learning_rate for one in used])
    size = np.array([one.batch_size for one in used])
    log = np.log(rate * np.array([one.mean for one in used], dtype=np.float64))
    rows = []
    for power in (0.0, 0.5, 1.0):
        x = np.log(rate) - power * np.log(size)
        x = x - x.mean()

        def off(p: Array, x: Array = x) -> Array:
            return np.asarray(log - np.logaddexp(p[0], p[1] + p[2] * x))

        starts = [np.array([log.min(), log.mean() - 1, k]) for k in (0.5, 1.0, 2.0)]
        best = min((least_squares(off, start, max_nfev=400) for start in starts), key=lambda found: found.cost)
        rows.append((power, len(used), float(np.sqrt(np.mean(best.fun**2)))))
    return pd.DataFrame(rows, columns=["power", "pairs", "rms_share"])


# Tables of the page


def all_regimes(curves: Mapping[str, CurveFit]) -> pd.DataFrame:
    """Return `regimes` of each task: task, quotient, end, rate."""
    return pd.DataFrame({"task": task, **regimes(curve)} for task, curve in curves.items())


def costs(curves: Mapping[str, CurveFit], timings: Mapping[str, Sequence[UpdateTiming]]) -> pd.DataFrame:
    """Return what each habit costs beside the best pair, a row a task and a column a habit, as fractions."""
    rows = []
    for task, curve in curves.items():
        found = habits(surface(curve, timings[task]), curve, timings[task])
        kept, linear, root, largest = (float(value) for value in found["cost_share"].iloc[1:])
        rows.append((task, kept, linear, root, largest))
    names = ["task", "kept_share", "linear_share", "root_share", "largest_share"]
    return pd.DataFrame(rows, columns=names)


def collapses(base: str, optimizers: Mapping[str, str], store: Store) -> pd.DataFrame:
    """Return `collapse` for each optimizer: optimizer, pairs, rms at the powers 0, 1/2 and 1.

    Args:
        base: The task.
        optimizers: By what a reader calls it the part of the sweeps' names; empty for plain SGD.
        store: Where the runs are.
    """
    rows = []
    for title, part in optimizers.items():
        some = other_arms(base, part, store) if part else cells(swept(base, store).runs(held_out=False))
        if sum(one.whole for one in some) < 5:
            continue
        found = collapse(some)
        rows.append((title, int(found["pairs"].iloc[0]), *found["rms_share"]))
    names = ["optimizer", "pairs", "none_share", "half_share", "one_share"]
    return pd.DataFrame(rows, columns=names)


def adam_text(found: pd.DataFrame, optimizers: Sequence[str]) -> str:
    """Return in words which power describes each optimizer best, and of which no runs are recorded."""
    powers = dict(zip(found.columns[2:], ("0", "1/2", "1"), strict=True))
    said = []
    for row in found.to_dict("records"):
        best = min(powers, key=lambda name: row[name])
        said.append(f"{row['optimizer']}: p = {powers[best]} is the best of the three, {100 * row[best]:.2g} % (rms)")
    missing = [title for title in optimizers if title not in set(found["optimizer"])]
    lacking = f" No sweeps with {' or '.join(missing)} at several learning rates are recorded yet." if missing else ""
    return "; ".join(said) + "." + lacking
