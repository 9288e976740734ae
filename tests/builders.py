"""Small values that several tests start from."""

import csv
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from batchtime.fit.measurements import Observation
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import Cost, Evaluations, Outcome, Provenance, RunRecord
from batchtime.runs.spec import EvaluationGrid, Metric, Setting, Target, Workload

if TYPE_CHECKING:  # processes that are started for a test import this module, and draw nothing
    from IPython.display import HTML
    from matplotlib.axes import Axes

LAW = InverseLaw(n_inf=100, alpha=1600)
RUNS = [
    Observation(batch_size=size, lower=LAW.updates(float(size)), upper=LAW.updates(float(size)) + 9, seed=seed)
    for size in (4, 16, 64)
    for seed in range(5)
]
LOST = [Observation(batch_size=1, lower=5000, upper=None, seed=seed) for seed in range(2)]
"""Runs of a law, and runs that never reached their target."""


def setting(
    *,
    dataset: str = "digits",
    model: str = "mlp",
    metric: Metric = "error",
    target: float = 0.2,
    hold: int = 2,
    max_updates: int = 500,
    learning_rate: float = 0.1,
) -> Setting:
    """Return a setting whose runs take a fraction of a second."""
    goal = Target(metric=metric, value=target, hold=hold)
    return Setting(
        workload=Workload(name="test", dataset=dataset, model=model, target=goal),
        learning_rate=LearningRate(maximum=learning_rate),
        max_updates=max_updates,
        grid=EvaluationGrid(ratio=1.1, stride=2),
    )


def record(*, batch_size: int = 8, seed: int = 0, upper: int = 20) -> RunRecord:
    """Return a record of a run that was never made."""
    return RunRecord(
        setting=setting(),
        batch_size=batch_size,
        seed=seed,
        outcome=Outcome(status="reached", lower=10, upper=upper),
        evaluations=Evaluations(updates=(10, upper), metrics={"error": (0.5, 0.1), "loss": (1.5, None)}),
        cost=Cost(wall_seconds=1, cpu_seconds=1, evaluation_cpu_seconds=0.1, examples=upper * batch_size),
        provenance=Provenance(
            commit=None, dirty=None, versions={}, cpu="none", threads=1, device="cpu", date="2026-01-01T00:00:00+00:00"
        ),
    )


def runs_on(law: InverseLaw) -> list[RunRecord]:
    """Return runs at batch sizes 4, 16 and 64, five seeds each, that need a few updates more than a law says."""
    return [
        replace(
            record(batch_size=size, seed=seed), outcome=Outcome(status="reached", lower=mean, upper=mean + 1 + seed)
        )
        for size in (4, 16, 64)
        for seed in range(5)
        for mean in (round(law.updates(float(size))),)
    ]


def markers(axes: "Axes") -> int:
    """Return the number of marked points."""
    from matplotlib.collections import PathCollection

    lines = (len(np.asarray(line.get_xdata())) for line in axes.lines if line.get_marker() not in ("None", None, ""))
    points = (len(np.asarray(part.get_offsets())) for part in axes.collections if isinstance(part, PathCollection))
    return sum(lines) + sum(points)


def cells(shown: "HTML") -> list[list[str]]:
    """Return the text of a table, row by row, its header first."""
    from bs4 import BeautifulSoup

    rows = BeautifulSoup(str(shown.data), "html.parser").find_all("tr")
    return [[cell.get_text().replace("\xa0", " ") for cell in row.find_all(["th", "td"])] for row in rows]


def write_observations(path: Path, observations: Sequence[Observation]) -> None:
    """Write measurements as the CSV file that `store.read_observations` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["batch_size", "updates", "seed", "updates_lower", "censored"])
        for seen in observations:
            exact = seen.upper is None or seen.lower == seen.upper
            updates = seen.lower if seen.upper is None else seen.upper
            lower = "" if exact else seen.lower
            table.writerow([seen.batch_size, updates, "" if seen.seed is None else seen.seed, lower, seen.censored])


def at_a_terminal(command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own that heeds Ctrl-C, also where the tests run in the background."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread yet
    )
