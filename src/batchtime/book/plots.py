"""Draw runs, laws and times on axes that are given.

Every run is drawn; batch sizes stand on a base-2 logarithmic axis with plain integers. One colour-blind-safe palette
means the same everywhere: blue is measured, orange fitted, green predicted, grey left out of the fit.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from batchtime.book.comparisons import Arm, Tuned
from batchtime.book.figures import note
from batchtime.fit.measurements import Observation
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
PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")
WIDTH, HEIGHT = 5.2, 3.4  # inches, of a figure with one panel
M_LABEL = "batch size M (examples)"


def use_style() -> None:
    """Use the book's fonts, grid and sizes from now on, in this process."""
    plt.rcParams.update(
        {
            "axes.grid": True,
            "grid.alpha": 0.3,
            "font.size": 11,  # and no text less than 10: on a phone a figure is shown at 0.7 of its size
            "legend.fontsize": 10,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
            "figure.figsize": (WIDTH, HEIGHT),
        }
    )


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels below each other: beside each other they would be too small on a phone."""
    figure, axes = plt.subplots(count, squeeze=False, figsize=(WIDTH, 0.8 * HEIGHT * count))
    return figure, list(axes[:, 0])


def legend(axes: Axes) -> None:
    """Put the legend above its panel, where it covers nothing, and make the figure taller by as much."""
    labels = axes.get_legend_handles_labels()[1]
    columns = 2 if max(map(len, labels)) <= _HALF_A_LINE else 1
    lines = -(-len(labels) // columns)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that are drawn on have one
    figure.set_figheight(figure.get_figheight() + lines * _LINE_INCHES)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, borderpad=0.2)
    axes.set_title(axes.get_title("left"), loc="left", pad=72 * lines * _LINE_INCHES + 8)


_LINE_INCHES, _HALF_A_LINE = 0.22, 20  # height of a legend's line; characters in half of its width


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


def sideways(count: int) -> Array:
    """Return factors that spread runs at one batch size sideways, so that each can be seen."""
    return np.asarray(2 ** np.linspace(-0.12, 0.12, count)) if count > 1 else np.ones(1)


def _runs(axes: Axes, observations: Sequence[Observation], colour: str, mark: str, label: str) -> None:
    """Draw each run at the middle of its interval; one that did not reach the target as a triangle at its budget."""
    by_size = {size: [seen for seen in observations if seen.batch_size == size] for size in _sizes(observations)}
    placed = [
        (size * factor, seen)
        for size, here in by_size.items()
        for factor, seen in zip(sideways(len(here)), here, strict=True)
    ]
    for reached, marker, text in ((True, mark, label), (False, "^", f"{label}, budget spent first")):
        chosen = [(place, seen) for place, seen in placed if (seen.upper is not None) == reached]
        if not chosen:
            continue
        (points,) = axes.plot(
            [place for place, _ in chosen],
            [_middle(seen) for _, seen in chosen],
            marker,
            color=colour,
            markersize=4,
            alpha=0.75,
            markeredgewidth=0,
            label=text,
        )
        note(points, _ends([seen for _, seen in chosen]))


def _sizes(observations: Sequence[Observation]) -> list[float]:
    return sorted({seen.batch_size for seen in observations})


def _ends(observations: Sequence[Observation]) -> dict[str, list[float | None]]:
    """Return what is known of each run: its place is the middle of an interval, spread sideways."""
    return {
        M_LABEL: [seen.batch_size for seen in observations],
        "seed": [seen.seed for seen in observations],
        "updates, more than": [seen.lower for seen in observations],
        "updates, at most": [seen.upper for seen in observations],
    }


def _middle(seen: Observation) -> float:
    return seen.lower if seen.upper is None else (seen.lower + seen.upper) / 2


def updates_against_batch_size(
    axes: Axes,
    *,
    fitted: Sequence[Observation],
    law: InverseLaw,
    band: tuple[Array, Array] | None = None,
    sealed: Sequence[Observation] = (),
    left_out: Sequence[Observation] = (),
) -> None:
    """Draw updates to the target against the batch size: every run, the law, its two arms.

    Args:
        axes: Where to draw.
        fitted: Runs that the law was fitted to.
        law: The fitted law.
        band: Lower and upper updates on `curve_sizes(fitted)`, each of shape (CURVE_POINTS,).
        sealed: Runs that were kept out of the fit, to be predicted.
        left_out: Runs at batch sizes where the law is not expected to hold.
    """
    sizes = curve_sizes(fitted)
    if band is not None:
        axes.fill_between(sizes, *band, color=FITTED, alpha=0.25, linewidth=0, label="95 % of laws, seeds resampled")
    axes.plot(sizes, law.updates(sizes), color=FITTED, label="n_inf + alpha / M")
    axes.plot(sizes, law.alpha / sizes, color=LEFT_OUT, linestyle=":", label="alpha / M: perfect scaling")
    axes.axhline(law.n_inf, color=LEFT_OUT, linestyle="--", label="n_inf")
    _runs(axes, fitted, MEASURED, "o", "a run")
    if sealed:
        _runs(axes, sealed, PREDICTED, "D", "a run at a sealed batch size")
    if left_out:
        _runs(axes, left_out, LEFT_OUT, "s", "a run left out of the fit")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N to the target")
    everything = [_middle(seen) for seen in (*fitted, *sealed, *left_out)]
    axes.set_ylim(min([*everything, law.n_inf]) / 1.5, max(everything) * 1.5)
    legend(axes)


def curve_sizes(observations: Sequence[Observation]) -> Array:
    """Return the batch sizes at which curves over these runs are drawn, shape (CURVE_POINTS,)."""
    return even_grid([seen.batch_size for seen in observations])


def examples_against_batch_size(axes: Axes, *, fitted: Sequence[Observation], law: InverseLaw) -> None:
    """Draw the examples needed, E = N M, against M on linear axes: the law is the straight line alpha + n_inf M."""
    sizes = np.linspace(0, max(seen.batch_size for seen in fitted), CURVE_POINTS)
    axes.plot(sizes, law.examples(sizes) / 1e3, color=FITTED, label="alpha + n_inf M")
    reached = [seen for seen in fitted if seen.upper is not None]
    (points,) = axes.plot(
        [seen.batch_size for seen in reached],
        [_middle(seen) * seen.batch_size / 1e3 for seen in reached],
        "o",
        color=MEASURED,
        markersize=4,
        alpha=0.6,
        markeredgewidth=0,
        label="a run",
    )
    note(points, _ends(reached))
    axes.set_xlabel(M_LABEL)
    axes.set_ylabel("examples E to the target (thousands)")
    axes.set_ylim(bottom=0)
    legend(axes)


def learning_curves(axes: Axes, records: Sequence[RunRecord], batch_sizes: Sequence[int]) -> None:
    """Draw the metric of each run against updates, one colour a batch size, with the target."""
    target = records[0].setting.workload.target
    for colour, size in zip(shades(len(batch_sizes)), batch_sizes, strict=True):
        for number, record in enumerate(record for record in records if record.batch_size == size):
            (curve,) = axes.plot(
                record.evaluations.updates,
                [np.nan if value is None else value for value in record.evaluations.metrics[target.metric]],
                color=colour,
                linewidth=0.8,
                alpha=0.7,
                label=f"M = {size}" if number == 0 else f"_M = {size}",
            )
            note(curve, {M_LABEL: size, "seed": record.seed})
    axes.axhline(target.value, color="black", linestyle="--", linewidth=1, label=f"target {target.value:g}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(PLAIN)
    unit = {"error": " (fraction)", "loss": " (nats)"}.get(target.metric, "")
    plain_log_axis(axes, f"validation {target.metric}{unit}")
    axes.set_xlabel("updates")
    legend(axes)


def outcome_map(axes: Axes, records: Sequence[RunRecord]) -> None:
    """Draw what came of each run, batch sizes across and seeds upward: reached, censored or diverged."""
    sizes = sorted({record.batch_size for record in records})
    seeds = sorted({record.seed for record in records})
    looks = {
        "reached": ("o", MEASURED, "reached its target"),
        "censored": ("^", FITTED, "budget spent first"),
        "diverged": ("X", "black", "loss no longer finite"),
    }
    for status, (marker, colour, label) in looks.items():
        some = [record for record in records if record.outcome.status == status]
        (marks,) = axes.plot(
            [sizes.index(record.batch_size) for record in some],
            [seeds.index(record.seed) for record in some],
            marker,
            color=colour,
            markersize=6,
            linestyle="",
            label=f"{label}: {len(some)} of {len(records)} runs",
        )
        note(marks, {M_LABEL: [record.batch_size for record in some], "seed": [record.seed for record in some]})
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    step = max(1, len(seeds) // 10)
    axes.set_yticks(range(0, len(seeds), step), [str(seed) for seed in seeds[::step]])
    axes.set_xlabel(M_LABEL)
    axes.set_ylabel("seed")
    axes.margins(y=0.1)
    legend(axes)


def arms(axes: Axes, several: Sequence[Arm]) -> None:
    """Draw the mean updates of several sweeps against the batch size, with 95 % intervals and the law of each.

    The law is drawn over the batch sizes that it was fitted to; means without a fit are hollow. A triangle stands where
    less than half of the runs got there, at the most that is known.
    """
    for colour, mark, one in zip(shades(len(several)), MARKS, several, strict=False):
        fitted = one.experiment.fitted if one.fit is not None else ()
        axes.plot([], [], mark, color=colour, markersize=5, label=one.label)
        for seen in one.means():
            few = one.share_reached(int(seen.batch_size)) < 0.5
            if seen.mean is None:
                continue
            low, high = (seen.mean if side is None else side for side in seen.interval)
            error = [[max(seen.mean - low, 0)], [0 if few else max(high - seen.mean, 0)]]
            bar = axes.errorbar(
                seen.batch_size,
                seen.mean,
                yerr=error,
                fmt="^" if few else mark,
                color=colour,
                markersize=5,
                markerfacecolor=colour if seen.batch_size in fitted else "none",
                elinewidth=1,
                label=f"_{one.label}",
            )
            ends = dict(zip(("low", "high"), seen.interval, strict=True))
            known: dict[str, object] = {
                "runs": seen.n_runs,
                "not reached": seen.n_censored,
                "fitted": seen.batch_size in fitted,
            }
            note(bar, known | ends)
        if one.fit is not None:
            sizes = even_grid(one.fit.batch_sizes)
            axes.plot(sizes, one.fit.law.updates(sizes), color=colour, linewidth=1, label=f"_{one.label}, law")
    batch_size_axis(axes)
    plain_log_axis(axes, "mean updates N to the target")
    legend(axes)


def law_against(
    panels: Sequence[Axes], several: Sequence[Arm], positions: Sequence[float], label: str, *, logarithmic: bool = True
) -> None:
    """Draw n_inf, alpha and alpha / n_inf of several fits, each with its 95 % interval, against a quantity.

    Args:
        panels: Three axes.
        several: Arms; those without a law are left out.
        positions: The quantity of each arm.
        label: Of the quantity, with its unit.
        logarithmic: Whether its axis is logarithmic; that of the law always is.
    """
    names = {"n_inf": "n_inf (updates)", "alpha": "alpha (examples)", "critical_batch_size": "alpha / n_inf (examples)"}
    for axes, (name, title) in zip(panels, names.items(), strict=True):
        for position, one in zip(positions, several, strict=True):
            if one.fit is None or not 0 < (value := float(getattr(one.fit.law, name))) < np.inf:
                continue
            low, high = getattr(one.fit.intervals, name)
            error = [[value - (value if low is None else low)], [(value if high is None else high) - value]]
            bar = axes.errorbar(
                position, value, yerr=np.maximum(error, 0), fmt="o", color=FITTED, capsize=3, label=f"_{one.label}"
            )
            note(bar, {"low": low, "high": high})
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xticks(list(positions), [f"{position:g}" for position in positions])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label)
        plain_log_axis(axes, title)


def one_curve(axes: Axes, several: Sequence[Arm]) -> None:
    """Draw mean updates over n_inf against M over alpha / n_inf: by the law, 1 + 1 / x for every task."""
    reach = [1.0]
    for colour, marker, one in zip(COLOURS, MARKS, several, strict=False):
        if one.fit is None:
            continue
        law = one.fit.law
        seen = [mean for mean in one.means() if mean.mean is not None and mean.batch_size in one.experiment.fitted]
        places = [mean.batch_size / law.critical_batch_size for mean in seen]
        reach += places
        heights = [mean.mean / law.n_inf for mean in seen if mean.mean is not None]
        axes.plot(places, heights, marker, color=colour, label=one.label, alpha=0.8)
    grid = np.geomspace(min(reach), max(reach), CURVE_POINTS)
    axes.plot(grid, 1 + 1 / grid, color="black", linewidth=1, label="1 + 1 / x")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("batch size over the task's alpha / n_inf")
    plain_log_axis(axes, "mean updates over the task's n_inf")
    legend(axes)


def tuned_rates(axes: Axes, candidates: Sequence[Arm], tuned: Sequence[Tuned]) -> None:
    """Draw the step size that was best at each batch size, among those that were run; hollow at an end of these."""
    for inside, face in ((True, MEASURED), (False, "none")):
        some = [one for one in tuned if one.at_the_edge != inside]
        axes.plot(
            [one.batch_size for one in some],
            [one.rate for one in some],
            "o",
            color=MEASURED,
            markerfacecolor=face,
            label="best of those run" if inside else "best, at the least or greatest that was run",
        )
    rates = sorted({candidate.rate for candidate in candidates})
    batch_size_axis(axes)
    axes.set_yscale("log")
    axes.set_yticks(rates, [f"{rate:g}" for rate in rates])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("step size")
    legend(axes)
