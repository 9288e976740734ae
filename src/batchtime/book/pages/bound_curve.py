"""The part of the page on scaling that puts sweeps at several step sizes on one curve, eta N against eta / M."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import least_squares

from batchtime.book.comparisons import Arm
from batchtime.book.plots import MARKS, legend, plain_log_axis, shades
from batchtime.errors import FitError
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array, Scalars, number_text
from batchtime.laws.time import UpdateTime
from batchtime.runs.catalogue import EXPERIMENTS, experiment
from batchtime.runs.store import Store
from batchtime.theory.curve import FirstOrder
from batchtime.train.sweep import recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Mean updates at one batch size and step size, at which every run arrives.

    Args:
        rate: eta.
        batch_size: M.
        updates: Mean N.
        runs: That the mean is of.
    """

    rate: float
    batch_size: float
    updates: float
    runs: int

    @property
    def tau(self) -> float:
        """Temperature eta / M."""
        return self.rate / self.batch_size

    @property
    def distance(self) -> float:
        """Distance eta N."""
        return self.rate * self.updates


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Phi(tau) = A + alpha tau / (1 - tau / tau_0).

    Args:
        first: A and alpha.
        pole: tau_0.
        error: Root mean square of the relative errors of the means that it was fitted to.
        points: How many these were.
    """

    first: FirstOrder
    pole: float
    error: float
    points: int

    def distance(self, tau: Scalars) -> Scalars:
        """Return Phi at a temperature below the pole (a number or an array)."""
        return self.first.distance + self.first.alpha * tau / (1 - tau / self.pole)


def points(sweeps: Sequence[Arm]) -> list[Point]:
    """Return the means of all batch sizes of sweeps at which every run arrives, by step size and batch size."""
    return [point for sweep in sweeps for point in points_of(sweep.means(), LearningRate(maximum=sweep.rate))]


def points_of(means: Sequence[MeanUpdates], learning_rate: LearningRate) -> list[Point]:
    """Return the means of a sweep whose step size may depend on the batch size, where every run arrives."""
    return [
        Point(rate=learning_rate.at(seen.batch_size), batch_size=seen.batch_size, updates=seen.mean, runs=seen.n_runs)
        for seen in means
        if seen.n_censored == 0 and seen.mean is not None
    ]


def collected(sweeps: Mapping[str, Sequence[Arm]]) -> dict[str, list[Point]]:
    """Return for each task that was swept at several step sizes its points."""
    return {task: points(here) for task, here in sweeps.items() if len(here) > 1}


def step_sizes(seen: Sequence[Point]) -> list[float]:
    """Return the step sizes of points, by size."""
    return sorted({point.rate for point in seen})


def cool(seen: Sequence[Point], curve: "Curve", share: float = 0.5) -> list[Point]:
    """Return the points whose temperature is less than a share of the pole's."""
    return [point for point in seen if point.tau < share * curve.pole]


def shorter(seen: Sequence[Point], rate: float) -> list[Point]:
    """Return the points of shorter steps than this one."""
    return [point for point in seen if point.rate < rate]


def count_runs(seen: Sequence[Point]) -> int:
    """Return how many runs the means of points are of."""
    return sum(point.runs for point in seen)


def capped_prediction(task: str, store: Store) -> tuple["Curve", list[Point]]:
    """Return the curve fitted to a task's constant step size, and the means at its capped one, which are held out."""
    constant, capped = (
        points_of(mean_updates([run.observation() for run in runs]), chosen.sweep.setting.learning_rate)
        for chosen in (experiment(task), experiment(f"{task}-harmonic"))
        for runs in (recorded(chosen.sweep, name=chosen.name, store=store),)
    )
    return fit_curve(constant), capped


def arrived(task: str, store: Store, least: int = 3) -> list[Point]:
    """Return the points of a task's constant step sizes, of so many runs or more each; sweeps need not be whole."""
    named = [known for name, known in EXPERIMENTS.items() if name == task or name.startswith(f"{task}-rate-")]
    found = [
        point
        for chosen in named
        for runs in (recorded(chosen.sweep, name=chosen.name, store=store),)
        if runs
        for point in points_of(mean_updates([run.observation() for run in runs]), chosen.sweep.setting.learning_rate)
    ]
    return [point for point in found if point.runs >= least]


def scatter(task: str, store: Store) -> float:
    """Return the standard deviation of ln N about the mean of runs alike, over a task's constant step sizes.

    Only batch sizes at which every run arrives count.
    """
    squares, freedom = 0.0, 0
    for name, chosen in EXPERIMENTS.items():
        if name != task and not name.startswith(f"{task}-rate-"):
            continue
        by_size: dict[int, list[float]] = {}
        for run in recorded(chosen.sweep, name=name, store=store):
            low, high = run.outcome.lower, run.outcome.upper
            by_size.setdefault(run.batch_size, []).append(math.nan if high is None else math.log((low + high) / 2))
        for logs in by_size.values():
            if len(logs) > 1 and not any(map(math.isnan, logs)):
                squares += float(np.var(logs)) * len(logs)
                freedom += len(logs) - 1
    return math.sqrt(squares / freedom)


def beyond_first_order(curve: "Curve", seen: Sequence[Point]) -> tuple[float, float]:
    """Return by what share A + alpha tau is too low at the warmest of equal temperatures: by the means, by the curve.

    Warmest of those below half of the pole's at which three step sizes or more stand.
    """
    tau, here = max(equal_temperatures(cool(seen, curve)).items())
    first = curve.first.distance + curve.first.alpha * tau
    mean = math.exp(float(np.mean([math.log(point.distance) for point in here])))
    return mean / first - 1, float(curve.distance(tau)) / first - 1


def capped_bound(curve: "Curve", rule: LearningRate) -> float:
    """Return the uniform bound of `curve-capped` for this curve: infinity where H does not exceed the pole."""
    hottest = rule.maximum / rule.half_batch_size
    if hottest >= curve.pole:
        return math.inf
    beta = curve.first.alpha / curve.pole / (1 - hottest / curve.pole)
    return beta * hottest**2 / curve.first.distance


def capped_excess(curve: "Curve", rule: LearningRate, held_out: Sequence[Point]) -> float:
    """Return by what share the inverse law of `curve-capped` is too low at the mean that it is lowest at."""
    law = curve.first.law(rule)
    return max(point.updates / float(law.updates(point.batch_size)) - 1 for point in held_out)


def fit_curve(seen: Sequence[Point]) -> Curve:
    """Fit a curve by least squares of relative errors; those next to the pole weigh less (soft l1).

    Raises:
        FitError: If there are fewer than five points.
    """
    if len(seen) < 5:
        raise FitError(f"{len(seen)} means determine no curve; five or more batch sizes at which every run arrives do")
    tau = np.array([point.tau for point in seen])
    logs = np.log([point.distance for point in seen])

    def errors(x: Array) -> Array:
        return np.asarray(np.log(_curve(x, tau.max()).distance(tau)) - logs)

    low, high = float(np.exp(logs.min())), float(np.exp(logs.max()))
    start = [math.log(low), math.log(max(high - low, 1e-3 * low) / tau.max() / 2), 0.0]
    found = least_squares(errors, start, loss="soft_l1", f_scale=0.05)
    curve = _curve(found.x, tau.max())
    return Curve(first=curve.first, pole=curve.pole, error=relative_error(curve, seen), points=len(seen))


def _curve(x: Array, hottest: float) -> Curve:
    first = FirstOrder(distance=math.exp(x[0]), alpha=math.exp(x[1]))
    return Curve(first=first, pole=hottest * (1 + math.exp(x[2])), error=math.nan, points=0)


def relative_error(curve: Curve, seen: Sequence[Point]) -> float:
    """Return the root mean square of the relative errors of a curve at some points."""
    return math.sqrt(float(np.mean([(curve.distance(point.tau) / point.distance - 1) ** 2 for point in seen])))


def worst_error(curve: Curve, seen: Sequence[Point]) -> float:
    """Return the largest relative error of a curve at some points, whatever its sign."""
    return max(abs(float(curve.distance(point.tau)) / point.distance - 1) for point in seen)


def equal_temperatures(seen: Sequence[Point], least: int = 3) -> dict[float, list[Point]]:
    """Return points of some step sizes that stand at one temperature, by temperature; at least so many at each."""
    found: dict[float, list[Point]] = {}
    for point in sorted(seen, key=lambda point: (point.tau, point.rate)):
        near = next((tau for tau in found if math.isclose(tau, point.tau, rel_tol=0.01)), point.tau)
        found.setdefault(near, []).append(point)
    return {tau: here for tau, here in found.items() if len(here) >= least}


def spread(groups: Mapping[float, Sequence[Point]], *, below: float = math.inf) -> float:
    """Return the largest quotient of two distances at one temperature below a limit, less one."""
    here = [[point.distance for point in group] for tau, group in groups.items() if tau < below]
    return max(max(distances) / min(distances) for distances in here) - 1


def sizes_text(seen: Sequence[Point]) -> str:
    """Return the batch sizes of points as a reader lists them, the smallest first."""
    return _and([f"{point.batch_size:g}" for point in sorted(seen, key=_size)])


def updates_text(seen: Sequence[Point]) -> str:
    """Return the mean updates of points as a reader lists them, those of the smallest batch size first."""
    return _and([f"{point.updates:.0f}" for point in sorted(seen, key=_size)])


_size = attrgetter("batch_size")


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def lift(seen: Sequence[Point], rate: float, curve: Curve) -> float:
    """Return by how much the points of one step size lie above a curve, as a geometric mean of quotients."""
    here = [
        point.distance / curve.distance(point.tau) for point in seen if point.rate == rate and point.tau < curve.pole
    ]
    return math.exp(float(np.mean(np.log(here))))


def equal_table(seen: Sequence[Point], *, least: int = 3) -> pd.DataFrame:
    """Return the distances at equal temperature, a row a temperature and a column a step size, of so many or more."""
    groups = equal_temperatures(seen, least)
    rates = step_sizes([point for group in groups.values() for point in group])
    return pd.DataFrame(
        {
            f"{_ETA} / M": tau,
            **{
                f"{_ETA} = {rate:g}": next((point.distance for point in group if point.rate == rate), None)
                for rate in rates
            },
        }
        for tau, group in groups.items()
    )


_ETA = "\N{GREEK SMALL LETTER ETA}"


def draw(axes: Axes, seen: Sequence[Point], curve: Curve, *, name: str) -> pd.DataFrame:
    """Draw distances against temperature, a mark a step size, and a curve through them."""
    rates = step_sizes(seen)
    means = pd.DataFrame(
        {"learning_rate": point.rate, "batch_size": point.batch_size, "tau": point.tau, "distance": point.distance}
        for point in seen
    )
    for colour, mark, rate in zip(shades(len(rates)), MARKS, rates, strict=False):
        here = means[means["learning_rate"] == rate]
        axes.plot(here["tau"], here["distance"], mark, color=colour, markersize=5, label=rf"$\eta$ = {rate:g}")
    hottest = max(point.tau for point in seen)
    tau = np.geomspace(min(point.tau for point in seen), min(1.3 * hottest, 0.98 * curve.pole), 200)
    line = pd.DataFrame({"tau": tau, "distance": curve.distance(tau)})
    axes.plot(tau, line["distance"], color="black", linewidth=1, label="one curve")
    axes.set_xscale("log")
    axes.set_xlabel(r"$\eta / M$")
    axes.set_title(name, loc="left")
    plain_log_axis(axes, r"$\eta N$")
    legend(axes)
    return pd.concat([means.assign(what="mean"), line.assign(what="one curve")], ignore_index=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The batch size of least time at one step size.

    Args:
        rate: eta.
        best_run: Of the batch sizes run, that of least mean updates times t(M).
        seconds: That time.
        predicted: By `curve-optimum`, from the A and alpha of one curve.
    """

    rate: float
    best_run: float
    seconds: float
    predicted: float


def optima(seen: Sequence[Point], curve: Curve, time: UpdateTime) -> list[Optimum]:
    """Return the optimum at each step size, of the runs and as one curve predicts it."""
    found = []
    for rate in step_sizes(seen):
        seconds = {p.batch_size: p.updates * float(time.seconds(p.batch_size)) for p in seen if p.rate == rate}
        best, least = min(seconds.items(), key=itemgetter(1))
        predicted = curve.first.best_batch_size(
            rate=rate, fixed=time.fixed_seconds, per_example=time.seconds_per_example
        )
        found.append(Optimum(rate=rate, best_run=best, seconds=least, predicted=predicted))
    return found


def optima_text(found: Sequence[Optimum]) -> tuple[str, str]:
    """Return the best batch sizes run, and those predicted, as a reader lists them."""
    return ", ".join(f"{one.best_run:g}" for one in found), ", ".join(number_text(one.predicted, 2) for one in found)


def optima_table(found: Sequence[Optimum]) -> pd.DataFrame:
    """Return for each step size the best batch size that was run, its seconds, and the one that is predicted."""
    return pd.DataFrame(
        {
            "learning_rate": one.rate,
            "best batch size run": int(one.best_run),
            "seconds": one.seconds,
            "predicted batch_size": one.predicted,
        }
        for one in found
    )


def silent_table(tasks: Mapping[str, Sequence[Arm]]) -> pd.DataFrame:
    """Return alpha / n_inf of each sweep over the least batch size at which all runs arrive, above which no pole is."""
    return pd.DataFrame(
        {
            "task": task,
            "learning_rate": sweep.rate,
            "critical_batch_size": sweep.fit.law.critical_batch_size,
            "pole_at_most": least,
            "quotient": sweep.fit.law.critical_batch_size / least,
        }
        for task, sweeps in tasks.items()
        for sweep in sweeps
        for least in (least_arriving(sweep),)
        if sweep.fit is not None and least is not None
    )


def least_arriving(sweep: Arm) -> int | None:
    """Return the least batch size at which all runs arrive, of those above every one at which some do not."""
    means = sweep.means()
    partly = max((seen.batch_size for seen in means if seen.n_censored > 0), default=0.0)
    return min((int(seen.batch_size) for seen in means if seen.batch_size > partly), default=None)


def silent_quotients(silent: pd.DataFrame) -> dict[str, list[float]]:
    """Return the quotients of `silent_table` for each task."""
    return {str(task): list(map(float, here["quotient"])) for task, here in silent.groupby("task")}
