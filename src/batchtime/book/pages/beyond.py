"""The page on runs that others published: its figures, each with the table that it was drawn from, and its frames."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from batchtime.book import plots
from batchtime.book.beyond import gpu_energy, gpu_times, gpu_truth, universal
from batchtime.book.beyond.gpu_energy import Prices
from batchtime.book.frames import binomial
from batchtime.runs import published

SOURCES = {
    "zeus": "Zeus (V100)",
    "mlperf": "MLPerf references",
    "zhang2025": "Zhang et al., 85M to 1.2B",
    "steplaw": "StepLaw",
    "pollux": "Pollux traces",
    "recorded": "ours, recorded",
    "gavel": "Gavel",
}
RATES = {
    "mnist-lenet": ["mnist-lenet-rate-0.005", "mnist-lenet", "mnist-lenet-rate-0.08", "mnist-lenet-rate-0.32"],
    "cifar10-cnn": ["cifar10-cnn-rate-0.005", "cifar10-cnn", "cifar10-cnn-rate-0.02"],
}
"""The sweeps of the two tasks whose gradient noise was recorded, one for each step size."""
LAWS = {"pole": "law with a pole", "law": "inverse law", "hard_knee": "hard knee", "power_law": "power law"}
ENERGY = tuple(f"zeus-cifar100-{target}" for target in ("0.4", "0.45", "0.5", "0.55", "0.6", "0.65"))
"""Series with seconds and watts at seven power limits whose runs reach the target at six batch sizes or more."""
EXAMPLE = "zeus-cifar100-0.5"
_OUTCOMES = {"within 10 % of the best": plots.PREDICTED, "further off": plots.FITTED, "no answer": plots.LEFT_OUT}


def _percent_axis(axes: Axes, label: str, *, of: str = "y") -> None:
    """Put fractions on a logarithmic axis in percent."""
    axis = axes.yaxis if of == "y" else axes.xaxis
    (axes.set_yscale if of == "y" else axes.set_xscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(label)


def _shares(axes: Axes, values: "pd.Series[float]", **look: Any) -> None:
    """Draw which share of some values lies below each value, at forty places."""
    shares = np.linspace(0, 1, 41)
    sns.lineplot(x=values.quantile(shares), y=shares, estimator=None, sort=False, ax=axes, **look)


# One curve


def one_curve(on_curve: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw every mean of every series on y = 1 + x, and below it the deviations of each decade."""
    known = on_curve[~on_curve["open"]]
    known = known.assign(source=known["source"].map(SOURCES))
    figure, (above, below) = plots.panels(2)
    names = [name for name in SOURCES.values() if name in set(known["source"])]
    colours = dict(zip(names, [*plots.COLOURS, "black"], strict=False))
    look: dict[str, Any] = {"hue": "source", "style": "source", "hue_order": names, "style_order": names, "s": 16}
    look |= {
        "palette": colours,
        "markers": list(plots.MARKS[: len(names)]),
        "linewidth": 0,
        "alpha": 0.7,
        "rasterized": True,
    }
    sns.scatterplot(known, x="x", y="unbent", ax=above, **look)
    grid = np.geomspace(known["x"].min(), known["x"].max(), 60)
    above.plot(grid, 1 + grid, color="black", linewidth=1, label="$1 + x$")
    above.set(
        xscale="log", yscale="log", xlabel=rf"batch size over {plots.CRITICAL}", ylabel=rf"$N M$ over {plots.ALPHA}"
    )
    plots.legend(above)
    bounds = list(universal.DECADES)
    words = [f"{low:g} to {high:g}" for low, high in pairwise(bounds[1:-1])]
    words = [f"below {bounds[1]:g}", *words, f"above {bounds[-2]:g}"]
    parts = []
    for law, x, deviation in (("with a pole", "x", "deviation"), ("without", "x_without", "deviation_without")):
        decade = pd.cut(on_curve[x], bounds, labels=words)
        parts.append(pd.DataFrame({"law": law, "decade": decade, "deviation": 100 * on_curve[deviation]}))
    whole = pd.concat(parts, ignore_index=True)
    palette = {"with a pole": plots.MEASURED, "without": plots.FITTED}
    sns.boxplot(whole, y="decade", x="deviation", hue="law", palette=palette, fliersize=0, linewidth=0.8, ax=below)
    below.axvline(0, color="black", linewidth=0.8)
    below.set(xlim=(-40, 60), xlabel="deviation from the curve (percent)", ylabel="$x$")
    plots.legend(below)
    columns = [
        "series",
        "source",
        "step_rule",
        "batch_size",
        "updates",
        "n_inf",
        "alpha",
        "pole",
        "x",
        "unbent",
        "deviation",
    ]
    return figure, known[columns]


def left_out(errors: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw which share of the left-out batch sizes each law predicts to which error."""
    long = errors.melt(id_vars=["series", "batch_size"], value_vars=list(LAWS), var_name="law", value_name="error")
    long = long.assign(error=long["error"].abs().clip(lower=1e-3), law=long["law"].map(LAWS))
    figure, axes = plt.subplots()
    for (name, style), colour in zip(zip(LAWS.values(), plots.LINES, strict=True), plots.COLOURS, strict=False):
        _shares(axes, long[long["law"] == name]["error"], color=colour, linestyle=style, label=name)
    for share, goal in ((0.5, 0.05), (0.9, 0.15)):
        axes.plot(goal, share, marker="x", color="black", markersize=7, label="_")
    _percent_axis(axes, "error of a predicted mean, at most", of="x")
    axes.set(ylabel="share of the batch sizes", xlim=(0.003, 2))
    plots.legend(axes)
    return figure, long


def curve_counts(means: pd.DataFrame) -> pd.DataFrame:
    """Return how many series, of ours and published ones, are on the curve or left out for which reason."""
    about = universal.screened(means)
    short = about["reason"].str.replace(r"^the same numbers as .*", "the numbers of another series", regex=True)
    table = about.assign(reason=short.replace("", "on the curve"), source=about["source"].map(SOURCES))
    counts = pd.crosstab(table["reason"], table["source"])
    order = ["on the curve", *[name for name in counts.index if name != "on the curve"]]
    sums = pd.DataFrame({"ours": counts[SOURCES["recorded"]], "published": counts.sum(axis=1)})
    return sums.assign(published=sums["published"] - sums["ours"]).loc[order].reset_index()


# GPU truth


def truth(losses: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw hits, misses and refusals of each way to choose a batch size, and how much they lose."""
    known = losses[losses["reason"] == ""]
    hit, miss, none = _OUTCOMES
    outcome = np.where(known["loss"].isna(), none, np.where(known["loss"] <= gpu_truth.WITHIN, hit, miss))
    ways = list(gpu_truth.HABITS)
    shown = known.assign(outcome=outcome, way=pd.Categorical(known["way"], ways), more=known["loss"].clip(lower=1e-2))
    figure, (above, below) = plots.panels(2)
    order = list(reversed(_OUTCOMES))
    look: dict[str, Any] = {"hue": "outcome", "hue_order": order, "palette": _OUTCOMES, "multiple": "stack"}
    sns.histplot(shown, y="way", discrete=True, shrink=0.75, alpha=0.9, legend=False, ax=above, **look)
    for name, colour in _OUTCOMES.items():
        above.barh([0], [0], color=colour, label=name)
    above.set(xlabel="cases that can be answered", ylabel="")
    plots.legend(above)
    colours = dict(zip(ways, [*plots.COLOURS, "black"], strict=True))
    for way, line in zip(ways, ("-", "--", "-.", ":", "--", "-."), strict=True):
        part = shown[shown["way"] == way]["more"].dropna()
        _shares(below, part, color=colours[way], linestyle=line, label=way)
    _percent_axis(below, "slower than the best measured size, at most", of="x")
    below.axvline(gpu_truth.WITHIN, color="black", linewidth=0.8)
    below.set(ylabel="share of the answers", xlim=(0.01, 10))
    plots.legend(below)
    return figure, shown[["series", "device", "learners", "best", "way", "asked", "used", "loss", "outcome"]]


def truth_by_workload(losses: pd.DataFrame) -> pd.DataFrame:
    """Return what advice did on each workload: cases, answered, within 10 %, and how often its bound held."""
    part = losses[(losses["way"] == "advice") & (losses["reason"] == "")]
    held = part["loss"] <= part["bound"] + 1e-3
    marked = part.assign(hit=part["loss"] <= gpu_truth.WITHIN, held=held, given=part["loss"].notna())
    groups = marked.groupby("workload")
    given = groups["given"].sum()
    return pd.DataFrame(
        {
            "cases": groups.size(),
            "answered": given,
            "within_10_share": groups["hit"].sum() / given,
            "bound_held_share": groups["held"].sum() / given,
        }
    ).reset_index()


def bounds(folder: Path) -> pd.DataFrame:
    """Return how often bounds held where the source of a case was left out of what is typical, by workload.

    Columns: workload, cases, answered, bound_held_share, mean_loss_share, and of the last row, in which workloads weigh
    alike, bound_held_share_low and _high: binomial, of as many cases as so weighted ones are worth.
    """
    recorded = pd.read_csv(folder / "studies" / "bounds.csv")
    given = recorded[~recorded["refused"]]
    given = given.assign(held=given["loss"] <= given["bound"] + 1e-3)
    groups = given.groupby("workload")
    held, answered = groups["held"].mean(), groups.size()
    share, worth = float(held.mean()), len(held) ** 2 / float((1 / answered).sum())
    low, high = binomial(share * worth, worth)
    by_workload = pd.DataFrame(
        {
            "workload": held.index,
            "cases": recorded.groupby("workload").size()[held.index].to_numpy(),
            "answered": answered.to_numpy(),
            "bound_held_share": held.to_numpy(),
            "mean_loss_share": groups["loss"].mean().to_numpy(),
        }
    )
    whole = {
        "workload": "all, each weighing alike",
        "cases": len(recorded),
        "answered": len(given),
        "bound_held_share": share,
        "bound_held_share_low": float(low),
        "bound_held_share_high": float(high),
        "mean_loss_share": float(groups["loss"].mean().mean()),
    }
    return pd.concat([by_workload, pd.DataFrame([whole])], ignore_index=True)


def scatter_of_means() -> float:
    """Return the largest standard error, over the mean, of the means of ImageNet at the targets that were missed."""
    rows = published.all_means().query("reached == runs and runs > 1")
    rows = rows[rows["series"].isin(["zeus-imagenet-0.45", "zeus-imagenet-0.5"])]
    return float((rows["sd"] / rows["updates"] / np.sqrt(rows["runs"])).max())


# Seconds of an update


def forms(fitted: pd.DataFrame, shared: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw how far each form of t(M), and each c(L), stands off published timings."""
    figure, (above, below) = plots.panels(2)
    palette = {SOURCES["gavel"]: plots.MEASURED, SOURCES["pollux"]: plots.FITTED}
    look: dict[str, Any] = {"hue": "source", "palette": palette, "fliersize": 0, "linewidth": 0.8}
    fitted, shared = (frame.assign(source=frame["source"].map(SOURCES)) for frame in (fitted, shared))
    sns.boxplot(fitted, y="form", x="rms", ax=above, **look)
    sns.boxplot(shared, y="exchange", x="rms", ax=below, **look)
    for axes, label in ((above, "form of $t(M)$"), (below, "form of $c(L)$")):
        _percent_axis(axes, "root mean square error of a timing", of="x")
        axes.set(ylabel=label, xlim=(0.004, 1))
        plots.legend(axes)
    return figure, plots.together(
        forms=fitted[["source", "form", "rms"]], exchanges=shared[["source", "exchange", "rms"]]
    )


def worst_shared(shared: pd.DataFrame, count: int = 6) -> pd.DataFrame:
    """Return where delta + gamma M / L + c log2 L does worst, and what that costs in the optimum."""
    chosen = shared[shared["exchange"] == "tree"].nlargest(count, "rms")
    columns = {"rms": "rms_share", "apart": "apart_share", "lost": "lost_share"}
    return chosen[["workload", "device", *columns]].rename(columns=columns)


def form_counts(fitted: pd.DataFrame) -> pd.DataFrame:
    """Return `gpu_times.by_form` with fractions by names that tables know."""
    table = gpu_times.by_form(fitted)
    names = {name: f"{name}_share" for name in ("median_rms", "rms_90", "median_lost", "lost_90", "best")}
    columns = ["source", "form", "median_rms_share", "lost_90_share", "best_share"]
    return table.assign(source=table["source"].map(SOURCES)).rename(columns=names)[columns]


# Energy and money


def frontier(prices: Prices) -> tuple[Figure, pd.DataFrame]:
    """Draw seconds and joules of every batch size and power limit of one series, its frontier, and the three optima."""
    grid = gpu_energy.measured(EXAMPLE)
    guess = gpu_energy.predicted(grid)
    grid = grid.assign(money=gpu_energy.cost(grid, prices), kilojoules=grid["joules"] / 1e3)
    figure, axes = plt.subplots()
    limits = sorted(grid["power_limit"].unique())
    colours = dict(zip(limits, plots.shades(len(limits)), strict=True))
    shown = grid[(grid["seconds"] < 2.3 * grid["seconds"].min())]
    sns.scatterplot(shown, x="seconds", y="kilojoules", hue="power_limit", palette=colours, s=20, legend=False, ax=axes)
    best = grid[grid["frontier"]].sort_values("seconds")
    axes.plot(best["seconds"], best["kilojoules"], color=plots.MEASURED, label="frontier, measured")
    chosen = gpu_energy.on_frontier(guess)
    path = grid[chosen].sort_values("seconds")
    axes.plot(path["seconds"], path["kilojoules"], "x--", color=plots.PREDICTED, label="frontier, predicted")
    for wanted, mark in (("seconds", "s"), ("joules", "D"), ("money", "v")):
        row = grid.iloc[int(grid[wanted].argmin())]
        label = f"least {wanted}: {row['batch_size']:g}, {row['power_limit']:g} W"
        axes.plot(row["seconds"], row["kilojoules"], mark, markersize=9, mfc="none", color=plots.FITTED, label=label)
    axes.set(xlabel="seconds to the target", ylabel="kilojoules to the target")
    plots.legend(axes)
    return figure, grid.assign(predicted_frontier=chosen)


def optima(prices: Prices) -> pd.DataFrame:
    """Return where seconds, joules and money are least, measured and predicted, by target."""
    found = gpu_energy.optima(list(ENERGY), prices)
    at = {
        side: [f"{m:g}, {w:g} W" for m, w in zip(found[f"{side}batch_size"], found[f"{side}power_limit"], strict=True)]
        for side in ("", "predicted_")
    }
    target = found["series"].str.rpartition("-")[2].astype(float)
    frame = pd.DataFrame(
        {"target": target, "wanted": found["wanted"], "measured": at[""], "predicted": at["predicted_"]}
    )
    shares = {"lost_share": found["lost"], "saved_share": found["saved"], "slower_share": found["slower"]}
    return frame.assign(**shares, seconds_rms=found["rms_seconds"], joules_rms=found["rms_joules"])


# Noise, and a fixed time


def noise(traces: pd.DataFrame, ours: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the noise scale over alpha / n_inf of the runs: along published traces, and of our own runs."""
    names = {
        "median_off": "published, median",
        "early_off": "ours, early",
        "over_time_off": "ours, over time",
    }
    published = traces.assign(task=traces["workload"].str.replace("pollux-", "Pollux, "))
    parts = [(published, ["median_off"]), (ours, ["early_off", "over_time_off"])]
    long = pd.concat(
        [one.melt(id_vars=["task"], value_vars=columns, var_name="when", value_name="ratio") for one, columns in parts],
        ignore_index=True,
    )
    long = long.assign(when=long["when"].map(names))
    figure, axes = plt.subplots()
    palette = dict(zip(names.values(), (plots.MEASURED, plots.FITTED, plots.PREDICTED), strict=True))
    sns.stripplot(long, y="task", x="ratio", hue="when", palette=palette, jitter=0.15, size=5, ax=axes)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvspan(1 / 2.5, 2.5, color=plots.LEFT_OUT, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(plots.PLAIN)
    axes.set(xlabel=rf"noise scale over {plots.CRITICAL} of the runs", ylabel="")
    plots.legend(axes)
    return figure, long


def fixed_time(runs: pd.DataFrame, devices: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw what five minutes reached at each batch size on two devices, and where the law puts the best one."""
    figure, panels = plots.panels(len(devices))
    for axes, device in zip(panels, devices.to_dict("records"), strict=True):
        part = runs[runs["device"] == device["device"]].sort_values("batch_tokens")
        axes.plot(part["batch_tokens"], part["bits_per_byte"], "o-", color=plots.MEASURED, label="measured")
        axes.axvspan(
            device["predicted_low"],
            device["predicted_high"],
            color=plots.PREDICTED,
            alpha=0.25,
            label="best, by the law",
        )
        axes.set_xscale("log", base=2)
        axes.set(xlabel="tokens in a batch", ylabel="bits per byte")
        axes.set_title(str(device["device"]), loc="left")
        plots.legend(axes)
    return figure, runs


def kept(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return some columns of a frame under the names that a table of the page gives them."""
    return frame[list(columns)].rename(columns=dict(columns))
