"""Price a sweep before it starts: updates as recorded, seconds as measured now."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchtime.errors import FitError
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.update_time import fit_update_time
from batchtime.plan.design import pilot
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord, total_cost

EVALUATION_SHARE = 0.1
"""Share of the CPU time that evaluation takes where no run is recorded yet: as much as the protocol allows."""
_BLOCKS, _SECONDS = 3, 5.0  # of the timing: a price is wanted, and soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a sweep is expected to cost on this machine.

    Args:
        n_runs: Runs of the sweep.
        n_missing: Those that are not recorded.
        cpu_seconds: For all runs, on one core.
        missing_cpu_seconds: For those that are not recorded.
        at_most: Whether no recorded run says how many updates to expect, so that budgets were taken instead.
    """

    n_runs: int
    n_missing: int
    cpu_seconds: float
    missing_cpu_seconds: float
    at_most: bool

    @property
    def qualifier(self) -> str:
        """What stands before the price in a sentence: "at most ", or nothing."""
        return "at most " if self.at_most else ""

    @property
    def unknown(self) -> bool:
        """Whether nothing bounds the price: no run of a command is recorded, and it has no time-out."""
        return math.isinf(self.cpu_seconds)


def estimate(chosen: Experiment, recorded: Sequence[RunRecord]) -> Estimate:
    """Return what a sweep is expected to cost, after timing some updates for a few seconds.

    Updates at a batch size are the mean of its recorded runs, or else what the law of the recorded ones says, or else
    the budget. Seconds per update are timed at the least, a middle and the greatest batch size. A run of a command
    costs what recorded ones of its batch size cost, or else the mean of these, or else its time-out.

    Args:
        chosen: The sweep.
        recorded: Those of its runs that are recorded.

    Raises:
        DatasetError: If its data set cannot be had.
    """
    if chosen.workload.command is not None:
        return _of_command(chosen, recorded)
    from batchtime.train.timing import time_updates

    sizes = sorted(chosen.sweep.batch_sizes)
    timed = sorted({sizes[0], sizes[len(sizes) // 2], max(sizes[-1], 2 * sizes[0])})
    timings = time_updates(chosen.sweep.setting, batch_sizes=timed, blocks=_BLOCKS, seconds=_SECONDS).timings
    seconds = fit_update_time(timings, allow_busy=True).update_time.seconds
    budget = chosen.sweep.setting.budget
    updates = _expected_updates(chosen, recorded)
    share = total_cost(recorded).evaluation_share if recorded else EVALUATION_SHARE
    done = {record.spec for record in recorded}
    costs = {
        spec: min(updates.get(spec.batch_size, math.inf), budget(spec.batch_size))
        * seconds(float(spec.batch_size))
        / (1 - share)
        for spec in chosen.sweep.runs()
    }
    return Estimate(
        n_runs=len(costs),
        n_missing=len(set(costs) - done),
        cpu_seconds=sum(costs.values()),
        missing_cpu_seconds=sum(cost for spec, cost in costs.items() if spec not in done),
        at_most=not set(sizes) <= set(updates),
    )


def _of_command(chosen: Experiment, recorded: Sequence[RunRecord]) -> Estimate:
    command = chosen.workload.command
    costs: dict[int, list[float]] = {}
    for record in recorded:
        costs.setdefault(record.batch_size, []).append(record.cost.cpu_seconds)
    known = {size: sum(some) / len(some) for size, some in costs.items()}
    otherwise = math.inf if command is None or command.time_out is None else command.time_out
    if known:
        otherwise = sum(known.values()) / len(known)
    runs = chosen.sweep.runs()
    done = {record.spec for record in recorded}
    missing = [known.get(spec.batch_size, otherwise) for spec in runs if spec not in done]
    return Estimate(
        n_runs=len(runs),
        n_missing=len(missing),
        cpu_seconds=sum(known.get(spec.batch_size, otherwise) for spec in runs),
        missing_cpu_seconds=sum(missing),
        at_most=not known,
    )


def estimate_pilot(chosen: Experiment, recorded: Sequence[RunRecord]) -> Estimate | None:
    """Return what the first runs of a sweep to a stated precision are expected to cost; None where they are recorded.

    Args:
        chosen: The sweep.
        recorded: Those of its runs that are recorded.

    Raises:
        DatasetError: If its data set cannot be had.
    """
    first = pilot(chosen)
    if set(first) <= {record.spec for record in recorded}:
        return None
    sizes, seeds = {run.batch_size for run in first}, {run.seed for run in first}
    part = replace(chosen.sweep, batch_sizes=tuple(sorted(sizes)), seeds=tuple(sorted(seeds)))
    return estimate(replace(chosen, sweep=part), recorded)


def _expected_updates(chosen: Experiment, recorded: Sequence[RunRecord]) -> dict[int, float]:
    """Return the mean updates of a run at each batch size at which something is known."""
    spent: dict[int, list[int]] = {}
    for record in recorded:
        spent.setdefault(record.batch_size, []).append(record.evaluations.updates[-1])
    known = {size: sum(updates) / len(updates) for size, updates in spent.items()}
    try:
        law = fit_inverse_law([record.observation() for record in recorded]).law
    except FitError:
        return known
    return {size: law.updates(float(size)) for size in chosen.sweep.batch_sizes} | known
