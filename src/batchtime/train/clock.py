"""Measure wall seconds to the target: whole runs, one at a time, with the clock running."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from batchtime.errors import ClockError
from batchtime.runs.records import Progress, TimedRun, unwatched
from batchtime.runs.spec import Device, RunSpec
from batchtime.runs.store import Writer
from batchtime.train.learners import GradientTeam, check_shares, run_together
from batchtime.train.loaders import Team
from batchtime.train.loop import Stopwatch, train_to_target
from batchtime.train.workloads import build


def time_runs(
    specs: Sequence[RunSpec],
    *,
    writer: Writer,
    most_wall_over_cpu: float,
    threads: int = 1,
    device: Device = "cpu",
    learners: int = 1,
    progress: Progress = unwatched,
) -> list[TimedRun]:
    """Train some runs, one after the other, and record what each took.

    Args:
        specs: The runs, in the order in which they are trained: let batch sizes take turns.
        writer: Takes each run as it ends.
        most_wall_over_cpu: Wall over CPU seconds above which a run is not recorded: other programs were running. Not
            asked of several learners, which wait for each other.
        threads: That each operation may use.
        device: What does the updates.
        learners: Processes of one thread that share each batch; one trains in this process.
        progress: Called with the runs done and the runs in all.

    Raises:
        ClockError: If the machine was busy.
        DatasetError: If the data set cannot be had.
        LearnersError: If a learner stopped.
        ParameterError: If the learners do not divide a batch size.
        StoreError: If a run cannot be recorded.
    """
    check_shares([spec.batch_size for spec in specs], learners)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for done, spec in enumerate(specs):
            progress(done, len(specs))
            if learners == 1:
                run = _time_run(spec, device, None)
            else:
                together = run_together(_time_share, spec, learners=learners)[0]
                run = replace(together, learners=learners)
            if learners == 1 and run.wall_over_cpu > most_wall_over_cpu:
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


def _time_share(spec: RunSpec) -> TimedRun:
    return _time_run(spec, "cpu", GradientTeam())


def _time_run(spec: RunSpec, device: Device, team: Team | None) -> TimedRun:
    task = build(spec.setting.workload)
    stopwatch = Stopwatch()
    record = train_to_target(spec, task, stopwatch=stopwatch, team=team, device=device)
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
