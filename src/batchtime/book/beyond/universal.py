"""One curve through every series, published and recorded: y = 1 + x, with x = M / (alpha / n_inf) and y = N M / alpha.

A series is a law of its own (n_inf, alpha) and, where its runs show one, a pole: a batch size at which the target is
out of reach. Below, N M / alpha = x + 1 / (1 - (pole / M)^p); what p is follows from how the step size goes with the
batch size, for the noise of an update goes with step size over batch size: a constant step makes it 1 / M, a step with
the square root of M the square root of that, and a linear one leaves nothing of it.
"""

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import least_squares

from batchtime.errors import FitError
from batchtime.fit.means import mean_updates
from batchtime.runs import published
from batchtime.runs.catalogue import EXPERIMENTS
from batchtime.runs.store import Store

Array = npt.NDArray[np.float64]

POWERS = {"constant": 1.0, "capped linear": 1.0, "AdaScale": 1.0, "tuned": 1.0, "square root": 0.5, "linear": 0.0}
"""p by step-size rule; 0: no pole. Capped rules (AdaScale is one) should show none, and are free to."""
LEAST_SIZES = 3
LEAST_RANGE = 4.0
"""Largest over least batch size: on less, a straight line says as much."""
COARSEST = 0.25
"""Largest part of its updates that a mean may be uncertain by because the source looked so seldom."""
FLATTEST = 1.2
"""Largest over least examples: with less, the batch sizes are all on one arm."""
RISE = 1.1
"""Updates that rise by more than this with the batch size are no inverse law with any parameters."""
OPEN = 100.0
DECADES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)
_SHARES = np.concatenate([[0.0], np.geomspace(0.003, 0.98, 60)])
"""Poles to try, as shares of the least batch size."""


def points(recorded: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the mean updates of every series at the batch sizes at which all of its runs reached the target.

    Args:
        recorded: Means of one's own runs: series, workload, step_rule, batch_size, updates, runs; `recorded_means`
            makes it.

    Returns:
        series, source, workload (series of one workload differ in target or step size), step_rule, batch_size, updates,
        runs, coarseness: `updates` is the middle of the interval between two looks at the metric, where that is known,
        and `coarseness` the interval's length as a fraction of the later look, 0 where it is not known.
    """
    about = published.series().set_index("name")[["source", "workload", "step_rule"]]
    frame = published.all_means().join(about, on="series")
    frame = frame[frame["reached"] == frame["runs"]]
    lower = frame["updates_lower"].fillna(frame["updates"])
    frames = [frame.assign(coarseness=1 - lower / frame["updates"], updates=(frame["updates"] + lower) / 2)]
    if recorded is not None:
        frames.append(recorded.assign(source="recorded", coarseness=0.0))
    columns = ["series", "source", "workload", "step_rule", "batch_size", "updates", "runs", "coarseness"]
    return pd.concat(frames, ignore_index=True)[columns]


def recorded_means(store: Store, names: Collection[str] | None = None) -> pd.DataFrame:
    """Return the means of the package's own recorded sweeps: series, workload, step_rule, batch_size, updates, runs.

    Batch sizes at which a run failed are left out, as they are of published series, and so are sweeps of which runs
    are still missing.

    Args:
        store: Where the runs are.
        names: Of the sweeps; None for all.
    """
    made = []
    for name in filter(EXPERIMENTS.__contains__, store.published() if names is None else names):
        chosen = EXPERIMENTS[name]
        if chosen.unfinished:
            continue
        sweep = chosen.sweep
        specs = set(sweep.runs())
        seen = [record.observation() for record in store.runs(name) if record.spec in specs]
        capped = sweep.setting.learning_rate.half_batch_size > 0
        made += [
            {
                "series": name,
                "workload": chosen.variant_of or name,
                "step_rule": "capped linear" if capped else "constant",
                "batch_size": mean.batch_size,
                "updates": mean.mean,
                "runs": mean.n_runs,
            }
            for mean in mean_updates(seen)
            if mean.n_censored == 0
        ]
    return pd.DataFrame(made)


def screened(means: pd.DataFrame) -> pd.DataFrame:
    """Return the series of `points` by name with the reason why it is not fitted; fitted ones have an empty reason.

    The rules look at the numbers of batch sizes, their range, how coarsely they were looked at, and whether updates
    rise or examples stay the same, never at how well a law fits.
    """
    seen: dict[tuple[float, ...], str] = {}
    reasons = {str(name): _reason(str(name), frame, seen) for name, frame in means.groupby("series", sort=False)}
    about = means.groupby("series", sort=False).agg(
        source=("source", "first"), step_rule=("step_rule", "first"), batch_sizes=("batch_size", "size")
    )
    about["reason"] = pd.Series(reasons)
    return about


def _reason(name: str, frame: pd.DataFrame, seen: dict[tuple[float, ...], str]) -> str:
    size, updates = _columns(frame)
    examples = size * updates
    values = tuple(np.round(updates, 6))
    twin = seen.setdefault(values, name)
    rise = float((updates[1:] / np.minimum.accumulate(updates)[:-1]).max()) if len(size) > 1 else 0.0
    for holds, reason in (
        (len(size) < LEAST_SIZES, f"fewer than {LEAST_SIZES} batch sizes at which every run reached the target"),
        (size.max() < LEAST_RANGE * size.min(), f"batch sizes within a factor of {LEAST_RANGE:g}"),
        (frame["coarseness"].max() > COARSEST, f"looked at so seldom that a mean is open by more than {COARSEST:.0%}"),
        (twin != name, f"the same numbers as {twin}"),
        (examples.max() < FLATTEST * examples.min(), "as many examples at every batch size: one arm only"),
        (rise > RISE, f"updates rise with the batch size by more than {RISE - 1:.0%}"),
    ):
        if holds:
            return reason
    return ""


def _columns(frame: pd.DataFrame) -> tuple[Array, Array]:
    """Return batch sizes (K,) and mean updates (K,) of one series."""
    return frame["batch_size"].to_numpy(dtype=float), frame["updates"].to_numpy(dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bent:
    """An inverse law with a pole: N = n_inf + alpha / M / (1 - (pole / M)^power); without one the pole is 0.

    With the power 1 this is `CurveLaw` at one learning rate. Other powers stand for steps that go with the batch size
    in series of which no step size is known: there eta N is no function of eta / M that could be drawn.

    Args:
        n_inf: Updates at an infinite batch size.
        alpha: Examples at a small batch size, far above the pole.
        pole: Batch size at which the target is out of reach.
        power: How the noise of an update falls with the batch size; see `POWERS`.
    """

    n_inf: float
    alpha: float
    pole: float
    power: float

    @property
    def critical_batch_size(self) -> float:
        """Ratio alpha / n_inf, in examples."""
        return self.alpha / self.n_inf

    def updates(self, batch_size: Array) -> Array:
        """Return the mean updates at batch sizes above the pole (any shape)."""
        return self.n_inf + self.alpha / batch_size * _bend(batch_size, self.pole, self.power)


def _bend(size: Array, pole: Array | float, power: float) -> Array:
    """Return 1 / (1 - (pole / M)^p), or 1 where there is no pole."""
    return 1.0 / (1.0 - (pole / size) ** power) if power > 0 else np.ones(np.broadcast(size, pole).shape)


def fit_bent(size: Array, updates: Array, *, power: float) -> Bent:
    """Fit the law, with a pole unless `power` is 0, by least squared log errors: the best of a grid, refined.

    Args:
        size: Batch sizes (K,).
        updates: Mean updates (K,) there.
        power: See `POWERS`.

    Raises:
        FitError: If there are fewer batch sizes than parameters; it says how many are needed.

    Example:
        >>> law = fit_bent(np.array([4.0, 16.0, 64.0]), np.array([350.0, 162.5, 115.625]), power=0)
        >>> round(law.n_inf, 1), round(law.critical_batch_size, 2)
        (100.0, 10.0)
    """
    needed = 3 if power > 0 else 2
    if len(size) < needed:
        raise FitError(f"{len(size)} batch sizes for a law of {needed} parameters; add batch sizes")
    return _fit_bent(tuple(size.tolist()), tuple(updates.tolist()), power)


@functools.lru_cache(maxsize=4096)  # several tables and figures ask for the law of the same series
def _fit_bent(sizes: tuple[float, ...], means: tuple[float, ...], power: float) -> Bent:
    size, updates, needed = np.array(sizes), np.array(means), 3 if power > 0 else 2
    logs = np.log(size * updates)

    def errors(ratio: Array, share: Array) -> tuple[Array, Array]:
        """Return log errors (..., K) and log alpha (...,) that makes their mean 0, at laws (..., 1)."""
        bend = _bend(size, share * size.min(), power)
        levels = logs - np.log(size / np.exp(ratio) + bend)
        level = levels.mean(axis=-1, keepdims=True)
        return levels - level, level[..., 0]

    low, high = np.log(size.min() / 100), np.log(size.max() * 300)
    ratios, shares = np.meshgrid(np.linspace(low, high, 100), _SHARES if power > 0 else [0.0], indexing="ij")
    tried, _ = errors(ratios[..., None], shares[..., None])
    best = int((tried**2).sum(axis=-1).argmin())
    start = [ratios.flat[best], shares.flat[best]][: needed - 1]

    def at(place: Array) -> tuple[Array, Array]:
        return errors(place[:1], place[1:] if power > 0 else np.zeros(1))

    def apart(place: Array) -> Array:
        return at(place)[0]

    found = least_squares(
        apart,
        np.array(start),
        bounds=([low - 1, 0.0][: needed - 1], [high + 1, 0.99][: needed - 1]),
        xtol=1e-12,
        ftol=1e-12,
    ).x
    alpha = float(np.exp(at(found)[1]))
    pole = float(found[1] * size.min()) if power > 0 else 0.0
    return Bent(n_inf=alpha / float(np.exp(found[0])), alpha=alpha, pole=pole, power=power)


def fit_power(size: Array, updates: Array) -> Callable[[Array], Array]:
    """Return the power law of least squared log errors, the straight line in log-log axes."""
    slope, start = np.polyfit(np.log(size), np.log(updates), 1)
    return lambda m: np.exp(start + slope * np.log(m))


def fit_hard_knee(size: Array, updates: Array) -> Callable[[Array], Array]:
    """Return max(n_inf, alpha / M) of least squared log errors."""
    knees = np.geomspace(size.min() / 2, size.max() * 2, 800)
    errors = np.log(updates) - np.log(np.maximum(1.0, knees[:, None] / size))
    best = int(errors.var(axis=-1).argmin())
    n_inf = float(np.exp(errors[best].mean()))
    return lambda m: n_inf * np.maximum(1.0, knees[best] / m)


def curve(means: pd.DataFrame) -> pd.DataFrame:
    """Return every mean of the fitted series on the curve, one row each.

    Args:
        means: As `points` returns them; series that `screened` refuses are left out.

    Returns:
        The columns of `points`, then n_inf, alpha, pole of the series' law, `open` (alpha / n_inf is so far above the
        largest batch size that n_inf may be 0: x is then only known to be small), `x` = M / (alpha / n_inf),
        `y` = N M / alpha, `bend` (x + 1 / (1 - (pole / M)^p): y as the law with the pole has it), `deviation` =
        y / bend - 1, `unbent` = (1 + x) (1 + deviation), which is y with the pole's bend taken out and belongs on
        1 + x, and `deviation_without` = N over the law fitted without a pole, less 1, at its own `x_without`.
        Three batch sizes are fitted without a pole.
    """
    about = screened(means)
    frames: list[pd.DataFrame] = []
    for name in about.index[about["reason"] == ""]:
        frame = means[means["series"] == name]
        size, updates = _columns(frame)
        power = POWERS[str(about.loc[name, "step_rule"])] if len(size) > LEAST_SIZES else 0.0
        law, plain = fit_bent(size, updates, power=power), fit_bent(size, updates, power=0.0)
        frames.append(
            frame.assign(
                n_inf=law.n_inf,
                alpha=law.alpha,
                pole=law.pole,
                open=law.critical_batch_size > OPEN * size.max(),
                x=size / law.critical_batch_size,
                y=size * updates / law.alpha,
                bend=size * law.updates(size) / law.alpha,
                deviation=updates / law.updates(size) - 1,
                x_without=size / plain.critical_batch_size,
                deviation_without=updates / plain.updates(size) - 1,
            )
        )
    made = pd.concat(frames, ignore_index=True)
    return made.assign(unbent=(1 + made["x"]) * (1 + made["deviation"]))


def by_decade(on_curve: pd.DataFrame, *, pole: bool = True) -> pd.DataFrame:
    """Return the deviations between bounds of x: from, to, series, points, mean, standard_error, median, within_90.

    `mean` is that of the signed deviations and `standard_error` its own, over series; `median` and `within_90` are
    quantiles of their size. With `pole` false, those of the laws without one. The first row is all that is below 0.03,
    where a pole bends the curve.
    """
    x, deviation = ("x", "deviation") if pole else ("x_without", "deviation_without")
    bounds = [(0.0, 0.03), *pairwise(DECADES)]
    made = []
    for low, high in bounds:
        part = on_curve[(on_curve[x] > low) & (on_curve[x] <= high)]
        of_series = part.groupby("series")[deviation].mean()
        made.append(
            {
                "from": low,
                "to": high,
                "series": len(of_series),
                "points": len(part),
                "mean": part[deviation].mean(),
                "standard_error": of_series.sem(),
                "median": part[deviation].abs().median(),
                "within_90": part[deviation].abs().quantile(0.9),
            }
        )
    return pd.DataFrame(made)


def by_rule(means: pd.DataFrame) -> pd.DataFrame:
    """Return what a pole does under each step-size rule, from series of at least five batch sizes.

    Columns: step_rule, power, series, rms_without (root mean square log error of the law without a pole), rms_half,
    rms_1, rms_2 (with one, for p = 1/2, 1 and 2), pole_share (median pole over the least batch size, at the rule's own
    p), x_pole (median pole over alpha / n_inf). Errors are corrected for the number of parameters.
    """
    about = screened(means)
    made = []
    for name in about.index[(about["reason"] == "") & (about["batch_sizes"] >= 5)]:
        size, updates = _columns(means[means["series"] == name])
        rule = str(about.loc[name, "step_rule"])
        laws = {power: fit_bent(size, updates, power=power) for power in (0.0, 0.5, 1.0, 2.0)}
        own = laws[POWERS[rule]]
        rms = {power: _rms(law, size, updates) for power, law in laws.items()}
        made.append(
            {
                "step_rule": rule,
                "power": POWERS[rule],
                "rms_without": rms[0.0],
                "rms_half": rms[0.5],
                "rms_1": rms[1.0],
                "rms_2": rms[2.0],
                "pole_share": own.pole / size.min(),
                "x_pole": own.pole / own.critical_batch_size,
            }
        )
    groups = pd.DataFrame(made).groupby(["step_rule", "power"])
    return groups.median().assign(series=groups.size()).reset_index()


def _rms(law: Bent, size: Array, updates: Array) -> float:
    squares = float(np.sum(np.log(updates / law.updates(size)) ** 2))
    return float(np.sqrt(squares / (len(size) - (3 if law.power > 0 else 2))))


def left_out(means: pd.DataFrame) -> pd.DataFrame:
    """Return every series' batch sizes predicted from three of them: the ends, and the nearest to their middle.

    The middle is that of the logarithms. Series need four batch sizes and the grace of `screened`.

    Returns:
        series, source, workload, batch_size, updates, and the errors of prediction, over the mean less 1: `pole`,
        `law` (without a pole), `power_law`, `hard_knee`.
    """
    about = screened(means)
    rows: Iterator[pd.DataFrame] = (
        _predicted(means[means["series"] == name], POWERS[str(about.loc[name, "step_rule"])])
        for name in about.index[(about["reason"] == "") & (about["batch_sizes"] > LEAST_SIZES)]
    )
    return pd.concat(list(rows), ignore_index=True)


def _predicted(frame: pd.DataFrame, power: float) -> pd.DataFrame:
    size, updates = _columns(frame)
    inner = size[1:-1]
    middle = 1 + int(np.abs(np.log(inner) - np.log(size[0] * size[-1]) / 2).argmin())
    pilot = [0, middle, len(size) - 1]
    rest = np.setdiff1d(np.arange(len(size)), pilot)
    given = size[pilot], updates[pilot]
    predictions = {
        "pole": fit_bent(*given, power=power).updates,
        "law": fit_bent(*given, power=0.0).updates,
        "power_law": fit_power(*given),
        "hard_knee": fit_hard_knee(*given),
    }
    errors = {name: predict(size[rest]) / updates[rest] - 1 for name, predict in predictions.items()}
    return frame.iloc[rest][["series", "source", "workload", "batch_size", "updates"]].assign(**errors)


def error_quantiles(errors: pd.DataFrame, *, draws: int = 1_000) -> pd.DataFrame:
    """Return for each law of `left_out` the median, the 90 % quantile and the greatest size of its error.

    Columns: law, workloads, series, points, median, median_low, median_high, within_90, within_90_low, within_90_high,
    worst. The 95 % intervals are of the bootstrap over workloads (`draws` of them): series of one workload are alike.
    """
    generator = np.random.default_rng(0)
    counts = {"workloads": errors["workload"].nunique(), "series": errors["series"].nunique(), "points": len(errors)}
    made = []
    for law in ("pole", "law", "power_law", "hard_knee"):
        size = errors[law].abs()
        groups = [group.to_numpy() for _, group in size.groupby(errors["workload"])]
        drawn = [
            np.quantile(
                np.concatenate([groups[i] for i in generator.integers(len(groups), size=len(groups))]), [0.5, 0.9]
            )
            for _ in range(draws)
        ]
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        made.append(
            {
                "law": law,
                **counts,
                "median": size.median(),
                "median_low": low[0],
                "median_high": high[0],
                "within_90": size.quantile(0.9),
                "within_90_low": low[1],
                "within_90_high": high[1],
                "worst": size.max(),
            }
        )
    return pd.DataFrame(made)
