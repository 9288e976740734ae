"""Measure wall seconds to the target: whole runs, one at a time, with the clock running."""

from collections.abc import Sequence

import torch

from batchtime.errors import ClockError
from batchtime.runs.records import Progress, TimedRun, unwatched
from batchtime.runs.spec import Device, RunSpec
from batchtime.runs.store import Writer
from batchtime.train.loop import Stopwatch, train_to_target
from batchtime.train.workloads import build


def time_runs(
    specs: Sequence[RunSpec],
    *,
    writer: Writer,
    most_wall_over_cpu: float,
    threads: int = 1,
    device: Device = "cpu",
    progress: Progress = unwatched,
) -> list[TimedRun]:
    """Train some runs in this process, one after the other, and record what each took.

    Args:
        specs: The runs, in the order in which they are trained: let batch sizes take turns.
        writer: Takes each run as it ends.
        most_wall_over_cpu: Wall over CPU seconds above which a run is not recorded: other programs were running.
        threads: That each operation may use.
        device: What does the updates.
        progress: Called with the runs done and the runs in all.

    Raises:
        ClockError: If the machine was busy.
        DatasetError: If the data set cannot be had.
        StoreError: If a run cannot be recorded.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for done, spec in enumerate(specs):
            progress(done, len(specs))
            run = _time_run(spec, device)
            if run.wall_over_cpu > most_wall_over_cpu:
                raise ClockError(
                    f"the run of batch size {spec.batch_size}, seed {spec.seed} took {run.wall_over_cpu:.2f} times its "
                    f"CPU time (allowed: {most_wall_over_cpu}); it was not recorded, those before it were: stop other "
                    "programs and run this again"
                )
            writer.append(run)
            found.append(run)
        progress(len(specs), len(specs))
        return found
    finally:
        torch.set_num_threads(before)


def _time_run(spec: RunSpec, device: Device) -> TimedRun:
    task = build(spec.setting.workload)
    stopwatch = Stopwatch()
    record = train_to_target(spec, task, stopwatch=stopwatch, device=device)
    at = dict(zip(record.evaluations.updates, stopwatch.wall_seconds, strict=True)) | {0: 0.0}
    outcome = record.outcome
    return TimedRun(
        setting=spec.setting,
        batch_size=spec.batch_size,
        seed=spec.seed,
        outcome=outcome,
        lower_seconds=at[outcome.lower],
        upper_seconds=None if outcome.upper is None else at[outcome.upper],
        wall_over_cpu=stopwatch.wall_seconds[-1] / stopwatch.cpu_seconds[-1],
        provenance=record.provenance,
    )
