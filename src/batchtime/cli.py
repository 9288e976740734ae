"""The command line: parse, call one function, print one result."""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from batchtime.records import BatchtimeError, Progress

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from concurrent.futures import Executor

    from batchtime.advice import Recommendation, Runs
    from batchtime.experiments import Experiment
    from batchtime.plan import Estimate
    from batchtime.records import Observation
    from batchtime.scaling import Network
    from batchtime.store import Store

_Verb = argparse.ArgumentParser
Result = tuple[dict[str, object] | list[dict[str, object]], str]
"""What a verb found: as one JSON object, and as text for a person."""

REFUSED = 2
INTERRUPTED = 130


class RefusedError(BatchtimeError):
    """The answer is no, for a reason that the message gives; the exit code is 2. With --json, `found` is printed."""

    def __init__(self, message: str, found: dict[str, object] | None = None) -> None:
        """Take the message, and what there is to say in one object."""
        super().__init__(message)
        self.found = found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for a refusal, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        found, text = options.verb(options)
        print(json.dumps(found, allow_nan=False) if options.json else text)  # noqa: T201 - the one result
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("stopped; what was recorded is whole: the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing to tell
        return 1
    except RefusedError as error:
        if options.json and error.found is not None:
            print(json.dumps(error.found, allow_nan=False))  # noqa: T201 - the one result
        _complain(str(error))
        return REFUSED
    except BatchtimeError as error:
        _complain(str(error))
        return 1
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    print(f"batchtime: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - one line on the command line


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, metavar="FOLDER", help="data folder (default: data/ of the checkout)")
    record = argparse.ArgumentParser(add_help=False)
    record.add_argument("--record", action="store_true", help="write to the published results instead of the cache")
    parser = argparse.ArgumentParser(
        prog="batchtime",
        description="Choose the mini-batch size that minimises SGD training time.",
        epilog="Example: batchtime sweep digits-mlp && batchtime fit digits-mlp",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, act: Callable[[argparse.Namespace], Result], summary: str, example: str, *parents: _Verb
    ) -> _Verb:
        added = verbs.add_parser(
            name,
            parents=[common, *parents],
            help=summary,
            description=summary[:1].upper() + summary[1:] + ".",
            epilog=f"Example: {example}",
        )
        added.set_defaults(verb=act)
        return added

    verb("workloads", _workloads, "list the named workloads", "batchtime workloads --json")

    sweep = verb(
        "sweep",
        _sweep,
        "train every run of a sweep that is not recorded yet",
        'batchtime sweep digits-mlp --batch-sizes "[8, 32, 128]" --seeds 5',
        data,
        record,
    )
    sweep.add_argument(
        "name", metavar="NAME", nargs="?", help="a name that `batchtime workloads` lists, or one's own MODULE:FUNCTION"
    )
    sweep.add_argument("--all", action="store_true", help="every published sweep, one after the other")
    sweep.add_argument("--plan", action="store_true", help="train nothing: print what it is expected to cost")
    sweep.add_argument("--workers", type=_count, metavar="N", help="processes (default: one a processor)")
    sweep.add_argument(
        "--precision", type=_fraction, metavar="P", help="stop when alpha / n_inf is known to P, for instance 0.1"
    )
    sweep.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="what workers train on (with cuda, one worker by default)",
    )
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="of the scheduler of a Dask cluster to train on")
    _add_changes(sweep)

    verify = verb(
        "verify",
        _verify,
        "check every file of published runs, and train a random sample of them again",
        "batchtime verify digits-mlp --runs 3",
        data,
    )
    verify.add_argument("name", metavar="NAME", nargs="?", help="one sweep (default: every published one)")
    verify.add_argument("--runs", type=_count_or_none, default=2, metavar="N", help="to train again (default: 2; or 0)")
    verify.add_argument("--seed", type=_count_or_none, default=0, metavar="N", help="of the sample (default: 0)")
    verify.add_argument("--workers", type=_count, metavar="N", help="processes (default: one a processor)")

    study = verb(
        "study",
        _study,
        "simulate tables of runs whose law is known, and count how often the intervals hold it",
        "batchtime study coverage --replications 50",
        data,
        record,
    )
    study.add_argument("name", metavar="NAME", choices=["coverage", "bias", "spreads"], help="one of these studies")
    study.add_argument("--replications", type=_count, metavar="N", help="tables of each design (default: its own)")

    _add_measurements(verb, data, record)

    fit = verb(
        "fit",
        _fit,
        "fit N(M) = n_inf + alpha / M to recorded runs, or to a table of one's own",
        "batchtime fit measurements.csv --json",
        data,
    )
    fit.add_argument("source", metavar="NAME|FILE.csv", help="a named sweep, or columns batch_size,updates[,seed,...]")
    _add_changes(fit)

    recommend = verb(
        "recommend",
        _recommend,
        "recommend a batch size from recorded runs and timings, or from tables of one's own; or say why not",
        "batchtime recommend runs.csv timing.csv --learners 1 2 4 --json",
        data,
    )
    recommend.add_argument("source", metavar="NAME|RUNS.csv", help="a named sweep, or columns batch_size,updates[,...]")
    recommend.add_argument("timing", metavar="TIMING.csv", nargs="?", help="columns batch_size,seconds[,cpu_seconds]")
    recommend.add_argument(
        "--pilot", action="store_true", help="train two ends and a middle with three seeds each, and time updates, here"
    )
    recommend.add_argument(
        "--own-timings", action="store_true", help="of a named sweep: what `batchtime time` measured on this machine"
    )
    _add_limits(recommend)
    recommend.add_argument("--latency", type=float, metavar="SECONDS", help="of a message between learners")
    recommend.add_argument("--bandwidth", type=float, metavar="BYTES", help="a second, of the network")
    recommend.add_argument("--gradient-bytes", type=float, metavar="BYTES", help="of one gradient; all three or none")
    _add_changes(recommend)

    _add_predict(verb, data)
    _add_teaching(verb, data)

    rerun = verb(
        "rerun",
        _rerun,
        "execute a notebook of the book with other parameters, and render its page",
        'batchtime rerun inverse-law -p workload digits-mlp -p batch_sizes "[4, 16, 64]" --out my-run',
        data,
    )
    rerun.add_argument("notebook", metavar="NOTEBOOK", help="its name in notebooks/, or a path")
    rerun.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    rerun.add_argument("--out", type=Path, metavar="FOLDER", help="where the notebook and its page are written")
    rerun.add_argument("--list", action="store_true", help="list the parameters with type and default; run nothing")
    return parser


def _add_teaching(verb: Callable[..., _Verb], *parents: _Verb) -> None:
    """Add what a class does together."""
    lesson = verb(
        "class",
        _class,
        "tell the whole story on digits with a student's own seed, or pool what all students of a class found",
        "batchtime class --student 7 --out results, then batchtime class --pool results/student-7.csv",
        *parents,
    )
    task = lesson.add_mutually_exclusive_group(required=True)
    task.add_argument("--student", type=_count, metavar="N", help="number of the student, and seed of the runs")
    task.add_argument("--pool", type=Path, nargs="+", metavar="FILE.csv", help="what students wrote: one law from all")
    lesson.add_argument("--out", type=Path, metavar="FOLDER", help="where student-N.csv is written (default: results)")


def _add_measurements(verb: Callable[..., _Verb], *parents: _Verb) -> None:
    """Add what measures a machine or a problem and records it."""
    time = verb(
        "time",
        _time,
        "measure seconds per update and fit its line",
        "batchtime time digits-mlp --repeats 50",
        *parents,
    )
    time.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists, or MODULE:FUNCTION")
    time.add_argument("--batch-sizes", metavar="LIST", help="sizes to time (default: the sweep's and sizes between)")
    time.add_argument("--repeats", type=_count, default=50, metavar="N", help="durations a size (default: 50)")
    time.add_argument("--allow-busy", action="store_true", help="record and fit also where other programs interfered")

    clock = verb(
        "clock",
        _clock,
        "train whole runs one at a time with the clock running, and hold predicted training times against them",
        "batchtime clock digits-mlp --seeds 3",
        *parents,
    )
    clock.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists")
    clock.add_argument(
        "--batch-sizes", metavar="LIST", help="default: half, once and twice the optimum, and the sealed"
    )
    clock.add_argument("--seeds", type=_count, default=5, metavar="N", help="runs a batch size (default: 5)")
    clock.add_argument("--allow-busy", action="store_true", help="record also where other programs interfered")

    learners = verb(
        "learners",
        _learners,
        "measure updates and all-reduces of several learners, processes on this machine",
        "batchtime learners digits-mlp --learners 2",
        *parents,
    )
    learners.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists")
    learners.add_argument("--learners", type=_count, default=2, metavar="L", help="processes (default: 2)")
    learners.add_argument("--batch-sizes", metavar="LIST", help="of all learners together (default: 8 to 512)")
    learners.add_argument("--repeats", type=_count, default=30, metavar="N", help="durations of each (default: 30)")

    noise = verb(
        "noise",
        _noise,
        "measure the gradient noise scale along training",
        "batchtime noise digits-mlp --examples 320",
        *parents,
    )
    noise.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists")
    noise.add_argument("--batch-size", type=_count, default=64, metavar="M", help="of the run (default: 64)")
    noise.add_argument("--seeds", type=_count, default=3, metavar="N", help="runs (default: 3)")
    noise.add_argument("--examples", type=_count, default=4096, metavar="N", help="gradients a point (default: 4096)")

    constants = verb(
        "constants",
        _constants,
        "compute what the bound takes of softmax regression: smoothness, curvature, noise, distance, start, minimum",
        "batchtime constants mnist-logistic",
        *parents,
    )
    constants.add_argument("name", metavar="NAME", help="mnist-logistic, or a variant of it")


def _add_changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--learning-rate", metavar="RATE", help="step size instead of the named sweep's")
    parser.add_argument("--target", metavar="VALUE", help="target instead of the named sweep's, in the metric's unit")
    parser.add_argument("--batch-sizes", metavar="LIST", help='for instance "[8, 32, 128]"')
    parser.add_argument("--seeds", metavar="N|LIST", help="how many seeds, from 0; or a list of them")
    parser.add_argument("--budget", type=_count, metavar="N", help="most updates of a run, of MODULE:FUNCTION only")


def _fraction(text: str) -> float:
    from batchtime.design import check_precision

    try:
        check_precision(float(text))
    except (ValueError, BatchtimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return float(text)


def _count(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _store(options: argparse.Namespace) -> "Store":
    from batchtime.provenance import provenance
    from batchtime.store import Store, data_folder

    recording = getattr(options, "record", False)
    if recording and provenance(threads=1).dirty:
        raise RefusedError(
            "src/ differs from the last commit, so a published result could not name what made it; commit"
        )
    return Store(options.data or data_folder(), recording=recording)


def _named(name: str, max_updates: int | None = None) -> "Experiment":
    """Return a sweep by its name, or that of a function of one's own by module and function."""
    from batchtime.experiments import experiment

    if ":" not in name:
        return experiment(name)
    from batchtime.own import own_experiment

    sys.path.insert(0, "")  # as `python -m` would: one's own module lies where one is
    return own_experiment(name, max_updates=max_updates)


def _changed(options: argparse.Namespace, name: str) -> "Experiment":
    from batchtime.records import check

    if ":" not in name:
        check(options.budget is None, name="budget", value=options.budget, allowed="nothing beside a named sweep")
    return _named(name, max_updates=options.budget).changed(
        learning_rate=options.learning_rate,
        target=options.target,
        batch_sizes=options.batch_sizes,
        seeds=options.seeds,
    )


def _bar(what: str) -> Progress:
    """Return a callback that draws a progress bar on stderr, where somebody is looking."""
    from tqdm import tqdm

    bar = tqdm(desc=what, unit="run", file=sys.stderr, disable=None, leave=False)

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return progress


def _workloads(_options: argparse.Namespace) -> Result:
    from batchtime.experiments import EXPERIMENTS

    found: dict[str, object] = {}
    lines = []
    width = max(map(len, EXPERIMENTS)) + 2
    for name, known in EXPERIMENTS.items():
        setting = known.sweep.setting
        found[name] = {
            "summary": known.summary,
            "metric": setting.workload.target.metric,
            "target": setting.workload.target.value,
            "learning_rate": setting.learning_rate.maximum,
            "batch_sizes": known.sweep.batch_sizes,
            "seeds": len(known.sweep.seeds),
        }
        lines.append(f"{name:{width}}{known.summary}")
    return found, "\n".join(lines)


def _sweep(options: argparse.Namespace) -> Result:
    from batchtime.records import check
    from batchtime.sweep import cluster

    check((options.name is None) == options.all, name="NAME", value=options.name, allowed="one name, or --all")
    if options.device == "cuda" and options.workers is None:
        options.workers = 1  # here; on a cluster a worker takes as many runs as it offers slots
    store = _store(options)
    chosen = [_changed(options, name) for name in (store.published() if options.all else [options.name])]
    if options.plan:
        return _plan(chosen, store) if options.precision is None else _plan_precisely(chosen, store, options.precision)
    with (
        contextlib.nullcontext()
        if options.scheduler is None
        else cluster(options.scheduler, device=options.device) as executor
    ):
        results = [_sweep_one(options, one, store, executor) for one in chosen]
    if not options.all:
        return results[0]
    return {str(found["name"]): found for found, _ in results if isinstance(found, dict)}, "\n".join(
        text for _, text in results
    )


def _plan(chosen: "Sequence[Experiment]", store: "Store") -> Result:
    from batchtime.plan import estimate
    from batchtime.sweep import recorded

    found: dict[str, object] = {}
    lines, hours, missing_hours = [], 0.0, 0.0
    for one in chosen:
        try:
            cost = estimate(one, recorded(one.sweep, name=one.name, store=store))
        except BatchtimeError as error:
            found[one.name] = {"error": str(error)}
            lines.append(f"{one.name}: not measured ({error})")
            continue
        found[one.name] = {field: getattr(cost, field) for field in cost.__slots__}
        hours += cost.cpu_seconds / 3600
        missing_hours += cost.missing_cpu_seconds / 3600
        lines.append(
            f"{one.name}: {cost.qualifier}{cost.cpu_seconds / 3600:.2f} hours of CPU for {cost.n_runs} runs, "
            f"{cost.missing_cpu_seconds / 3600:.2f} of them for the {cost.n_missing} that are not recorded"
        )
    total = f"together {hours:.2f} hours of CPU, {hours / 2:.2f} on 2 cores; {missing_hours:.2f} for what is missing"
    return found | {"cpu_hours": hours, "missing_cpu_hours": missing_hours}, "\n".join([*lines, total])


def _sweep_one(
    options: argparse.Namespace, chosen: "Experiment", store: "Store", executor: "Executor | None"
) -> Result:
    from batchtime.records import total_cost
    from batchtime.sweep import complete

    if options.precision is not None:
        return _sweep_precisely(options, chosen, store, executor)
    records = complete(
        chosen.sweep,
        name=chosen.name,
        store=store,
        workers=options.workers,
        executor=executor,
        device=options.device,
        progress=_bar(f"sweep {chosen.name}"),
    )
    outcomes = [record.outcome.status for record in records]
    counts = {status: outcomes.count(status) for status in ("reached", "censored", "diverged")}
    cost = total_cost(records)
    found = {
        "name": chosen.name,
        "n_runs": len(records),
        **{f"n_{status}": count for status, count in counts.items()},
        "cpu_seconds": cost.cpu_seconds,
        "evaluation_share": cost.evaluation_share,
        "file": str(store.runs_file(chosen.name)),
    }
    text = ", ".join(f"{count} {status}" for status, count in counts.items())
    return found, (
        f"{chosen.name}: {len(records)} runs recorded ({text}); "
        f"{cost.cpu_seconds:.0f} s of CPU, {100 * cost.evaluation_share:.1f} % of it for evaluation"
    )


def _plan_precisely(chosen: "Sequence[Experiment]", store: "Store", precision: float) -> Result:
    """Price the runs until a law is known well enough: the first ones, or what is then still missing."""
    from batchtime.design import outlook
    from batchtime.plan import estimate_pilot
    from batchtime.sweep import recorded

    found: dict[str, object] = {}
    lines = []
    for one in chosen:
        have = [r for r in recorded(one.sweep, name=one.name, store=store) if r.batch_size in one.fitted]
        cost = estimate_pilot(one, have)
        if cost is None:
            ahead = outlook(one, have, precision=precision)
            text = ahead.text(len(have))
            found[one.name] = {"n_runs": len(ahead.runs), "cpu_seconds": ahead.cpu_seconds, "enough": ahead.enough}
        else:
            text = f"{_first_runs(cost)}; then ask again"
            found[one.name] = {
                "n_runs": cost.n_missing,
                "cpu_seconds": cost.missing_cpu_seconds,
                "at_most": cost.at_most,
            }
        lines.append(f"{one.name}: {text}")
    return found, "\n".join(lines)


def _first_runs(cost: "Estimate") -> str:
    return f"first {cost.n_missing} runs, {cost.qualifier}{cost.missing_cpu_seconds / 60:.1f} minutes of CPU"


def _sweep_precisely(
    options: argparse.Namespace, chosen: "Experiment", store: "Store", executor: "Executor | None"
) -> Result:
    from batchtime.design import is_precise, until_precise
    from batchtime.fit import fit_inverse_law
    from batchtime.plan import estimate_pilot
    from batchtime.records import total_cost
    from batchtime.sweep import complete, pool, recorded

    have = recorded(chosen.sweep, name=chosen.name, store=store)
    price = estimate_pilot(chosen, have)
    if price is not None:
        _complain(_first_runs(price))
    with pool(options.workers) if executor is None else contextlib.nullcontext(executor) as running:
        records = until_precise(
            chosen,
            lambda runs: complete(
                runs,
                name=chosen.name,
                store=store,
                executor=running,
                device=options.device,
                progress=_bar(f"sweep {chosen.name}"),
            ),
            precision=options.precision,
            have=have,
            at_once=options.workers or os.cpu_count() or 1,
            watch=_complain,
        )
    fitted = fit_inverse_law(chosen.fit_observations(records))
    precise = is_precise(fitted, options.precision)
    low, high = ("open" if side is None else f"{side:.4g}" for side in fitted.intervals.critical_batch_size)
    cost = total_cost(records).cpu_seconds
    total = len(chosen.fitted) * len(chosen.sweep.seeds)
    found: dict[str, object] = {
        "name": chosen.name,
        "n_runs": len(records),
        "n_grid": total,
        "cpu_seconds": cost,
        "critical_batch_size": _finite(fitted.law.critical_batch_size),
        "interval": fitted.intervals.critical_batch_size,
        "precise": precise,
        "file": str(store.runs_file(chosen.name)),
    }
    ending = "" if precise else "; these are all its runs, and the interval is wider than was asked: give more seeds"
    return found, (
        f"{chosen.name}: alpha / n_inf {fitted.law.critical_batch_size:.4g}, 95 % interval {low} to {high}, from "
        f"{len(records)} of {total} runs, {cost:.0f} s of CPU{ending}"
    )


def _study(options: argparse.Namespace) -> Result:
    from batchtime import simulation

    name = options.name
    replications = options.replications or simulation.REPLICATIONS[name]
    studies = simulation.complete_study(
        simulation.STUDIES[name],
        name=name,
        replications=replications,
        store=_store(options),
        progress=_bar(name),
    )
    low, high = simulation.lowest_coverage(studies), simulation.highest_coverage(studies)
    found: dict[str, object] = {"designs": len(studies), "lowest_coverage": low, "highest_coverage": high}
    text = (
        f"{len(studies)} designs of {replications} tables: 95 % intervals hold the truth in "
        f"{100 * low:.1f} % to {100 * high:.1f} %"
    )
    return found, text


def _verify(options: argparse.Namespace) -> Result:
    from batchtime import verify
    from batchtime.store import Store, data_folder

    store = Store(options.data or data_folder(), recording=True)
    names = [options.name] if options.name else store.published()
    found: dict[str, object] = {}
    lines, differing = [], []
    for name in names:
        records = store.runs(name)
        if not records:
            raise verify.VerificationError(
                f"no published runs of {name}; published are: {', '.join(store.published())}"
            )
        verify.check_runs(name, records)
        checked = (
            verify.rerun_sample(records, runs=options.runs, seed=options.seed, workers=options.workers)
            if options.runs
            else []
        )
        found[name] = {
            "n_runs": len(records),
            "again": [
                {"batch_size": c.recorded.batch_size, "seed": c.recorded.seed, "verdict": c.verdict} for c in checked
            ],
        }
        lines.append(f"{name}: {len(records)} runs are whole, and each names the commit that made it")
        for c in checked:
            lines.append(f"  batch size {c.recorded.batch_size}, seed {c.recorded.seed}: {c.verdict}")
            if c.verdict == "not the same":
                differing.append(f"{name} at batch size {c.recorded.batch_size}, seed {c.recorded.seed}")
    if differing:
        remedy = "record them again, or raise PROTOCOL_VERSION if the program was meant to change them"
        raise verify.VerificationError(f"trained again, these came out otherwise: {'; '.join(differing)}; {remedy}")
    return found, "\n".join(lines)


def _time(options: argparse.Namespace) -> Result:
    from batchtime.experiments import timed_batch_sizes
    from batchtime.store import writing
    from batchtime.timing import time_updates
    from batchtime.update_time import BUSY, fit_update_time

    chosen = _named(options.name)
    sizes = timed_batch_sizes(chosen, options.batch_sizes)
    path = _store(options).timings_file(chosen.name)
    with writing(path) as writer:  # before the measurement, not after it, it is known whether it can be kept
        record = time_updates(
            chosen.workload, batch_sizes=sizes, repeats=options.repeats, progress=_bar(f"time {chosen.name}")
        )
        ratio = record.wall_over_cpu
        if ratio > BUSY and not options.allow_busy:
            raise RefusedError(
                f"this machine was busy: an update took {ratio:.2f} times its CPU time (allowed: {BUSY}); nothing was "
                "recorded: stop other programs and measure again, or say --allow-busy"
            )
        fitted = fit_update_time(record.timings, allow_busy=options.allow_busy)
        writer.append(record)
    time = fitted.update_time
    found = {
        "name": chosen.name,
        "fixed_seconds": time.fixed_seconds,
        "seconds_per_example": time.seconds_per_example,
        "largest_deviation": fitted.largest_deviation,
        "wall_over_cpu": ratio,
        "batch_sizes": sizes,
        "file": str(path),
    }
    return found, (
        f"{chosen.name}: {time.fixed_seconds * 1e6:.4g} us an update and {time.seconds_per_example * 1e6:.4g} us an "
        f"example; medians within {100 * fitted.largest_deviation:.1f} % of that line; wall/CPU {ratio:.2f}"
    )


def _clock(options: argparse.Namespace) -> Result:
    from batchtime.clock import ClockError, time_runs
    from batchtime.experiments import experiment
    from batchtime.records import RunSpec
    from batchtime.store import writing
    from batchtime.sweep import recorded
    from batchtime.training_time import CLOCKED_SEEDS, against_the_clock, clocked_batch_sizes, of_experiment
    from batchtime.update_time import BUSY

    store = _store(options)
    chosen = experiment(options.name)
    timings = chosen.relevant(store.latest_timing(chosen.name, own=not options.record).timings)
    observations = chosen.fit_observations(records := recorded(chosen.sweep, name=chosen.name, store=store))
    sizes = clocked_batch_sizes(chosen, of_experiment(chosen, records, timings))
    if options.batch_sizes is not None:
        sizes = chosen.changed(batch_sizes=options.batch_sizes).sweep.batch_sizes
    path = store.timed_runs_file(chosen.name)
    with writing(path) as writer:
        done = {run.spec for run in store.timed_runs(chosen.name, own=not options.record)}
        specs = [
            RunSpec(setting=chosen.sweep.setting, batch_size=size, seed=CLOCKED_SEEDS + seed)
            for seed in range(options.seeds)
            for size in sizes
        ]
        try:
            time_runs(
                [spec for spec in specs if spec not in done],
                writer=writer,
                most_wall_over_cpu=math.inf if options.allow_busy else BUSY,
                progress=_bar(f"clock {chosen.name}"),
            )
        except ClockError as error:
            raise RefusedError(str(error)) from error
    wanted = set(specs)
    runs = [run for run in store.timed_runs(chosen.name, own=not options.record) if run.spec in wanted]
    rows = against_the_clock(observations, timings, runs)
    found: dict[str, object] = {
        "name": chosen.name,
        "batch_sizes": {
            row.batch_size: {"predicted": row.predicted, "measured": row.measured, "n_runs": row.n_runs} for row in rows
        },
        "file": str(path),
    }
    lines = [
        f"{chosen.name}, M = {row.batch_size}: predicted {row.predicted:.3g} s, measured "
        + (
            "nothing"
            if row.measured is None or row.error is None
            else f"{row.measured:.3g} s, {100 * row.error:+.1f} %"
        )
        + f" ({row.n_runs} runs, wall/CPU at most {row.wall_over_cpu:.2f})"
        for row in rows
    ]
    return found, "\n".join(lines)


def _learners(options: argparse.Namespace) -> Result:
    from batchtime.experiments import experiment
    from batchtime.learners import time_learners
    from batchtime.store import writing

    chosen = experiment(options.name)
    sizes = chosen.changed(batch_sizes=options.batch_sizes or "[8, 16, 32, 64, 96, 128, 256, 512]").sweep.batch_sizes
    path = _store(options).learners_file(chosen.name)
    with writing(path) as writer:
        record = time_learners(chosen.workload, batch_sizes=sizes, learners=options.learners, repeats=options.repeats)
        writer.append(record)
    found: dict[str, object] = {
        "name": chosen.name,
        "learners": record.learners,
        "gradient_bytes": record.gradient_bytes,
        "seconds": {mode: {t.batch_size: t.seconds for t in timings} for mode, timings in record.timings.items()},
        "all_reduce": {one.payload_bytes: one.median_seconds for one in record.all_reduce},
        "file": str(path),
    }
    lines = [
        f"{chosen.name}, {record.learners} learners, {mode}: "
        + ", ".join(f"{timing.seconds * 1e3:.3g} ms at {timing.batch_size}" for timing in timings)
        for mode, timings in record.timings.items()
    ]
    return found, "\n".join(lines)


def _noise(options: argparse.Namespace) -> Result:
    from batchtime.experiments import experiment
    from batchtime.noise import complete_noise
    from batchtime.noise_scale import noise_scales

    store = _store(options)
    chosen = experiment(options.name)
    records = complete_noise(
        chosen, store=store, batch_size=options.batch_size, seeds=options.seeds, examples=options.examples
    )
    last = [noise_scales(record)[-1] for record in records]
    found: dict[str, object] = {
        "name": chosen.name,
        "updates": records[0].updates,
        "noise_scale_at_the_end": [_finite(value) for value, _, _ in last],
        "file": str(store.noise_file(chosen.name)),
    }
    return found, "\n".join(
        f"{chosen.name}, seed {record.seed}: simple noise scale after {record.updates[-1]} updates {value:.3g} "
        f"examples (95 % interval {low:.3g} to {high:.3g})"
        for record, (value, low, high) in zip(records, last, strict=True)
    )


def _constants(options: argparse.Namespace) -> Result:
    from batchtime.constants import softmax_constants
    from batchtime.experiments import experiment
    from batchtime.store import writing

    chosen = experiment(options.name)
    path = _store(options).constants_file(chosen.name)
    with writing(path) as writer:
        study = softmax_constants(chosen.workload)
        writer.append(study)
    text = "\n".join(f"{name:28}{value:.6g}" for name, value in study.values.items())
    return {"name": study.name, **study.values, "file": str(path)}, text


def _observations(options: argparse.Namespace) -> tuple[str, "Sequence[Observation]", tuple[str, ...]]:
    """Return what is to be fitted, its name, and what is missing of it."""
    from batchtime.records import FitError, check
    from batchtime.store import read_observations
    from batchtime.sweep import recorded

    if options.source.endswith(".csv") or Path(options.source).is_file():
        for name in ("learning_rate", "target", "batch_sizes", "seeds", "data"):
            value = getattr(options, name)
            check(value is None, name=name, value=value, allowed="nothing beside a table, only beside a named sweep")
        return options.source, read_observations(Path(options.source)), ()
    chosen = _changed(options, options.source)
    records = recorded(chosen.sweep, name=chosen.name, store=_store(options))
    total = len(chosen.sweep.runs())
    if not records:
        raise FitError(f"no run of {chosen.name} with these parameters is recorded; do `batchtime sweep` first")
    missing = f"{len(records)} of {total} runs of this sweep are recorded; `batchtime sweep` trains the others."
    return chosen.name, chosen.fit_observations(records), (missing,) if len(records) < total else ()


def _fit(options: argparse.Namespace) -> Result:
    from batchtime.advice_verbs import curve_answer, is_of_timings, runs_of, timings_answer
    from batchtime.fit import fit_inverse_law
    from batchtime.records import FitError

    if Path(options.source).is_file():
        if is_of_timings(Path(options.source)):
            return timings_answer(Path(options.source))
        if isinstance(runs := runs_of(Path(options.source)), dict):
            return curve_answer(options.source, runs)
    name, seen, missing = _observations(options)
    try:
        fitted = fit_inverse_law(seen)
    except FitError as error:
        raise FitError(". ".join((*missing, str(error))).replace("..", ".")) from error
    warnings = (*missing, *fitted.warnings)
    law, intervals = fitted.law, fitted.intervals
    quantities = {"n_inf": law.n_inf, "alpha": law.alpha, "critical_batch_size": law.critical_batch_size}
    pairs = {quantity: getattr(intervals, quantity) for quantity in quantities}
    found: dict[str, object] = {
        "source": name,
        **{quantity: _finite(value) for quantity, value in quantities.items()},
        "intervals": pairs,
        "scatter": _finite(fitted.scatter),
        "misfit": _finite(fitted.misfit),
        "leave_one_out_error": _finite(fitted.leave_one_out_error),
        "r2_examples": _finite(fitted.r2_examples),
        "n_runs": fitted.n_runs,
        "n_censored": fitted.n_censored,
        "batch_sizes": fitted.batch_sizes,
        "warnings": warnings,
    }
    units = {"n_inf": "updates", "alpha": "examples", "critical_batch_size": "examples"}
    lines = [f"{name}: {fitted.n_runs} runs at {len(fitted.batch_sizes)} batch sizes, {fitted.n_censored} censored"]
    for quantity, value in quantities.items():
        low, high = ("open" if side is None else f"{side:.4g}" for side in pairs[quantity])
        lines.append(f"  {quantity:20}{value:10.4g} {units[quantity]:9} 95 % interval {low} to {high}")
    if fitted.leave_one_out_error is not None:
        lines.append(f"  a batch size left out is predicted to within {100 * fitted.leave_one_out_error:.1f} % (rms)")
    lines += [f"  warning: {warning}" for warning in warnings]
    return found, "\n".join(lines)


def _add_limits(recommend: _Verb) -> None:
    recommend.add_argument(
        "--learners", type=_count, nargs="+", default=[1], metavar="L", help="that share each batch (default: 1)"
    )
    recommend.add_argument("--max-batch-size", type=_count, metavar="N", help="of all learners together")
    recommend.add_argument("--multiple-of", type=_count, default=1, metavar="K", help="what each learner's share is")
    recommend.add_argument("--limit", type=float, default=0.15, metavar="FRACTION", help="of the loss; refuse above it")


def _add_predict(verb: Callable[..., _Verb], data: _Verb) -> None:
    predict = verb(
        "predict",
        _predict,
        "predict updates and seconds to the target at batch sizes of one's own choice",
        "batchtime predict runs.csv timing.csv --batch-sizes 64 512",
        data,
    )
    predict.add_argument("runs", type=Path, metavar="RUNS.csv", help="columns batch_size,updates[,learning_rate,...]")
    predict.add_argument("timing", type=Path, metavar="TIMING.csv", nargs="?", help="columns batch_size,seconds")
    predict.add_argument("--batch-sizes", type=float, nargs="+", required=True, metavar="M", help="of all learners")
    predict.add_argument("--learning-rate", type=float, metavar="ETA", help="where the runs have several")
    predict.add_argument("--learners", type=_count, default=1, metavar="L", help="that share each batch")


def _predict(options: argparse.Namespace) -> Result:
    from batchtime.advice_verbs import predict_answer

    return predict_answer(
        options.runs,
        options.timing,
        batch_sizes=options.batch_sizes,
        learning_rate=options.learning_rate,
        learners=options.learners,
    )


def _recommend(options: argparse.Namespace) -> Result:
    from dataclasses import asdict

    from batchtime.advice import fastest
    from batchtime.advice_verbs import recommendation_lines
    from batchtime.records import AllReduceTime, check
    from batchtime.scaling import FREE, Network

    network = FREE
    given = {
        f"--{name}": getattr(options, name.replace("-", "_")) for name in ("latency", "bandwidth", "gradient-bytes")
    }
    if any(value is not None for value in given.values()):
        for name, value in given.items():
            check(value is not None, name=name, value=value, allowed=f"a number beside {', '.join({*given} - {name})}")
        check(options.bandwidth > 0, name="--bandwidth", value=options.bandwidth, allowed="more than 0")
        network = Network(
            all_reduce=AllReduceTime(latency_seconds=options.latency, seconds_per_byte=1 / options.bandwidth),
            payload_bytes=options.gradient_bytes,
        )
    name, several, missing = _recommendations(options, network)
    best = fastest(several)
    found: dict[str, object] = {
        "source": name,
        **asdict(best),
        "by_learners": [asdict(one) for one in several],
        "missing": missing,
    }
    lines = [line for one in several for line in recommendation_lines(one)]
    lines += [f"  note: {sentence}" for sentence in (*missing, *best.warnings)]
    finite: dict[str, object] = _without_infinities(found)
    if best.refused:
        raise RefusedError(" ".join((*missing, *best.reasons)), finite)
    return finite, "\n".join(lines)


def _recommendations(
    options: argparse.Namespace, network: "Network"
) -> tuple[str, list["Recommendation"], tuple[str, ...]]:
    """Return the name of what is asked about, a recommendation for each number of learners, and what is missing."""
    from batchtime import pilot
    from batchtime.advice import recommend
    from batchtime.advice_verbs import runs_of
    from batchtime.records import check
    from batchtime.store import read_timings

    if options.pilot:
        check(options.timing is None, name="TIMING.csv", value=options.timing, allowed="nothing beside --pilot")
        chosen = _changed(options, options.source)
        chosen = chosen if options.batch_sizes else pilot.pilot_of(chosen)
        run = pilot.recommend(
            chosen,
            store=_store(options),
            learners=options.learners,
            max_batch_size=options.max_batch_size,
            network=network,
            tell_price=_tell_price,
            progress=_bar(f"pilot {chosen.name}"),
        )
        return chosen.name, run.recommendations, ()
    observations: Runs
    missing: tuple[str, ...] = ()
    if Path(options.source).is_file():
        name, observations = options.source, runs_of(Path(options.source))
    else:
        name, observations, missing = _observations(options)
    if name == options.source and Path(name).is_file():
        allowed = "a second table, with columns batch_size,seconds, beside one of runs"
        check(options.timing is not None, name="TIMING.csv", value=None, allowed=allowed)
        check(not options.own_timings, name="--own-timings", value=True, allowed="only beside a named sweep")
    least = None
    if options.timing is not None:
        timings = read_timings(Path(options.timing))
    else:
        chosen = _changed(options, options.source)
        least = min(chosen.fitted) if chosen.left_out else None
        timings = chosen.relevant(
            _store(options).latest_timing(name, own=options.own_timings or ":" in options.source).timings
        )
    several = [
        recommend(
            observations,
            timings,
            learners=learners,
            max_batch_size=options.max_batch_size,
            min_batch_size=least,
            multiple_of=options.multiple_of,
            network=network,
            limit=options.limit,
        )
        for learners in options.learners
    ]
    return name, several, missing


def _tell_price(price: "Estimate") -> None:
    most = "at most " if price.at_most else "about "
    print(  # noqa: T201 - a line for the person who waits
        f"batchtime: this pilot will cost {most}{price.missing_cpu_seconds:.0f} s of CPU for {price.n_missing} runs",
        file=sys.stderr,
    )


def _class(options: argparse.Namespace) -> Result:
    from batchtime.records import check

    if options.pool is not None:
        from batchtime.class_pool import QUANTITIES, pool, read_class

        for name in ("out", "data"):
            value = getattr(options, name)
            check(value is None, name=f"--{name}", value=value, allowed="nothing beside --pool")
        fit = pool(read_class(options.pool))
        return {
            "students": sorted(fit.alone),
            "n_runs": fit.together.n_runs,
            "n_censored": fit.together.n_censored,
            **{name: _finite(getattr(fit.together.law, name)) for name in QUANTITIES},
            "intervals": {name: getattr(fit.together.intervals, name) for name in QUANTITIES},
            "narrowing": {name: fit.narrowing(name) for name in QUANTITIES},
            "holding": {name: fit.holding(name) for name in QUANTITIES},
            "optima": fit.optima,
            "warnings": fit.together.warnings,
        }, fit.text()

    from batchtime.classroom import tell
    from batchtime.store import write_student

    story = tell(options.student, store=_store(options), progress=_bar(f"student {options.student}"))
    path = (options.out or Path("results")) / f"student-{options.student}.csv"
    write_student(path, story.result)
    law, found, clocked = story.found.law_fit, story.found, story.clocked
    return {
        "student": options.student,
        "n_inf": _finite(law.law.n_inf),
        "alpha": _finite(law.law.alpha),
        "critical_batch_size": _finite(law.law.critical_batch_size),
        "intervals": {
            "n_inf": law.intervals.n_inf,
            "alpha": law.intervals.alpha,
            "critical_batch_size": law.intervals.critical_batch_size,
            "optimal_batch_size": found.optimal_batch_size,
            "predicted_seconds": clocked.predicted_interval,
        },
        "optimal_batch_size": _finite(found.time.optimal_batch_size),
        "clocked_batch_size": clocked.batch_size,
        "predicted_seconds": clocked.predicted,
        "measured_seconds": clocked.measured,
        "wall_over_cpu": story.wall_over_cpu,
        "file": str(path),
    }, f"{story.text()}\n\nfor the class: {path}"


def _without_infinities(value: object) -> Any:
    """Return a value with None for each number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_infinities(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(inner) for inner in value]
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return value if value is not None and math.isfinite(value) else None


def _rerun(options: argparse.Namespace) -> Result:
    from batchtime import rerun
    from batchtime.records import check

    notebook = rerun.find_notebook(options.notebook)
    if options.list:
        known = rerun.describe(notebook)
        listing = {p.name: {"type": p.kind, "default": p.default, "help": p.help} for p in known}
        return {"notebook": str(notebook), "parameters": listing}, "\n".join(
            f"{p.name}: {p.kind} = {p.default!r}  {p.help}" for p in known
        )
    check(options.out is not None, name="--out", value=None, allowed="a folder outside the published book")
    if options.data is not None:
        _store(options).runs_file("any")  # refuses a folder that is not there
        os.environ["BATCHTIME_DATA"] = str(options.data.resolve())  # where the notebook's kernel looks
    page = rerun.rerun(notebook, rerun.parse(options.parameters), options.out)
    return {"page": str(page), "notebook": str(page.with_suffix(".ipynb"))}, str(page)
