"""Measure seconds per update."""

import random
from collections.abc import Sequence
from time import perf_counter, thread_time

import torch

from batchtime.errors import check
from batchtime.fit.measurements import UpdateTiming
from batchtime.runs.provenance import provenance
from batchtime.runs.records import Progress, TimingRecord, unwatched
from batchtime.runs.spec import Workload
from batchtime.train.loop import Trainer
from batchtime.train.task import Task
from batchtime.train.workloads import build

_WARM_UP = 5


def time_updates(
    workload: Workload,
    *,
    batch_sizes: Sequence[int],
    repeats: int = 50,
    progress: Progress = unwatched,
) -> TimingRecord:
    """Measure the time of single updates, drawing and gathering the batch included, with one thread.

    Batch sizes are interleaved in random order, so that a machine that slows down meanwhile slows all of them alike.
    Every duration is kept.

    Args:
        workload: What is trained; the step size does not matter and is tiny.
        batch_sizes: In examples; include some that are no powers of two.
        repeats: Durations kept for each batch size.
        progress: Called with the rounds done and the rounds in all.

    Raises:
        ParameterError: If a batch size or the number of repeats is not allowed.
    """
    valid = len(batch_sizes) > 0 and min(batch_sizes) >= 1 and len(set(batch_sizes)) == len(batch_sizes)
    allowed = "distinct whole numbers, each at least 1"
    check(valid, name="batch_sizes", value=list(batch_sizes), allowed=allowed)
    check(repeats >= 1, name="repeats", value=repeats, allowed="a whole number, at least 1")
    task = build(workload)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        trainers = {size: _trainer(task, size) for size in batch_sizes}
        for trainer in trainers.values():
            trainer.update(_WARM_UP)
        wall: dict[int, list[float]] = {size: [] for size in batch_sizes}
        cpu: dict[int, list[float]] = {size: [] for size in batch_sizes}
        shuffle = random.Random(0)  # noqa: S311 - an order of measurement is no secret
        for done in range(repeats):
            progress(done, repeats)
            for size in shuffle.sample(list(batch_sizes), len(batch_sizes)):
                # An update of microseconds is timed in a bunch: the clocks cost about one.
                count = max(1, 16 // size)
                started, worked = perf_counter(), thread_time()
                trainers[size].update(count)
                cpu[size].append((thread_time() - worked) / count)
                wall[size].append((perf_counter() - started) / count)
        progress(repeats, repeats)
        return TimingRecord(
            workload=workload.name,
            timings=tuple(
                UpdateTiming(batch_size=size, wall_seconds=tuple(wall[size]), cpu_seconds=tuple(cpu[size]))
                for size in sorted(batch_sizes)
            ),
            provenance=provenance(threads=1),
        )
    finally:
        torch.set_num_threads(threads)


def _trainer(task: Task, batch_size: int) -> Trainer:
    return Trainer(
        model=task.model(), task=task, batch_size=batch_size, rate=1e-9, generator=torch.Generator().manual_seed(0)
    )
