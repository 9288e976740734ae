"""Draw frames of runs, laws and times: each function draws on axes that it is given and returns what it drew.

Every run is drawn; batch sizes stand on a base-2 logarithmic axis with plain integers. One colour-blind-safe palette
means the same everywhere: blue is measured, orange fitted, green predicted, grey left out of the fit.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike

from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import RunRecord

# Any two of them look different also with protanopia and deuteranopia, and each stands out from a white ground; all of
# that also with lightness turned round, as the book shows figures in the dark. What is drawn in several of them is told
# by its mark or its line as well.
COLOURS = ("#00459a", "#c56c0a", "#126c36", "#b772c1", "#939394")
MEASURED, FITTED, PREDICTED, SECOND, LEFT_OUT = COLOURS
MARKS = "osDPvXp"
LINES = ("-", "--", "-.", ":")
CURVE_POINTS = 200
MOST_POINTS = 1000  # that a figure keeps as shapes: more of them are pixels, and its file a tenth
PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")
WIDTH, HEIGHT = 5.2, 3.4  # inches, of a figure with one panel
M_LABEL = "batch size $M$ (examples)"
N_LABEL = "updates $N$ to the target"
N_INF, ALPHA, CRITICAL = r"$n_\infty$", r"$\alpha$", r"$\alpha / n_\infty$"
LAW = r"$n_\infty + \alpha / M$"
UNITS = {"n_inf": f"{N_INF} (updates)", "alpha": f"{ALPHA} (examples)", "critical_batch_size": f"{CRITICAL} (examples)"}

Looks = Mapping[str, tuple[str, str, str]]
"""By what a point is, its label, colour and mark."""
RUNS: Looks = {
    "fitted": ("a run", MEASURED, "o"),
    "sealed": ("a run at a held-out batch size", PREDICTED, "D"),
    "left out": ("a run left out of the fit", LEFT_OUT, "s"),
}


def use_style() -> None:
    """Use the book's fonts, grid, colours and sizes from now on, in this process."""
    sizes = {
        "font.size": 11,  # and no text less than 10: on a phone a figure is shown at 0.7 of its size
        "legend.fontsize": 10,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "axes.titlesize": 11,
        "axes.labelsize": "medium",
    }
    ground = {"grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    lines = {"axes.linewidth": 0.8, "grid.linewidth": 0.8, "axes.edgecolor": "black", "lines.linewidth": 1.5}
    lines |= {"text.color": "black", "axes.labelcolor": "black", "xtick.color": "black", "ytick.color": "black"}
    shape = {"figure.constrained_layout.use": True, "figure.figsize": (WIDTH, HEIGHT), "savefig.dpi": 200}
    sns.set_theme(style="whitegrid", palette=list(COLOURS), font="DejaVu Sans", rc=sizes | ground | lines | shape)


def say(axes: Axes, finding: str) -> None:
    """Put what a figure shows above it, in as many lines as it needs; call it last."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that are drawn on have one
    whole = re.sub(r"\$[^$]*\$", lambda formula: formula[0].replace(" ", "\0"), finding)  # no line ends in a formula
    lines = [line.replace("\0", " ") for line in wrap(whole, _LINE)]
    figure.set_figheight(figure.get_figheight() + len(lines) * _LINE_INCHES)
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11, fontweight="bold")


def legend(axes: Axes) -> None:
    """Put the legend above its panel, where it covers nothing, and make the figure taller by as much."""
    handles, labels = axes.get_legend_handles_labels()
    entries = {label: handle for handle, label in reversed(list(zip(handles, labels, strict=True)))}
    entries = {label: entries[label] for label in dict.fromkeys(labels)}
    columns = 2 if max(map(len, entries)) <= _HALF_A_LINE else 1
    lines = -(-len(entries) // columns)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that are drawn on have one
    figure.set_figheight(figure.get_figheight() + lines * _LINE_INCHES)
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "borderpad": 0.2}
    axes.legend(list(entries.values()), list(entries), ncols=columns, title=None, **place)
    axes.set_title(axes.get_title("left"), loc="left", pad=72 * lines * _LINE_INCHES + 8)


_LINE_INCHES, _LINE, _HALF_A_LINE = 0.22, 58, 20  # height of a line of text; characters in a line, and in half of one


def shades(count: int) -> list[tuple[float, ...]]:
    """Return colours for an ordered quantity, from dark to bright and none of them pale."""
    return [tuple(colour) for colour in colormaps["magma"](np.linspace(0, 0.62, count))]


def batch_size_axis(axes: Axes) -> None:
    """Put M on a base-2 logarithmic axis with plain integers."""
    axes.set_xscale("log", base=2)
    most = 10 if axes.get_xlim()[1] < 1e4 else 7  # as many as there is room for
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=most))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(M_LABEL)


def plain_log_axis(axes: Axes, label: str) -> None:
    """Put updates, seconds or an error on a logarithmic axis with plain numbers."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    marks = (1.0, 2.0, 5.0) if high > 12 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=marks))
    axes.yaxis.set_major_formatter(PLAIN)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(label)


def even_grid(sizes: Sequence[float]) -> Array:
    """Return the points of a curve from the least to the greatest of some sizes, evenly on a logarithmic axis."""
    return np.geomspace(min(sizes), max(sizes), CURVE_POINTS)


def together(**series: pd.DataFrame) -> pd.DataFrame:
    """Return frames below each other, with the name of each in a column `series`."""
    parts = [frame.assign(series=name).dropna(axis=1, how="all") for name, frame in series.items() if len(frame)]
    whole = pd.concat(parts, ignore_index=True)
    return whole[["series", *whole.columns.drop("series")]]


# The layers that figures are made of


def strip(axes: Axes, frame: pd.DataFrame, x: str, y: str, *, by: str, looks: Looks, size: float = 18) -> None:
    """Draw every row as a point, those of one x spread sideways so that each can be seen.

    Args:
        axes: Where to draw.
        frame: The rows.
        x: Column of the place, on a logarithmic axis.
        y: Column of the height.
        by: Column that says what a row is.
        looks: What each of them looks like.
        size: Of a point, in square points.
    """
    order = frame.groupby([x, by]).cumcount()
    most = frame.groupby([x, by])[y].transform("size") - 1
    shown = frame.assign(place=frame[x] * 2 ** (0.24 * (order / most.clip(lower=1) - 0.5) * (most > 0)))
    shown["what"] = shown[by].map(lambda name: looks[name][0])
    present = [look for name, look in looks.items() if name in set(frame[by])]
    sns.scatterplot(
        shown,
        x="place",
        y=y,
        hue="what",
        hue_order=[label for label, _, _ in present],
        style="what",
        palette={label: colour for label, colour, _ in present},
        markers={label: mark for label, _, mark in present},
        s=size,
        alpha=0.75,
        linewidth=0,
        ax=axes,
        rasterized=len(shown) > MOST_POINTS,
    )


def intervals(
    axes: Axes, frame: pd.DataFrame, x: str, y: str, *, colour: str, mark: str = "o", full: bool = True, label: str = ""
) -> None:
    """Draw estimates with their 95 % intervals in the columns `y`_low and `y`_high, an open side as far as y itself."""
    low, high = (frame[f"{y}_{side}"].astype(float).fillna(frame[y]) for side in ("low", "high"))
    errors = [(frame[y] - low).clip(lower=0), (high - frame[y]).clip(lower=0)]
    look: dict[str, Any] = {"fmt": mark, "markersize": 5, "elinewidth": 1.2, "color": colour}
    axes.errorbar(
        frame[x], frame[y], yerr=errors, markerfacecolor=colour if full else "white", label=label or "_", **look
    )


def curves(axes: Axes, frame: pd.DataFrame, x: str, y: str, *, by: str, palette: Sequence[Any], **look: Any) -> None:
    """Draw one line for each value of a column."""
    names = list(dict.fromkeys(frame[by]))
    colours = dict(zip(names, palette, strict=False))
    sns.lineplot(frame, x=x, y=y, hue=by, hue_order=names, palette=colours, estimator=None, ax=axes, **look)


def lines(axes: Axes, drawn: Iterable[tuple[str, ArrayLike, ArrayLike, Mapping[str, Any]]]) -> pd.DataFrame:
    """Draw updates against the batch size, each line by its label, batch sizes, updates and look, with axes and legend.

    Columns `what` (the label), `batch_size` and `updates`.
    """
    parts = []
    for label, sizes, updates, look in drawn:
        axes.plot(sizes, updates, label=label, **look)
        parts.append(pd.DataFrame({"what": label, "batch_size": sizes, "updates": updates}))
    batch_size_axis(axes)
    plain_log_axis(axes, N_LABEL)
    legend(axes)
    return pd.concat(parts, ignore_index=True)


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels below each other, for what has no column in common that could make facets of it."""
    figure, axes = plt.subplots(count, squeeze=False, figsize=(WIDTH, 0.8 * HEIGHT * count))
    return figure, list(axes[:, 0])


def facets(frame: pd.DataFrame, rows: str) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel for each value of a column, below each other: side by side they are too small."""
    order = list(dict.fromkeys(frame[rows]))
    shape: dict[str, Any] = {"height": 0.8 * HEIGHT, "aspect": WIDTH / (0.8 * HEIGHT)}
    with plt.rc_context({"figure.constrained_layout.use": False}):  # the grid warns of it, and sets it aside
        grid = sns.FacetGrid(frame, row=rows, row_order=order, sharex=False, sharey=False, despine=False, **shape)
    grid.set_titles("")  # panels say it by their axes, or by a title of their own
    figure: Figure = grid.figure
    figure.set_layout_engine("constrained")  # the grid's own leaves no room for a legend
    return figure, dict(zip(order, grid.axes[:, 0], strict=True))


# Runs and their law


def updates_against_batch_size(
    axes: Axes, runs: pd.DataFrame, law: InverseLaw, *, band: tuple[Array, Array] | None = None
) -> pd.DataFrame:
    """Draw updates to the target against the batch size: every run, the law, its two arms.

    Args:
        axes: Where to draw.
        runs: Of `frames.runs`, "fitted", "sealed" or "left out".
        law: The fitted law.
        band: Lower and upper updates on `curve_sizes(runs)`, each of shape (CURVE_POINTS,).
    """
    sizes = curve_sizes(runs)
    curve = pd.DataFrame({"batch_size": sizes, "updates": law.updates(sizes), "perfect_scaling": law.alpha / sizes})
    if band is not None:
        curve = curve.assign(updates_low=band[0], updates_high=band[1])
        look: dict[str, Any] = {"color": FITTED, "alpha": 0.25, "linewidth": 0}
        axes.fill_between(sizes, *band, **look, label="95 % of laws, seeds resampled")
    sns.lineplot(curve, x="batch_size", y="updates", color=FITTED, label=LAW, ax=axes)
    axes.plot(sizes, curve["perfect_scaling"], color=LEFT_OUT, linestyle=":", label=r"$\alpha / M$: perfect scaling")
    axes.axhline(law.n_inf, color=LEFT_OUT, linestyle="--", label=N_INF)
    strip(axes, _by_outcome(runs), "batch_size", "updates", by="look", looks=_outcome_looks())
    batch_size_axis(axes)
    plain_log_axis(axes, N_LABEL)
    axes.set_ylim(min(runs["updates"].min(), law.n_inf) / 1.5, runs["updates"].max() * 1.5)
    legend(axes)
    return together(runs=runs, law=curve)


def _by_outcome(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.assign(look=runs["run_is"] + np.where(runs["censored"], _SPENT, ""))


_SPENT = ", budget spent first"


def _outcome_looks() -> Looks:
    lost = {f"{name}{_SPENT}": (f"{label}{_SPENT}", colour, "^") for name, (label, colour, _) in RUNS.items()}
    return {**RUNS, **lost}


def curve_sizes(runs: pd.DataFrame) -> Array:
    """Return the batch sizes at which curves over the fitted runs are drawn, shape (CURVE_POINTS,)."""
    return even_grid(list(runs.loc[runs["run_is"] == "fitted", "batch_size"]))


def examples_against_batch_size(axes: Axes, runs: pd.DataFrame, law: InverseLaw) -> pd.DataFrame:
    """Draw the examples needed, E = N M, against M on linear axes: the law is the straight line alpha + n_inf M."""
    reached = runs[(runs["run_is"] == "fitted") & ~runs["censored"]]
    reached = reached.assign(thousands=reached["updates"] * reached["batch_size"] / 1e3)
    sizes = np.linspace(0, reached["batch_size"].max(), CURVE_POINTS)
    curve = pd.DataFrame({"batch_size": sizes, "thousands": law.examples(sizes) / 1e3})
    sns.lineplot(curve, x="batch_size", y="thousands", color=FITTED, label=r"$\alpha + n_\infty M$", ax=axes)
    look: dict[str, Any] = {"color": MEASURED, "s": 18, "alpha": 0.6, "linewidth": 0, "label": "a run"}
    sns.scatterplot(reached, x="batch_size", y="thousands", ax=axes, **look)
    axes.set(xlabel=M_LABEL, ylabel="examples $E$ to the target (thousands)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return together(runs=reached, law=curve)


def learning_curves(axes: Axes, records: Sequence[RunRecord], batch_sizes: Sequence[int]) -> pd.DataFrame:
    """Draw the metric of each run against updates, one colour a batch size, with the target."""
    target = records[0].setting.workload.target
    seen = pd.DataFrame(
        {"batch_size": run.batch_size, "seed": run.seed, "updates": updates, target.metric: value}
        for run in records
        if run.batch_size in batch_sizes
        for updates, value in zip(run.evaluations.updates, run.evaluations.metrics[target.metric], strict=True)
    )
    named = seen.sort_values(["batch_size", "seed", "updates"], ignore_index=True)
    named["which"] = [f"$M$ = {size}" for size in named["batch_size"]]
    colours = shades(len(batch_sizes))
    curves(axes, named, "updates", target.metric, by="which", palette=colours, units="seed", linewidth=0.8, alpha=0.7)
    axes.axhline(target.value, color="black", linestyle="--", linewidth=1, label=f"target {target.value:g}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(PLAIN)
    unit = {"error": " (fraction)", "loss": " (nats)"}.get(target.metric, "")
    plain_log_axis(axes, f"validation {target.metric}{unit}")
    axes.set_xlabel("updates")
    legend(axes)
    return named.drop(columns="which")


def outcome_map(axes: Axes, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Draw what came of each run, batch sizes across and seeds upward: reached, censored or diverged."""
    runs = pd.DataFrame(
        {"batch_size": run.batch_size, "seed": run.seed, "outcome": run.outcome.status} for run in records
    )
    words = {"reached": "reached its target", "censored": "budget spent first", "diverged": "loss no longer finite"}
    looks = dict(zip(words, ((MEASURED, "o"), (FITTED, "^"), ("black", "X")), strict=True))
    counts = runs["outcome"].value_counts()
    labels = {name: f"{text}: {counts.get(name, 0)} of {len(runs)} runs" for name, text in words.items()}
    sizes, seeds = sorted(set(runs["batch_size"])), sorted(set(runs["seed"]))
    sns.scatterplot(
        x=runs["batch_size"].map(sizes.index),
        y=runs["seed"].map(seeds.index),
        hue=runs["outcome"].map(labels),
        hue_order=list(labels.values()),
        style=runs["outcome"].map(labels),
        style_order=list(labels.values()),
        palette={labels[name]: colour for name, (colour, _) in looks.items()},
        markers={labels[name]: mark for name, (_, mark) in looks.items()},
        s=40,
        linewidth=0,
        ax=axes,
    )
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    step = max(1, len(seeds) // 10)
    axes.set_yticks(range(0, len(seeds), step), [str(seed) for seed in seeds[::step]])
    axes.set(xlabel=M_LABEL, ylabel="seed")
    axes.margins(y=0.1)
    legend(axes)
    return runs


# Sweeps beside each other


def arms(axes: Axes, means: pd.DataFrame, laws: pd.DataFrame) -> pd.DataFrame:
    """Draw the mean updates of several sweeps against the batch size, with 95 % intervals and the law of each.

    The law is drawn over the batch sizes that it was fitted to; means without a fit are hollow. A triangle stands where
    less than half of the runs got there, at the most that is known.

    Args:
        axes: Where to draw.
        means: Of `frames.means`.
        laws: Of `frames.laws`.
    """
    known = means[means["updates"].notna()]
    labels = list(dict.fromkeys(means["label"]))
    fitted = laws[laws["n_inf"].notna()]
    curve = pd.DataFrame(
        {"label": row["label"], "batch_size": size, "updates": row["n_inf"] + row["alpha"] / size}
        for row in fitted.to_dict("records")
        for size in even_grid([row["fitted_low"], row["fitted_high"]])
    )
    palette = dict(zip(labels, shades(len(labels)), strict=True))
    if len(curve):
        palette_of_laws = [palette[label] for label in dict.fromkeys(curve["label"])]
        curves(axes, curve, "batch_size", "updates", by="label", palette=palette_of_laws, linewidth=1, legend=False)
    for label, mark in zip(labels, MARKS, strict=False):
        here = known[known["label"] == label]
        axes.plot([], [], mark, color=palette[label], markersize=5, label=label)
        for (is_fitted, lost), part in here.groupby(["fitted", "lost"]):
            shown = part.assign(updates_high=part["updates"]) if lost else part
            look: dict[str, Any] = {"colour": palette[label], "mark": "^" if lost else mark, "full": bool(is_fitted)}
            intervals(axes, shown, "batch_size", "updates", **look)
    batch_size_axis(axes)
    plain_log_axis(axes, f"mean {N_LABEL}")
    legend(axes)
    return together(means=means, laws=curve)


def law_against(laws: pd.DataFrame, x: str, label: str, *, logarithmic: bool = True) -> tuple[Figure, pd.DataFrame]:
    """Draw n_inf, alpha and alpha / n_inf of several laws, each with its 95 % interval, in facets against a quantity.

    Args:
        laws: Of `frames.laws`, with a column of that quantity; those without a law are left out.
        x: The column.
        label: Of the quantity, with its unit.
        logarithmic: Whether its axis is logarithmic; that of the law always is.
    """
    parts = [
        laws[["label", x]].assign(
            quantity=name, value=laws[name], value_low=laws[f"{name}_low"], value_high=laws[f"{name}_high"]
        )
        for name in UNITS
    ]
    long = pd.concat(parts, ignore_index=True)
    long = long[np.isfinite(long["value"].astype(float)) & (long["value"] > 0)]
    figure, panels = facets(long, "quantity")
    for name, axes in panels.items():
        intervals(axes, long[long["quantity"] == name], x, "value", colour=FITTED)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xticks(list(laws[x]), [f"{position:g}" for position in laws[x]])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label)
        plain_log_axis(axes, UNITS[name])
    return figure, long


def one_curve(axes: Axes, means: pd.DataFrame, laws: pd.DataFrame) -> pd.DataFrame:
    """Draw mean updates over n_inf against M over alpha / n_inf: by the law, 1 + 1 / x for every task."""
    scales = laws.set_index("label")
    seen = means[means["fitted"] & means["updates"].notna()]
    seen = seen.assign(
        batch_ratio=seen["batch_size"] / seen["label"].map(scales["critical_batch_size"]),
        updates_ratio=seen["updates"] / seen["label"].map(scales["n_inf"]),
    )
    names = list(dict.fromkeys(seen["label"]))
    look: dict[str, Any] = {"hue": "label", "style": "label", "hue_order": names, "style_order": names, "s": 36}
    look |= {"palette": list(COLOURS[: len(names)]), "markers": list(MARKS[: len(names)]), "linewidth": 0, "alpha": 0.8}
    sns.scatterplot(seen, x="batch_ratio", y="updates_ratio", ax=axes, **look)
    grid = even_grid([seen["batch_ratio"].min(), seen["batch_ratio"].max(), 1.0])
    axes.plot(grid, 1 + 1 / grid, color="black", linewidth=1, label="$1 + 1 / x$")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(rf"batch size over the task's {CRITICAL}")
    plain_log_axis(axes, f"mean updates over the task's {N_INF}")
    legend(axes)
    return seen


def seconds_map(axes: Axes, means: pd.DataFrame, seconds: Mapping[float, float], best: pd.DataFrame) -> pd.DataFrame:
    """Draw seconds to the target over batch size and step size as a heat map; empty where a run was lost or not made.

    Args:
        axes: Where to draw.
        means: Of `frames.means`, of one task at several step sizes.
        seconds: Of an update, by batch size.
        best: Of `frames.tuned`: the step size that needs fewest updates at a batch size gets a frame.
    """
    known = means[(means["censored"] == 0) & means["updates"].notna()]
    known = known.assign(seconds=known["updates"] * known["batch_size"].map(seconds)).dropna(subset="seconds")
    table = known.pivot_table(index="learning_rate", columns="batch_size", values="seconds").sort_index(ascending=False)
    texts = table.map(lambda value: "" if np.isnan(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}")
    norm = LogNorm(table.min().min(), table.max().max())
    look: dict[str, Any] = {"fmt": "", "cbar": False, "linewidths": 0.5, "annot_kws": {"fontsize": 10}}
    sns.heatmap(table, annot=texts, norm=norm, cmap="rocket_r", ax=axes, **look)
    rates, sizes = list(table.index), list(table.columns)
    for size, rate in zip(best["batch_size"], best["learning_rate"], strict=True):
        if size in sizes and rate in rates:
            corner = sizes.index(size), rates.index(rate)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=MEASURED, linewidth=2, clip_on=False))
    axes.set_xticklabels([f"{size:g}" for size in sizes], rotation=0)
    axes.set_yticklabels([f"{rate:g}" for rate in rates], rotation=0)
    axes.grid(visible=False)
    axes.set(xlabel=M_LABEL, ylabel="learning rate")
    return known[["label", "learning_rate", "batch_size", "updates", "seconds"]]
