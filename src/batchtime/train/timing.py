"""Measure seconds per update, as a run spends them.

Batch sizes take turns in random order, a block each: some updates that are not timed, for a switch leaves cold caches,
then one timed call of many. Where an update takes long there are fewer blocks, so that the whole has a stated budget.
"""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import TypeVar

import torch

from batchtime.errors import ClockError, check
from batchtime.fit.measurements import UpdateTiming
from batchtime.runs.provenance import provenance
from batchtime.runs.records import Progress, TimingRecord, unwatched
from batchtime.runs.spec import Device, Optimizer, Sampling, Setting, Workload
from batchtime.train.loop import PLAIN, Trainer, device_name
from batchtime.train.task import Task, on_device
from batchtime.train.workloads import build

DISCARDED = 3
"""Updates after a switch that are not timed: about 120 us on MNIST, gone after three."""
UPDATES = 16
"""In one timed call, where the budget allows it."""
BLOCKS = 20
"""Of each batch size, where the budget allows it."""
LEAST_BLOCKS = 5
SECONDS = 300.0
"""That all blocks together may take."""
_Key = TypeVar("_Key", bound=Hashable)


def time_updates(
    what: Workload | Setting,
    *,
    batch_sizes: Sequence[int],
    blocks: int = BLOCKS,
    seconds: float = SECONDS,
    threads: int = 1,
    device: Device = "cpu",
    progress: Progress = unwatched,
) -> TimingRecord:
    """Measure the time of updates: drawing, gathering and augmenting the batch, and the optimizer's step included.

    Args:
        what: What is trained, with plain SGD; or a sweep's setting, with its optimizer and its way of sampling. The
            step size does not matter and is tiny.
        batch_sizes: In examples; include some that are no powers of two.
        blocks: Durations kept for each batch size, each the mean of 16 updates in a row; fewer where they do not fit
            into the budget, the longest updates first, and from 5 blocks on fewer updates in a row.
        seconds: The budget.
        threads: That each operation may use.
        device: What does the updates; a GPU is waited for before each look at the clock.
        progress: Called with the blocks done and the blocks in all.

    Raises:
        ParameterError: If a batch size, the number of blocks or the budget is not allowed.
        ClockError: If a clock stood still.
    """
    valid = len(batch_sizes) > 0 and min(batch_sizes) >= 1 and len(set(batch_sizes)) == len(batch_sizes)
    allowed = "distinct whole numbers, each at least 1"
    check(valid, name="batch_sizes", value=list(batch_sizes), allowed=allowed)
    check(blocks >= 1, name="blocks", value=blocks, allowed="a whole number, at least 1")
    check(seconds > 0, name="seconds", value=seconds, allowed="more than 0")
    check(threads >= 1, name="threads", value=threads, allowed="a whole number, at least 1")
    workload, optimizer, sampling = _parts(what)
    task = on_device(build(workload), device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        trainers = {size: _trainer(task, size, optimizer, sampling) for size in sorted(batch_sizes)}
        plan = plan_blocks(_costs(trainers, device), blocks=blocks, seconds=seconds)
        timings = _blocks(trainers, plan, device, progress)
    finally:
        torch.set_num_threads(before)
    return TimingRecord(
        workload=workload.name,
        timings=timings,
        provenance=provenance(
            threads=threads,
            device=device_name(task.validation.device),
            examples_sha256=task.examples_sha256,
        ),
        dataset=workload.dataset,
        model=workload.model,
        source=workload.source,
        optimizer=optimizer,
        sampling=sampling,
        discarded=DISCARDED,
    )


def _parts(what: Workload | Setting) -> tuple[Workload, Optimizer, Sampling]:
    if isinstance(what, Workload):
        return what, PLAIN, "with replacement"
    return what.workload, what.optimizer, what.sampling


def _trainer(task: Task, batch_size: int, optimizer: Optimizer, sampling: Sampling) -> Trainer:
    return Trainer(
        model=task.model(),
        task=task,
        batch_size=batch_size,
        rate=1e-9,
        generator=torch.Generator().manual_seed(0),
        optimizer=optimizer,
        sampling=sampling,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How often a batch size has its turn, and how many updates are timed in one."""

    blocks: int
    updates: int


def plan_blocks(costs: Mapping[_Key, float], *, blocks: int, seconds: float) -> dict[_Key, Blocks]:
    """Return the blocks of each batch size within a budget: where not all fit, the longest updates have fewer.

    Args:
        costs: Seconds of an update by batch size, or by whatever else takes turns.
        blocks: Of each batch size, if they fit.
        seconds: The budget. Five blocks of one update each are made even beyond it.

    Example:
        >>> plan_blocks({1: 0.001, 512: 0.2}, blocks=20, seconds=40)[512]
        Blocks(blocks=10, updates=16)
    """
    found: dict[_Key, Blocks] = {}
    left = seconds
    for position, size in enumerate(sorted(costs, key=costs.__getitem__)):
        share, cost = left / (len(costs) - position), costs[size]
        count = min(blocks, max(min(blocks, LEAST_BLOCKS), int(share / ((DISCARDED + UPDATES) * cost))))
        updates = max(1, min(UPDATES, int(share / (count * cost)) - DISCARDED))
        found[size] = Blocks(blocks=count, updates=updates)
        left = max(left - count * (DISCARDED + updates) * cost, 0.0)
    return found


def turns(plan: Mapping[_Key, Blocks]) -> list[_Key]:
    """Return what has its turn when: each batch size spread evenly over the session, in a random order."""
    shuffle = random.Random(0)  # noqa: S311 - an order of measurement is no secret
    blocks = [(key, k) for key, one in plan.items() for k in range(one.blocks)]
    places = {block: (block[1] + shuffle.random()) / plan[block[0]].blocks for block in blocks}
    return [key for key, _ in sorted(blocks, key=places.__getitem__)]


def _costs(trainers: Mapping[int, Trainer], device: Device) -> dict[int, float]:
    """Return a first guess of the seconds of an update at each batch size."""
    found = {}
    for size, trainer in trainers.items():
        trainer.update(DISCARDED)
        found[size] = _clocked(trainer.update, 2, device)[0]
    return found


def _blocks(
    trainers: Mapping[int, Trainer], plan: Mapping[int, Blocks], device: Device, progress: Progress
) -> tuple[UpdateTiming, ...]:
    """Return the timings of all blocks."""
    order = turns(plan)
    updates: dict[int, list[tuple[float, float]]] = {size: [] for size in trainers}
    loads: dict[int, list[float]] = {size: [] for size in trainers}
    for done, size in enumerate(order):
        progress(done, len(order))
        trainer, count = trainers[size], plan[size].updates
        trainer.update(DISCARDED)
        updates[size].append(_clocked(trainer.update, count, device))
        loads[size].append(_clocked(trainer.load, count, device)[0])
    progress(len(order), len(order))
    return tuple(
        UpdateTiming(
            batch_size=size,
            wall_seconds=tuple(wall for wall, _ in updates[size]),
            cpu_seconds=tuple(cpu for _, cpu in updates[size]),
            updates=plan[size].updates,
            loading_seconds=tuple(loads[size]),
        )
        for size in trainers
    )


def _clocked(work: Callable[[int], None], count: int, device: Device) -> tuple[float, float]:
    """Return the wall seconds of one of `count` updates, and those of what does it: the thread, or the GPU.

    A GPU only takes orders while `work` runs: it is waited for at both ends.

    Raises:
        ClockError: If a clock stood still.
    """
    if device == "cuda":
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        started = perf_counter()
        first.record()
        work(count)
        last.record()
        torch.cuda.synchronize()
        wall, worked = perf_counter() - started, first.elapsed_time(last) / 1000
    else:
        started, began = perf_counter(), thread_time()
        work(count)
        worked, wall = thread_time() - began, perf_counter() - started
    if wall <= 0 or worked <= 0:
        remedy = "time more updates, or larger batches"
        raise ClockError(f"a clock stood still: {count} updates took {wall} s, {worked} s of them working; {remedy}")
    return wall / count, worked / count
