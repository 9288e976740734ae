"""Watch a training loop of one's own: count its updates, time them, and write the tables that `fit` takes."""

import itertools
import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self, SupportsFloat, TextIO

import numpy as np

from batchtime.errors import BatchtimeError, LogError, ParameterError, check
from batchtime.logs import tables
from batchtime.logs.read import goals_of, read_logs
from batchtime.logs.run import Goal
from batchtime.runs.locking import lock

LOGS = "logs"
"""Where in the folder of the tables the log of each run lies: they are made of these."""
_STAMP = 0.05  # of the time since the start, between two lines that tell of training alone
_SHARE = 10  # times as long as tables took to write they are left as they are


def watch(
    *,
    batch_size: int,
    metric: str,
    at_most: float | None = None,
    at_least: float | None = None,
    hold: int = 1,
    out: str | Path | None,
    learning_rate: float | None = None,
    seed: int | None = None,
    done: int = 0,
) -> "Watch":
    """Watch one run of a training loop, and write what it tells to a folder that `fit` and `recommend` take.

    The folder has a log of each run, a line an evaluation, and the tables runs.csv, timing.csv and evaluations.csv of
    all of them, made anew every few seconds and at the end. A run with batch size, learning rate and seed of one that
    is there takes its place from its first evaluation on; without a seed every run is another one.

    Args:
        batch_size: Examples of an update: of all devices, and of all batches that are accumulated.
        metric: What the target is a value of, for instance "val_acc".
        at_most: Target of a metric that falls, in its unit.
        at_least: Target of a metric that rises; one of the two is given.
        hold: Successive evaluations at which the target must be met.
        out: Folder to write to; None to write nothing, as all processes of a run but the first do.
        learning_rate: Of the run; the largest, where it is warmed up or decays.
        seed: Of the run.
        done: Updates done before, of a run that goes on from a checkpoint: its log is kept and goes on, too.

    Raises:
        ParameterError: If a value is not allowed, or the folder holds runs to another target.
        LogError: If the folder cannot be written, or another process is writing the log of this run.

    Example:
        >>> with watch(batch_size=64, metric="loss", at_most=0.3, out="measured", learning_rate=0.1, seed=0) as run:
        ...     for loss in (0.9, 0.4, 0.2):
        ...         run.update(100)
        ...         run.evaluate(loss)
        ...     run.updates, run.reached
        False
        False
        True
        (300, True)
    """
    whole = "a whole number of examples of an update, at least 1"
    check(_is_count(batch_size, 1), name="batch_size", value=batch_size, allowed=whole)
    check(_is_count(done, 0), name="done", value=done, allowed="a whole number of updates, at least 0")
    check(seed is None or _is_count(seed, 0), name="seed", value=seed, allowed="a whole number, at least 0, or None")
    rate = learning_rate is None or (isinstance(learning_rate, int | float) and 0 < learning_rate < math.inf)
    check(rate, name="learning_rate", value=learning_rate, allowed="a finite number more than 0, or None")
    settings = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    taken = {*settings, "step", "time", ""}
    named = isinstance(metric, str) and metric not in taken
    check(named, name="metric", value=metric, allowed="a name, as val_acc or so")
    check(done == 0 or seed is not None, name="seed", value=seed, allowed="that of the run that goes on")
    goals = goals_of(at_most, at_least, hold)
    check(len(goals) == 1, name="at_most, at_least", value=(at_most, at_least), allowed="one target")
    return Watch(metric=metric, goal=goals[0], settings=settings, out=None if out is None else Path(out), done=done)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


class Watch:
    """A run that is watched: what `watch` returns.

    What goes wrong with its files once it has begun stops no training: it is warned of, once.
    """

    def __init__(
        self, *, metric: str, goal: Goal, settings: Mapping[str, object], out: Path | None, done: int = 0
    ) -> None:
        """Start the clock."""
        self._metric, self._goal, self._out = metric, goal, out
        self._updates, self._held, self._reached = done, 0, False
        target = {"metric": metric, "at_most" if goal.at_most else "at_least": goal.value, "hold": goal.hold}
        self._file = None if out is None else _opened(out / LOGS, settings, target)
        self._waiting = [json.dumps({k: v for k, v in settings.items() if v is not None} | target)]
        if self._file is not None and done > 0:
            self._waiting = _lines_until(done, Path(self._file.name)) or self._waiting
        self._begun, self._evaluated, self._tells, self._warned = False, False, False, False
        self._written, self._cost = -math.inf, 0.0
        self._start = self._now = perf_counter()
        self._line()

    @property
    def updates(self) -> int:
        """Updates that are done."""
        return self._updates

    @property
    def reached(self) -> bool:
        """Whether the target is met, so that the loop may end."""
        return self._reached

    def update(self, n: int = 1) -> None:
        """Count `n` updates that have just been done: steps of the optimizer, not batches that are accumulated.

        Raises:
            ParameterError: If `n` is no whole number, or less than 1.
        """
        check(_is_count(n, 1), name="n", value=n, allowed="a whole number of updates, at least 1")
        self._updates += n
        self.pause()
        if self._now - self._stamped > max(0.1, _STAMP * (self._now - self._start)):
            self._line()

    def pause(self) -> None:
        """Say that training has come so far and stops: what follows until the next evaluation does not count.

        `update` says it, too; but a GPU is still at work then. Wait for it first, where a second counts.
        """
        self._now = perf_counter()

    def evaluate(self, value: float) -> bool:
        """Take the metric that has just been evaluated, and return whether the target is met.

        Raises:
            ParameterError: If the value is no number.
        """
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise ParameterError(f"{self._metric} = {value!r} is not allowed; allowed: one number") from None
        if self._told < self._updates:
            self._line()
        self._held = self._held + 1 if self._goal.met_at(np.array(number)) else 0
        self._reached = self._reached or self._held >= self._goal.hold
        self._evaluated = True
        self._tells = self._tells or self._reached or (self._held == 0 and self._updates > 0)
        self.pause()
        self._line(**{self._metric: number if math.isfinite(number) else None})
        self._save(tables=self._now - self._written > _SHARE * self._cost)
        return self._reached

    def close(self) -> None:
        """End the run and write the tables; leaving the `with` block does it."""
        if self._file is None:
            return
        try:
            if self._told < self._updates:
                self._line()
            if self._evaluated:
                self._save(tables=True)
            elif os.fstat(self._file.fileno()).st_size == 0:
                Path(self._file.name).unlink()  # nothing was evaluated, and nothing stood here before
        finally:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the run, whatever ended the loop."""
        self.close()

    def _line(self, **evaluated: float | None) -> None:
        """Add a line: training has come so far; or an evaluation has ended."""
        line = {"step": self._updates, "time": round(self._now - self._start, 6), **evaluated}
        self._waiting.append(json.dumps(line))
        self._told, self._stamped = self._updates, self._now

    def _save(self, *, tables: bool) -> None:
        """Write the lines that wait to the log, the first of a run in place of what it held; and the tables."""
        if self._file is None or self._out is None:
            return
        try:
            if not self._begun:
                self._file.truncate(0)
                self._begun = True
            self._file.write("".join(line + "\n" for line in self._waiting))
            self._file.flush()
            self._waiting.clear()
            if tables and self._tells:
                started = perf_counter()
                _tabulate(self._out, self._metric, self._goal)
                self._written = perf_counter()
                self._cost = self._written - started
        except (OSError, BatchtimeError) as error:
            if not self._warned:
                reason = getattr(error, "strerror", None) or error
                warnings.warn(f"batchtime: {self._out} is not up to date: {reason}; training goes on", stacklevel=3)
            self._warned = True


@dataclass(kw_only=True, eq=False)
class Watched:
    """What the callbacks for Lightning and Hugging Face share: a watched run, and what it was asked for.

    Args:
        metric: As the trainer calls it.
        out: Folder to write to.
        at_most: Target of a metric that falls, in its unit.
        at_least: Target of a metric that rises; one of the two is given.
        hold: Successive evaluations at which the target must be met.
        batch_size: Examples of an update; None for what the trainer tells, and so below.
        learning_rate: Of the run.
        seed: Of the run.
        stop: Whether training ends when the target is met.
    """

    metric: str
    out: str | Path
    at_most: float | None = None
    at_least: float | None = None
    hold: int = 1
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    stop: bool = True
    run: Watch | None = field(default=None, init=False, repr=False)
    _names: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no target, before anything is trained."""
        goals_of(self.at_most, self.at_least, self.hold)

    def begin(
        self, *, writes: bool, done: int, batch_size: int | None, learning_rate: float | None, seed: int | None
    ) -> None:
        """Start the run, with what the trainer tells where nothing else was told; one that was left is ended."""
        self.end(whole=False)
        self.run = watch(
            batch_size=batch_size if self.batch_size is None else self.batch_size,  # type: ignore[arg-type]  # checked
            metric=self.metric,
            at_most=self.at_most,
            at_least=self.at_least,
            hold=self.hold,
            out=self.out if writes else None,
            learning_rate=learning_rate if self.learning_rate is None else self.learning_rate,
            seed=seed if self.seed is None else self.seed,
            done=done,
        )

    def count(self, updates: int) -> None:
        """Take how many updates are done; refuse to go on where evaluations do not have the metric."""
        self._check_metric()
        if self.run is not None and updates > self.run.updates:
            self.run.update(updates - self.run.updates)

    def evaluate(self, metrics: Mapping[str, SupportsFloat]) -> None:
        """Take what was evaluated, whose parts may come one after the other."""
        self._names |= {*metrics}
        if self.run is not None and self.metric in metrics:
            self.run.evaluate(float(metrics[self.metric]))

    def end(self, *, whole: bool = True) -> None:
        """End the run; `whole` where nothing went wrong."""
        if self.run is not None:
            self.run.close()
        self.run = None
        if whole:
            self._check_metric()

    def _check_metric(self) -> None:
        if self._names and self.metric not in self._names:
            check(False, name="metric", value=self.metric, allowed=f"one of {', '.join(sorted(self._names))}")


def _opened(folder: Path, settings: Mapping[str, object], target: Mapping[str, object]) -> TextIO:
    """Return the log of a run, locked; see `watch` for what is refused."""
    size, rate, seed = settings.values()
    name = f"bs{size}" + ("" if rate is None else f"-lr{rate}") + ("" if seed is None else f"-seed{seed}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other in sorted(folder.glob("*.jsonl")):
            _check_target(other, target)
        path = folder / f"{name}.jsonl"
        for number in itertools.count(1):
            if seed is not None or not path.exists():
                break
            path = folder / f"{name}-run{number}.jsonl"
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise LogError(f"cannot write to {folder}: {error.strerror}; name another folder") from error
    try:
        lock(file.fileno(), wait=False)
    except BlockingIOError:
        file.close()
        remedy = "give each run another seed, and out=None to all processes of a run but the first"
        raise LogError(f"another process is writing {path}; {remedy}") from None
    return file


def _lines_until(done: int, log: Path) -> list[str]:
    """Return the lines of a log that tell of no more than so many updates, without one that a power cut tore."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    return [line for line in lines if json.loads(line).get("step", 0) <= done]


def _check_target(log: Path, target: Mapping[str, object]) -> None:
    """Refuse a folder with runs to another target."""
    with log.open(encoding="utf-8") as file:
        first = file.readline()
    try:
        told = json.loads(first or "{}")
    except ValueError:
        told = {}
    has = {name: told.get(name) for name in target}
    if first and has != dict(target):
        other = ", ".join(f"{name} {told[name]}" for name in ("metric", "at_most", "at_least", "hold") if name in told)
        allowed = f"that of the runs in {log.parent} ({other}); or name another folder"
        check(False, name="target", value=", ".join(f"{k} {v}" for k, v in target.items()), allowed=allowed)


def _tabulate(folder: Path, metric: str, goal: Goal) -> None:
    """Write the tables of all runs in a folder, one process after the other."""
    with (folder / LOGS / ".lock").open("w") as file:
        lock(file.fileno(), wait=True)
        at_most, at_least = (goal.value, None) if goal.at_most else (None, goal.value)
        logs = read_logs(folder / LOGS, metric=metric, at_most=at_most, at_least=at_least, hold=goal.hold)
        tables.write(logs, folder)
