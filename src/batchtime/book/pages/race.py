"""The race of the first page: recorded runs at a small, a good and a large batch size against the clock."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from batchtime.book import plots
from batchtime.errors import FitError
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The median run at one batch size, its updates turned into seconds.

    Args:
        batch_size: In examples.
        runs: How many runs there are at this batch size; this one is in the middle.
        updates: Until the target was met.
        update_seconds: Of one update at this batch size, the measured median.
        points: Seconds of training and the metric, an evaluation each, up to the one that met the target.
    """

    batch_size: int
    runs: int
    updates: int
    update_seconds: float
    points: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """Seconds of updates until the target was met."""
        return self.updates * self.update_seconds


def lanes(records: Sequence[RunRecord], seconds: Mapping[int, float], batch_sizes: Sequence[int]) -> tuple[Lane, ...]:
    """Return the median run at each of some batch sizes against the clock.

    Args:
        records: Of one sweep.
        seconds: By batch size, of an update.
        batch_sizes: Which to race, in this order.

    Raises:
        FitError: If a batch size was not run or not timed, or its median run did not reach the target.
    """
    found = []
    for size in batch_sizes:
        here = sorted(
            (one for one in records if one.batch_size == size), key=lambda one: one.outcome.upper or float("inf")
        )
        middle = here[(len(here) - 1) // 2] if here else None
        if middle is None or middle.outcome.upper is None or size not in seconds:
            timed = "timed" if size in seconds else "not timed"
            raise FitError(
                f"batch size {size} has {len(here)} runs and is {timed}; race one whose median run reached the target"
            )
        metric = middle.evaluations.metrics[middle.setting.workload.target.metric]
        points = tuple(
            (updates * seconds[size], value)
            for updates, value in zip(middle.evaluations.updates, metric, strict=True)
            if updates <= middle.outcome.upper and value is not None
        )
        found.append(
            Lane(
                batch_size=size,
                runs=len(here),
                updates=middle.outcome.upper,
                update_seconds=seconds[size],
                points=points,
            )
        )
    return tuple(found)


def data(raced: Sequence[Lane], target: Target) -> str:
    """Return the race as JSON, for the picture that plays it: seconds and the metric to four digits."""
    return json.dumps(
        {
            "metric": target.metric,
            "target": target.value,
            "lanes": [
                {
                    "batch_size": lane.batch_size,
                    "updates": lane.updates,
                    "seconds": lane.seconds,
                    "points": [[float(f"{x:.4g}"), float(f"{y:.4g}")] for x, y in lane.points],
                }
                for lane in raced
            ],
        }
    )


def table(raced: Sequence[Lane]) -> pd.DataFrame:
    """Return the race as a frame: batch_size, runs, updates, update_milliseconds, seconds, times_the_winner."""
    least = min(lane.seconds for lane in raced)
    return pd.DataFrame(
        {
            "batch_size": lane.batch_size,
            "runs": lane.runs,
            "updates": lane.updates,
            "update_milliseconds": lane.update_seconds,
            "seconds": lane.seconds,
            "times_the_winner": lane.seconds / least,
        }
        for lane in raced
    )


def draw(axes: Axes, raced: Sequence[Lane], target: Target) -> pd.DataFrame:
    """Draw the metric of each run against its seconds, down to the target, each named where it ends."""
    best = min(raced, key=lambda lane: lane.seconds)
    for lane in raced:
        look = "-" if lane is best else "--" if lane.batch_size < best.batch_size else ":"
        axes.plot(*zip(*lane.points, strict=True), look, color=plots.MEASURED, linewidth=2 if lane is best else 1.2)
        axes.plot(lane.seconds, lane.points[-1][1], "o", color=plots.MEASURED)
        words = f"{lane.batch_size} examples\n{lane.seconds:.2g} s"
        axes.annotate(words, (lane.seconds, target.value), (0, -8), textcoords="offset points", ha="center", va="top")
    axes.axhline(target.value, color="black", linestyle="--", linewidth=1)
    plots.plain_log_axis(axes, f"validation {target.metric}")
    axes.set_ylim(bottom=target.value / 2.2)
    axes.set_xlim(0, 1.08 * max(lane.seconds for lane in raced))
    axes.set_xlabel("seconds of training")
    return pd.DataFrame(
        [(lane.batch_size, x, y) for lane in raced for x, y in lane.points],
        columns=["batch_size", "seconds", target.metric],
    )
