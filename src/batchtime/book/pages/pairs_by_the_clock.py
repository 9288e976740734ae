"""Pairs of batch size and learning rate by the clock: what was predicted of them before, and what came of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from scipy.special import stdtrit

from batchtime.book import plots
from batchtime.book.frames import with_interval
from batchtime.book.one_curve import Swept
from batchtime.errors import FitError
from batchtime.fit.measurements import UpdateTiming
from batchtime.laws.quantity import interval_text
from batchtime.plan.clock import Clocked, against_promises, count_inside
from batchtime.plan.promises import Promise, ratio, read_promises
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, data_folder


def promised(workload: str, machine: str = "clock") -> list[Promise]:
    """Return what was predicted of a task's pairs before they were run; nothing where nothing was.

    Args:
        workload: The task.
        machine: Which of its tables: "clock" (one thread), "2-threads", "2-learners".
    """
    path = data_folder() / "predictions" / f"{workload}-{machine}.csv"
    return read_promises(path) if path.exists() else []


def dates(workload: str, machine: str = "clock") -> list[str]:
    """Return when each of a task's pairs was predicted, as the table says."""
    return [str(date) for date in pd.read_csv(data_folder() / "predictions" / f"{workload}-{machine}.csv")["date"]]


def by_the_clock(
    workload: str, promises: Sequence[Promise], store: Store, *, threads: int = 1, learners: int = 1
) -> tuple[Clocked, ...]:
    """Return predicted and clocked seconds at each pair that was predicted and has runs."""
    runs = store.timed_runs(workload, threads=threads, learners=learners)
    try:
        return against_promises(promises, runs)
    except FitError:
        return ()


def pairs_frame(rows: Sequence[Clocked]) -> pd.DataFrame:
    """Return a row a pair: role, batch_size, learning_rate, runs, both seconds with intervals, and the three errors."""
    return pd.DataFrame(
        {
            "role": _spoken(row.role),
            "batch_size": row.batch_size,
            "learning_rate": row.learning_rate,
            "runs": row.n_runs,
            **with_interval("predicted_seconds", row.predicted, row.predicted_interval),
            **with_interval("measured_seconds", row.measured, row.measured_interval),
            "error": row.error,
            "of_updates_error": row.updates_error,
            "of_time_error": row.seconds_error,
        }
        for row in rows
    )


def slower_by(rows: Sequence[Clocked], role: str) -> tuple[float, tuple[float, float]]:
    """Return by what factor the clock found the pair of one role slower than the first pair, with its 95 % interval.

    Raises:
        FitError: If no such pair was clocked to the target.
    """
    slower = next((row for row in rows if row.role.startswith(role)), None)
    if slower is None or slower.measured is None or rows[0].measured is None:
        raise FitError(f"no pair of the role {role!r} was clocked to the target")
    best = slower.measured / rows[0].measured
    reach = math.hypot(*(_reach(row) for row in (slower, rows[0])))
    return best, (best * math.exp(-reach), best * math.exp(reach))


def _spoken(role: str) -> str:
    return role.replace("1 threads", "1 thread")


def _reach(row: Clocked) -> float:
    low, high = row.measured_interval
    return math.inf if low is None or high is None else math.log(high / low) / 2


def draw(axes: Axes, rows: Sequence[Clocked]) -> pd.DataFrame:
    """Draw a line a pair: the 95 % interval that was predicted for the mean of its runs, and that mean by the clock."""
    frame = pairs_frame(rows)
    thick: dict[str, Any] = {"color": plots.PREDICTED, "linewidth": 7, "alpha": 0.35}
    places = list(range(len(frame)))[::-1]
    low, high = (frame[f"predicted_seconds_{end}"].fillna(frame["predicted_seconds"]) for end in ("low", "high"))
    axes.hlines(places, low, high, **thick, label="predicted mean, 95 %")
    axes.plot(frame["predicted_seconds"], places, "|", color=plots.PREDICTED, markersize=14)
    low, high = (frame[f"measured_seconds_{end}"].fillna(frame["measured_seconds"]) for end in ("low", "high"))
    axes.hlines(places, low, high, color=plots.MEASURED, linewidth=1.5)
    axes.plot(frame["measured_seconds"], places, "o", color=plots.MEASURED, label="clocked, 95 %")
    names = [f"M = {row.batch_size} at {row.learning_rate:g}\n{_spoken(row.role)}" for row in rows]
    axes.set_yticks(places, names)
    axes.set_ylim(-0.6, len(frame) - 0.1)
    axes.set_xlabel("seconds to the target")
    axes.set_xlim(left=0)
    plots.legend(axes)
    return frame


def in_words(promises: Sequence[Promise], rows: Sequence[Clocked]) -> str:
    """Return how many clocked means lie in their intervals, the worst miss, and both ratios of the two optima."""
    if not rows:
        return "No pair of this task was run by the clock yet."
    known = [row for row in rows if row.error is not None]
    runs = sorted({row.n_runs for row in rows})
    many = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    worst = max((abs(row.error or 0.0) for row in known), default=math.nan)
    said = (
        f"{len(rows)} pairs were predicted and then clocked, {many} fresh seeds each: {count_inside(rows)} of the "
        f"means lie in the 95 % intervals that were predicted for them; the worst miss is {100 * worst:.2g} %."
    )
    if any(row.n_runs < promises[0].runs for row in rows):
        said += f" (The intervals are for means of {promises[0].runs} runs, and so too narrow for these.)"
    other = next((one for one in promises if one.role.startswith("optimum at learning rate")), None)
    if other is None or not promises[0].role.startswith("joint"):
        return said
    before, before_interval = ratio(other, promises[0])
    try:
        found, interval = slower_by(rows, other.role)
    except FitError:
        return said
    return (
        f"{said} The best batch size at learning rate {other.learning_rate:g} was predicted to take {before:.2f} times "
        f"as long as the best pair (95 % interval {interval_text(before_interval)}); it took {found:.2f} times as long "
        f"({interval_text(interval)})."
    )


# Two machines


def machines(workload: str, store: Store, *, threads: Sequence[int]) -> dict[int, Sequence[UpdateTiming]]:
    """Return a task's timings with each number of threads."""
    setting = experiment(workload).sweep.setting
    return {count: store.timing(setting, threads=count).timings for count in threads}


def draw_machines(axes: Axes, found: Mapping[int, Sequence[UpdateTiming]]) -> pd.DataFrame:
    """Draw median seconds of an update against the batch size, a line for each number of threads."""
    rows = [(count, one.batch_size, 1e3 * one.seconds) for count, some in found.items() for one in some]
    frame = pd.DataFrame(rows, columns=["threads", "batch_size", "milliseconds"])
    for colour, mark, (count, part) in zip(plots.COLOURS, "os", frame.groupby("threads"), strict=False):
        name = f"{count} thread{'s' if count != 1 else ''}"
        axes.plot(part["batch_size"], part["milliseconds"], mark, linestyle="-", color=colour, label=name)
    plots.batch_size_axis(axes)
    plots.plain_log_axis(axes, "milliseconds per update")
    plots.legend(axes)
    return frame


def machines_text(frame: pd.DataFrame) -> str:
    """Return how many times as fast the larger number of threads is at the least and the largest batch size."""
    wide = frame.pivot_table(index="batch_size", columns="threads", values="milliseconds").dropna()
    gain = wide.iloc[:, 0] / wide.iloc[:, -1]
    return (
        f"{wide.columns[-1]} threads do an update {gain.iloc[0]:.2f} times as fast at M = {wide.index[0]:g}, "
        f"{gain.iloc[-1]:.2f} times at {wide.index[-1]:g}"
    )


def of_threads(workload: str, store: Store, count: int) -> list[Clocked]:
    """Return what was predicted and clocked at the optima of both machines on the one with so many threads."""
    promises = promised(workload, f"{count}-threads")
    return [
        replace(row, role=f"{count} threads, {row.role}")
        for row in by_the_clock(workload, promises, store, threads=count)
    ]


def two_optima_text(rows: Sequence[Clocked]) -> str:
    """Return the batch sizes of the two optima, and how far the predictions are off by the clock."""
    own = [row for row in rows if row.role.endswith(row.role.split(",")[0])]  # "2 threads, optimum of 2 threads"
    sizes = " and ".join(f"{row.batch_size}" for row in own)
    worst = max((abs(row.error) for row in rows if row.error is not None), default=math.nan)
    return f"Best batch sizes {sizes}; the clock differs from the predictions by at most {100 * worst:.2g} %"


def machines_in_words(found: Mapping[int, Sequence[Clocked]]) -> str:
    """Return for each machine which of the two optima its clock found the faster, or that its runs cannot tell."""
    said = []
    for count, rows in found.items():
        name = f"on {count} thread{'s' if count != 1 else ''}"
        known = [row for row in rows if row.measured is not None]
        if len(known) < 2:
            said.append(f"{name} one of the two pairs never arrived")
            continue
        fast, slow = sorted(known, key=lambda row: row.measured or math.inf)[:2]
        times = (slow.measured or math.nan) / (fast.measured or math.nan)
        apart = math.log(times) > math.hypot(_reach(fast), _reach(slow))
        told = "" if apart else f", which {fast.n_runs} runs each cannot tell apart"
        mine = "its own optimum" if fast.role.endswith(f"of {count} threads") else "the other machine's optimum"
        said.append(
            f"{name} {fast.batch_size} examples, {mine}, took {fast.measured:.1f} s and {slow.batch_size} took "
            f"{slow.measured:.1f} s{told}"
        )
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


# What the models are worth on test images


def trend(task: Swept) -> tuple[float, tuple[float, float]]:
    """Return by how much the test error at the target changes when the batch size doubles, with its 95 % interval.

    Ordinary least squares of the test error on log2 of the batch size and the learning rates as groups, so that no
    learning rate is taken for a batch size.
    """
    rows = [
        (name, math.log2(run.batch_size), run.reports["test_error"])
        for name, some in task.records.items()
        for run in some
        if "test_error" in run.reports
    ]
    frame = pd.DataFrame(rows, columns=["sweep", "doublings", "error"])
    within = frame[["doublings", "error"]] - frame.groupby("sweep")[["doublings", "error"]].transform("mean")
    spread = float((within["doublings"] ** 2).sum())
    slope = float((within["doublings"] * within["error"]).sum()) / spread
    left = within["error"] - slope * within["doublings"]
    freedom = len(frame) - frame["sweep"].nunique() - 1
    reach = float(stdtrit(freedom, 0.975)) * math.sqrt(float((left**2).sum()) / freedom / spread)
    return slope, (slope - reach, slope + reach)


def trend_text(interval: tuple[float, float]) -> str:
    """Return whether larger batches generalise worse by the interval of their trend."""
    if interval[0] > 0:
        return "At the same validation error, larger batches have a larger test error"
    if interval[1] < 0:
        return "At the same validation error, larger batches have a smaller test error"
    return "At the same validation error, the test error shows no trend with the batch size"
