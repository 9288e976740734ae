"""A recommendation in words and as a frame."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from batchtime.book.plots import MEASURED, PREDICTED, batch_size_axis, intervals, legend, plain_log_axis
from batchtime.fit.recommendation import Recommendation
from batchtime.laws.quantity import interval_text, number_text
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store, data_folder
from batchtime.train.own import own_experiment


def in_words(one: Recommendation) -> str:
    """Return a recommendation as a sentence or two."""
    if one.refused or one.within_5_percent is None:
        return f"no recommendation. {' '.join(one.reasons)}"
    low, high = one.within_5_percent
    return (
        f"batch size {one.batch_size} (95 % interval of the optimum {interval_text(one.interval)}); from "
        f"{number_text(low)} to {number_text(high)} comes within 5 % of the least time."
    )


def recommendations(several: Sequence[Recommendation]) -> pd.DataFrame:
    """Return recommendations for several numbers of learners, one a row; no batch size where it was refused."""
    return pd.DataFrame(
        {
            "learners": one.learners,
            "batch_size": one.batch_size,
            "interval_low": one.interval[0],
            "interval_high": one.interval[1],
            "within_5_percent_low": None if one.within_5_percent is None else one.within_5_percent[0],
            "within_5_percent_high": None if one.within_5_percent is None else one.within_5_percent[1],
            "predicted_seconds": one.predicted_seconds,
        }
        for one in several
    )


GRIDS = {
    "batchtime.train.samples.tabular:tabular": (8, 16, 32, 64, 128, 256, 512),
    "batchtime.train.samples.residual:residual": (8, 16, 32, 64, 128),
    "batchtime.train.samples.characters:characters": (4, 8, 16, 32, 64),
}
"""Batch sizes of the three models that train as people do."""
SEEDS_EACH = 3
"""Of a grid, at each batch size; none of them is a pilot's, whose seeds are 0, 1 and 2."""
MOST_UPDATES = 3000


def pilot_runs(function: str) -> Experiment:
    """Return what the pilot of one of the three models may run: any size of the grid."""
    return own_experiment(function, batch_sizes=GRIDS[function], max_updates=MOST_UPDATES)


def grid_of(function: str, first_seed: int) -> Experiment:
    """Return the runs of a whole grid, at the sizes that were advised too."""
    known = predictions()
    rows = known[(known["function"] == function) & (known["first_seed"] == first_seed)]
    sizes = sorted({int(size) for size in rows["batch_size"]})
    seeds = range(first_seed, first_seed + SEEDS_EACH)
    return own_experiment(function, max_updates=MOST_UPDATES).changed(batch_sizes=sizes, seeds=tuple(seeds))


def predictions_file() -> Path:
    """Return where predictions are written down."""
    return data_folder() / "predictions" / "own-models.csv"


def predictions() -> pd.DataFrame:
    """Return what was written down before the grids were trained: a row a model, a pilot and a batch size.

    `pilot` is "nine runs" (both ends and a middle, three seeds each) or "chosen" (as `pilot` chooses them on the way);
    `first_seed` is that of the grid that the prediction is held against.
    """
    return pd.read_csv(predictions_file())


def seconds_to_target(record: RunRecord) -> float | None:
    """Return the CPU seconds that a run's updates took until its target; None where it did not get there.

    Evaluations are not counted. What an update took is the mean of the whole run.
    """
    if record.outcome.upper is None:
        return None
    each = (record.cost.cpu_seconds - record.cost.evaluation_cpu_seconds) / record.evaluations.updates[-1]
    return each * (record.outcome.lower + record.outcome.upper) / 2


def clocked(store: Store) -> pd.DataFrame:
    """Return predicted and measured mean seconds of each model whose grid is recorded: a row a pilot and a batch size.

    A batch size at which a run did not reach its target has no mean.
    """
    rows = []
    for (function, _), said in predictions().groupby(["function", "pilot"], sort=False):
        first = int(said["first_seed"].iloc[0])
        seeds = range(first, first + SEEDS_EACH)
        runs = [record for record in store.runs(str(function)) if record.seed in seeds]
        if any(sum(run.batch_size == size for run in runs) < SEEDS_EACH for size in said["batch_size"]):
            continue
        for one in said.to_dict("records"):
            each = [seconds_to_target(run) for run in runs if run.batch_size == one["batch_size"]]
            seconds = [value for value in each if value is not None]
            mean = sum(seconds) / len(seconds) if len(seconds) == len(each) else math.nan
            spread = (min(seconds), max(seconds)) if seconds else (math.nan, math.nan)
            rows.append({**one, "measured": mean, "least": spread[0], "most": spread[1], "n_runs": len(each)})
    return pd.DataFrame(rows)


def regrets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for each pilot what following its advice cost over the best of the grid, beside the bound that it gave.

    Args:
        rows: As `clocked` returns them.
    """
    found = []
    for (function, pilot), grid in rows.groupby(["function", "pilot"], sort=False):
        advised = grid[grid["advised"]].iloc[0]
        best = grid.sort_values("measured").iloc[0]
        found.append(
            {
                "model": str(function).rpartition(":")[2],
                "pilot": pilot,
                "pilot_seconds": advised["pilot_seconds"],
                "advised": int(advised["batch_size"]),
                "predicted_seconds": advised["seconds"],
                "measured_seconds": advised["measured"],
                "best_batch_size": int(best["batch_size"]),
                "best_seconds": best["measured"],
                "regret": advised["measured"] / best["measured"] - 1,
                "bound": advised["regret_bound"],
                "refused": bool(advised["refused"]),
                "n_runs": int(grid["n_runs"].sum()),
            }
        )
    return pd.DataFrame(found)


def draw(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw what was predicted of one model, the mean of its runs with the shortest and the longest, and the advice."""
    place = rows["batch_size"]
    look: dict[str, Any] = {"color": MEASURED, "linestyle": "none"}
    intervals(axes, rows, "batch_size", "seconds", colour=PREDICTED, mark="D", full=False, label="predicted (95 %)")
    axes.vlines(place * 1.06, rows["least"], rows["most"], color=MEASURED, linewidth=1.2)
    axes.plot(place * 1.06, rows["measured"], marker="o", markersize=5, label="mean of three runs", **look)
    axes.axvline(rows[rows["advised"]]["batch_size"].iloc[0], color="black", linestyle=":", label="advised")
    batch_size_axis(axes)
    plain_log_axis(axes, "CPU seconds to the target")
    axes.set_title(str(rows["function"].iloc[0]).rpartition(":")[2], loc="left")
    legend(axes)
