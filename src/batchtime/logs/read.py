"""From folders of logs to the three tables of runs, timings and evaluations."""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from batchtime.errors import LogError, check
from batchtime.logs import event_files, json_lines, keras, lightning, mllog, plain_text, trainer_state, wandb
from batchtime.logs.log import Format, Log, Wanted
from batchtime.logs.run import Goal, Run, run
from batchtime.logs.settings import EXAMPLES, Hints, known
from batchtime.logs.text import head

FORMATS: tuple[Format, ...] = (trainer_state, mllog, lightning, wandb, keras, json_lines, event_files)
"""Those told by how a file looks; the first that matches reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """What logs tell, as tables.

    Args:
        runs: Columns batch_size, updates, learning_rate, seed, updates_lower, censored, and target where there are
            several; a row a run.
        timings: Columns batch_size and seconds; a row the mean of a block of updates, evaluations left out.
        evaluations: Columns run, batch_size, learning_rate, seed, updates, seconds, value; a row an evaluation.
        formats: Number of logs of each format.
        notices: What there is to say of how they were read.
    """

    runs: pd.DataFrame
    timings: pd.DataFrame
    evaluations: pd.DataFrame
    formats: dict[str, int]
    notices: tuple[str, ...]


def read_logs(
    paths: str | Path | Sequence[str | Path],
    *,
    metric: str,
    at_most: float | Sequence[float] | None = None,
    at_least: float | Sequence[float] | None = None,
    hold: int = 1,
    line: str | Sequence[str] = (),
    batch_size_from: str | None = None,
    seed_from: str | None = None,
    learning_rate_from: str | None = None,
    examples: int | None = None,
    batches_per_update: int | None = None,
) -> Logs:
    r"""Read logs of runs and return when each met its target.

    Args:
        paths: Files, and folders that are searched for logs.
        metric: Name of the metric, as the logs have it.
        at_most: Target of a metric that falls, in its unit; or several.
        at_least: Target of a metric that grows; or several. One of the two is given.
        hold: Successive evaluations at which the target must be met.
        line: Regular expressions with the groups step, value and time, by which plain text is read.
        batch_size_from: Regular expression whose first group is the batch size in the path of a log, where the log
            does not hold it.
        seed_from: The same for the seed.
        learning_rate_from: The same for the learning rate.
        examples: Training examples of an epoch, where logs count epochs.
        batches_per_update: Devices times accumulated batches, where logs hold the batch size of one.

    Raises:
        LogError: If a log cannot be used; the message names it and the remedy.
        ParameterError: If the target is no number, or `hold` is less than 1.

    Example:
        >>> read_logs("logs", metric="val_loss", at_most=0.3, batch_size_from=r"bs(\d+)").runs  # doctest: +SKIP
    """
    for name, value in (("--examples", examples), ("--batches-per-update", batches_per_update)):
        check(value is None or value >= 1, name=name, value=value, allowed="a whole number, at least 1")
    hints = Hints(
        batch_size_from=batch_size_from,
        seed_from=seed_from,
        learning_rate_from=learning_rate_from,
        examples=examples,
        batches_per_update=batches_per_update,
    )
    goals = goals_of(at_most, at_least, hold)
    wanted = Wanted(metric=metric, line=(line,) if isinstance(line, str) else tuple(line))
    chosen = [paths] if isinstance(paths, str | Path) else list(paths)
    notices: Counter[str] = Counter()
    places: dict[str, str] = {}
    formats = _collect([Path(path) for path in chosen], wanted, notices)
    logs = {kind: [log for log in some if log.evaluated.any()] for kind, some in formats.items()}
    _check_metric([log for some in formats.values() for log in some], wanted, notices)
    runs = [run(log, hints) for some in logs.values() for log in some]
    for one in runs:
        for notice in one.notices:
            places.setdefault(notice, one.name)
            notices[notice] += 1
    _check_unit(runs, goals, metric)
    timed = [one for one in runs if len(one.block_seconds)]
    said = [_said(text, count, places.get(text)) for text, count in notices.items()]
    if len(timed) < len(runs):
        few = "no run tells" if not timed else f"only {len(timed)} of {len(runs)} runs tell"
        said.append(f"{few} seconds: lines need time stamps for that")
    said += [
        f"no run met {_words(metric, goal)}; {_nearest(runs, goal)}"
        for goal in goals
        if all(goal.interval(one)[1] is None for one in runs)
    ]
    told = _run_table(runs, goals)
    if lost := len(runs) * len(goals) - len(told):
        said.append(f"{lost} run{'s' * (lost > 1)} left out: no evaluation after the first update missed the target")
    return Logs(
        runs=told,
        timings=pd.DataFrame(
            [(one.settings.batch_size, seconds) for one in timed for seconds in one.block_seconds],
            columns=["batch_size", "seconds"],
            dtype=np.float64,
        ),
        evaluations=_evaluation_table(runs),
        formats={kind: len(some) for kind, some in logs.items() if some},
        notices=tuple(said),
    )


def read_run(path: Path, *, metric: str, line: Sequence[str], batch_size: int, examples: int | None) -> Run:
    """Return the one run whose log lies at a path, where its batch size is known.

    Args:
        path: A file, or a folder that is searched for logs.
        metric: Name of the metric, as the log has it.
        line: Regular expressions by which plain text is read.
        batch_size: Examples of an update, whatever the log says.
        examples: Training examples of an epoch, where the log counts epochs.

    Raises:
        LogError: If there is no such log, or more than one; or it cannot be used.
    """
    wanted = Wanted(metric=metric, line=tuple(line))
    notices: Counter[str] = Counter()
    logs = [log for some in _collect([path], wanted, notices).values() for log in some]
    _check_metric(logs, wanted, notices)
    evaluated = [log for log in logs if log.evaluated.any()]
    if len(evaluated) > 1:
        remedy = "let a command write one"
        raise LogError(f"{len(evaluated)} runs are there, {evaluated[0].run} and {evaluated[1].run}; {remedy}")
    told = {name: value for name, value in evaluated[0].settings.items() if known(name) in EXAMPLES}
    log = replace(evaluated[0], settings={**told, "batch_size": batch_size})
    return run(log, Hints(examples=examples))


def goals_of(
    at_most: float | Sequence[float] | None, at_least: float | Sequence[float] | None, hold: int
) -> tuple[Goal, ...]:
    """Return the targets that are meant.

    Raises:
        ParameterError: If not one of the two is given, or what is given is no target.
    """
    check(
        (at_most is None) != (at_least is None),
        name="--at-most, --at-least",
        value=(at_most, at_least),
        allowed="one of the two: the target, in the metric's unit",
    )
    check(hold >= 1, name="--hold", value=hold, allowed="a whole number of evaluations, at least 1")
    given = at_least if at_most is None else at_most
    values = [given] if isinstance(given, int | float | str) else list(given or ())
    for value in values:
        number = isinstance(value, int | float) and math.isfinite(value)
        check(number, name="target", value=value, allowed="a finite number, in the metric's unit")
    return tuple(Goal(value=float(value), at_most=at_most is not None, hold=hold) for value in dict.fromkeys(values))


def _collect(paths: Sequence[Path], wanted: Wanted, notices: Counter[str]) -> dict[str, list[Log]]:
    """Return the logs that lie at some paths by the name of their format."""
    logs: dict[str, dict[str, Log]] = {}
    for path in paths:
        if not path.exists():
            raise LogError(f"there is no file or folder {path}; name one that holds logs")
        with_metric = False
        for kind, files in _found(path, wanted, notices).items():
            if with_metric:  # the same runs are often logged twice
                told = f"{len(files)} logs of {kind.NAME} lie beside others and were left out; name them to read them"
                notices[f"{path}: {told}"] = 1
                continue
            some = [log for file in files for log in kind.read(file, wanted)]
            with_metric = any(wanted.metric in log.metrics for log in some)
            logs.setdefault(kind.NAME, {}).update({log.run: log for log in some})
    if not logs:
        remedy = "give the folder or the file of a log, or --line for plain text"
        raise LogError(f"{', '.join(map(str, paths))}: no log is there; {remedy}")
    return {kind: list(some.values()) for kind, some in logs.items()}


def _found(path: Path, wanted: Wanted, notices: Counter[str]) -> dict[Format, list[Path]]:
    """Return the files of logs at a path by their format, one file for each place of a run."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found: dict[Format, dict[Path, Path]] = {}
    candidates: tuple[Format, ...] = (plain_text,) if wanted.line else FORMATS
    for file in files:
        if any(part.startswith(".") and part not in (".", "..") for part in file.relative_to(path).parts):
            continue
        if file.stat().st_size == 0:
            if path.is_file():
                raise LogError(f"{file} is empty; give the log of a run")
            notices[f"{file} is empty and was left out"] = 1
            continue
        start = head(file)
        for kind in candidates:
            if kind.matches(file, start):
                found.setdefault(kind, {}).setdefault(kind.place(file), file)
                break
    order = [kind for kind in candidates if kind in found]
    return {kind: list(found[kind].values()) for kind in order}


def _check_metric(logs: Sequence[Log], wanted: Wanted, notices: Counter[str]) -> None:
    """Refuse logs none of which holds the metric; say which do not."""
    lacking = [log.run for log in logs if not log.evaluated.any()]
    if len(lacking) == len(logs):
        names = sorted({name for log in logs for name in log.metrics})
        near = difflib.get_close_matches(wanted.metric, names, n=5, cutoff=0.4) or names[:8]
        known = ", ".join(near) if near else "no metric at all"
        where = logs[0].run if len(logs) == 1 else f"{logs[0].run} and {len(logs) - 1} more logs"
        if wanted.line:
            raise LogError(f"{where}: --line {wanted.line[0]!r} finds no value in any line; try it on one line first")
        raise LogError(f"{where}: no line holds the metric {wanted.metric!r}; nearest are: {known}")
    if lacking:
        notices[f"{len(lacking)} of {len(logs)} logs hold no {wanted.metric} and were left out, first {lacking[0]}"] = 1


def _said(text: str, count: int, place: str | None) -> str:
    if place is None:
        return text
    return f"{place}: {text}" if count == 1 else f"{place} and {count - 1} more: {text}"


def _check_unit(runs: Sequence[Run], goals: Sequence[Goal], metric: str) -> None:
    """Refuse percent where the target is a fraction, or the other way round.

    Raises:
        LogError: If the values and a target, or the values of two runs, cannot be of one unit.
    """
    spans = [(one, one.metric[np.isfinite(one.metric)]) for one in runs]
    spans = [(one, values) for one, values in spans if len(values)]
    fractions = [one for one, values in spans if values.min() >= 0 and values.max() <= 1]
    percents = [one for one, values in spans if 1 < values.max() <= 100 and values.min() >= 0]
    share = any(word in metric.lower() for word in ("acc", "err", "top1", "top5", "top_", "f1", "precision", "recall"))
    if share and fractions and percents:
        raise LogError(
            f"{metric} is a fraction in {fractions[0].name} and percent in {percents[0].name}; read them one by one, "
            "with a target in the unit of each"
        )
    for goal in goals:
        option = "--at-most" if goal.at_most else "--at-least"
        if len(fractions) == len(spans) > 0 and 1 < goal.value <= 100:
            raise LogError(
                f"{option} {goal.value:g} is more than every value of {metric} can be: they are fractions, from 0 to "
                f"1; for {goal.value:g} percent give {option} {goal.value / 100:g}"
            )
        never_less = all(values.min() >= 1 for _, values in spans)
        if 0 < goal.value < 1 and len(percents) == len(spans) > 0 and (share or not goal.at_most) and never_less:
            raise LogError(
                f"{option} {goal.value:g} is less than every value of {metric}, which are at least "
                f"{min(values.min() for _, values in spans):g}: if they are percent give {option} "
                f"{100 * goal.value:g}"
            )


def _words(metric: str, goal: Goal) -> str:
    often = f" at {goal.hold} evaluations in a row" if goal.hold > 1 else ""
    return f"{metric} at {'most' if goal.at_most else 'least'} {goal.value:g}{often}"


def _nearest(runs: Sequence[Run], goal: Goal) -> str:
    values = np.concatenate([one.metric[np.isfinite(one.metric)] for one in runs])
    if not len(values):
        return "no value is finite"
    return f"the best value is {values.min() if goal.at_most else values.max():.6g}"


def _run_table(runs: Sequence[Run], goals: Sequence[Goal]) -> pd.DataFrame:
    rows = []
    ordered = sorted(
        runs, key=lambda one: (one.settings.batch_size, one.settings.learning_rate or 0.0, one.settings.seed or 0)
    )
    for goal in goals:
        for one in ordered:
            lower, upper = goal.interval(one)
            if upper == 0:
                raise LogError(
                    f"{one.name} meets the target {goal.value:g} before its first update; ask for a better one"
                )
            if upper is None and lower == 0:
                continue  # it tells nothing
            told = one.settings
            rows.append(
                {
                    "batch_size": told.batch_size,
                    "updates": lower if upper is None else upper,
                    "learning_rate": told.learning_rate,
                    "seed": told.seed,
                    "updates_lower": lower,
                    "censored": upper is None,
                    "target": goal.value,
                }
            )
    if not rows:
        raise LogError(f"no run was evaluated after its first update; name logs of longer runs than {runs[0].name}")
    table = pd.DataFrame(rows).astype({"learning_rate": np.float64, "seed": "Int64"})
    return table if len(goals) > 1 else table.drop(columns="target")


def _evaluation_table(runs: Sequence[Run]) -> pd.DataFrame:
    counts = [len(one.updates) for one in runs]
    table = pd.DataFrame(
        {
            "run": np.repeat(np.array([one.name for one in runs], dtype=object), counts),
            "batch_size": np.repeat([one.settings.batch_size for one in runs], counts),
            "learning_rate": np.repeat([one.settings.learning_rate for one in runs], counts),
            "seed": np.repeat([one.settings.seed for one in runs], counts),
            "updates": np.concatenate([one.updates for one in runs]),
            "seconds": np.concatenate([one.seconds for one in runs]),
            "value": np.concatenate([one.metric for one in runs]),
        }
    )
    return table.astype({"learning_rate": np.float64, "seed": "Int64"})
