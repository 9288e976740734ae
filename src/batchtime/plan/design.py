"""Choose runs one after another, so that a law is known to a stated accuracy at the least cost.

First the two ends and a middle of the batch sizes, a few seeds each; then, again and again, the run that tells most
about alpha / n_inf for its CPU time; and an end as soon as the interval is narrow enough.

To first order log N at batch size M moves by w(M) = n_inf / (n_inf + alpha / M) with log n_inf and by 1 - w(M) with
log alpha. With n runs whose log N scatter with standard deviation s, the most likely log(alpha / n_inf) therefore has
variance s^2 / S, where S = sum (w_i - mean w)^2: that of a slope. One more run adds n / (n + 1) (w - mean w)^2 to S.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchtime.errors import FitError, check
from batchtime.fit.inverse_law import LawFit, fit_inverse_law
from batchtime.fit.scatter import f_point
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord, total_cost
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store

PILOT_SEEDS = 3
_LEAST_SPREAD = 0.01
_LEAST_SHARE = 1e-3  # of the fewest updates, that n_inf and alpha / M are taken to be where the fit says 0


def check_precision(precision: float) -> None:
    """Refuse a precision that cannot be meant.

    Raises:
        ParameterError: If it is not more than 0 and at most 1.
    """
    check(0 < precision <= 1, name="precision", value=precision, allowed="more than 0 and at most 1, for instance 0.1")


def pilot(chosen: Experiment) -> list[RunSpec]:
    """Return the first runs: the ends and the middle of the fitted batch sizes, three seeds each.

    Raises:
        ParameterError: If fewer than two batch sizes are fitted.
    """
    chosen.check_fittable()
    sizes = sorted(chosen.fitted)
    middle = min(sizes, key=lambda size: abs(math.log(size * size / (sizes[0] * sizes[-1]))))
    first = {sizes[0], middle, sizes[-1]}
    seeds = chosen.sweep.seeds[:PILOT_SEEDS]
    return [RunSpec(setting=chosen.sweep.setting, batch_size=size, seed=s) for size in sorted(first) for s in seeds]


def is_precise(fitted: LawFit, precision: float) -> bool:
    """Return whether the 95 % interval of alpha / n_inf is at most a factor (1 + precision)^2 wide."""
    low, high = fitted.intervals.critical_batch_size
    return low is not None and high is not None and high <= low * (1 + precision) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected to be still needed.

    Args:
        runs: In the order in which they would be made.
        cpu_seconds: Expected of these.
        enough: Whether the interval is expected to be narrow enough after them; else the sweep has no more runs.
    """

    runs: tuple[RunSpec, ...]
    cpu_seconds: float
    enough: bool

    def text(self, made: int) -> str:
        """Return this as a sentence, after so many runs."""
        if not self.runs and not self.enough:
            return f"{made} runs made, all of the grid: none is left; a precision beyond theirs takes more seeds"
        more = (
            f"about {len(self.runs)} more" if self.enough else f"all {len(self.runs)} others, which may not be enough,"
        )
        return f"{made} runs made; {more} would take {self.cpu_seconds / 60:.1f} minutes of CPU"


def outlook(chosen: Experiment, records: Sequence[RunRecord], *, precision: float) -> Outlook:
    """Return the runs that would make the law precise, if it and the scatter are what the runs so far say.

    Args:
        chosen: The sweep; only its fitted batch sizes and its seeds are drawn on.
        records: Those of its runs that are recorded: the pilot at least.
        precision: What is wanted, as a fraction.

    Raises:
        FitError: If the runs so far do not determine a law.
    """
    fitted = fit_inverse_law(chosen.fit_observations(records))
    cost = _cost(records)
    share = {size: _share(fitted.law, size) for size in chosen.fitted}
    done = {record.spec for record in records}
    free = {size: [s for s in _specs(chosen, size) if s not in done] for size in chosen.fitted}
    counts = {size: sum(record.batch_size == size for record in records) for size in chosen.fitted}
    spread = max(fitted.scatter or fitted.misfit or 0.0, _LEAST_SPREAD)
    spread *= _inflation(fitted, _half_width(counts, share, spread), precision)
    runs: list[RunSpec] = []
    expected = 0.0
    while not (enough := _half_width(counts, share, spread) <= math.log1p(precision)) and any(free.values()):
        mean = _mean(counts, share)
        per_second = {
            size: (share[size] - mean) ** 2 / (fitted.law.updates(float(size)) * cost(size))
            for size in free
            if free[size]
        }
        best = max(per_second, key=lambda size: per_second[size])
        runs.append(free[best].pop(0))
        expected += fitted.law.updates(float(best)) * cost(best)
        counts[best] += 1
    return Outlook(runs=tuple(runs), cpu_seconds=expected, enough=enough)


def until_precise(
    chosen: Experiment,
    make: Callable[[Sequence[RunSpec]], list[RunRecord]],
    *,
    precision: float,
    have: Sequence[RunRecord] = (),
    at_once: int = 1,
    watch: Callable[[str], None] = lambda _: None,
) -> list[RunRecord]:
    """Make runs until alpha / n_inf is known to a precision, or the sweep has no more; return all that were made.

    Each round makes a third of the runs that are expected to be missing, so that the law that they were chosen by is
    looked at again, and at least `at_once`, so that no worker is left waiting.

    Args:
        chosen: The sweep; only its fitted batch sizes and its seeds are drawn on.
        make: Returns the records of some runs, in any order.
        precision: As a fraction of alpha / n_inf, on either side.
        have: Runs of the sweep that are made already; they are used.
        at_once: Runs that are made beside each other.
        watch: Told, before runs are made, what they are expected to cost.

    Raises:
        ParameterError: If the precision or the sweep cannot be meant.
        FitError: If the runs determine no law.
    """
    check_precision(precision)
    first = pilot(chosen)
    others = [run.spec for run in have if run.batch_size in chosen.fitted and run.spec not in first]
    records = make([*first, *others])
    while not is_precise(fit_inverse_law(chosen.fit_observations(records)), precision):
        ahead = outlook(chosen, records, precision=precision)
        if not ahead.runs:
            break
        watch(ahead.text(len(records)))
        records = [*records, *make(ahead.runs[: max(at_once, math.ceil(len(ahead.runs) / 3))])]
    return records


def _specs(chosen: Experiment, size: int) -> list[RunSpec]:
    return [RunSpec(setting=chosen.sweep.setting, batch_size=size, seed=seed) for seed in chosen.sweep.seeds]


def _cost(records: Sequence[RunRecord]) -> Callable[[int], float]:
    """Return CPU seconds an update as a function of the batch size, between and beyond those seen."""
    sizes = sorted({record.batch_size for record in records})
    seconds = []
    for size in sizes:
        cost = total_cost([record for record in records if record.batch_size == size])
        seconds.append(cost.cpu_seconds * size / cost.examples)
    return lambda size: float(np.interp(size, sizes, seconds))


def _share(law: InverseLaw, size: int) -> float:
    """Return n_inf / N(M); a part that the fit puts at 0 is taken as small, for then any run still tells something."""
    least = _LEAST_SHARE * law.updates(float(size))
    n_inf, rest = max(law.n_inf, least), max(law.alpha / size, least)
    return n_inf / (n_inf + rest)


def _mean(counts: dict[int, int], share: dict[int, float]) -> float:
    return sum(counts[size] * share[size] for size in counts) / sum(counts.values())


def _half_width(counts: dict[int, int], share: dict[int, float], spread: float) -> float:
    """Return the expected half-width of the 95 % interval of log(alpha / n_inf)."""
    n, mean = sum(counts.values()), _mean(counts, share)
    squares = sum(counts[size] * (share[size] - mean) ** 2 for size in counts)
    return math.sqrt(f_point(n - 2) / squares) * spread if n > 2 and squares > 0 else math.inf


def _inflation(fitted: LawFit, expected: float, precision: float) -> float:
    """Return how much wider the interval is than expected: seeds that go together, a law that does not fit quite.

    An open interval is taken as twice as wide as is wanted.
    """
    low, high = fitted.intervals.critical_batch_size
    if low is None or high is None:
        return max(1.0, 2 * math.log1p(precision) / expected)
    return math.log(high / low) / 2 / expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A design replayed on a recorded sweep, beside the whole grid.

    Args:
        n_runs: Runs that the design made.
        cpu_seconds: What these had cost.
        fitted: The law from them.
        grid_runs: Runs of the whole grid at the fitted batch sizes.
        grid_cpu_seconds: What these had cost.
        grid_fitted: The law from these.
        precise: Whether the design's interval got as narrow as asked.
    """

    n_runs: int
    cpu_seconds: float
    fitted: LawFit
    grid_runs: int
    grid_cpu_seconds: float
    grid_fitted: LawFit
    precise: bool

    @property
    def saved(self) -> float:
        """Fraction of the grid's CPU time that the design does without."""
        return 1 - self.cpu_seconds / self.grid_cpu_seconds


def grid_precision(fitted: LawFit) -> float:
    """Return the precision to which a law is known: what `is_precise` is just true at.

    Raises:
        FitError: If the interval is open.
    """
    low, high = fitted.intervals.critical_batch_size
    if low is None or high is None:
        raise FitError("the interval of alpha / n_inf is open, so it has no precision; add seeds or batch sizes")
    return math.sqrt(high / low) - 1


def replay(
    chosen: Experiment,
    records: Sequence[RunRecord],
    *,
    precision: float | None = None,
    at_once: int = 2,
    shuffle: int = 0,
) -> Replay:
    """Replay the design on a recorded sweep, whose records stand in for runs.

    Args:
        chosen: The sweep.
        records: All its runs.
        precision: What is asked for; None for that of the whole grid.
        at_once: Runs made beside each other.
        shuffle: Order in which the seeds are taken: 0 for their own, else the seed of a random one.

    Raises:
        FitError: If the runs determine no law, or its interval is open.
    """
    by_spec = {record.spec: record for record in records if record.batch_size in chosen.fitted}
    whole = fit_inverse_law(chosen.fit_observations(records))
    wanted = grid_precision(whole) if precision is None else precision
    if shuffle:
        seeds = np.random.default_rng(shuffle).permutation(chosen.sweep.seeds).tolist()
        chosen = replace(chosen, sweep=replace(chosen.sweep, seeds=tuple(seeds)))
    made = until_precise(chosen, lambda runs: [by_spec[run] for run in runs], precision=wanted, at_once=at_once)
    fitted = fit_inverse_law(chosen.fit_observations(made))
    return Replay(
        n_runs=len(made),
        cpu_seconds=total_cost(made).cpu_seconds,
        fitted=fitted,
        grid_runs=len(by_spec),
        grid_cpu_seconds=total_cost(list(by_spec.values())).cpu_seconds,
        grid_fitted=whole,
        precise=is_precise(fitted, wanted),
    )


def replays(
    names: Sequence[str], store: Store, *, orders: int, precision: float | None = None
) -> dict[str, list[Replay]]:
    """Replay the design on recorded sweeps, with their seeds in random orders.

    Args:
        names: Of the sweeps.
        store: Where they are recorded.
        orders: How many orders of the seeds.
        precision: As for `replay`.

    Raises:
        ParameterError: If there is no such sweep.
        FitError: If runs are missing, or determine no law.
    """
    found = {}
    for name in names:
        chosen = experiment(name)
        grid = set(chosen.sweep.runs())
        records = [record for record in store.runs(name) if record.spec in grid]
        if len(records) < len(grid):
            raise FitError(
                f"{len(records)} of {len(grid)} runs of {name} are recorded; `batchtime sweep` trains the others"
            )
        found[name] = [replay(chosen, records, precision=precision, shuffle=k) for k in range(1, orders + 1)]
    return found
