"""Verbs that train: sweeps, and recorded runs trained again."""

import argparse
import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchtime.cli import logs
from batchtime.cli.common import (
    AddVerb,
    Result,
    Verb,
    add_changes,
    bar,
    complain,
    count,
    count_or_none,
    diverged_note,
    finite,
    fraction,
    labels,
    store_of,
    sweeps,
)
from batchtime.errors import BatchtimeError, VerificationError

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from concurrent.futures import Executor

    from batchtime.plan.price import Estimate
    from batchtime.runs.experiment import Experiment
    from batchtime.runs.store import Store


def add(verb: AddVerb, data: Verb, record: Verb) -> None:
    """Add `workloads`, `sweep` and `verify`."""
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
    sweep.add_argument(
        "--sealed", action="store_true", help="the runs that wait for their predictions alone; commit these first"
    )
    sweep.add_argument("--plan", action="store_true", help="train nothing: print what it is expected to cost")
    sweep.add_argument(
        "--workers", type=count, metavar="N", help="processes (default: one a processor; of a --command, one)"
    )
    sweep.add_argument(
        "--precision", type=fraction, metavar="P", help="stop when alpha / n_inf is known to P, for instance 0.1"
    )
    sweep.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="what workers train on (with cuda, one worker by default)",
    )
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="of the scheduler of a Dask cluster to train on")
    add_changes(sweep)
    logs.add_options(sweep)
    sweep.set_defaults(remembers=True)

    verify = verb(
        "verify",
        _verify,
        "check every file of published runs, and train a random sample of them again",
        "batchtime verify digits-mlp --runs 3",
        data,
    )
    verify.add_argument("name", metavar="NAME", nargs="?", help="one sweep (default: every published one)")
    verify.add_argument("--runs", type=count_or_none, default=2, metavar="N", help="to train again (default: 2; or 0)")
    verify.add_argument("--seed", type=count_or_none, default=0, metavar="N", help="of the sample (default: 0)")
    verify.add_argument("--workers", type=count, metavar="N", help="processes (default: one a processor)")


def _workloads(_options: argparse.Namespace) -> Result:
    from batchtime.runs.catalogue import EXPERIMENTS

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
    from batchtime.errors import check
    from batchtime.train.sweep import cluster

    ways = (options.name is not None, options.all, options.command is not None)
    check(sum(ways) == 1, name="NAME", value=options.name, allowed="one name, --all, or --command")
    if (options.device == "cuda" or options.command is not None) and options.workers is None:
        options.workers = 1  # here: it may take all processors; on a cluster a worker takes as many as it offers slots
    store = store_of(options)
    names = _published(store) if options.all else [options.name]
    chosen = [one for name in names for one in sweeps(options, name)]
    if options.all:  # what is sealed until it is predicted is asked for by name
        chosen = [one for one in chosen if set(one.fitted + one.left_out) or not one.sealed_until_predicted]
    chosen = [one.part(sealed=options.sealed) for one in chosen]
    if options.plan:
        return _plan(chosen, store) if options.precision is None else _plan_precisely(chosen, store, options.precision)
    with (
        contextlib.nullcontext()
        if options.scheduler is None
        else cluster(options.scheduler, device=options.device) as executor
    ):
        results = [_sweep_one(options, one, store, executor) for one in chosen]
    if len(results) == 1 and not options.all:
        return results[0]
    named = [(label, one, *found) for label, one, found in zip(labels(chosen), chosen, results, strict=True)]
    text = "\n".join(f"{label}{text.removeprefix(one.name)}" for label, one, _, text in named)
    return {label: found for label, _, found, _ in named}, text


def _published(store: "Store") -> list[str]:
    from batchtime.runs.catalogue import EXPERIMENTS

    return [name for name in store.published() if name in EXPERIMENTS]


def _plan(chosen: "Sequence[Experiment]", store: "Store") -> Result:
    from batchtime.errors import check
    from batchtime.plan.price import estimate
    from batchtime.train.sweep import recorded

    found: dict[str, object] = {}
    lines, hours, missing_hours = [], 0.0, 0.0
    for label, one in zip(labels(chosen), chosen, strict=True):
        try:
            cost = estimate(one, recorded(one.sweep, name=one.name, store=store))
            check(not cost.unknown, name="time_out", value=None, allowed="seconds, for no run of this is recorded yet")
        except BatchtimeError as error:
            found[label] = {"error": str(error)}
            lines.append(f"{label}: not measured ({error})")
            continue
        found[label] = {field: getattr(cost, field) for field in cost.__slots__}
        hours += cost.cpu_seconds / 3600
        missing_hours += cost.missing_cpu_seconds / 3600
        lines.append(
            f"{label}: {cost.qualifier}{cost.cpu_seconds / 3600:.2f} hours of CPU for {cost.n_runs} runs, "
            f"{cost.missing_cpu_seconds / 3600:.2f} of them for the {cost.n_missing} that are not recorded"
        )
    total = f"together {hours:.2f} hours of CPU, {hours / 2:.2f} on 2 cores; {missing_hours:.2f} for what is missing"
    return found | {"cpu_hours": hours, "missing_cpu_hours": missing_hours}, "\n".join([*lines, total])


def _sweep_one(
    options: argparse.Namespace, chosen: "Experiment", store: "Store", executor: "Executor | None"
) -> Result:
    from batchtime.runs.records import total_cost
    from batchtime.train.sweep import complete

    if options.precision is not None:
        return _sweep_precisely(options, chosen, store, executor)
    records = complete(
        chosen.sweep,
        name=chosen.name,
        store=store,
        workers=options.workers,
        executor=executor,
        device=options.device,
        progress=bar(f"sweep {chosen.name}"),
    )
    outcomes = [record.ending for record in records]
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
    note = diverged_note(records)
    share = f", {100 * cost.evaluation_share:.1f} % of it for evaluation" if chosen.workload.command is None else ""
    return found, (
        f"{chosen.name}: {len(records)} runs recorded ({text}); {cost.cpu_seconds:.0f} s of CPU{share}"
        + ("" if note is None else f"\n  note: {note}")
    )


def _plan_precisely(chosen: "Sequence[Experiment]", store: "Store", precision: float) -> Result:
    """Price the runs until a law is known well enough: the first ones, or what is then still missing."""
    from batchtime.plan.design import outlook
    from batchtime.plan.price import estimate_pilot
    from batchtime.train.sweep import recorded

    found: dict[str, object] = {}
    lines = []
    for label, one in zip(labels(chosen), chosen, strict=True):
        have = [r for r in recorded(one.sweep, name=one.name, store=store) if r.batch_size in one.fitted]
        cost = estimate_pilot(one, have)
        if cost is None:
            ahead = outlook(one, have, precision=precision)
            text = ahead.text(len(have))
            found[label] = {"n_runs": len(ahead.runs), "cpu_seconds": ahead.cpu_seconds, "enough": ahead.enough}
        else:
            text = f"{_first_runs(cost)}; then ask again"
            found[label] = {
                "n_runs": cost.n_missing,
                "cpu_seconds": finite(cost.missing_cpu_seconds),
                "at_most": cost.at_most,
            }
        lines.append(f"{label}: {text}")
    return found, "\n".join(lines)


def _first_runs(cost: "Estimate") -> str:
    if cost.unknown:
        return f"first {cost.n_missing} runs, of unknown cost"
    return f"first {cost.n_missing} runs, {cost.qualifier}{cost.missing_cpu_seconds / 60:.1f} minutes of CPU"


def _sweep_precisely(
    options: argparse.Namespace, chosen: "Experiment", store: "Store", executor: "Executor | None"
) -> Result:
    from batchtime.fit.inverse_law import fit_inverse_law
    from batchtime.laws.quantity import interval_text
    from batchtime.plan.design import is_precise, until_precise
    from batchtime.plan.price import estimate_pilot
    from batchtime.runs.records import total_cost
    from batchtime.train.sweep import complete, pool, recorded

    have = recorded(chosen.sweep, name=chosen.name, store=store)
    price = estimate_pilot(chosen, have)
    if price is not None:
        complain(_first_runs(price))
    with pool(options.workers) if executor is None else contextlib.nullcontext(executor) as running:
        records = until_precise(
            chosen,
            lambda runs: complete(
                runs,
                name=chosen.name,
                store=store,
                executor=running,
                device=options.device,
                progress=bar(f"sweep {chosen.name}"),
            ),
            precision=options.precision,
            have=have,
            at_once=options.workers or os.cpu_count() or 1,
            watch=complain,
        )
    fitted = fit_inverse_law(chosen.fit_observations(records))
    precise = is_precise(fitted, options.precision)
    cost = total_cost(records).cpu_seconds
    total = len(chosen.fitted) * len(chosen.sweep.seeds)
    found: dict[str, object] = {
        "name": chosen.name,
        "n_runs": len(records),
        "n_grid": total,
        "cpu_seconds": cost,
        "critical_batch_size": finite(fitted.law.critical_batch_size),
        "interval": fitted.intervals.critical_batch_size,
        "precise": precise,
        "file": str(store.runs_file(chosen.name)),
    }
    ending = "" if precise else "; these are all its runs, and the interval is wider than was asked: give more seeds"
    return found, (
        f"{chosen.name}: alpha / n_inf {fitted.law.critical_batch_size:.4g}, 95 % interval "
        f"{interval_text(fitted.intervals.critical_batch_size, 4)}, from "
        f"{len(records)} of {total} runs, {cost:.0f} s of CPU{ending}"
    )


def _verify(options: argparse.Namespace) -> Result:
    from batchtime.plan import verify
    from batchtime.runs.store import Store, data_folder

    store = Store(options.data or data_folder(), recording=True)
    names = [options.name] if options.name else store.published()
    found: dict[str, object] = {}
    lines, differing = [], []
    for name in names:
        records = store.runs(name)
        if not records:
            raise VerificationError(f"no published runs of {name}; published are: {', '.join(store.published())}")
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
        raise VerificationError(f"trained again, these came out otherwise: {'; '.join(differing)}; {remedy}")
    return found, "\n".join(lines)
