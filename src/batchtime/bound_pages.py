"""Figures and tables of the chapter "The bound"."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.optimize import least_squares

from batchtime.bounds import Certificate, LastIterate
from batchtime.experiments import EXPERIMENTS, Experiment
from batchtime.fit import MeanUpdates, fit_inverse_law, mean_updates
from batchtime.margins import MARGINS, Case, Toy
from batchtime.plots import FITTED, LEFT_OUT, MEASURED, PREDICTED, batch_size_axis, plain_log_axis
from batchtime.records import Array, FitError, Interval, InverseLaw, LawFit, LearningRate, RunRecord, Target
from batchtime.store import Store
from batchtime.sweep import recorded
from batchtime.tables import number_text, table
from batchtime.theory import NoisyQuadratic, first_passages


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
    axes.plot(sizes, harmonic.updates(sizes), color=FITTED, label="harmonic step: an exact law")
    axes.plot(
        sizes, [theorem.best(float(size))[1] for size in sizes], color=PREDICTED, label="best step for each batch size"
    )
    if necessary is not None:
        axes.plot(sizes, necessary.updates(sizes), color=LEFT_OUT, label="necessary, whatever the step size")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N")
    axes.legend(fontsize="small")


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
    palette = sns.color_palette("viridis", len(batch_sizes))
    for colour, size in zip(palette, batch_sizes, strict=True):
        seen = [float(np.mean(toy.value(toy.iterates(n, rate, size)[0]))) for n in counts]
        axes.plot(counts, seen, "o", color=colour, markersize=4)
        axes.plot(
            counts, [theorem.bound(n, size, rate) for n in counts], color=colour, label=f"M = {number_text(size, 4)}"
        )
    axes.axhline(toy.constants.gap, color="black", linestyle="--", linewidth=1, label="target")
    axes.plot([], [], "o", color="grey", label="mean of simulated runs")
    plain_log_axis(axes, "mean gap")
    axes.set_xlabel("updates")
    axes.legend(fontsize="small")


def margins_table(case: Case) -> HTML:
    """Return both sides of every inequality of the chapter, on a tight problem and on a loose one."""
    rows = [
        (
            label if position == 0 else "",
            margin.problem,
            f"{margin.left:.4g}",
            f"{margin.right:.4g}",
            f"{margin.used:.3f}",
            "yes" if margin.holds else "NO",
        )
        for label, sides in MARGINS.items()
        for position, margin in enumerate(sides(case))
    ]
    return table(["equation", "problem", "smaller side", "larger side", "ratio", "holds"], rows)


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
        return f"{passed.mean():.1f}" if share == 1 else f"{share:.0%} arrive"

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


# --- measured --------------------------------------------------------------------------------------------------------


def best_of_rates(
    sweeps: Mapping[float, Sequence[RunRecord]], batch_sizes: Sequence[int]
) -> list[tuple[float, MeanUpdates]]:
    """Return for each batch size the step size with the fewest mean updates, and these, where all its runs arrive.

    Args:
        sweeps: Runs at each step size.
        batch_sizes: Those at which some step size was run.
    """
    found = []
    for size in batch_sizes:
        seen = [
            (rate, mean_updates([record.observation() for record in here])[0])
            for rate, records in sweeps.items()
            if (here := [record for record in records if record.batch_size == size])
        ]
        arrived = [(rate, mean) for rate, mean in seen if mean.n_censored == 0 and mean.mean is not None]
        if arrived:
            found.append(min(arrived, key=lambda pair: pair[1].mean or math.inf))
    return found


def certified_and_measured(
    axes: Axes,
    theorem: Certificate,
    *,
    harmonic: Sequence[RunRecord],
    law: InverseLaw,
    best: Sequence[tuple[float, MeanUpdates]],
) -> None:
    """Draw certified and measured updates against the batch size, at the harmonic step and at the best one.

    Args:
        axes: Where to draw.
        theorem: What certifies.
        harmonic: Runs at the harmonic step of the theorem.
        law: Fitted to these.
        best: Mean updates at the best step size that was run, by batch size.
    """
    sizes = np.geomspace(1, max(record.batch_size for record in harmonic), 200)
    swept = sorted({record.batch_size for record in harmonic})
    axes.plot(sizes, theorem.harmonic()[1].updates(sizes), color=FITTED, label="certified, harmonic step")
    axes.plot(
        sizes,
        [theorem.best(float(size))[1] for size in sizes],
        color=PREDICTED,
        label="certified, best step for each batch size",
    )
    means = mean_updates([record.observation() for record in harmonic])
    axes.plot(
        swept,
        [seen.mean or math.nan for seen in means],
        "o",
        color=FITTED,
        label="measured, harmonic step: mean of runs",
    )
    fitted = np.geomspace(swept[0], swept[-1], 100)
    axes.plot(fitted, law.updates(fitted), color=FITTED, linestyle=":", label="n_inf + alpha / M, fitted to them")
    axes.plot(
        [seen.batch_size for _, seen in best],
        [seen.mean or math.nan for _, seen in best],
        "s",
        color=PREDICTED,
        label="measured, best of the step sizes run",
    )
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N to the target")
    axes.legend(fontsize="small")


def rates_table(sweeps: Mapping[float, Sequence[RunRecord]], theorem: Certificate) -> HTML:
    """Return for each step size the least batch size at which every run arrived, and the pole of the theorem."""
    rows = []
    for rate, records in sorted(sweeps.items()):
        means = mean_updates([record.observation() for record in records])
        arrived = [seen for seen in means if seen.n_censored == 0]
        partly = [f"{seen.batch_size:g}" for seen in means if seen.n_censored > 0]
        rows.append(
            (
                f"{rate:g}",
                ", ".join(partly) or "none",
                f"{arrived[0].batch_size:g}" if arrived else "none",
                number_text(arrived[-1].mean or math.nan) if arrived else "",
                number_text(theorem.pole(rate)) if rate < theorem.largest_rate else "step too long",
            )
        )
    return table(
        [
            "step size",
            "M with runs that never arrive",
            "least M where all arrive",
            "updates, largest M",
            "pole, certified",
        ],
        rows,
    )


# --- scaling ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A recorded sweep of a task at one step size, the same for every batch size."""

    chosen: Experiment
    records: Sequence[RunRecord]

    @property
    def rate(self) -> float:
        """Step size."""
        return self.chosen.sweep.setting.learning_rate.maximum

    def law(self, target: Target | None = None) -> LawFit | None:
        """Return the law of the runs, read at their own target or at another one; None where they determine none.

        Of the batch sizes that the sweep fits, and seals, only those count of which at least half of the runs arrive.
        """
        sizes = self.chosen.fitted + self.chosen.sealed
        read = [record if target is None else record.at(target) for record in self.records]
        kept = [record for size in sizes for record in _arriving([r for r in read if r.batch_size == size])]
        try:
            return fit_inverse_law([record.observation() for record in kept])
        except FitError:
            return None

    def pole(self) -> float | None:
        """Return M_0 of n_inf + alpha / (M - M_0), closest to the mean updates of all batch sizes; None where unknown.

        Least squares of logarithms, over the batch sizes at which every run arrives; at least four of them, and one
        that is left out of the law or below it, or there is nothing that tells a pole.
        """
        means = [seen for seen in mean_updates([r.observation() for r in self.records]) if seen.n_censored == 0]
        sizes = np.array([seen.batch_size for seen in means])
        updates = np.array([seen.mean for seen in means], dtype=np.float64)
        if len(sizes) < 4:
            return None

        def errors(x: Array) -> Array:
            pole = sizes[0] / (1 + math.exp(-x[2]))
            return np.asarray(np.log(np.exp(x[0]) + np.exp(x[1]) / (sizes - pole)) - np.log(updates))

        start = [math.log(updates[-1]), math.log(max(updates[0] - updates[-1], 1e-3) * sizes[0] / 2), 0.0]
        found = least_squares(errors, start, loss="soft_l1", f_scale=0.05)
        return float(sizes[0] / (1 + math.exp(-found.x[2])))


def _arriving(records: Sequence[RunRecord]) -> Sequence[RunRecord]:
    """Return runs of one batch size if at least half of them arrive, else none."""
    return records if 2 * sum(record.outcome.status == "reached" for record in records) >= len(records) else []


def recorded_arms(tasks: Sequence[str], store: Store) -> dict[str, list[Arm]]:
    """Return for each task its recorded sweeps at one step size each, by step size; tasks without any are left out.

    A sweep counts when all of its runs are recorded.
    """
    found: dict[str, list[Arm]] = {}
    for task in tasks:
        candidates = [known for name, known in EXPERIMENTS.items() if name == task or name.startswith(f"{task}-rate-")]
        arms = [
            Arm(chosen=chosen, records=records)
            for chosen in candidates
            if chosen.sweep.setting.learning_rate.half_batch_size == 0
            for records in (recorded(chosen.sweep, name=chosen.name, store=store),)
            if len(records) == len(chosen.sweep.runs())
        ]
        if arms:
            found[task] = sorted(arms, key=lambda arm: arm.rate)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One quantity of several laws against what was changed between them.

    Args:
        name: Of the quantity, with its unit.
        x: What was changed.
        y: The quantity.
        intervals: 95 %, None on an open side; empty where there are none.
        predicted: The exponent of x that theory gives.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[Interval]
    predicted: float

    @property
    def exponent(self) -> float | None:
        """Exponent of the power law closest to the points, by least squares of logarithms; None for fewer than two."""
        return float(np.polyfit(np.log(self.x), np.log(self.y), 1)[0]) if len(set(self.x)) >= 2 else None


def by_rate(arms: Sequence[Arm]) -> list[Series]:
    """Return n_inf, alpha and the pole of the arms of a task against the step size, with what theory says of each."""
    laws = [(arm.rate, law) for arm in arms for law in (arm.law(),) if law is not None]
    poles = [(arm.rate, pole) for arm in arms for pole in (arm.pole(),) if pole is not None]
    return [
        _series("n_inf (updates)", laws, "n_inf", -1),
        _series("alpha (examples)", laws, "alpha", 0),
        Series(
            name="pole (examples)",
            x=[rate for rate, _ in poles],
            y=[pole for _, pole in poles],
            intervals=(),
            predicted=1,
        ),
    ]


def by_target(arm: Arm, targets: Mapping[float, float]) -> list[Series]:
    """Return n_inf, alpha and their quotient against 1 / epsilon, from the same runs read at several targets.

    Args:
        arm: The runs.
        targets: The metric's thresholds, with the gap epsilon that each stands for.
    """
    own = arm.chosen.workload.target
    laws = [
        (1 / gap, law)
        for value, gap in targets.items()
        for law in (arm.law(replace(own, value=value)),)
        if law is not None
    ]
    return [
        _series("n_inf (updates)", laws, "n_inf", 0),
        _series("alpha (examples)", laws, "alpha", 1),
        _series("alpha / n_inf (examples)", laws, "critical_batch_size", 1),
    ]


def _series(name: str, laws: Sequence[tuple[float, LawFit]], quantity: str, predicted: float) -> Series:
    kept = [(x, law) for x, law in laws if 0 < getattr(law.law, quantity) < math.inf]
    return Series(
        name=name,
        x=[x for x, _ in kept],
        y=[getattr(law.law, quantity) for _, law in kept],
        intervals=[getattr(law.intervals, quantity) for _, law in kept],
        predicted=predicted,
    )


def scaling_row(axes: Sequence[Axes], series: Sequence[Series], *, x_label: str, title: str) -> None:
    """Draw some quantities of a task, one on each axes, with the predicted slope through their middle.

    Args:
        axes: As many as there are series.
        series: What is drawn.
        x_label: What was changed.
        title: Of the first axes.
    """
    for place, one in zip(axes, series, strict=True):
        for x, y, (low, high) in zip(one.x, one.y, one.intervals or [(None, None)] * len(one.x), strict=True):
            if low is not None and high is not None:
                place.plot([x, x], [low, high], color=MEASURED, linewidth=1.5)
            place.plot([x], [y], "o", color=MEASURED, markersize=5)
        if one.x:
            ends = np.array([min(one.x), max(one.x)])
            middle = math.exp(float(np.mean(np.log(one.y)))) / math.exp(float(np.mean(np.log(one.x)))) ** one.predicted
            place.plot(ends, middle * ends**one.predicted, color=PREDICTED, label=f"predicted slope {one.predicted:g}")
            place.legend(fontsize="small")
        place.set_xscale("log")
        place.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0)))
        place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        place.xaxis.set_minor_formatter(NullFormatter())
        place.set_xlabel(x_label)
        plain_log_axis(place, one.name)
    axes[0].set_title(title, loc="left", fontsize="medium")


def scaling_table(rows: Mapping[str, Sequence[Series]]) -> HTML:
    """Return for each task and quantity the exponent that was found, beside the predicted one."""
    return table(
        ["task", "quantity", "points", "found exponent", "predicted"],
        [
            (
                task if position == 0 else "",
                one.name.split(" (")[0],
                f"{len(one.x)}",
                "too few points" if one.exponent is None else f"{one.exponent:.2f}",
                f"{one.predicted:g}",
            )
            for task, series in rows.items()
            for position, one in enumerate(series)
        ],
    )
