"""Frames in, results out: what `import batchtime` offers for fitting, predicting and advising.

Frames have the columns of the tables: runs `batch_size, updates` [, `learning_rate, seed, updates_lower, censored`],
timings `batch_size, seconds` [, `cpu_seconds`].
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from batchtime.errors import FitError
from batchtime.fit import advice, prediction
from batchtime.fit.curve import CurveFit, fit_curve
from batchtime.fit.inverse_law import LawFit, fit_inverse_law
from batchtime.fit.measurements import Observation, UpdateTiming, observations_of, timings_of
from batchtime.fit.recommendation import Recommendation
from batchtime.fit.seconds import TimeFit, fit_seconds
from batchtime.laws.scaling import FREE, Network


def by_learning_rate(runs: pd.DataFrame) -> advice.Runs:
    """Return the runs of a frame as values, by learning rate where there are several.

    Raises:
        FitError: If some rows have a learning rate and others have none.
    """
    needed = [name for name in ("batch_size", "updates") if name not in runs]
    if needed:
        raise FitError(
            f"the frame of runs lacks {', '.join(needed)}; it has the columns {', '.join(map(str, runs.columns))}"
        )
    if "learning_rate" not in runs or runs["learning_rate"].isna().all():
        return observations_of(runs)
    missing = int(runs["learning_rate"].isna().sum())
    if missing > 0:
        raise FitError(f"{missing} of {len(runs)} runs have no learning_rate; give each its own, or none")
    several: dict[float, list[Observation]] = {
        float(str(rate)): observations_of(some) for rate, some in runs.groupby("learning_rate")
    }
    return several if len(several) > 1 else observations_of(runs)


def fit(runs: pd.DataFrame) -> LawFit | CurveFit:
    """Fit mean updates N = n_inf + alpha / M, or one curve over batch size and learning rate where there are several.

    Args:
        runs: Columns batch_size and updates [, learning_rate, seed, updates_lower, censored], one row a run.

    Raises:
        FitError: If the runs determine no law; the message says what is missing.

    Example:
        >>> fit(runs).summary().loc["n_inf", "unit"]
        'updates'
    """
    some = by_learning_rate(runs)
    return replace(fit_curve(some), runs=some) if isinstance(some, Mapping) else fit_inverse_law(some)


def fit_timings(timings: pd.DataFrame) -> TimeFit:
    """Fit seconds per update, t(M) = (delta^p + (gamma M)^p)^(1/p), to the medians of timed updates.

    Args:
        timings: Columns batch_size and seconds [, cpu_seconds], one row an update or the mean of some.

    Raises:
        FitError: If fewer than two batch sizes were timed, or a duration is impossible.

    Example:
        >>> fit_timings(timings).form
        'sum'
    """
    return fit_seconds(timings_of(timings))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFit:
    """Runs and timings together: training time T(M) = N(M) t(M), to predict and to advise from.

    Args:
        runs: Values, by learning rate where there are several.
        timings: Updates of one learner.
    """

    runs: advice.Runs
    timings: Sequence[UpdateTiming] | None

    def predict(
        self,
        batch_sizes: Sequence[float],
        *,
        learning_rate: float | None = None,
        learners: int = 1,
        network: Network = FREE,
    ) -> pd.DataFrame:
        """Predict updates, and seconds where updates were timed, at some batch sizes.

        Returns:
            A frame with batch_size, learning_rate, updates, updates_low, updates_high, seconds, seconds_low,
            seconds_high (95 %; NaN where open or not timed) and beyond_measured.

        Raises:
            FitError: If the tables determine nothing.
            ParameterError: If a batch size or the learning rate is not allowed.

        Example:
            >>> fit(runs).with_timings(timings).predict([64])["batch_size"].item()
            64.0
        """
        found = prediction.predict(
            self.runs,
            self.timings,
            batch_sizes=batch_sizes,
            learning_rate=learning_rate,
            learners=learners,
            network=network,
        )
        rows = []
        for one in found:
            row = asdict(one)
            for name in ("updates", "seconds"):
                row[f"{name}_low"], row[f"{name}_high"] = row.pop(f"{name}_interval")
            rows.append(row)
        columns = ["batch_size", "learning_rate", "updates", "updates_low", "updates_high"]
        columns += ["seconds", "seconds_low", "seconds_high"]
        return pd.DataFrame(rows)[[*columns, "beyond_measured"]].astype(dict.fromkeys(columns, float))

    def recommend(
        self,
        *,
        learners: int = 1,
        max_batch_size: int | None = None,
        multiple_of: int = 1,
        network: Network = FREE,
        limit: float = advice.LIMIT,
    ) -> Recommendation:
        """Return the batch size whose worst loss is least over the laws and timings that the tables allow.

        Args:
            learners: That are to share each batch.
            max_batch_size: Of all learners together; what memory allows, say.
            multiple_of: What the batch size of each learner is to be a multiple of.
            network: Between the learners; without it their communication is taken to be free.
            limit: Of the loss, as a fraction of the least time; above it the advice is refused.

        Raises:
            FitError: If nothing was timed.
            ParameterError: If learners, sizes or the limit are not allowed.

        Example:
            >>> fit(runs).with_timings(timings).recommend(max_batch_size=16).batch_size <= 16
            True
        """
        if self.timings is None:
            raise FitError("a recommendation needs timed updates; give a table of batch_size and seconds")
        return advice.recommend(
            self.runs,
            self.timings,
            learners=learners,
            max_batch_size=max_batch_size,
            multiple_of=multiple_of,
            network=network,
            limit=limit,
        )


def predict(
    runs: pd.DataFrame,
    timings: pd.DataFrame | None = None,
    *,
    batch_sizes: Sequence[float],
    learning_rate: float | None = None,
    learners: int = 1,
) -> pd.DataFrame:
    """Predict updates, and seconds where updates were timed: `TimedFit.predict` in one call.

    Raises:
        FitError: If the tables determine nothing.
        ParameterError: If a batch size or the learning rate is not allowed.

    Example:
        >>> predict(runs, timings, batch_sizes=[64])["beyond_measured"].item()
        False
    """
    times = None if timings is None else timings_of(timings)
    both = TimedFit(runs=by_learning_rate(runs), timings=times)
    return both.predict(batch_sizes, learning_rate=learning_rate, learners=learners)


def recommend(
    runs: pd.DataFrame,
    timings: pd.DataFrame,
    *,
    learners: int = 1,
    max_batch_size: int | None = None,
    multiple_of: int = 1,
    network: Network = FREE,
    limit: float = advice.LIMIT,
) -> Recommendation:
    """Return the batch size whose worst loss is least: `TimedFit.recommend` in one call, with the same options.

    Args:
        runs: Columns batch_size and updates [, learning_rate, seed, updates_lower, censored].
        timings: Columns batch_size and seconds [, cpu_seconds], of one learner.
        learners: See `TimedFit.recommend`.
        max_batch_size: See there.
        multiple_of: See there.
        network: See there.
        limit: See there.

    Raises:
        FitError: If the frames lack a column.
        ParameterError: If learners, sizes or the limit are not allowed.

    Example:
        >>> recommend(runs, timings).refused
        False
    """
    both = TimedFit(runs=by_learning_rate(runs), timings=timings_of(timings))
    return both.recommend(
        learners=learners, max_batch_size=max_batch_size, multiple_of=multiple_of, network=network, limit=limit
    )
