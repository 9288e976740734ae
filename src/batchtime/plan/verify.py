"""Check recorded runs: each file for what it promises, and a sample of its runs by training them again."""

import math
import random
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from batchtime.errors import VerificationError
from batchtime.runs.catalogue import EXPERIMENTS
from batchtime.runs.provenance import CHECKOUT
from batchtime.runs.records import Outcome, RunRecord
from batchtime.train.sweep import pool, train

LEVEL = 0.999
"""A run on another class of machine is expected within this prediction interval of the others at its batch size."""

Verdict = Literal["the same", "within the spread", "not the same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One recorded run beside the same run trained again."""

    recorded: RunRecord
    again: RunRecord
    verdict: Verdict


def check_runs(name: str, records: Sequence[RunRecord]) -> None:
    """Refuse published runs that are doubled, lack their origin, or belie their own evaluations; or half a sweep.

    The checksum of each line was checked when it was read.

    Args:
        name: Of the sweep.
        records: All its published runs.

    Raises:
        VerificationError: At the first thing that is wrong.
    """
    problem = _problem(name, records)
    if problem is not None:
        raise VerificationError(f"runs of {name}: {problem}; restore the file from version control, or sweep again")


def _problem(name: str, records: Sequence[RunRecord]) -> str | None:
    doubled = [spec for spec, count in Counter(record.spec for record in records).items() if count > 1]
    if doubled:
        return f"batch size {doubled[0].batch_size}, seed {doubled[0].seed} is there twice"
    for record in records:
        run = f"batch size {record.batch_size}, seed {record.seed}"
        if record.outcome != record.evaluations.outcome(record.setting.workload.target):
            return f"{run} says {record.outcome.status} at {record.outcome.upper}, which its evaluations do not"
        if record.provenance.commit is None or record.provenance.dirty is not False:
            return f"{run} names no commit that made it"
    absent = sorted({str(record.provenance.commit) for record in records} - _known_commits(records))
    if absent:
        return f"the commit {absent[0]} that made some is not in this repository's history"
    if name in EXPERIMENTS and not EXPERIMENTS[name].unfinished:
        missing = len(set(EXPERIMENTS[name].sweep.runs()) - {record.spec for record in records})
        if missing:
            return f"{missing} of {len(EXPERIMENTS[name].sweep.runs())} are missing"
    return None


def _known_commits(records: Sequence[RunRecord]) -> set[str]:
    """Return the commits of some records that this checkout has; all of them where there is no whole history."""
    commits = {str(record.provenance.commit) for record in records}
    git = ["git", "-C", str(CHECKOUT)]
    try:
        shallow = subprocess.run(
            [*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return commits
    if shallow.stdout.strip() != "false":
        return commits
    return {
        commit
        for commit in commits
        if subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False).returncode
        == 0
    }


def rerun_sample(
    records: Sequence[RunRecord], *, runs: int, seed: int, workers: int | None = None
) -> list[Verification]:
    """Train a random sample of recorded runs again and compare.

    On the class of machine that made it (processor, versions, examples) a run must come out with the same evaluations.
    On another one it must end as one of those at that batch size did, and both must need as many updates as the others
    make likely.

    Args:
        records: Of one sweep.
        runs: How many are drawn; all, if there are fewer.
        seed: Of the draw.
        workers: Processes to train in; None for one a processor.
    """
    drawn = random.Random(seed).sample(list(records), min(runs, len(records)))  # noqa: S311 - no secret
    with pool(workers) as executor:
        again = list(executor.map(train, [record.spec for record in drawn]))
    return [
        Verification(recorded=old, again=new, verdict=compare(old, new, records))
        for old, new in zip(drawn, again, strict=True)
    ]


def compare(recorded: RunRecord, again: RunRecord, records: Sequence[RunRecord]) -> Verdict:
    """Judge a recorded run by the same run trained again, and by the others at its batch size among `records`."""
    if recorded.evaluations == again.evaluations:
        return "the same"
    if _machine_class(recorded) == _machine_class(again) and _is_promised(recorded):
        return "not the same"
    where = (recorded.setting, recorded.batch_size)
    others = [r for r in records if (r.setting, r.batch_size) == where and r.seed != recorded.seed]
    logs = np.log([_updates(r.outcome) for r in others])
    if len(logs) < 3:
        return "not the same"
    reach = stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1) * logs.std(ddof=1) * math.sqrt(1 + 1 / len(logs))
    near = all(abs(math.log(_updates(run.outcome)) - logs.mean()) <= reach for run in (recorded, again))
    two = {recorded.outcome.status, again.outcome.status}
    seen = len(two) == 1 or two <= {run.outcome.status for run in others}
    return "within the spread" if near and seen else "not the same"


def _is_promised(record: RunRecord) -> bool:
    """Return whether a run is to come out the same again: not one of a command, or of a loader with workers."""
    workload = record.setting.workload
    return workload.command is None and (workload.source is None or workload.source.replayable)


def _machine_class(record: RunRecord) -> tuple[object, ...]:
    made = record.provenance
    return made.cpu, made.versions.get("torch"), made.threads, made.device, made.examples_sha256


def _updates(outcome: Outcome) -> float:
    """Return the middle of what is known, at least 1."""
    return max(1.0, (outcome.lower + (outcome.upper or outcome.lower)) / 2)
