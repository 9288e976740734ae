"""Seconds, joules and money of a training over batch sizes and power limits, measured and predicted from a few.

The measured grid is Zeus': a V100 at seven power limits. Predictions see the runs of three batch sizes and the seconds
and watts of these at the least and the largest limit. A limit binds where the device would draw more than a share of
it; where it binds, seconds go as a power of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchtime.book.beyond.gpu_times import fit_form
from batchtime.book.beyond.universal import fit_bent
from batchtime.errors import FitError
from batchtime.runs import published

Array = npt.NDArray[np.float64]

JOULES_PER_KILOWATT_HOUR = 3.6e6


def measured(series: str) -> pd.DataFrame:
    """Return what a training takes at each batch size and power limit, all runs having reached the target.

    Returns:
        batch_size, power_limit (watts), update_seconds, watts, updates, seconds and joules (of the whole training,
        the mean over runs), frontier (no other row has both fewer seconds and fewer joules).

    Raises:
        FitError: If the series has no timings at several power limits.
        ParameterError: If no series has that name, or it has no seconds.

    Example:
        >>> grid = measured("zeus-cifar100-0.5")
        >>> grid.loc[grid["joules"].idxmin(), ["batch_size", "power_limit"]].tolist()
        [128.0, 100.0]
    """
    timings = published.timings(series)
    limit = timings["device"].str.extract(r" at (\d+) W$")[0].astype(float)
    if limit.nunique() < 2:
        raise FitError(f"{series} was timed at {limit.nunique()} power limits; take a series of Zeus, which has seven")
    timings = timings.assign(power_limit=limit, watts=timings["joules"] / timings["seconds"])
    means = published.means(series).query("reached == runs")[["batch_size", "updates"]]
    grid = timings[["batch_size", "power_limit", "seconds", "watts"]].merge(means, on="batch_size")
    grid = grid.rename(columns={"seconds": "update_seconds"}).sort_values(["power_limit", "batch_size"])
    grid["seconds"] = grid["updates"] * grid["update_seconds"]
    grid["joules"] = grid["seconds"] * grid["watts"]
    grid["frontier"] = on_frontier(grid)
    return grid.reset_index(drop=True)


def on_frontier(grid: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows of a frame with seconds and joules are beaten by no other in both."""
    seconds, joules = (grid[name].to_numpy(dtype=float) for name in ("seconds", "joules"))
    beaten = (seconds[:, None] > seconds) & (joules[:, None] > joules)
    return np.asarray(~beaten.any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a prediction sees of a grid.

    Args:
        batch_sizes: Three.
        power_limits: Two, in watts.
    """

    batch_sizes: tuple[float, float, float]
    power_limits: tuple[float, float]


def pilot(grid: pd.DataFrame) -> Pilot:
    """Return the ends and the middle (of logarithms) of the batch sizes, and the ends of the power limits."""
    size: Array = np.unique(grid["batch_size"].to_numpy(dtype=float))
    middle = size[1:-1][np.abs(np.log(size[1:-1]) - np.log(size[0] * size[-1]) / 2).argmin()]
    limit = grid["power_limit"]
    return Pilot(
        batch_sizes=(float(size[0]), float(middle), float(size[-1])),
        power_limits=(float(limit.min()), float(limit.max())),
    )


def predicted(grid: pd.DataFrame, seen: Pilot | None = None) -> pd.DataFrame:
    """Return the grid's seconds and joules as its pilot predicts them.

    Updates follow the law with a pole through the three batch sizes, seconds of an update the power mean of a plateau
    and a line at each of the two limits, and watts are straight lines in log-log.

    Args:
        grid: As `measured` returns it; of its rows only the pilot's own are used, and of the others batch size and
            power limit.
        seen: The pilot; None for `pilot(grid)`.

    Returns:
        batch_size, power_limit, updates, update_seconds, watts, seconds, joules, of every row of the grid.
    """
    seen = seen or pilot(grid)
    low, high = seen.power_limits
    size = np.array(seen.batch_sizes)
    rows = grid.set_index(["batch_size", "power_limit"])

    def given(column: str, limit: float) -> Array:
        at = rows.index.isin([(m, limit) for m in size])
        return rows[at].sort_index()[column].to_numpy(dtype=float)

    wanted, limits = grid["batch_size"].to_numpy(dtype=float), grid["power_limit"].to_numpy(dtype=float)

    draw = np.exp(np.interp(np.log(wanted), np.log(size), np.log(given("watts", high))))
    share = float((given("watts", low) / low).max())  # what is drawn of a limit that binds
    fast, slow = (fit_form("power mean", size, given("update_seconds", limit))(wanted) for limit in (high, low))
    free = np.minimum(draw / share, high)  # the limit at which it begins to bind
    reach = np.log(np.maximum(free / low, 1 + 1e-9))
    bound = np.clip(np.log(free / limits) / reach, 0.0, 1.0)
    update_seconds = fast * (slow / fast) ** np.where(free > low, bound, 0.0)
    watts = np.minimum(draw, share * limits)
    updates = fit_bent(size, given("updates", high), power=1.0).updates(wanted)
    return grid[["batch_size", "power_limit"]].assign(
        updates=updates,
        update_seconds=update_seconds,
        watts=watts,
        seconds=updates * update_seconds,
        joules=updates * update_seconds * watts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a training costs: rent (or depreciation) of the device, and electricity, both in one currency."""

    per_hour: float
    per_kilowatt_hour: float


def cost(grid: pd.DataFrame, prices: Prices) -> "pd.Series[float]":
    """Return the money of each row, in the prices' currency."""
    rent = grid["seconds"] / 3600 * prices.per_hour
    return rent + grid["joules"] / JOULES_PER_KILOWATT_HOUR * prices.per_kilowatt_hour


def optima(series: list[str], prices: Prices) -> pd.DataFrame:
    """Return for each series the batch size and limit of least seconds, joules and money, measured and predicted.

    Returns:
        series, wanted ("seconds", "joules" or "money"), batch_size, power_limit, seconds, joules, money (of the
        measured optimum), predicted_batch_size, predicted_power_limit, lost (what is wanted, measured at the predicted
        optimum, over the measured least, less 1), saved and slower (joules that the measured optimum saves against the
        fastest, and the seconds that it costs, as fractions), frontier (rows that no other beats in both), rms_seconds
        and rms_joules (log errors of the predictions at the rows that the pilot did not see).
    """
    made = []
    for name in series:
        grid = measured(name)
        seen = pilot(grid)
        guess = predicted(grid, seen)
        grid, guess = (frame.assign(money=cost(frame, prices)) for frame in (grid, guess))
        unseen = ~(grid["batch_size"].isin(seen.batch_sizes) & grid["power_limit"].isin(seen.power_limits))
        rms = {
            f"rms_{column}": float(np.sqrt((np.log(guess[column] / grid[column])[unseen] ** 2).mean()))
            for column in ("seconds", "joules")
        }
        fastest = grid.iloc[int(grid["seconds"].argmin())]
        for wanted in ("seconds", "joules", "money"):
            best = grid.iloc[int(grid[wanted].argmin())]
            # of limits that should not bind the largest cannot cost seconds, and the least cannot cost joules
            place = guess.sort_values([wanted, "power_limit"], ascending=[True, wanted != "seconds"]).index[0]
            chosen = grid.iloc[int(place)]
            columns = ("batch_size", "power_limit", "seconds", "joules", "money")
            optimum = {column: best[column] for column in columns}
            made.append(
                {
                    "series": name,
                    "wanted": wanted,
                    **optimum,
                    "predicted_batch_size": chosen["batch_size"],
                    "predicted_power_limit": chosen["power_limit"],
                    "lost": chosen[wanted] / best[wanted] - 1,
                    "saved": 1 - best["joules"] / fastest["joules"],
                    "slower": best["seconds"] / fastest["seconds"] - 1,
                    "frontier": int(grid["frontier"].sum()),
                    **rms,
                }
            )
    return pd.DataFrame(made)
