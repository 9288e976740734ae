"""Verbs that measure a machine or a problem and record it."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batchtime.cli.common import (
    AddVerb,
    RefusedError,
    Result,
    Verb,
    add_machine,
    bar,
    complain,
    count,
    counted,
    finite,
    named,
    seconds,
    store_of,
)
from batchtime.errors import ClockError, check

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from batchtime.plan.clock import Clocked
    from batchtime.plan.promises import Promise
    from batchtime.runs.experiment import Experiment
    from batchtime.runs.records import TimedRun
    from batchtime.runs.spec import RunSpec


def add(verb: AddVerb, *parents: Verb) -> None:
    """Add `time`, `clock`, `learners`, `noise` and `constants`."""
    time = verb(
        "time",
        _time,
        "measure seconds per update and fit its line",
        "batchtime time digits-mlp --repeats 20",
        *parents,
    )
    time.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists, or MODULE:FUNCTION")
    time.add_argument("--batch-sizes", metavar="LIST", help="sizes to time (default: the sweep's and sizes between)")
    time.add_argument(
        "--repeats", type=count, default=20, metavar="N", help="durations a size, each of 16 updates (default: 20)"
    )
    time.add_argument(
        "--seconds",
        type=seconds,
        default=300.0,
        metavar="S",
        help="that all may take; long updates have fewer durations (default: 300)",
    )
    add_machine(time)

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
    clock.add_argument(
        "--pairs",
        metavar="TABLE.csv",
        help="pairs with predictions made before, to clock instead",
    )
    clock.add_argument("--learners", type=count, default=1, metavar="L", help="that share each batch (default: 1)")
    clock.add_argument("--seeds", type=count, default=5, metavar="N", help="runs a batch size (default: 5)")
    add_machine(clock)

    learners = verb(
        "learners",
        _learners,
        "measure updates and all-reduces of several learners, processes on this machine",
        "batchtime learners digits-mlp --learners 2",
        *parents,
    )
    learners.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists")
    learners.add_argument("--learners", type=count, default=2, metavar="L", help="processes (default: 2)")
    learners.add_argument("--batch-sizes", metavar="LIST", help="of all learners together (default: 8 to 512)")
    learners.add_argument("--repeats", type=count, default=20, metavar="N", help="durations of each (default: 20)")
    learners.add_argument(
        "--seconds", type=seconds, default=300.0, metavar="S", help="that all may take (default: 300)"
    )

    noise = verb(
        "noise",
        _noise,
        "measure the gradient noise scale along training",
        "batchtime noise digits-mlp --examples 320",
        *parents,
    )
    noise.add_argument("name", metavar="NAME", help="a name that `batchtime workloads` lists")
    noise.add_argument("--batch-size", type=count, default=64, metavar="M", help="of the run (default: 64)")
    noise.add_argument("--seeds", type=count, default=3, metavar="N", help="runs (default: 3)")
    noise.add_argument("--examples", type=count, default=4096, metavar="N", help="gradients a point (default: 4096)")

    constants = verb(
        "constants",
        _constants,
        "compute what the bound takes of softmax regression: smoothness, curvature, noise, distance, start, minimum",
        "batchtime constants mnist-logistic",
        *parents,
    )
    constants.add_argument("name", metavar="NAME", help="mnist-logistic, or a variant of it")


def _time(options: argparse.Namespace) -> Result:
    from batchtime.fit.bound_by import bound_by
    from batchtime.fit.update_time import BUSY, fit_update_time
    from batchtime.runs.catalogue import timed_batch_sizes
    from batchtime.runs.store import writing
    from batchtime.train.timing import time_updates

    chosen = named(options.name)
    sizes = timed_batch_sizes(chosen, options.batch_sizes)
    path = store_of(options).timings_file(chosen.workload.name)
    with writing(path) as writer:  # before the measurement, not after it, it is known whether it can be kept
        record = time_updates(
            chosen.sweep.setting,
            batch_sizes=sizes,
            blocks=options.repeats,
            seconds=options.seconds,
            threads=options.threads,
            device=options.device,
            progress=bar(f"time {chosen.name}"),
        )
        try:
            timings = counted(options, record.timings)
        except RefusedError as error:
            raise RefusedError(f"{error}; nothing was recorded") from error
        fitted = fit_update_time(timings, allow_busy=options.allow_busy)
        writer.append(record)
    time, ratio = fitted.update_time, record.wall_over_cpu
    fewer = {
        one.batch_size: [len(one.wall_seconds), one.updates]
        for one in record.timings
        if len(one.wall_seconds) < options.repeats
    }
    found = {
        "name": chosen.name,
        "fixed_seconds": time.fixed_seconds,
        "seconds_per_example": time.seconds_per_example,
        "largest_deviation": fitted.largest_deviation,
        "wall_over_cpu": ratio,
        "batch_sizes": sizes,
        "fewer": fewer,
        "bound_by": {one.kind: one.batch_sizes for one in bound_by(timings)},
        "threads": options.threads,
        "device": record.provenance.device,
        "file": str(path),
    }
    text = (
        f"{chosen.name}: {time.fixed_seconds * 1e6:.4g} us an update and {time.seconds_per_example * 1e6:.4g} us an "
        f"example; medians within {100 * fitted.largest_deviation:.1f} % of that line; wall/CPU {ratio:.2f}"
    )
    if fewer:
        blocks = ", ".join(f"{size} ({blocks} of {updates} updates)" for size, (blocks, updates) in fewer.items())
        text += f"\n  fewer durations than {options.repeats}, to end in time, at batch size {blocks}"
    text += "".join(f"\n  {one.kind}: {one.text}" for one in bound_by(timings))
    if ratio > BUSY:
        complain(f"the machine was busy: wall/CPU {ratio:.2f}")
    return found, text


def _clock(options: argparse.Namespace) -> Result:
    from batchtime.plan.clock import CLOCKED_SEEDS, against_promises, against_the_clock, clocked_batch_sizes
    from batchtime.runs.catalogue import experiment
    from batchtime.runs.spec import RunSpec
    from batchtime.train.sweep import recorded

    store = store_of(options)
    chosen = experiment(options.name)
    promises = _promises(options, chosen)
    own = not options.record
    if promises is None:
        from batchtime.book.training_times import of_experiment

        kept = store.timing(chosen.sweep.setting, own=own, threads=options.threads, device=options.device)
        timings = counted(options, chosen.relevant(kept.timings))
        observations = chosen.fit_observations(records := recorded(chosen.sweep, name=chosen.name, store=store))
        sizes = clocked_batch_sizes(chosen, of_experiment(chosen, records, timings))
        if options.batch_sizes is not None:
            sizes = chosen.changed(batch_sizes=options.batch_sizes).sweep.batch_sizes
        settings = [(chosen.sweep.setting, size) for size in sizes]
    else:
        rates = {one.learning_rate: chosen.changed(learning_rate=one.learning_rate).sweep.setting for one in promises}
        settings = [(rates[one.learning_rate], one.batch_size) for one in promises]
    specs = [
        RunSpec(setting=setting, batch_size=size, seed=CLOCKED_SEEDS + seed)
        for seed in range(options.seeds)
        for setting, size in settings
    ]
    runs = _clocked_runs(options, chosen.name, specs)
    if promises is None:
        rows = against_the_clock(observations, timings, runs, allow_busy=True)
    else:
        rows = against_promises(promises, runs)
    found: dict[str, object] = {
        "name": chosen.name,
        "batch_sizes": {
            row.batch_size: {"predicted": row.predicted, "measured": row.measured, "n_runs": row.n_runs} for row in rows
        },
        "rows": [
            {
                "batch_size": row.batch_size,
                "learning_rate": row.learning_rate,
                "role": row.role,
                "predicted": row.predicted,
                "predicted_interval": row.predicted_interval,
                "measured": row.measured,
                "measured_interval": row.measured_interval,
                "n_runs": row.n_runs,
                "updates_error": row.updates_error,
                "seconds_error": finite(row.seconds_error),
            }
            for row in rows
        ],
        "file": str(store.timed_runs_file(chosen.name)),
    }
    return found, "\n".join(f"{chosen.name}, {_clocked_line(row)}" for row in rows)


def _promises(options: argparse.Namespace, chosen: "Experiment") -> "list[Promise] | None":
    """Return what was predicted of the pairs that are to be clocked; None where a sweep's own batch sizes are."""
    from batchtime.plan.promises import read_promises
    from batchtime.runs.store import data_folder

    path = options.pairs
    if path is None and options.learners > 1:
        folder = Path(options.data or data_folder()) / "predictions"
        path = folder / f"{chosen.name}-{options.learners}-learners.csv"
        allowed = f"a number with predictions: benchmarks/predict_clock.py writes {path}"
        check(path.exists(), name="learners", value=options.learners, allowed=allowed)
    if path is None:
        return None
    allowed = "nothing beside --pairs and --learners"
    check(options.batch_sizes is None, name="batch_sizes", value=options.batch_sizes, allowed=allowed)
    return read_promises(path)


def _clocked_runs(options: argparse.Namespace, name: str, specs: "Sequence[RunSpec]") -> "list[TimedRun]":
    """Return these runs with the clock running, training those that are not recorded."""
    from batchtime.fit.update_time import BUSY
    from batchtime.runs.store import writing
    from batchtime.train.clock import time_runs

    store, own = store_of(options), not options.record
    machine = {"threads": options.threads, "device": options.device, "learners": options.learners}
    with writing(store.timed_runs_file(name)) as writer:
        done = {run.spec for run in store.timed_runs(name, own=own, **machine)}
        try:
            time_runs(
                [spec for spec in specs if spec not in done],
                writer=writer,
                most_wall_over_cpu=math.inf if options.allow_busy or options.cpu_time else BUSY,
                progress=bar(f"clock {name}"),
                **machine,
            )
        except ClockError as error:
            raise RefusedError(str(error)) from error
    wanted = set(specs)
    return [run for run in store.timed_runs(name, own=own, **machine) if run.spec in wanted]


def _clocked_line(row: "Clocked") -> str:
    rate = "" if row.learning_rate is None else f", learning rate {row.learning_rate:g} ({row.role})"
    measured = (
        "nothing" if row.measured is None or row.error is None else f"{row.measured:.3g} s, {100 * row.error:+.1f} %"
    )
    return (
        f"M = {row.batch_size}{rate}: predicted {row.predicted:.3g} s, measured {measured} ({row.n_runs} runs, "
        f"wall/CPU at most {row.wall_over_cpu:.2f})"
    )


def _learners(options: argparse.Namespace) -> Result:
    from batchtime.runs.catalogue import experiment
    from batchtime.runs.store import writing
    from batchtime.train.learners import time_learners

    chosen = experiment(options.name)
    sizes = chosen.changed(batch_sizes=options.batch_sizes or "[8, 16, 32, 64, 96, 128, 256, 512]").sweep.batch_sizes
    path = store_of(options).learners_file(chosen.name)
    with writing(path) as writer:
        record = time_learners(
            chosen.workload,
            batch_sizes=sizes,
            learners=options.learners,
            blocks=options.repeats,
            seconds=options.seconds,
        )
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
    from batchtime.runs.catalogue import experiment
    from batchtime.runs.noise_scale import noise_scales
    from batchtime.train.noise import complete_noise

    store = store_of(options)
    chosen = experiment(options.name)
    records = complete_noise(
        chosen, store=store, batch_size=options.batch_size, seeds=options.seeds, examples=options.examples
    )
    last = [noise_scales(record)[-1] for record in records]
    found: dict[str, object] = {
        "name": chosen.name,
        "updates": records[0].updates,
        "noise_scale_at_the_end": [finite(value) for value, _, _ in last],
        "file": str(store.noise_file(chosen.name)),
    }
    return found, "\n".join(
        f"{chosen.name}, seed {record.seed}: simple noise scale after {record.updates[-1]} updates {value:.3g} "
        f"examples (95 % interval {low:.3g} to {high:.3g})"
        for record, (value, low, high) in zip(records, last, strict=True)
    )


def _constants(options: argparse.Namespace) -> Result:
    from batchtime.runs.catalogue import experiment
    from batchtime.runs.store import writing
    from batchtime.train.constants import softmax_constants

    chosen = experiment(options.name)
    path = store_of(options).constants_file(chosen.name)
    with writing(path) as writer:
        study = softmax_constants(chosen.workload)
        writer.append(study)
    text = "\n".join(f"{name:28}{value:.6g}" for name, value in study.values.items())
    return {"name": study.name, **study.values, "file": str(path)}, text
