"""A pilot of one's own: price it, train it, time it, and get a recommendation from what was measured here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchtime.errors import check
from batchtime.fit import advice as from_measurements
from batchtime.fit.recommendation import Recommendation, fastest
from batchtime.laws.scaling import FREE, Network
from batchtime.plan.price import Estimate, estimate
from batchtime.runs.catalogue import timed_batch_sizes
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import Cost, Progress, RunRecord, TimingRecord, timings_of_runs, total_cost, unwatched
from batchtime.runs.store import Store
from batchtime.train.sweep import complete, recorded

SEEDS = 3
"""Of a pilot, at each batch size."""
TIMES = "those of updates: let the log of the command tell times, or give a table TIMING.csv beside its runs"
"""What is said where the runs of a command tell no seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot cost and said.

    Args:
        price: What it was expected to cost, before it began.
        cost: What its runs cost.
        records: Its runs.
        timing: Its updates.
        recommendations: One for each number of learners.
    """

    price: Estimate
    cost: Cost
    records: list[RunRecord]
    timing: TimingRecord
    recommendations: list[Recommendation]

    @property
    def best(self) -> Recommendation:
        """The recommendation of the shortest predicted time."""
        return fastest(self.recommendations)


def pilot_of(chosen: Experiment) -> Experiment:
    """Return the pilot of a sweep: its two ends and a middle, with three seeds, or those that a command takes."""
    sizes = sorted(chosen.sweep.batch_sizes)
    check(len(sizes) >= 3, name="batch_sizes", value=sizes, allowed="three or more: two ends and a middle")
    seeds = SEEDS if chosen.workload.command is None else chosen.sweep.seeds[:SEEDS]
    return chosen.changed(batch_sizes=[sizes[0], sizes[len(sizes) // 2], sizes[-1]], seeds=seeds)


def pilot(
    workload: Experiment,
    *,
    store: Store,
    learners: Sequence[int] = (1,),
    max_batch_size: int | None = None,
    network: Network = FREE,
    workers: int | None = None,
    cpu_time: bool = False,
    seconds: float = 60.0,
    tell_price: Callable[[Estimate], None] | None = None,
    progress: Progress = unwatched,
) -> Pilot:
    """Run a pilot of a workload on this machine and recommend a batch size from it.

    The price is told before the first run. Runs that are recorded are not trained again.

    Args:
        workload: A named experiment, or what `own.own_experiment` makes of a function of one's own; its batch sizes and
            seeds are the pilot's: `pilot_of` chooses three of each.
        store: Where runs are recorded.
        learners: Numbers of learners to recommend for.
        max_batch_size: Of all learners together.
        network: Between the learners.
        workers: Processes to train in; None for one a processor.
        cpu_time: Whether updates count with their CPU time: on a machine that does other work beside.
        seconds: That the timing of updates may take.
        tell_price: Called with the price before anything is trained.
        progress: Called with the runs done and the runs in all.

    Raises:
        DatasetError: If the data set cannot be had.
        SweepError: If a worker died.
        StoreError: If records cannot be read or written.
    """
    price = estimate(workload, recorded(workload.sweep, name=workload.name, store=store))
    if tell_price is not None:
        tell_price(price)
    records = complete(workload.sweep, name=workload.name, store=store, workers=workers, progress=progress)
    timing = _timing(workload, records, seconds)
    timings = workload.relevant(timing.timings)
    if cpu_time:
        timings = [one.by_cpu for one in timings]
    return Pilot(
        price=price,
        cost=total_cost(records),
        records=records,
        timing=timing,
        recommendations=[
            from_measurements.recommend(
                workload.fit_observations(records),
                timings,
                learners=count,
                max_batch_size=max_batch_size,
                network=network,
            )
            for count in learners
        ],
    )


def _timing(workload: Experiment, records: Sequence[RunRecord], seconds: float) -> TimingRecord:
    """Return the durations of updates: measured now, or told by the runs themselves where a command makes them."""
    if workload.workload.command is not None:
        timings = timings_of_runs(records)
        check(len(timings) > 0, name="seconds", value=None, allowed=TIMES)
        return TimingRecord(workload=workload.name, timings=tuple(timings), provenance=records[-1].provenance)
    from batchtime.train.timing import time_updates

    return time_updates(workload.sweep.setting, batch_sizes=timed_batch_sizes(workload), seconds=seconds)
