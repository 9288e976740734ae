"""The whole story for one student: train a few runs, fit the law, time updates, predict the optimum, ask the clock."""

import contextlib
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from batchtime.book.teaching.pool import BATCH_SIZES, CLOCKED_RUNS, Story, share
from batchtime.book.teaching.results import read_student
from batchtime.errors import ClassError, ClockError
from batchtime.fit.training_time import fit_training_time
from batchtime.fit.update_time import BUSY, median_seconds
from batchtime.plan.clock import CLOCKED_SEEDS, against_the_clock
from batchtime.runs.catalogue import timed_batch_sizes
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.records import Progress, StudentResult, TimedRun, TimingRecord, unwatched
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store, writing
from batchtime.train.clock import time_runs
from batchtime.train.sweep import complete
from batchtime.train.timing import time_updates

_PATIENCE = 4
"""Measurements that are made again because other programs were running."""


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
    clocked = against_the_clock(observations, timings, runs, allow_busy=True)[0]
    medians = median_seconds(timings)
    return Story(
        result=StudentResult(
            student=student,
            observations=tuple(observations),
            seconds={size: round(medians[size], 9) for size in BATCH_SIZES},
        ),
        found=found,
        clocked=clocked,
        cpu=timing.provenance.cpu,
        wall_over_cpu=max(timing.wall_over_cpu, clocked.wall_over_cpu),
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
    """Return the timings of this student's machine, measured now or when the same command ran before.

    Where other programs interfere it measures again, some times, and keeps what they disturbed least.
    """
    path = store.timings_file(part.name)
    if not path.exists():
        with writing(path) as writer:
            writer.append(min(_tries(part), key=lambda record: record.wall_over_cpu))
    return store.latest_timing(part.name, own=True)


def _tries(part: Experiment) -> Iterator[TimingRecord]:
    for _ in range(_PATIENCE):
        record = time_updates(part.workload, batch_sizes=timed_batch_sizes(part))
        yield record
        if record.wall_over_cpu <= BUSY:
            return


def _clocked(part: Experiment, student: int, batch_size: int, store: Store) -> list[TimedRun]:
    """Return runs by the clock, with seeds that no student trains with; those that are missing are made.

    A run that other programs disturbed is made again, some times, and then taken as it is.
    """
    specs = [
        RunSpec(setting=part.sweep.setting, batch_size=batch_size, seed=k * CLOCKED_SEEDS + student)
        for k in range(1, CLOCKED_RUNS + 1)
    ]
    with writing(store.timed_runs_file(part.name)) as writer:
        for most in (*[BUSY] * _PATIENCE, math.inf):
            done = {run.spec for run in store.timed_runs(part.name, own=True)}
            with contextlib.suppress(ClockError):
                time_runs([spec for spec in specs if spec not in done], writer=writer, most_wall_over_cpu=most)
    return [run for run in store.timed_runs(part.name, own=True) if run.spec in specs]
