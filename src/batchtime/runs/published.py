"""What others published: updates to a target at many batch sizes, seconds and watts, from the table of facts.

The table lies in `facts/` beside this package and comes with every installation; its README describes the columns, and
`sources()` names the repository, commit, file and licence of each number. A series is one workload at one target; its
runs are known by their mean at each batch size, so that a frame of runs has one row a batch size.
"""

import difflib
import functools
from importlib import resources
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchtime.errors import ParameterError

Array = npt.NDArray[np.float64]

PREFIX = "published:"
"""What names a published series where a file of runs could stand."""
EXAMPLES = 1_000_000
"""Examples that an epoch is counted as where its source does not say: n_inf and alpha are then in proportion only."""


@functools.cache
def _table(name: str) -> pd.DataFrame:
    """Return one file of the table of facts; what is returned is shared and not to be changed."""
    with resources.files("batchtime.runs").joinpath("facts", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def sources() -> pd.DataFrame:
    """Return where the numbers come from: source, table, repository, commit, file, licence.

    Example:
        >>> sources().set_index(["source", "table"]).loc[("zeus", "seconds"), "licence"]
        'Apache-2.0'
    """
    return _table("sources").copy()


def left_out() -> pd.DataFrame:
    """Return what the sources hold and the table does not: series, what, reason."""
    return _table("left_out").copy()


def noise() -> pd.DataFrame:
    """Return gradient noise scales seen along runs, in examples: workload, batch_size, evals, first, median, last."""
    return _table("noise").copy()


def fixed_time() -> pd.DataFrame:
    """Return what a fixed time reached: series, device, batch_tokens, updates, bits_per_byte, runs, seconds."""
    return _table("fixed_time").copy()


@functools.cache
def _series() -> pd.DataFrame:
    frame = _table("series").merge(
        _table("sources").query("table == 'updates'")[["source", "repository", "commit", "licence"]],
        on="source",
        validate="many_to_one",
    )
    sizes = _table("updates").query("reached == runs").groupby("series")["batch_size"].agg(tuple)
    timed = _table("seconds")
    frame["batch_sizes"] = frame["series"].map(sizes)
    frame["has_seconds"] = frame["workload"].isin(timed["workload"])
    frame["has_joules"] = frame["workload"].isin(timed.dropna(subset="watts")["workload"])
    frame["unit"] = np.where(
        (frame["unit"] == "epochs") & frame["examples_per_epoch"].isna(),
        f"updates, an epoch counted as {EXAMPLES:,} examples",
        "updates",
    )
    return frame.rename(columns={"series": "name"})


def series() -> pd.DataFrame:
    """Return the published series, a row each.

    Columns: name, source, repository, commit, file, licence, workload, target, unit (of `runs`), step_rule (how the
    step size goes with the batch size), batch_sizes (a tuple: where every run reached the target), has_seconds,
    has_joules, note.

    Example:
        >>> series().set_index("name").loc["mlperf-llama31-405b", "batch_sizes"]
        (1152, 2304, 4608)
    """
    columns = ["name", "source", "repository", "commit", "file", "licence", "workload", "target", "unit", "step_rule"]
    return _series()[[*columns, "batch_sizes", "has_seconds", "has_joules", "note"]].copy()


def listing() -> list[dict[str, object]]:
    """Return the series as `batchtime published --json` prints them.

    Example:
        >>> sorted(listing()[0])
        ['batch_sizes', 'has_joules', 'has_seconds', 'licence', 'name', 'source', 'unit']
    """
    return [
        {
            "name": row["name"],
            "source": f"{row['repository']}@{row['commit']}, {row['file']}",
            "licence": row["licence"],
            "unit": row["unit"],
            "batch_sizes": [int(size) for size in row["batch_sizes"]],
            "has_seconds": bool(row["has_seconds"]),
            "has_joules": bool(row["has_joules"]),
        }
        for row in _series().to_dict("records")
    ]


def _one(name: str) -> "pd.Series[Any]":
    """Return the row of a series.

    Raises:
        ParameterError: If no series has that name; it names the nearest.
    """
    frame = _series().set_index("name")
    if name not in frame.index:
        near = difflib.get_close_matches(name, list(frame.index), n=1, cutoff=0.0)
        raise ParameterError(
            f"no published series is called {name!r}; the nearest is {near[0]!r}, and `batchtime published` lists all "
            f"{len(frame)}"
        )
    return cast("pd.Series[Any]", frame.loc[name])


def means(name: str) -> pd.DataFrame:
    """Return the mean updates of a series at each batch size, sizes where runs failed included.

    Columns: batch_size, runs, reached, updates (mean over the runs that reached the target; NaN for none),
    updates_lower (mean of the updates after which these runs were last seen to miss it; NaN where that is not known),
    sd (of the updates; NaN for one run), learning_rate (NaN where it is not known).

    Raises:
        ParameterError: If no series has that name; it names the nearest.

    Example:
        >>> means("zeus-cifar100-0.5").set_index("batch_size").loc[1024, ["runs", "updates"]].tolist()
        [10.0, 1097.6]
    """
    _one(name)
    frame = _means()
    return frame[frame["series"] == name].drop(columns="series").reset_index(drop=True)


def all_means() -> pd.DataFrame:
    """Return `means` of every series in one frame, the series in the first column."""
    return _means().copy()


@functools.cache
def _means() -> pd.DataFrame:
    frame = _table("updates").merge(_table("series")[["series", "unit", "examples_per_epoch"]], on="series")
    size = frame["batch_size"].to_numpy(dtype=float)
    epoch = updates_per_epoch(frame["examples_per_epoch"].to_numpy(dtype=float), size)
    factor = np.select([frame["unit"] == "epochs", frame["unit"] == "examples"], [epoch, 1 / size], 1.0)
    for column in ("mean", "lower", "sd"):
        frame[column] *= factor
    columns = ["series", "batch_size", "runs", "reached", "updates", "updates_lower", "sd", "learning_rate"]
    return frame.rename(columns={"mean": "updates", "lower": "updates_lower"})[columns]


def updates_per_epoch(examples: Array | float, batch_size: Array) -> Array:
    """Return the updates of an epoch, its last batch the smaller, at batch sizes (K,); examples NaN: not stated."""
    return np.ceil(np.where(np.isnan(examples), EXAMPLES, examples) / batch_size)


def runs(name: str) -> pd.DataFrame:
    """Return a series as a frame of runs: batch_size, updates [, updates_lower, learning_rate], a row a batch size.

    A row is the mean over the runs of its batch size. Batch sizes at which a run failed are not in it, for their means
    are those of the lucky runs: `means` has them. Columns of which nothing is known are left out.

    Raises:
        ParameterError: If no series has that name; it names the nearest.

    Example:
        >>> runs("mlperf-llama31-405b")["updates"].tolist()
        [272.0, 160.0, 106.0]
    """
    frame = means(name)
    frame = frame[frame["reached"] == frame["runs"]].reset_index(drop=True)
    return frame[["batch_size", "updates", "updates_lower", "learning_rate"]].dropna(axis="columns", how="all")


@functools.cache
def timed() -> pd.DataFrame:
    """Return every published timing, a row a batch size; what is returned is shared and not to be changed.

    Columns: source, workload, device, nodes, learners, power_limit (watts), per (what `seconds` are of: an "update" or
    an "epoch"), local_batch_size (of each learner), batch_size (of all learners together), seconds, watts (mean of the
    device).
    """
    table = _table("seconds")
    lists = {
        column: [str(cell).split(" ") for cell in table[column].fillna("")]
        for column in ("batch_sizes", "seconds", "watts")
    }
    long = table.copy()
    for column, cells in lists.items():
        long[column] = [
            known * (len(own) // len(known)) for own, known in zip(lists["batch_sizes"], cells, strict=True)
        ]
    long = long.explode(list(lists), ignore_index=True)
    for column in lists:
        long[column] = pd.to_numeric(long[column])
    long = long.rename(columns={"batch_sizes": "local_batch_size"})
    long["batch_size"] = long["local_batch_size"] * long["learners"]
    columns = ["source", "workload", "device", "nodes", "learners", "power_limit", "per"]
    return long[[*columns, "local_batch_size", "batch_size", "seconds", "watts"]]


def timings(name: str) -> pd.DataFrame:
    """Return what an update of a series takes: batch_size, seconds [, joules], learners, device, a row a median.

    `batch_size` is that of all learners together. `device` names the processor and, where they differ, its power limit
    or the number of nodes: the rows of one device and one number of learners make one frame of timings.

    Raises:
        ParameterError: If no series has that name, or its source has no seconds; it names the nearest, or those that
            have.

    Example:
        >>> frame = timings("zeus-cifar100-0.5").query("device == 'V100 at 250 W' and batch_size == 512")
        >>> frame[["seconds", "joules"]].round(3).values.tolist()
        [[0.084, 16.543]]
    """
    about = _one(name)
    frame: pd.DataFrame = timed()
    frame = frame[frame["workload"] == about["workload"]].copy()
    if frame.empty:
        others = ", ".join(sorted(_series().query("has_seconds")["source"].unique()))
        raise ParameterError(f"published series {name!r} has no seconds; those of {others} have: time your own updates")
    updates = updates_per_epoch(float(about["examples_per_epoch"]), frame["batch_size"].to_numpy(dtype=float))
    frame["seconds"] /= np.where(frame["per"] == "epoch", updates, 1.0)
    frame["joules"] = frame["seconds"] * frame["watts"]
    limit = " at " + frame["power_limit"].astype("Int64").astype("string") + " W"
    number = frame["nodes"].astype("Int64").astype("string")
    nodes = (", " + number + " nodes").where(frame["nodes"] != 1, ", 1 node").where(frame["source"] == "pollux", "")
    frame["device"] = frame["device"] + limit.fillna("") + nodes.fillna("")
    columns = ["batch_size", "seconds", "joules", "learners", "device"]
    return frame[columns].dropna(axis="columns", how="all").reset_index(drop=True)


def timings_of_one_device(name: str) -> tuple[pd.DataFrame, str]:
    """Return the timings of a series on one device with one number of learners, and a sentence that says which.

    That of the most batch sizes; of several the fewest learners, and of these the last by name: the highest power.

    Raises:
        ParameterError: If no series has that name, or its source has no seconds.

    Example:
        >>> timings_of_one_device("zeus-cifar100-0.5")[1]
        'Seconds are those of V100 at 250 W, one of 7 devices; for another one give its own table of timings.'
    """
    groups = {
        (len(some), -int(str(learners)), str(device)): some
        for (device, learners), some in timings(name).groupby(["device", "learners"])
    }
    _sizes, negative, device = max(groups)
    shared = "" if negative == -1 else f" with {-negative} learners"
    return groups[max(groups)].reset_index(drop=True), (
        f"Seconds are those of {device}{shared}, one of {len(groups)} devices; for another one give its own "
        "table of timings."
    )
