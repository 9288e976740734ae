"""A pilot of one's own: time its updates, price it, train it, and get a recommendation from what was measured here."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from batchtime.errors import FitError, check
from batchtime.fit import advice as from_measurements
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.recommendation import Recommendation, fastest
from batchtime.fit.seconds import measured_seconds
from batchtime.laws.scaling import FREE, Network
from batchtime.plan import pilot_runs
from batchtime.plan.price import EVALUATION_SHARE, estimate
from batchtime.runs.catalogue import timed_batch_sizes
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import Cost, Progress, RunRecord, TimingRecord, timings_of_runs, total_cost, unwatched
from batchtime.runs.spec import RunSpec, Target
from batchtime.runs.store import Store
from batchtime.train.sweep import complete, known_runs, recorded

SEEDS = 3
"""Of the pilot of a command, at each batch size."""
TIMES = "those of updates: let the log of the command tell times, or give a table TIMING.csv beside its runs"
"""What is said where the runs of a command tell no seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot cost and said.

    Args:
        price: Seconds that it was expected to cost, before it began; None where the metric starts at the target.
        cost: What its runs cost, the scout that prices it included.
        records: Its runs.
        observations: What its runs tell of the target; the scout's is another one.
        timing: Its updates.
        recommendations: One for each number of learners.
    """

    price: float | None
    cost: Cost
    records: list[RunRecord]
    observations: list[Observation]
    timing: TimingRecord
    recommendations: list[Recommendation]

    @property
    def best(self) -> Recommendation:
        """The recommendation of the shortest predicted time."""
        return fastest(self.recommendations)


def pilot_of(chosen: Experiment) -> Experiment:
    """Return two ends and a middle of a sweep, with three seeds, or those that a command takes."""
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
    multiple_of: int = 1,
    network: Network = FREE,
    limit: float = from_measurements.LIMIT,
    early: bool = False,
    workers: int | None = None,
    cpu_time: bool = False,
    seconds: float = 60.0,
    tell_price: Callable[[float | None], None] | None = None,
    progress: Progress = unwatched,
) -> Pilot:
    """Run a pilot of a workload on this machine and recommend a batch size from it.

    Updates are timed; a scout, a run to an easier target, tells the price; then `pilot_runs.run_pilot` chooses the
    runs, one after another, of the first seed. Runs that are recorded are not trained again. A training command is run
    at both ends and a middle of its batch sizes instead, and its logs tell the seconds.

    Args:
        workload: A named experiment, or what `own.own_experiment` makes of a function of one's own; its batch sizes are
            those that may be run.
        store: Where runs are recorded.
        learners: Numbers of learners to recommend for.
        max_batch_size: Of all learners together.
        multiple_of: Of which the batch size has to be a multiple.
        network: Between the learners.
        limit: Of the loss; above it the advice is refused.
        early: Whether to stop both runs at an easier target: a quarter of the price, and refused where the ratio of
            their updates still moves with the target.
        workers: Processes to run a command in; the runs of a pilot of ours follow one another.
        cpu_time: Whether updates count with their CPU time: on a machine that does other work beside.
        seconds: That the timing of updates may take.
        tell_price: Called with the expected seconds, None if unknown, before the pilot begins.
        progress: Called with the runs done, and as many as there are so far.

    Raises:
        DatasetError: If the data set cannot be had.
        ParameterError: If fewer than two batch sizes may be run, or all lie within a factor of 1.9.
        StoreError: If records cannot be read or written.
    """
    asked: dict[str, Any] = {
        "max_batch_size": max_batch_size,
        "multiple_of": multiple_of,
        "network": network,
        "limit": limit,
    }
    if workload.workload.command is not None:
        check(not early, name="early", value=early, allowed="nothing beside a command, which cannot be stopped")
        return _of_command(
            pilot_of(workload),
            store=store,
            learners=learners,
            asked=asked,
            workers=workers,
            tell_price=tell_price,
            progress=progress,
        )
    goal = workload.workload.target
    plain = not goal.rises and goal.value > 0
    check(not early or plain, name="early", value=early, allowed="only where the metric falls, to more than 0")
    from batchtime.train.timing import time_updates

    timing = time_updates(workload.sweep.setting, batch_sizes=timed_batch_sizes(workload), seconds=seconds)
    timings = [one.by_cpu if cpu_time else one for one in workload.relevant(timing.timings)]
    runner = _Runner(workload=workload, store=store, progress=progress)
    sizes = [size for size in workload.sweep.batch_sizes if size not in workload.left_out]
    first, second = pilot_runs.first_sizes(sizes, timings)
    price = runner.price(first, timings, early=early)
    if tell_price is not None and price is not None:
        tell_price(price)
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    if early:
        observations, change = runner.early(first, second)
        reason = pilot_runs.refusal(change)
        warnings = ("Updates and seconds are those to an easier target: the batch size is what they tell.",)
    else:
        spent = 0.0 if price is None else price / pilot_runs.PRICE[early]
        observations = pilot_runs.run_pilot(sizes, timings, runner.make, spent=spent).observations
    found = [
        from_measurements.recommend(observations, timings, learners=count, reach=math.inf, **asked)
        for count in learners
    ]
    return Pilot(
        price=price,
        cost=total_cost(runner.records),
        records=runner.records,
        observations=observations,
        timing=timing,
        recommendations=[_refused(replace(one, warnings=(*warnings, *one.warnings)), reason) for one in found],
    )


def _of_command(
    workload: Experiment,
    *,
    store: Store,
    learners: Sequence[int],
    asked: Mapping[str, Any],
    workers: int | None,
    tell_price: Callable[[float | None], None] | None,
    progress: Progress,
) -> Pilot:
    """Run the pilot of a training command: all its runs, whose logs tell the seconds of an update."""
    cost = estimate(workload, recorded(workload.sweep, name=workload.name, store=store))
    price = None if cost.unknown else cost.missing_cpu_seconds
    if tell_price is not None:
        tell_price(price)
    records = complete(workload.sweep, name=workload.name, store=store, workers=workers, progress=progress)
    timings = timings_of_runs(records)
    check(len(timings) > 0, name="seconds", value=None, allowed=TIMES)
    observations = workload.fit_observations(records)
    return Pilot(
        price=price,
        cost=total_cost(records),
        records=records,
        observations=observations,
        timing=TimingRecord(workload=workload.name, timings=tuple(timings), provenance=records[-1].provenance),
        recommendations=[
            from_measurements.recommend(observations, workload.relevant(timings), learners=count, **asked)
            for count in learners
        ],
    )


def _refused(found: Recommendation, reason: str | None) -> Recommendation:
    """Return a recommendation, refused for one more reason if there is one."""
    if reason is None:
        return found
    return replace(
        found,
        batch_size=None,
        within_5_percent=None,
        predicted_seconds=None,
        predicted_updates=None,
        predicted_seconds_interval=(None, None),
        refused=True,
        reasons=(reason, *found.reasons),
    )


class _Runner:
    """Makes the runs of a pilot, or finds them recorded."""

    def __init__(self, *, workload: Experiment, store: Store, progress: Progress) -> None:
        self.workload, self.store, self.progress = workload, store, progress
        self.records: list[RunRecord] = []
        self.start: float | None = None

    def make(self, size: int, most: float) -> tuple[Observation, float]:
        """Make a run to the target with so many updates at most."""
        record = self._record(size, self.workload.workload.target, most)
        seen = pilot_runs.whole(record.observation(), most)
        return seen, seen.lower if seen.upper is None else seen.upper

    def price(self, size: int, timings: Sequence[UpdateTiming], *, early: bool) -> float | None:
        """Return the expected seconds of the pilot, from a run to an easier target."""
        try:
            goal = self._easier(pilot_runs.EARLIER if early else pilot_runs.EARLY, size)
        except FitError:
            return None
        record = self._record(size, goal, math.inf)
        scout = record.evaluations.updates[-1] * measured_seconds(timings).at(size)
        return pilot_runs.PRICE[early] * scout / (1 - EVALUATION_SHARE)

    def early(self, first: int, second: int) -> tuple[list[Observation], float]:
        """Return the two runs of an early pilot, and by how much the log ratio of their updates moved.

        Raises:
            FitError: If the metric starts at the target, or a run does not reach the easier one.
        """
        late, earlier = [], []
        for size in (first, second):
            goal, before = (self._easier(share, size) for share in (pilot_runs.EARLY, pilot_runs.EARLIER))
            record = self._record(size, goal, math.inf)
            values = [math.nan if v is None else v for v in record.evaluations.metrics[goal.metric]]
            seen = [pilot_runs.crossing(record.evaluations.updates, values, one.value) for one in (goal, before)]
            if seen[0] is None or seen[1] is None:
                raise FitError(f"batch size {size} did not reach {goal.metric} {goal.value:.3g}; raise the budget")
            late.append(Observation(batch_size=size, lower=seen[0], upper=seen[0], seed=record.seed))
            earlier.append(seen[1])
        return late, pilot_runs.moved(late, earlier)

    def _easier(self, share: float, size: int) -> Target:
        """Return the target that leaves a share of the way from the metric of a new model, in logarithms if it can."""
        goal = self.workload.workload.target
        if self.start is None:
            self.start = _metric_at_start(self._spec(size, goal, math.inf))
        if goal.rises or goal.value <= 0:  # it has no logarithm to go a share of the way in
            return replace(goal, value=goal.value + share * (self.start - goal.value), hold=1)
        return replace(goal, value=pilot_runs.easier(goal.value, self.start, share), hold=1)

    def _spec(self, size: int, goal: Target, most: float) -> RunSpec:
        setting = self.workload.sweep.setting
        updates = setting.max_updates if most >= setting.max_updates else max(math.ceil(most), 1)
        setting = replace(setting, max_updates=updates, workload=replace(setting.workload, target=goal))
        return RunSpec(setting=setting, batch_size=size, seed=self.workload.sweep.seeds[0])

    def _record(self, size: int, goal: Target, most: float) -> RunRecord:
        """Return a run, recorded with this budget or a larger one, or trained here."""
        spec, whole = self._spec(size, goal, most), self._spec(size, goal, math.inf)
        known = list(known_runs([spec, whole], self.store.runs(self.workload.name)).values())
        if not known:
            with ThreadPoolExecutor(max_workers=1) as here:  # one run after another: no process is worth its start
                known = complete([spec], name=self.workload.name, store=self.store, executor=here)
        self.records.append(known[0])
        self.progress(len(self.records), len(self.records) + 1)
        return known[0]


def _metric_at_start(spec: RunSpec) -> float:
    """Return the target's metric of a model before its first update."""
    import torch

    from batchtime.train.loop import begin, evaluate
    from batchtime.train.workloads import build

    task = build(spec.setting.workload)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        value = evaluate(begin(spec, task).model, task)[spec.setting.workload.target.metric]
    if value is None:
        raise FitError("the metric of a new model is not finite")
    return value
