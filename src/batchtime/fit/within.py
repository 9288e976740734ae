"""Which batch size has the least metric after a stated time: the envelope of training curves over targets.

Each run's metric at that time is interpolated between its evaluations, straight in log updates; a run that ended
earlier counts with its last value. Runs of one batch size and learning rate are averaged, and those that stand off the
best by no more than their scatter explains are named beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from batchtime.errors import FitError, check
from batchtime.fit.scatter import f_point
from batchtime.laws.quantity import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """The metric of one batch size and learning rate after the time.

    Args:
        batch_size: Examples.
        learning_rate: None where the runs have none.
        value: Mean over the runs.
        error: Standard error, from the scatter of all runs about their own means; None with one run each.
        runs: How many.
        ended: Of these, how many ended earlier.
        as_good: Whether it stands off the best by no more than scatter explains (95 %).
    """

    batch_size: float
    learning_rate: float | None
    value: float
    error: float | None
    runs: int
    ended: int
    as_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """What is best within a time.

    Args:
        seconds: The time.
        best: Of the least metric, or the greatest where it grows.
        all: Every batch size and learning rate, by these.
        warnings: What to know, one sentence each.
    """

    seconds: float
    best: After
    all: tuple[After, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return what `recommend --within --json` prints."""
        return {"within_seconds": self.seconds, "batch_size": self.best.batch_size, **asdict(self)}

    def __str__(self) -> str:
        """Return what `recommend --within` prints."""
        lines = [f"within {self.seconds:g} s: batch size {_name(self.best)}, {_value(self.best)}"]
        good = [_name(one) for one in self.all if one.as_good and one is not self.best]
        lines += [f"  as good by these runs: {', '.join(good)}"] if good else []
        lines += [f"  {_name(one)}: {_value(one)}" for one in self.all]
        return "\n".join([*lines, *(f"  note: {sentence}" for sentence in self.warnings)])


def _name(one: After) -> str:
    return f"{one.batch_size:g}" + ("" if one.learning_rate is None else f" at learning rate {one.learning_rate:g}")


def _value(one: After) -> str:
    error = "" if one.error is None else f" +- {one.error:.2g}"
    return f"{one.value:.4g}{error} ({one.runs} run{'s' * (one.runs > 1)})"


def within(evaluations: pd.DataFrame, seconds: float, *, grows: bool = False) -> Within:
    """Return which batch size has the least metric after so many seconds of training.

    Args:
        evaluations: Columns run, batch_size, updates, seconds, value [, learning_rate], a row an evaluation.
        seconds: Of training.
        grows: Whether a greater metric is better.

    Raises:
        FitError: If a column is missing, or no run tells its metric at that time.
        ParameterError: If the time is not more than 0.

    Example:
        >>> import pandas as pd
        >>> rows = [(m, m, n, 0.1 * n, 10 / n + m / 100) for m in (8, 64) for n in (1, 10, 100)]
        >>> table = pd.DataFrame(rows, columns=["run", "batch_size", "updates", "seconds", "value"])
        >>> within(table, 5.0).best.batch_size
        8.0
    """
    check(0 < seconds < math.inf, name="--within", value=seconds, allowed="finite and more than 0, in seconds")
    lacking = [name for name in ("run", "batch_size", "updates", "seconds", "value") if name not in evaluations]
    if lacking:
        raise FitError(f"the table of evaluations lacks {', '.join(lacking)}; `batchtime read --out` writes one")
    values: dict[tuple[float, float | None], list[tuple[float, bool]]] = {}
    for _, run in evaluations.dropna(subset=["seconds", "value"]).groupby("run"):
        found = _at(run, seconds)
        if found is None:
            continue
        rate = run["learning_rate"].iloc[0] if "learning_rate" in run else None
        key = float(run["batch_size"].iloc[0]), None if rate is None or pd.isna(rate) else float(rate)
        values.setdefault(key, []).append(found)
    if not values:
        raise FitError(f"no run has an evaluation within {seconds:g} s that tells its seconds")
    sign = -1.0 if grows else 1.0
    means = {key: float(np.mean([value for value, _ in some])) for key, some in values.items()}
    best = min(means, key=lambda key: sign * means[key])
    freedom = sum(len(some) for some in values.values()) - len(values)
    squares = sum(float(np.sum((np.array([v for v, _ in some]) - means[key]) ** 2)) for key, some in values.items())
    spread = math.sqrt(squares / freedom) if freedom > 0 else None
    reach = math.sqrt(f_point(freedom)) if freedom > 0 else 0.0
    rows = {}
    for key, some in sorted(values.items(), key=lambda item: (item[0][0], item[0][1] or 0.0)):
        off = math.inf if spread is None else reach * spread * math.sqrt(1 / len(some) + 1 / len(values[best]))
        rows[key] = After(
            batch_size=key[0],
            learning_rate=key[1],
            value=means[key],
            error=None if spread is None else spread / math.sqrt(len(some)),
            runs=len(some),
            ended=sum(ended for _, ended in some),
            as_good=key == best or (spread is not None and sign * (means[key] - means[best]) <= off),
        )
    return Within(seconds=seconds, best=rows[best], all=tuple(rows.values()), warnings=_warnings(rows[best], spread))


def _warnings(best: After, spread: float | None) -> tuple[str, ...]:
    said = []
    if spread is None:
        said.append("There is one run each: how far they scatter is not known; add seeds.")
    if best.ended:
        said.append(f"{best.ended} of the best's {best.runs} runs ended before that time: their last value counts.")
    return tuple(said)


def _at(run: pd.DataFrame, seconds: float) -> tuple[float, bool] | None:
    """Return the metric of a run at a time, and whether the run ended before; None before its first evaluation."""
    ordered = run.sort_values("updates")
    times: Array = ordered["seconds"].to_numpy(dtype=np.float64)
    values: Array = ordered["value"].to_numpy(dtype=np.float64)
    if times[0] > seconds:
        return None
    if times[-1] <= seconds:
        return float(values[-1]), bool(times[-1] < 0.95 * seconds)
    return float(np.interp(math.log(seconds), np.log(np.maximum(times, 1e-12)), values)), False


def evaluations_of(runs: Sequence[tuple[object, float, Sequence[int], Sequence[float | None], float]]) -> pd.DataFrame:
    """Return a table of evaluations from runs: name, batch size, updates, metric, seconds of an update."""
    rows = [
        (name, size, done, done * each, value)
        for name, size, updates, values, each in runs
        for done, value in zip(updates, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "batch_size", "updates", "seconds", "value"]).astype({"value": float})
