"""A training command as a workload: from its words to an `Experiment`, and from a run of it to a record."""

import hashlib
import itertools
import json
import math
import os
import shlex
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from batchtime.errors import LogError, WorkloadError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.logs.read import read_run
from batchtime.logs.run import Run
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.records import Cost, Evaluations, RunRecord
from batchtime.runs.spec import Command, Device, RunSpec, Setting, Source, SweepSpec, Target, Workload
from batchtime.train import guard

NAMES = ("batch_size", "learning_rate", "seed", "out", "updates")
"""What may stand in braces in a command."""
SEEDS = 3
_SOURCES = {".py", ".sh", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini"}
"""How the name of a file ends that counts as part of a program, and not as data or as what it writes."""
_SHELL = {"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "cd"}
"""Words that only a shell understands."""
_LOOKS = (0.2, 0.02)  # seconds, and share of the time so far, between two looks at a log


def command_experiment(
    command: str,
    *,
    target: Target,
    learning_rate: float,
    batch_sizes: Sequence[int],
    seeds: Sequence[int] | None = None,
    line: Sequence[str] = (),
    examples: int | None = None,
    max_updates: int | None = None,
    time_out: float | None = None,
) -> Experiment:
    """Return the sweep of a training command.

    A run is known again by the command, the content of the scripts and settings that it names, and all that a run has
    besides.

    Args:
        command: Its words, with {batch_size} and, where it takes them, {learning_rate}, {seed}, {out} (a folder for its
            log) and {updates} (its budget); no shell reads it.
        target: Of its metric, as the log calls it.
        learning_rate: What goes in for {learning_rate}, or what the command trains with where it takes none.
        batch_sizes: Sizes to run, in examples of an update.
        seeds: Of the runs; None for three, or for one where the command takes no {seed}.
        line: Regular expressions by which standard output is read, or text in {out}.
        examples: Training examples of an epoch, where the log counts epochs.
        max_updates: What goes in for {updates}.
        time_out: Seconds after which a run is stopped and counts as far as it came; None for no end.

    Raises:
        ParameterError: If the command lacks what a sweep needs, or a value is not allowed.

    Example:
        >>> goal = Target(metric="val_acc", value=0.9, rises=True)
        >>> command = "python train.py --bs {batch_size} --lr {learning_rate} --seed {seed} --out {out}"
        >>> command_experiment(command, target=goal, learning_rate=0.1, batch_sizes=[8, 64]).sweep.seeds
        (0, 1, 2)
    """
    words = _words(command)
    names = {name for word in words for name in _fields(command, word)}
    check("batch_size" in names, name="command", value=command, allowed="one with {batch_size} in it")
    a_log = "one with {out}, the folder of its log, or --line REGEX for what it prints"
    check("out" in names or len(line) > 0, name="command", value=command, allowed=a_log)
    seeds = tuple(range(SEEDS if "seed" in names else 1)) if seeds is None else tuple(seeds)
    check("seed" in names or len(seeds) == 1, name="seeds", value=list(seeds), allowed="one, as no {seed} takes it")
    both = (max_updates is not None) == ("updates" in names)
    check(
        both, name="budget", value=max_updates, allowed="a number of updates where {updates} takes it, and only there"
    )
    endless = time_out is None or 0 < time_out < math.inf
    check(endless, name="time_out", value=time_out, allowed="seconds, finite and more than 0")
    workload = Workload(
        name=f"command-{_program(words)}",
        dataset=command,
        model=command,
        target=target,
        source=_source(words),
        command=Command(words=words, line=tuple(line), examples=examples, time_out=time_out),
    )
    setting = Setting(
        workload=workload,
        learning_rate=LearningRate(maximum=learning_rate),
        max_updates=sys.maxsize if max_updates is None else max_updates,
    )
    sweep = SweepSpec(setting=setting, batch_sizes=tuple(batch_sizes), seeds=seeds)
    summary = f"a training command, {command}"
    return Experiment(name=workload.name, summary=summary, sweep=sweep, n_examples=examples or 0)


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        check(False, name="command", value=command, allowed=f"words as a shell reads them ({error})")
    check(len(words) > 0, name="command", value=command, allowed="a program and its arguments")
    shell = "=" in words[0] or not _SHELL.isdisjoint(words)
    allowed = "a program and its arguments, which no shell reads; say bash -c 'NAME=value program ... | ...' for one"
    check(not shell, name="command", value=command, allowed=allowed)
    return words


def _fields(command: str, word: str) -> list[str]:
    """Return what stands in braces in a word."""
    allowed = f"in braces {', '.join(NAMES)}; any other brace is written twice"
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
    except ValueError:
        fields = [""]
    check(set(fields) <= set(NAMES), name="command", value=command, allowed=allowed)
    return fields


def _program(words: Sequence[str]) -> str:
    """Return what a command is called: the first file that it names, or its first word."""
    return Path((_files(words) or list(words))[0]).stem


def _files(words: Sequence[str]) -> list[str]:
    """Return the files here that a command names: as a word, as a module after -m, or in what a shell is to read."""
    found = []
    for before, word in itertools.pairwise(words):
        parts = [word, *word.split()] if " " in word else [word]
        module = word.replace(".", "/")
        parts += [f"{module}.py", f"{module}/__main__.py"] if before == "-m" else []
        found += [part for part in parts if Path(part).is_file()]
    return found


def _source(words: tuple[str, ...]) -> Source:
    """Return what identifies a program: its command, and the content of the scripts and settings that it names."""
    digest = hashlib.sha256()
    for name in _files(words):
        if (path := Path(name)).suffix in _SOURCES:
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return Source(function=shlex.join(words), version=f"sha256:{digest.hexdigest()}", examples_sha256="")


def run_command(spec: RunSpec, *, folder: Path, device: Device = "cpu") -> RunRecord:
    """Run a command to its target, its end or its time-out, and return what its log tells.

    Args:
        spec: The run.
        folder: Where the run has a folder of its own, emptied before; what the command wrote stays there.
        device: As the sweep has it; a command chooses its own.

    Raises:
        WorkloadError: If the command cannot be started, fails, or tells nothing of its metric; or if the files that it
            names are not those that the sweep was started with.
    """
    workload = spec.setting.workload
    command = workload.command
    assert command is not None  # noqa: S101 - who calls this looked
    what = f"{shlex.join(command.words)} at batch size {spec.batch_size}, seed {spec.seed}"
    if _source(command.words) != workload.source:
        remedy = "give every worker the same files in the same place, or start the sweep again"
        raise WorkloadError(f"{what}: the files that it names are not what this sweep was started with; {remedy}")
    place = folder.absolute() / _place(spec)
    shutil.rmtree(place, ignore_errors=True)
    (place / "out").mkdir(parents=True)
    values = {
        "batch_size": spec.batch_size,
        "learning_rate": spec.setting.learning_rate.at(spec.batch_size),
        "seed": spec.seed,
        "out": place / "out",
        "updates": spec.setting.max_updates,
    }
    words = [word.format_map(values) for word in command.words]
    taken = any("out" in _fields("", word) for word in command.words)
    log = _Log(spec=spec, path=place / ("out" if taken else "stdout.txt"))
    started = time.perf_counter()
    ended = _run(words, place, log, command.time_out)
    wall = time.perf_counter() - started
    if ended.error is not None:
        raise WorkloadError(f"{what}: {words[0]} cannot be started: {ended.error}; name a program that is here")
    if ended.stopped is None and ended.code != 0:
        said = (place / "stderr.txt").read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise WorkloadError(f"{what} ended with exit code {ended.code} ({said[:200]}); what it wrote is in {place}")
    try:
        run = log.read()
    except LogError as error:
        late = f" within {command.time_out:g} s" if ended.stopped == "time-out" else ""
        raise WorkloadError(f"{what} tells of no evaluation{late}: {error}") from error
    evaluations = log.evaluations(run)
    outcome = evaluations.outcome(workload.target)
    if outcome.upper == 0:
        raise WorkloadError(f"{what} meets its target before its first update; ask for a better one")
    return RunRecord(
        setting=spec.setting,
        batch_size=spec.batch_size,
        seed=spec.seed,
        outcome=outcome,
        evaluations=evaluations,
        cost=Cost(
            wall_seconds=wall,
            cpu_seconds=ended.cpu_seconds,
            evaluation_cpu_seconds=0.0,
            examples=evaluations.updates[-1] * spec.batch_size,
        ),
        provenance=provenance(threads=os.cpu_count() or 1, device=device),
        block_seconds=tuple(float(seconds) for seconds in run.block_seconds),
    )


def _place(spec: RunSpec) -> str:
    """Return the name of a run's folder, another one for each run."""
    digest = hashlib.sha256(msgspec.json.encode(spec)).hexdigest()[:8]
    return f"bs{spec.batch_size}-lr{spec.setting.learning_rate.at(spec.batch_size):g}-seed{spec.seed}-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """Where the log of a run lies."""

    spec: RunSpec
    path: Path

    def read(self) -> Run:
        workload = self.spec.setting.workload
        assert workload.command is not None  # noqa: S101 - as above
        return read_run(
            self.path,
            metric=workload.target.metric,
            line=workload.command.line,
            batch_size=self.spec.batch_size,
            examples=workload.command.examples,
        )

    def evaluations(self, run: Run) -> Evaluations:
        found = {round(done): value for done, value in zip(run.updates.tolist(), run.metric.tolist(), strict=True)}
        values = tuple(value if math.isfinite(value) else None for value in found.values())
        return Evaluations(updates=tuple(found), metrics={self.spec.setting.workload.target.metric: values})

    def is_enough(self) -> bool:
        """Return whether the target is met, as far as the log has been written."""
        try:
            evaluations = self.evaluations(self.read())
        except LogError:
            return False
        return evaluations.outcome(self.spec.setting.workload.target).status == "reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """How a command ended: by itself, or stopped for a reason."""

    stopped: str | None
    code: int | None = None
    cpu_seconds: float = 0.0
    error: str | None = None


def _run(words: Sequence[str], place: Path, log: _Log, time_out: float | None) -> _Ended:
    """Run a command until it ends, its log says that it may, or its time is over."""
    files = [str(place / name) for name in ("stdout.txt", "stderr.txt")]
    started, stopped = time.monotonic(), None
    with subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, *files, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as guarded:
        while stopped is None:
            spent = time.monotonic() - started
            wait = max(_LOOKS[0], _LOOKS[1] * spent)
            if time_out is not None:
                wait = min(wait, max(0.0, time_out - spent))
            try:
                guarded.wait(wait)
                break
            except subprocess.TimeoutExpired:
                if log.is_enough():
                    stopped = "target"
                elif time_out is not None and time.monotonic() - started >= time_out:
                    stopped = "time-out"
        said, _ = guarded.communicate()  # which closes its standard input, and so ends the command
    return _Ended(stopped=stopped, **json.loads(said))
