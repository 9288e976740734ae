"""The whole story for one student: train a few runs, fit the law, time updates, predict the optimum, ask the clock."""

import math
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from batchtime.class_pool import BATCH_SIZES, CLOCKED_RUNS, Story, share
from batchtime.clock import time_runs
from batchtime.experiments import Experiment, timed_batch_sizes
from batchtime.provenance import provenance
from batchtime.records import BatchtimeError, Progress, RunSpec, StudentResult, TimedRun, TimingRecord, unwatched
from batchtime.store import Store, read_student, writing
from batchtime.sweep import complete
from batchtime.timing import time_updates
from batchtime.training_time import CLOCKED_SEEDS, against_the_clock, fit_training_time
from batchtime.update_time import median_seconds

_REPEATS = 30


class ClassError(BatchtimeError):
    """A student's command failed; the message says why."""


def tell(student: int, *, store: Store, progress: Progress = unwatched) -> Story:
    """Return what a student finds, training and timing in this process what is not recorded yet.

    A machine that does other work beside is no reason to stop a class: the story says so instead.

    Args:
        student: Number, and seed of the student's runs.
        store: Where runs and timings are recorded, under the student's own name.
        progress: Called with the runs of the sweep that are done, and all of them.

    Raises:
        ParameterError: If it is no student's number.
        FitError: If runs or timings do not determine their law.
        StoreError: If records cannot be read or written.
    """
    part = share(student)
    with ThreadPoolExecutor(max_workers=1) as here:  # a few short runs: a process of their own takes longer to start
        records = complete(part.sweep, name=part.name, store=store, executor=here, progress=progress)
    observations = part.fit_observations(records)
    timing = _timing(part, store)
    timings = part.relevant(timing.timings)
    found = fit_training_time(observations, timings, allow_busy=True)
    runs = _clocked(part, student, round(found.advised_batch_size), store)
    medians = median_seconds(timings)
    return Story(
        result=StudentResult(
            student=student,
            observations=tuple(observations),
            seconds={size: round(medians[size], 9) for size in BATCH_SIZES},
        ),
        found=found,
        clocked=against_the_clock(observations, timings, runs, allow_busy=True)[0],
        cpu=timing.provenance.cpu,
        wall_over_cpu=timing.wall_over_cpu,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a student sees, and how long that takes.

    Args:
        text: What the command prints.
        seconds: From its start to its end, Python and torch included.
        cpu: This machine.
        result: What it wrote for the class.
    """

    text: str
    seconds: float
    cpu: str
    result: StudentResult


def rehearse(student: int) -> Rehearsal:
    """Run `batchtime class` as a student does, in a folder that goes away.

    Raises:
        ClassError: If the command fails.
    """
    share(student)  # refuses what is no student's number
    program = str(Path(sys.executable).with_name("batchtime"))
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "class", "--student", str(student), "--data", folder, "--out", "results"]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise ClassError(f"`batchtime class` failed: {' '.join(done.stderr.split())}")
        result = read_student(Path(folder) / "results" / f"student-{student}.csv")
    return Rehearsal(text=done.stdout.strip(), seconds=seconds, cpu=provenance(threads=1).cpu, result=result)


def _timing(part: Experiment, store: Store) -> TimingRecord:
    """Return the timings of this student's machine, measured now or when the same command ran before."""
    path = store.timings_file(part.name)
    if not path.exists():
        with writing(path) as writer:
            writer.append(time_updates(part.workload, batch_sizes=timed_batch_sizes(part), repeats=_REPEATS))
    return store.latest_timing(part.name, own=True)


def _clocked(part: Experiment, student: int, batch_size: int, store: Store) -> list[TimedRun]:
    """Return runs by the clock, with seeds that no student trains with; those that are missing are made."""
    specs = [
        RunSpec(setting=part.sweep.setting, batch_size=batch_size, seed=k * CLOCKED_SEEDS + student)
        for k in range(1, CLOCKED_RUNS + 1)
    ]
    with writing(store.timed_runs_file(part.name)) as writer:
        done = {run.spec for run in store.timed_runs(part.name, own=True)}
        time_runs([spec for spec in specs if spec not in done], writer=writer, most_wall_over_cpu=math.inf)
    return [run for run in store.timed_runs(part.name, own=True) if run.spec in specs]
