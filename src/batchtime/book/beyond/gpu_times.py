"""Which form describes seconds of an update on GPUs, over the batch size and over learners, and what being off costs.

Forms of one learner's seconds over its batch size m: a line delta + gamma m; the larger of the two (a plateau, then in
proportion); their power mean; a line in whole tiles of 8, 32 or 64 examples. With L learners m = M / L, and c(L) comes
on top.
"""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from batchtime.runs import published

Array = npt.NDArray[np.float64]

Seconds = Callable[[Array], Array]
"""From batch sizes of one learner to seconds of an update."""

LEAST_SIZES = 4
TILES = (8, 32, 64)
FORMS = ("line", "larger of the two", "power mean", "tiles")
EXCHANGES = ("none", "constant", "ring", "tree", "free")
"""c(L): nothing; the same for every L > 1; 2 (L - 1) / L; log2 L; a value for each number of learners and nodes."""


def timed_series() -> pd.DataFrame:
    """Return the published timings with at least four batch sizes, as `published.timed` does, seconds of an update.

    Epochs are not divided by their updates: Zeus' timings are left to its own series.
    """
    keys = ["workload", "device", "nodes", "learners"]
    frame = published.timed().query("per == 'update'")
    sizes = frame.groupby(keys, dropna=False)["local_batch_size"].transform("size")
    return frame[sizes >= LEAST_SIZES].reset_index(drop=True)


def fit_form(form: str, size: Array, seconds: Array) -> Seconds:
    """Return a form of least squared relative errors, a function of batch sizes.

    Args:
        form: One of `FORMS`; tiles take the best of `TILES`.
        size: Batch sizes of one learner (K,).
        seconds: Seconds of an update (K,) there.

    Example:
        >>> line = fit_form("line", np.array([8.0, 16.0, 32.0]), np.array([2.0, 3.0, 5.0]))
        >>> line(np.array([64.0])).round(6).tolist()
        [9.0]
    """
    if form == "line":
        return _straight(size, seconds, tile=1)
    if form == "tiles":
        return min((_straight(size, seconds, tile=tile) for tile in TILES), key=lambda law: _rms(law(size), seconds))
    return _bent(size, seconds, np.array([np.inf]) if form == "larger of the two" else np.geomspace(0.25, 16.0, 25))


def _straight(size: Array, seconds: Array, *, tile: int) -> Seconds:
    """Return delta + gamma x, neither below 0, x the size filled up to whole tiles."""

    def filled(m: Array) -> Array:
        return m if tile == 1 else np.ceil(m / tile) * tile

    design = np.column_stack([np.ones_like(size), filled(size)])
    delta, gamma = nnls(design / seconds[:, None], np.ones_like(seconds))[0]
    return lambda m: np.asarray(delta + gamma * filled(m))


def _bent(size: Array, seconds: Array, powers: Array) -> Seconds:
    """Return (delta^p + (gamma m)^p)^(1/p) for the best of some p (infinite: the larger of the two), on a grid.

    The grid of knees delta / gamma and of p is made three times, each around the best of the one before.
    """
    knees = _spaced(size.min() / 2, size.max() * 2, 60)
    for _ in range(3):
        relative = _joined(size / knees[:, None, None], powers[:, None]) / seconds  # (knees, powers, K)
        levels = relative.sum(axis=-1) / (relative**2).sum(axis=-1)
        squares = ((levels[..., None] * relative - 1) ** 2).sum(axis=-1)
        i, j = (int(place) for place in np.unravel_index(int(squares.argmin()), squares.shape))
        level, knee, power = float(levels[i, j]), float(knees[i]), float(powers[j])
        knees = _spaced(knees[max(i - 1, 0)], knees[min(i + 1, len(knees) - 1)], 21)
        if len(powers) > 1:
            powers = _spaced(powers[max(j - 1, 0)], powers[min(j + 1, len(powers) - 1)], 11)
    return lambda m: level * _joined(m / knee, np.array(power))


@functools.cache
def _shares(count: int) -> Array:
    return np.linspace(0.0, 1.0, count)


def _spaced(low: float, high: float, count: int) -> Array:
    """Return what `np.geomspace` does of two numbers, at a tenth of its time: it is asked for at every series."""
    return np.asarray(low * (high / low) ** _shares(count))


def _joined(ratio: Array, power: Array) -> Array:
    """Return (1 + ratio^p)^(1/p), where p may be infinite."""
    logs = np.log(ratio)
    finite = np.where(np.isinf(power), 1.0, power)
    bend = np.log1p(np.exp(-finite * np.abs(logs))) / finite  # exponentials, for powers take five times as long
    return np.asarray(np.exp(np.maximum(logs, 0.0) + np.where(np.isinf(power), 0.0, bend)))


def _rms(fitted: Array, seconds: Array) -> float:
    return float(np.sqrt(np.mean((fitted / seconds - 1) ** 2)))


def lost_by(fitted: Array, size: Array, seconds: Array) -> float:
    """Return what choosing by fitted seconds costs: the median over laws of the loss against the measured best.

    The laws are 1 + r / M with 25 values of r from a quarter of the least batch size to four times the largest: for
    each, the size that the fitted seconds call best, and its measured time over the least, less 1.
    """
    ratio = _spaced(size.min() / 4, size.max() * 4, 25)[:, None]
    updates = 1 + ratio / size
    chosen = (updates * fitted).argmin(axis=-1)
    total = updates * seconds
    losses = total[np.arange(len(ratio)), chosen] / total.min(axis=-1) - 1
    return float(np.sort(losses)[len(losses) // 2])


def forms(timed: pd.DataFrame) -> pd.DataFrame:
    """Return how well each form describes each timed series, one row for both.

    Args:
        timed: As `timed_series` returns it.

    Returns:
        source, workload, device, nodes, learners, batch_sizes (how many), form, parameters, rms (of relative errors,
        corrected for the number of parameters), worst (greatest relative error), lost (see `lost_by`).
    """
    made = []
    keys = ["source", "workload", "device", "nodes", "learners"]
    for key, series in timed.groupby(keys, dropna=False):
        size, seconds = series["local_batch_size"].to_numpy(dtype=float), series["seconds"].to_numpy(dtype=float)
        for form in FORMS:
            fitted = fit_form(form, size, seconds)(size)
            parameters = 3 if form in ("power mean", "tiles") else 2
            freedom = len(size) - parameters
            made.append(
                {
                    **dict(zip(keys, key, strict=True)),
                    "batch_sizes": len(size),
                    "form": form,
                    "parameters": parameters,
                    "rms": _rms(fitted, seconds) * np.sqrt(len(size) / freedom),
                    "worst": float(np.abs(fitted / seconds - 1).max()),
                    "lost": lost_by(fitted, size, seconds),
                }
            )
    return pd.DataFrame(made)


def by_form(fitted: pd.DataFrame, *, by: tuple[str, ...] = ("source",)) -> pd.DataFrame:
    """Return for each form and group: series, median_rms, rms_90 (90 % of the series are below), median and 90 % lost.

    Also `best`: the part of the series that the form describes best, parameters counted.
    """
    groups = [*by, "form"]
    keys = ["source", "workload", "device", "nodes", "learners"]
    least = fitted.groupby(keys, dropna=False)["rms"].transform("min")
    frame = fitted.assign(best=fitted["rms"] <= least * (1 + 1e-9))
    grouped = frame.groupby(groups, sort=False)
    return pd.DataFrame(
        {
            "series": grouped.size(),
            "median_rms": grouped["rms"].median(),
            "rms_90": grouped["rms"].quantile(0.9),
            "median_lost": grouped["lost"].median(),
            "lost_90": grouped["lost"].quantile(0.9),
            "best": grouped["best"].mean(),
        }
    ).reset_index()


# Several learners


def _exchange_columns(exchange: str, learners: Array, nodes: Array) -> Array:
    """Return the columns (K, any) whose weights make c(L), 0 for one learner."""
    several = learners > 1
    if exchange == "none":
        return np.empty((len(learners), 0))
    if exchange == "free":
        pairs = np.column_stack([learners, np.where(np.isnan(nodes), 0, nodes)])
        kinds = np.unique(pairs[several], axis=0)
        return np.array([(pairs == kind).all(axis=1) for kind in kinds], dtype=float).reshape(len(kinds), -1).T
    shapes: dict[str, Callable[[Array], Array]] = {
        "constant": np.ones_like,
        "ring": lambda count: 2 * (count - 1) / count,
        "tree": np.log2,
    }
    apart = several & (nodes > 1)  # within one machine and between machines the links differ
    column = np.where(several, shapes[exchange](np.maximum(learners, 2.0)), 0.0)
    return np.column_stack([np.where(apart, 0.0, column), np.where(apart, column, 0.0)])


def fit_exchange(timed: pd.DataFrame, exchange: str) -> Array:
    """Return delta + gamma M / L + c(L) of all timings of one workload on one device, fitted together.

    Args:
        timed: Rows of `timed_series` with the same workload and device (K,).
        exchange: One of `EXCHANGES`; all but "none" and "free" have a weight within a machine and one between machines.
    """
    seconds = timed["seconds"].to_numpy(dtype=float)
    learners, nodes = timed["learners"].to_numpy(dtype=float), timed["nodes"].to_numpy(dtype=float, na_value=np.nan)
    local = timed["local_batch_size"].to_numpy(dtype=float)
    design = np.column_stack([np.ones_like(local), local, _exchange_columns(exchange, learners, nodes)])
    return np.asarray(design @ nnls(design / seconds[:, None], np.ones_like(seconds), maxiter=30 * design.shape[1])[0])


def exchanges(timed: pd.DataFrame) -> pd.DataFrame:
    """Return how well one delta and one gamma with each c(L) describe a workload on a device, all learners together.

    Returns:
        source, workload, device, learners (how many numbers of them), most_learners, timings, exchange, rms (of
        relative errors, over timings), apart (rms where each number of learners and nodes has its own line), lost and
        lost_90 (median and 90 % quantile of `lost_by` over the numbers of learners and nodes).
    """
    made = []
    for key, group in timed.groupby(["source", "workload", "device"]):
        if group["learners"].nunique() < 2 or (group["learners"] == 1).sum() == 0:
            continue
        seconds, size = group["seconds"].to_numpy(dtype=float), group["batch_size"].to_numpy(dtype=float)
        kinds = list(group.groupby(["nodes", "learners"], dropna=False).indices.values())
        own = [_rms(fit_exchange(group.iloc[kind], "none"), seconds[kind]) for kind in kinds]
        apart = float(np.sqrt(np.average(np.square(own), weights=[len(kind) for kind in kinds])))
        for exchange in EXCHANGES:
            fitted = fit_exchange(group, exchange)
            lost = [lost_by(fitted[kind], size[kind], seconds[kind]) for kind in kinds]
            made.append(
                {
                    **dict(zip(("source", "workload", "device"), key, strict=True)),
                    "learners": group["learners"].nunique(),
                    "most_learners": group["learners"].max(),
                    "timings": len(group),
                    "exchange": exchange,
                    "rms": _rms(fitted, seconds),
                    "apart": apart,
                    "lost": float(np.median(lost)),
                    "lost_90": float(np.quantile(lost, 0.9)),
                }
            )
    return pd.DataFrame(made)
