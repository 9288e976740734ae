"""What the verbs share: options, refusals, the store, and progress."""

import argparse
import hashlib
import math
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from batchtime.errors import BatchtimeError

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from batchtime.fit.advice import Runs
    from batchtime.fit.measurements import UpdateTiming
    from batchtime.runs.experiment import Experiment
    from batchtime.runs.records import Progress, RunRecord
    from batchtime.runs.store import Flag, Store

Verb = argparse.ArgumentParser
Result = tuple[dict[str, object] | list[dict[str, object]], str]
"""What a verb found: as one JSON object, and as text for a person."""

REFUSED = 2
INTERRUPTED = 130


class AddVerb(Protocol):
    """Adds a verb to the command line: its name, what it does, a summary, an example, and options that others share."""

    def __call__(
        self, name: str, act: Callable[[argparse.Namespace], Result], summary: str, example: str, *parents: Verb
    ) -> Verb:
        """Return the verb, to add its own options to."""
        ...


class RefusedError(BatchtimeError):
    """The answer is no, for a reason that the message gives; the exit code is 2. With --json, `found` is printed."""

    def __init__(self, message: str, found: dict[str, object] | None = None) -> None:
        """Take the message, and what there is to say in one object."""
        super().__init__(message)
        self.found = found


def complain(message: str) -> None:
    """Print one line on stderr."""
    print(f"batchtime: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - one line on the command line


def fraction(text: str) -> float:
    """Read a precision that `--precision` takes."""
    from batchtime.plan.design import check_precision

    try:
        check_precision(float(text))
    except (ValueError, BatchtimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return float(text)


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    value = int(text) if text.isdigit() else int(number) if math.isfinite(number) and number == int(number) else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def seconds(text: str) -> float:
    """Read a duration in seconds, more than 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, finite and more than 0")
    return value


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what does the updates, and on how busy a machine."""
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="of each operation (default: 1)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="what does the updates (default: cpu)")
    add_busy(parser)


def add_busy(parser: argparse.ArgumentParser) -> None:
    """Add the two ways to go on where other programs take a part of the processor."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--cpu-time", action="store_true", help="of timed updates the CPU seconds count, not those of the wall clock"
    )
    either.add_argument("--allow-busy", action="store_true", help="go on where other programs interfered")


def counted(options: argparse.Namespace, timings: "Sequence[UpdateTiming]") -> "list[UpdateTiming]":
    """Return timings as `--cpu-time` says that they count; without it and `--allow-busy` a busy machine is refused."""
    from batchtime.fit.update_time import BUSY

    ratio = max((one.wall_over_cpu for one in timings), default=1.0)
    if ratio > BUSY and not (options.allow_busy or options.cpu_time):
        raise RefusedError(
            f"the machine was busy: an update took {ratio:.2f} times its CPU time (allowed: {BUSY}); stop other "
            "programs and measure again, or say --cpu-time or --allow-busy"
        )
    return as_counted(options, timings)


def as_counted(options: argparse.Namespace, timings: "Sequence[UpdateTiming]") -> "list[UpdateTiming]":
    """Return timings as `--cpu-time` says that they count, however busy the machine was."""
    return [one.by_cpu if options.cpu_time else one for one in timings]


def count_or_none(text: str) -> int:
    """Read a whole number of at least 0."""
    return 0 if text == "0" else count(text)


def store_of(options: argparse.Namespace) -> "Store":
    """Return the data folder that was named, or the usual one; with `--record` its published part is written."""
    from batchtime.runs.provenance import provenance
    from batchtime.runs.store import Store, data_folder

    recording = getattr(options, "record", False)
    if recording and provenance(threads=1).dirty:
        raise RefusedError(
            "src/ differs from the last commit, so a published result could not name what made it; commit"
        )
    return Store(options.data or data_folder(), recording=recording)


def named(name: str, max_updates: int | None = None) -> "Experiment":
    """Return a sweep by its name, or that of a function of one's own by module and function."""
    from batchtime.errors import ParameterError
    from batchtime.runs.catalogue import experiment

    if ":" not in name:
        try:
            return experiment(name)
        except ParameterError as error:
            raise ParameterError(f"{error}, module:function of your own, or, to fit, a table that exists") from error
    from batchtime.train.own import own_experiment

    sys.path.insert(0, "")  # as `python -m` would: one's own module lies where one is
    own = own_experiment(name, max_updates=max_updates)
    if own.caution is not None:
        complain(own.caution)
    return own


def sweeps(options: argparse.Namespace, name: str | None) -> "list[Experiment]":
    """Return the sweeps that the options of `add_changes` mean: one, or one for each of `--learning-rates`."""
    from batchtime.errors import check

    _remember(options, name)
    listed = getattr(options, "learning_rates", None)
    if listed is None:
        return [_changed(options, name, options.learning_rate)]
    given = options.learning_rate
    check(given is None, name="--learning-rate", value=given, allowed="nothing beside --learning-rates")
    rates = _rates(listed)
    first = _changed(options, name, str(rates[0]))
    constant = first.sweep.setting.learning_rate.half_batch_size == 0
    allowed = "nothing where the learning rate depends on the batch size"
    check(constant, name="--learning-rates", value=listed, allowed=allowed)
    words = None if first.workload.command is None else first.workload.command.words
    takes = words is None or len(rates) == 1 or any("{learning_rate" in word for word in words)
    check(takes, name="--learning-rates", value=listed, allowed="one, as the command has no {learning_rate}")
    return [first.changed(learning_rate=rate) for rate in rates]


def changed(options: argparse.Namespace, name: str | None) -> "Experiment":
    """Return the sweep that the options mean, where it is to be of one learning rate."""
    from batchtime.errors import check

    first, *others = sweeps(options, name)
    allowed = "one of them here: --learning-rate RATE"
    check(not others, name="--learning-rates", value=getattr(options, "learning_rates", None), allowed=allowed)
    return first


def _changed(options: argparse.Namespace, name: str | None, rate: str | None) -> "Experiment":
    from batchtime.errors import check

    if getattr(options, "command", None) is not None:
        from batchtime.cli.command import of_command

        return of_command(options, rate)
    check(name is not None, name="NAME", value=name, allowed="a name, or --command")
    name = str(name)
    if ":" not in name:
        check(options.budget is None, name="budget", value=options.budget, allowed="nothing beside a named sweep")
    return named(name, max_updates=options.budget).changed(
        learning_rate=rate,
        target=options.target,
        batch_sizes=options.batch_sizes,
        seeds=options.seeds,
    )


def _rates(listed: str) -> list[float]:
    """Return the learning rates of a list that is given as text."""
    import msgspec

    from batchtime.errors import check

    try:
        rates = msgspec.json.decode(listed, type=list[float])
    except msgspec.MsgspecError:
        rates = []
    valid = len(rates) > 0 and len(set(rates)) == len(rates) and all(0 < rate < math.inf for rate in rates)
    allowed = "a list of distinct numbers more than 0, for instance [0.1, 0.2]"
    check(valid, name="--learning-rates", value=listed, allowed=allowed)
    return rates


def labels(chosen: "Sequence[Experiment]") -> list[str]:
    """Return what each sweep is called where several stand together: its name, and its learning rate if need be."""
    names = [one.name for one in chosen]
    return [
        name if names.count(name) == 1 else f"{name} at learning rate {one.sweep.setting.learning_rate.maximum:g}"
        for name, one in zip(names, chosen, strict=True)
    ]


def _remember(options: argparse.Namespace, name: str | None) -> None:
    """Keep the flags of a sweep of one's own; other verbs take them where they are given none of their own."""
    command = getattr(options, "command", None)
    if command is None and (name is None or ":" not in name):
        return
    store = store_of(options)
    key, called, unset = str(name), name, dict.fromkeys(FLAGS)
    if command is not None:
        key, called = f"command-{hashlib.sha256(command.encode()).hexdigest()[:16]}", "this command"
        unset |= OF_COMMANDS
    given = {flag: value for flag in unset if (value := getattr(options, flag, None)) not in (None, unset[flag])}
    if getattr(options, "remembers", False):
        store.remember(key, given)
        return
    instead = {other for one in INSTEAD for other in one if not given.keys().isdisjoint(one)}
    kept = {
        flag: value
        for flag, value in store.remembered(key).items()
        if flag in unset and flag not in given and flag not in instead
    }
    for flag, value in kept.items():
        setattr(options, flag, value)
    if kept:
        said = " ".join(_flag_text(flag, value) for flag, value in kept.items())
        complain(f"{called} as it was swept last: {said}")


FLAGS = ("learning_rate", "learning_rates", "target", "batch_sizes", "seeds", "budget")
"""What `add_changes` adds, and a sweep of one's own remembers."""
OF_COMMANDS: dict[str, object] = {
    "metric": None,
    "at_most": None,
    "at_least": None,
    "hold": 1,
    "line": [],
    "examples": None,
    "time_out": None,
}
"""What is remembered of a command besides, with what it is where nobody gives it."""
INSTEAD = ({"learning_rate", "learning_rates"}, {"at_most", "at_least"})
"""Flags of which one goes in place of the other."""


def _flag_text(flag: str, value: "Flag") -> str:
    """Return a flag as it is typed."""
    typed = f"--{flag.replace('_', '-')}"
    if flag == "line" and isinstance(value, list):
        return " ".join(f"{typed} {shlex.quote(str(one))}" for one in value)
    values = value if isinstance(value, list) else [value]
    return f"{typed} {' '.join(shlex.quote(str(one)) for one in values)}"


def diverged_note(records: "Sequence[RunRecord]") -> str | None:
    """Return a sentence about runs that diverged, or None where none did."""
    lost = [record for record in records if record.ending == "diverged"]
    if not lost:
        return None
    sizes = sorted({record.batch_size for record in lost})
    rate = lost[0].setting.learning_rate.maximum
    return (
        f"{len(lost)} of {len(records)} runs diverged (batch sizes {', '.join(map(str, sizes))}): the learning rate "
        f"{rate:g} is probably too large there; try --learning-rate {rate / 3:.2g}."
    )


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add the options that change a named sweep."""
    parser.add_argument("--learning-rate", metavar="RATE", help="step size instead of the named sweep's")
    parser.add_argument(
        "--learning-rates", metavar="LIST", help='several step sizes, a sweep each, for instance "[0.1, 0.2, 0.4]"'
    )
    parser.add_argument("--target", metavar="VALUE", help="target instead of the named sweep's, in the metric's unit")
    parser.add_argument("--batch-sizes", metavar="LIST", help='for instance "[8, 32, 128]"')
    parser.add_argument("--seeds", metavar="N|LIST", help="how many seeds, from 0; or a list of them")
    parser.add_argument(
        "--budget", type=count, metavar="N", help="most updates of a run, of MODULE:FUNCTION or {updates} only"
    )
    parser.add_argument(
        "--command",
        metavar="WORDS",
        help="a training command in place of a name, with {batch_size}, {learning_rate}, {seed}, {out} and {updates} "
        "where these go; --metric and --at-least or --at-most say its target",
    )
    parser.add_argument("--time-out", type=float, metavar="SECONDS", help="after which a run of the command is stopped")


def bar(what: str) -> "Progress":
    """Return a callback that draws a progress bar on stderr; where that is no terminal, it prints a line a minute."""
    if not sys.stderr.isatty():
        return lines(what)
    from tqdm import tqdm

    line = tqdm(desc=what, unit="run", file=sys.stderr, disable=None, leave=False)

    def progress(done: int, total: int) -> None:
        line.total = total
        line.update(done - line.n)
        if done == total:
            line.close()

    return progress


def lines(what: str, *, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> "Progress":
    """Return a callback that prints a line on stderr when so many seconds have passed since the last one."""
    started = said = clock()

    def progress(done: int, total: int) -> None:
        nonlocal said
        now = clock()
        if now - said >= every:
            said = now
            complain(f"{what}: {done} of {total} done after {(now - started) / 60:.0f} minutes")

    return progress


def of_sweep(options: argparse.Namespace, name: str | None) -> tuple[str, "Runs", tuple[str, ...]]:
    """Return what is to be fitted of a named sweep, its name, and what is missing of it; or of a published series.

    Runs at several learning rates come by learning rate.
    """
    from batchtime.errors import FitError
    from batchtime.fit.measurements import observations_of
    from batchtime.runs import published
    from batchtime.train.sweep import recorded

    if name is not None and name.startswith(published.PREFIX):
        return name, observations_of(published.runs(name.removeprefix(published.PREFIX))), ()
    chosen = sweeps(options, name)
    found = [recorded(one.sweep, name=one.name, store=store_of(options)) for one in chosen]
    have, total = sum(map(len, found)), sum(len(one.sweep.runs()) for one in chosen)
    if not have:
        raise FitError(f"no run of {chosen[0].name} with these parameters is recorded; do `batchtime sweep` first")
    missing = f"{have} of {total} runs of this sweep are recorded; `batchtime sweep` trains the others."
    said = (missing if have < total else None, *map(diverged_note, found))
    seen = {
        one.sweep.setting.learning_rate.maximum: one.fit_observations(records)
        for one, records in zip(chosen, found, strict=True)
        if records
    }
    runs: Runs = seen if len(chosen) > 1 else next(iter(seen.values()))
    return chosen[0].name, runs, tuple(one for one in said if one is not None)


def without_infinities(value: object) -> Any:
    """Return a value with None for each number that JSON does not have."""
    if isinstance(value, dict):
        return {key: without_infinities(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(inner) for inner in value]
    return finite(value) if isinstance(value, float) else value


def finite(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return value if value is not None and math.isfinite(value) else None
