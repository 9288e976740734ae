"""A recommendation in words and as a frame."""

from collections.abc import Sequence

import pandas as pd

from batchtime.fit.recommendation import Recommendation
from batchtime.laws.quantity import interval_text, number_text
from batchtime.plan.pilot import pilot_of
from batchtime.runs.experiment import Experiment
from batchtime.runs.store import data_folder
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
GRID_SEEDS = (10, 11, 12)
"""Of the whole grid: others than the pilot's, which are 0, 1 and 2."""


def pilot_runs(function: str) -> Experiment:
    """Return the pilot of one of the three models: two ends and a middle, three seeds each."""
    return pilot_of(own_experiment(function, batch_sizes=GRIDS[function], max_updates=MOST_UPDATES))


def grid_of(function: str) -> Experiment:
    """Return the runs of the whole grid, at the size that was advised too."""
    known = predictions()
    sizes = known[known["function"] == function]["batch_size"].tolist()
    return own_experiment(function, max_updates=MOST_UPDATES).changed(batch_sizes=sizes, seeds=GRID_SEEDS)


MOST_UPDATES = 3000


def predictions() -> pd.DataFrame:
    """Return what was written down before the grids were trained: a row a model and batch size."""
    return pd.read_csv(data_folder() / "predictions" / "own-models.csv")
