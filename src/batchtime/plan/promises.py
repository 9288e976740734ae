"""Predict the seconds of whole runs before they are run: at pairs of batch size and learning rate, with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batchtime.errors import LogError, check
from batchtime.fit.advice import Runs, recommend
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.prediction import predict
from batchtime.fit.seconds import measured_seconds
from batchtime.laws.quantity import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What is predicted of the mean of some runs at one pair.

    Args:
        role: Why this pair, for instance "joint optimum".
        batch_size: Of all learners together.
        learning_rate: Of plain SGD.
        updates: To the target.
        seconds_per_update: While it runs.
        seconds: To the target.
        interval: 95 %, of the mean of so many runs.
        runs: How many.
    """

    role: str
    batch_size: int
    learning_rate: float
    updates: float
    seconds_per_update: float
    seconds: float
    interval: Interval
    runs: int


def chosen_pairs(
    runs: Mapping[float, Sequence[Observation]], timings: Sequence[UpdateTiming], *, middle: float
) -> dict[tuple[int, float], str]:
    """Return the pairs by which a prediction is tried, and why each: two optima, two neighbours, and two more.

    The joint optimum is the best pair of all; its neighbours have half and twice its batch size; the other two a
    quarter and four times it. All are within the batch sizes that were run at that learning rate.

    Args:
        runs: By learning rate.
        timings: Of updates.
        middle: A learning rate of these that many would take.

    Raises:
        FitError: If the runs or the timings determine nothing.
        ParameterError: If there are no runs at that learning rate.
    """
    check(middle in runs, name="middle", value=middle, allowed=", ".join(f"{rate:g}" for rate in runs))
    joint = recommend(runs, timings).best_guess
    plain = recommend(list(runs[middle]), timings).best_guess
    found: dict[tuple[int, float], str] = {}
    if joint is not None and joint.learning_rate is not None:
        rate = min(runs, key=lambda one: abs(math.log(one / (joint.learning_rate or one))))
        here = sorted({run.batch_size for run in runs[rate]})
        for factor, role in _FACTORS.items():
            size = round(joint.batch_size * factor)
            if here[0] <= size <= here[-1]:
                found.setdefault((size, rate), role)
    if plain is not None:
        found.setdefault((plain.batch_size, middle), f"optimum at learning rate {middle:g}")
    return found


_FACTORS = {
    1.0: "joint optimum",
    0.5: "half of it",
    2.0: "twice it",
    4.0: "four times it",
    0.25: "a quarter of it",
    8.0: "eight times it",
}


def promise(
    runs: Runs,
    timings: Sequence[UpdateTiming],
    pairs: Mapping[tuple[int, float], str],
    *,
    n_runs: int,
) -> list[Promise]:
    """Return what law and time per update predict of the mean of so many runs at each pair.

    The interval is that of the predicted mean, and of the mean of so many runs about it: independent, on logarithms.

    Args:
        runs: At one learning rate, or by learning rate.
        timings: Of updates, of all learners together.
        pairs: Batch size and learning rate, and why.
        n_runs: At each pair.

    Raises:
        FitError: If the runs or the timings determine nothing.
        ParameterError: If a pair is beyond what can be predicted.
    """
    seconds = measured_seconds(timings)
    found = []
    for (size, rate), role in pairs.items():
        several = isinstance(runs, Mapping)
        (one,) = predict(runs, timings, batch_sizes=[size], learning_rate=rate if several else None)
        own = runs[rate] if isinstance(runs, Mapping) else runs
        middle = one.seconds or math.inf
        beside = 1.96 * scatter(own) / math.sqrt(n_runs)
        ends = []
        for side, end in zip((-1, 1), one.seconds_interval, strict=True):
            reach = math.inf if end is None else math.hypot(math.log(end / middle), beside)
            ends.append(middle * math.exp(side * reach) if reach < math.inf else None)
        found.append(
            Promise(
                role=role,
                batch_size=size,
                learning_rate=rate,
                updates=one.updates,
                seconds_per_update=seconds.at(size),
                seconds=middle,
                interval=(ends[0], ends[1]),
                runs=n_runs,
            )
        )
    return found


def scatter(runs: Sequence[Observation]) -> float:
    """Return the standard deviation of log updates of runs at one batch size, pooled over batch sizes; 0 if unknown."""
    logs: dict[float, list[float]] = {}
    for run in runs:
        if run.upper is not None:
            logs.setdefault(run.batch_size, []).append(math.log((max(run.lower, 1) + run.upper) / 2))
    squares = [(len(some) - 1) * float(np.var(some, ddof=1)) for some in logs.values() if len(some) > 1]
    freedom = sum(len(some) - 1 for some in logs.values())
    return math.sqrt(sum(squares) / freedom) if freedom > 0 else 0.0


def ratio(slower: Promise, faster: Promise) -> tuple[float, Interval]:
    """Return by what factor one pair is predicted to be slower than another, with its 95 % interval.

    The errors of the two are taken as independent: those that they share make the true interval narrower.
    """
    best = slower.seconds / faster.seconds
    reaches: list[float | None] = []
    for up, down in ((0, 1), (1, 0)):
        ends = slower.interval[up], faster.interval[down]
        if ends[0] is None or ends[1] is None:
            reaches.append(None)
            continue
        reach = math.hypot(math.log(ends[0] / slower.seconds), math.log(ends[1] / faster.seconds))
        reaches.append(best * math.exp((-1 if up == 0 else 1) * reach))
    return best, (reaches[0], reaches[1])


def promises_frame(promises: Sequence[Promise]) -> pd.DataFrame:
    """Return promises as the table that is committed before the runs."""
    columns = ["role", "batch_size", "learning_rate", "updates", "seconds_per_update", "seconds", "runs"]
    rows = [
        {name: getattr(one, name) for name in columns} | dict(zip(("low", "high"), one.interval, strict=True))
        for one in promises
    ]
    return pd.DataFrame(rows, columns=[*columns[:-1], "low", "high", "runs"])


def read_promises(path: str | Path) -> list[Promise]:
    """Read a table of promises.

    Raises:
        LogError: If it is not there, or lacks a column.
    """
    try:
        frame = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise LogError(f"{path} holds no predictions ({' '.join(str(error).split())}); name another table") from error
    missing = {"role", "batch_size", "learning_rate", "seconds", "low", "high", "runs"} - set(frame.columns)
    if missing:
        raise LogError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; benchmarks/predict_clock.py writes them"
        )
    return [
        Promise(
            role=str(row["role"]),
            batch_size=int(row["batch_size"]),
            learning_rate=float(row["learning_rate"]),
            updates=float(row["updates"]),
            seconds_per_update=float(row["seconds_per_update"]),
            seconds=float(row["seconds"]),
            interval=(_end(row["low"]), _end(row["high"])),
            runs=int(row["runs"]),
        )
        for _, row in frame.iterrows()
    ]


def _end(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
