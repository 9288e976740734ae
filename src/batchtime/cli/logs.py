"""The command line's door for measurements of one's own: logs and tables, in one verb and beside `fit`, `recommend`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtime.errors import check
from batchtime.logs.tables import FILES, write

if TYPE_CHECKING:  # `batchtime read --help` answers without waiting for pandas
    import pandas as pd

    from batchtime.logs.read import Logs

_OF_TABLES: dict[str, Any] = {"at_most": None, "at_least": None, "examples": None, "decimal": None}
_OF_LOGS: dict[str, Any] = {
    "metric": None,
    "hold": 1,
    "line": [],
    "batch_size_from": None,
    "seed_from": None,
    "learning_rate_from": None,
    "batches_per_update": None,
}
"""Options with what they are where nobody gives them."""
_ENDINGS = {".csv", ".tsv", ".txt", ".gz", ".json", ".jsonl", ".ndjson"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurements of one's own: their name, runs, durations where there are any, and what is to be said of them."""

    name: str
    runs: "pd.DataFrame"
    timings: "pd.DataFrame | None"
    notices: tuple[str, ...]


def add(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the verb `read` to the command line."""
    parser = verb(
        "read",
        read,
        "read logs, and write tables of runs, timings and evaluations",
        "batchtime read logs --metric val_loss --at-most 0.3 --batch-size-from 'bs(\\d+)' --out measured",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="folders that are searched for logs, and files")
    add_options(parser, several=True)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"where {', '.join(FILES)} are written")


def add_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add what a person says about logs and tables.

    Args:
        parser: Of a verb that takes them.
        several: Whether it takes several targets at once.
    """
    group = parser.add_argument_group("logs and tables of one's own")
    count: dict[str, Any] = {"type": float, "nargs": "+", "metavar": "X"}
    group.add_argument("--metric", metavar="NAME", help="what the logs call the metric of the target")
    target = group.add_mutually_exclusive_group()
    at_once = "; several at once" if several else ""
    target.add_argument("--at-most", **count, help=f"target of a metric that falls, in its unit{at_once}")
    target.add_argument("--at-least", **count, help=f"target of a metric that grows, in its unit{at_once}")
    group.add_argument(
        "--hold", type=int, default=1, metavar="H", help="evaluations in a row that meet it (default: 1)"
    )
    group.add_argument("--examples", type=int, metavar="N", help="training examples of an epoch, where epochs are told")
    group.add_argument("--decimal", metavar="MARK", help='decimal mark of a table, "." or "," (default: as it tells)')
    group.add_argument(
        "--line",
        action="append",
        default=[],
        metavar="REGEX",
        help="of a line of plain text, with groups (?P<step>) or (?P<epoch>), (?P<value>), (?P<time>); more than once",
    )
    for name, what in (("batch-size", "batch size"), ("seed", "seed"), ("learning-rate", "learning rate")):
        group.add_argument(
            f"--{name}-from",
            metavar="REGEX",
            help=f"whose first group is the {what} in a log's path, where the log does not hold it",
        )
    group.add_argument(
        "--batches-per-update",
        type=int,
        metavar="K",
        help="devices times accumulated batches, where a log tells the batch size of one",
    )


def read(options: argparse.Namespace) -> tuple[dict[str, object], str]:
    """Return what logs tell, as one JSON object and as text for a person; write it as tables where `--out` is given."""
    logs = _logs(options.paths, options)
    runs = logs.runs
    by_size = _by_size(logs)
    files = [] if options.out is None else write(logs, options.out)
    found: dict[str, object] = {
        "metric": options.metric,
        "formats": logs.formats,
        "n_runs": int(logs.evaluations["run"].nunique()),
        "n_censored": int(runs["censored"].sum()),
        "batch_sizes": by_size,
        "files": files,
        "notices": logs.notices,
    }
    which = ", ".join(f"{number} of {name}" for name, number in logs.formats.items())
    targets = "target" in runs
    lines = [
        f"{found['n_runs']} run{'s' * (found['n_runs'] != 1)}, from logs: {which}",
        ("target".rjust(10) if targets else "")
        + f"{'batch size':>12}{'runs':>6}{'met':>6}{'median updates':>16}{'ms an update':>14}",
    ]
    for row in by_size:
        updates = "-" if row["updates"] is None else f"{row['updates']:g}"
        spent = "-" if row["seconds_per_update"] is None else f"{1e3 * row['seconds_per_update']:.4g}"
        lines.append(
            (f"{row['target']:>10g}" if targets else "")
            + f"{row['batch_size']:>12g}{row['n_runs']:>6}{row['n_met']:>6}{updates:>16}{spent:>14}"
        )
    lines += [f"note: {notice}" for notice in logs.notices]
    return found, "\n".join(lines + files)


def _by_size(logs: "Logs") -> list[dict[str, Any]]:
    """Return what there is at each batch size, and for each target where there are several."""
    rows: list[dict[str, Any]] = []
    keys = [name for name in ("target", "batch_size") if name in logs.runs]
    for _, some in logs.runs.groupby(keys):
        size = float(some["batch_size"].iloc[0])
        met = some["updates"][~some["censored"]]
        spent = logs.timings["seconds"][logs.timings["batch_size"] == size]
        rows.append(
            {
                **({"target": float(some["target"].iloc[0])} if "target" in keys else {}),
                "batch_size": size,
                "n_runs": len(some),
                "n_met": len(met),
                "updates": float(met.median()) if len(met) else None,
                "seconds_per_update": float(spent.median()) if len(spent) else None,
            }
        )
    return rows


def measured(paths: list[str], options: argparse.Namespace, *, timed: bool = False) -> Measured | None:
    """Return the measurements of one's own at some paths, or None where they name a recorded sweep.

    Args:
        paths: Logs where a metric is named, else tables of runs, or a folder that `read --out` wrote.
        options: Those of `add_options`.
        timed: Whether durations are wanted; then the last of several paths is a table of them.

    Raises:
        LogError: If a log or a table cannot be used.
        ParameterError: If an option is missing or not allowed.
    """
    from batchtime.errors import LogError
    from batchtime.logs import sheets

    folder = Path(paths[0])
    tables = folder if folder.is_dir() and (folder / FILES[0]).is_file() and options.metric is None else None
    if not (options.metric or tables or folder.suffix in _ENDINGS or folder.is_file() or paths[0] == "-"):
        if folder.is_dir():
            from batchtime.runs.catalogue import EXPERIMENTS

            if paths[0] not in EXPERIMENTS:
                raise LogError(f"{folder} is a folder: name the metric of its logs, --metric NAME, and its target")
        _unused(options, {**_OF_LOGS, **_OF_TABLES, "decimal": options.decimal}, beside="a named sweep")
        return None
    notices: list[str] = []
    timings = None
    several = len(paths) > 1 and timed
    if several and (options.metric is None or Path(paths[-1]).is_file()):
        frame = sheets.read_timings(paths[-1], decimal=options.decimal)
        timings, paths = frame, paths[:-1]
        notices += frame.attrs["notices"]
    elif tables is not None and (tables / FILES[1]).is_file():
        timings = sheets.read_timings(tables / FILES[1], decimal=options.decimal)
    if options.metric is not None:
        target = options.at_most or options.at_least or []
        check(len(target) == 1, name="--at-most or --at-least", value=target, allowed="one target")
        logs = _logs(paths, options)
        runs = logs.runs
        if timings is None and len(logs.timings):
            timings = logs.timings
        notices += logs.notices
    else:
        _unused(options, _OF_LOGS, beside="tables, only beside logs")
        where = [tables / FILES[0]] if tables else list(paths)
        runs = sheets.read_runs(where, examples=options.examples, decimal=options.decimal)
        notices += runs.attrs["notices"]
        runs = _of_one_target(runs, options)
    return Measured(name=", ".join(paths), runs=runs, timings=timings, notices=tuple(notices))


def is_own(path: str) -> bool:
    """Return whether a path, and no name of a sweep, stands where either may."""
    return Path(path).exists() or Path(path).suffix in _ENDINGS or path == "-"


def only_timings(paths: list[str], options: argparse.Namespace) -> "pd.DataFrame | None":
    """Return tables of timings alone, with seconds and no updates; None where it is something else."""
    from batchtime.logs import sheets

    if options.metric is not None or not all(Path(path).is_file() and sheets.holds_seconds(path) for path in paths):
        return None
    return sheets.read_timings(paths, decimal=options.decimal)


def _unused(options: argparse.Namespace, defaults: dict[str, Any], *, beside: str) -> None:
    """Refuse options that would change nothing."""
    for name, default in defaults.items():
        value = getattr(options, name)
        check(value == default, name=f"--{name.replace('_', '-')}", value=value, allowed=f"nothing beside {beside}")


def _logs(paths: list[str], options: argparse.Namespace) -> "Logs":
    from batchtime.logs.read import read_logs

    allowed = "the name of the target's metric in the logs, for instance val_loss"
    check(options.metric is not None, name="--metric", value=None, allowed=allowed)
    return read_logs(
        paths,
        metric=options.metric,
        at_most=options.at_most,
        at_least=options.at_least,
        hold=options.hold,
        line=options.line,
        batch_size_from=options.batch_size_from,
        seed_from=options.seed_from,
        learning_rate_from=options.learning_rate_from,
        examples=options.examples,
        batches_per_update=options.batches_per_update,
    )


def _of_one_target(runs: "pd.DataFrame", options: argparse.Namespace) -> "pd.DataFrame":
    """Return the runs to the target that is asked for; all where the table tells none, or one."""
    if "target" not in runs:
        return runs
    known = sorted(runs["target"].unique())
    asked = options.at_most or options.at_least
    if asked is None and len(known) == 1:
        return runs
    allowed = f"one of the table's targets: {', '.join(f'{value:g}' for value in known)}"
    check(
        asked is not None and len(asked) == 1 and asked[0] in known,
        name="--at-most or --at-least",
        value=asked,
        allowed=allowed,
    )
    chosen: pd.DataFrame = runs[runs["target"] == asked[0]]
    return chosen
