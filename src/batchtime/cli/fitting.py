"""Verbs that fit: the law, predictions, the batch size to use, and simulated tables whose law is known."""

import argparse
import sys
from typing import TYPE_CHECKING

from batchtime.cli import ends, logs
from batchtime.cli.common import (
    AddVerb,
    RefusedError,
    Result,
    Verb,
    add_busy,
    add_changes,
    as_counted,
    bar,
    changed,
    count,
    of_sweep,
    store_of,
    sweeps,
    without_infinities,
)
from batchtime.errors import FitError, check

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from collections.abc import Sequence

    from batchtime.fit.advice import Runs
    from batchtime.fit.energy import Energy
    from batchtime.fit.measurements import UpdateTiming
    from batchtime.fit.recommendation import Recommendation
    from batchtime.laws.scaling import Network


def add(verb: AddVerb, data: Verb, record: Verb) -> None:
    """Add `fit`, `predict`, `recommend`, `published` and `study`."""
    fit = verb(
        "fit",
        _fit,
        "fit N(M) = n_inf + alpha / M to recorded runs, to tables or logs of one's own, or t(M) to timings",
        "batchtime fit measurements.csv --json",
        data,
    )
    fit.add_argument(
        "source",
        metavar="NAME|PATH",
        nargs="*",
        help="a named sweep, published:NAME, tables with columns batch_size,updates[,learning_rate,seed,...] or "
        "batch_size,seconds, or folders of logs",
    )
    add_changes(fit)
    add_busy(fit)
    logs.add_options(fit)

    predict = verb(
        "predict",
        _predict,
        "predict updates and seconds to the target at batch sizes of one's own choice",
        "batchtime predict runs.csv timing.csv --at 64 512",
        data,
    )
    _add_tables(predict)
    predict.add_argument(
        "--at",
        "--batch-sizes",
        dest="at",
        type=float,
        nargs="+",
        required=True,
        metavar="M",
        help="batch sizes of all learners together",
    )
    predict.add_argument("--learning-rate", type=float, metavar="ETA", help="where the runs have several")
    predict.add_argument("--learners", type=count, default=1, metavar="L", help="that share each batch (default: 1)")
    add_busy(predict)
    logs.add_options(predict)
    predict.set_defaults(target=None, batch_sizes=None, seeds=None, budget=None)

    recommend = verb(
        "recommend",
        _recommend,
        "recommend a batch size from recorded runs and timings, or from tables or logs of one's own; or say why not",
        "batchtime recommend runs.csv timing.csv --learners 1 2 4 --json",
        data,
    )
    _add_tables(recommend)
    recommend.add_argument(
        "--pilot", action="store_true", help="time updates and train a few runs here, which ones is chosen on the way"
    )
    recommend.add_argument(
        "--early",
        action="store_true",
        help="a pilot at an easier target: cheaper, refused where that says nothing",
    )
    recommend.add_argument(
        "--own-timings", action="store_true", help="of a named sweep: what `batchtime time` measured on this machine"
    )
    recommend.add_argument(
        "--learners", type=count, nargs="+", default=[1], metavar="L", help="that share each batch (default: 1)"
    )
    recommend.add_argument("--max-batch-size", type=count, metavar="N", help="of all learners together")
    recommend.add_argument("--multiple-of", type=count, default=1, metavar="K", help="what each learner's share is")
    recommend.add_argument(
        "--limit", type=float, default=0.15, metavar="FRACTION", help="of the loss; refuse above it (default: 0.15)"
    )
    recommend.add_argument(
        "--within", type=float, metavar="SECONDS", help="ask for the least metric after so long instead, by evaluations"
    )
    recommend.add_argument("--price-per-hour", type=float, metavar="PRICE", help="of one learner: adds what it costs")
    recommend.add_argument(
        "--unit",
        default="examples",
        metavar="NAME",
        help="what batch sizes count, such as tokens (default: examples)",
    )
    recommend.add_argument("--latency", type=float, metavar="SECONDS", help="of a message between learners")
    recommend.add_argument("--bandwidth", type=float, metavar="BYTES", help="a second, of the network")
    recommend.add_argument("--gradient-bytes", type=float, metavar="BYTES", help="of one gradient; all three or none")
    add_changes(recommend)
    add_busy(recommend)
    logs.add_options(recommend)

    verb(
        "published",
        _published,
        "list the series that others published, which `fit published:NAME` fits",
        "batchtime published --json",
    )

    study = verb(
        "study",
        _study,
        "simulate tables of runs whose law is known, and count how often the intervals hold it",
        "batchtime study coverage --replications 50",
        data,
        record,
    )
    study.add_argument(
        "name", metavar="NAME", choices=["coverage", "bias", "spreads"], help="coverage, bias or spreads"
    )
    study.add_argument("--replications", type=count, metavar="N", help="tables of each design (default: its own)")


def _add_tables(parser: Verb) -> None:
    parser.add_argument(
        "source",
        metavar="NAME|PATH",
        nargs="?",
        help="a named sweep, published:NAME, a table with columns batch_size,updates[,...], or logs",
    )
    parser.add_argument(
        "timing", metavar="TIMING.csv", nargs="*", help="more tables, the last with columns batch_size,seconds[,...]"
    )


def _own(options: argparse.Namespace, paths: list[str], *, timed: bool) -> logs.Measured | None:
    """Return measurements of one's own, or None where a named sweep is meant."""
    measured = logs.measured(paths, options, timed=timed)
    if measured is None:
        check(timed or len(paths) == 1, name="NAME", value=paths, allowed="one named sweep")
        return None
    for name in ("learning_rate", "learning_rates", "target", "batch_sizes", "seeds", "data"):
        value = getattr(options, name, None)
        allowed = "nothing beside a table, only beside a named sweep"
        check(value is None or options.verb is _predict, name=name, value=value, allowed=allowed)
    return measured


def _fit(options: argparse.Namespace) -> Result:
    from batchtime.fit.face import by_learning_rate
    from batchtime.fit.measurements import timings_of
    from batchtime.fit.seconds import fit_seconds

    if options.command is not None:
        check(not options.source, name="NAME|PATH", value=options.source, allowed="nothing beside --command")
        return _fitted(*of_sweep(options, None))
    check(len(options.source) > 0, name="NAME|PATH", value=None, allowed="a name, a path, or --command")
    timings = logs.only_timings(options.source, options)
    if timings is not None:
        name, form = ", ".join(options.source), fit_seconds(as_counted(options, timings_of(timings)))
        return {"source": name, **form.to_dict()}, f"{name}: {form}"
    runs: Runs
    measured = _own(options, options.source, timed=False)
    if measured is None:
        name, runs, said = of_sweep(options, options.source[0])
    else:
        name, runs, said = measured.name, by_learning_rate(measured.runs), measured.notices
    return _fitted(name, runs, said)


def _fitted(name: str, runs: "Runs", said: tuple[str, ...]) -> Result:
    """Return the law of some runs, or their curve, with what there is to say of them."""
    from collections.abc import Mapping
    from dataclasses import replace

    from batchtime.fit.curve import CurveFit, fit_curve
    from batchtime.fit.inverse_law import fit_inverse_law

    try:
        fitted = fit_curve(runs) if isinstance(runs, Mapping) else fit_inverse_law(runs)
    except FitError as error:
        raise FitError(". ".join((*said, str(error))).replace("..", ".")) from error
    fitted = replace(fitted, warnings=(*said, *fitted.warnings))
    if isinstance(fitted, CurveFit):
        answer: dict[str, object] = {
            "source": name,
            "curve": fitted.to_dict(),
            "left_out": {f"{rate:g}": error for rate, error in fitted.left_out.items()},
            "lack_of_fit": fitted.lack_of_fit,
            "rivals": [
                {"name": r.name, "parameters": r.parameters, "rms": r.rms, "aicc": r.aicc} for r in fitted.rivals
            ],
            "warnings": list(fitted.warnings),
        }
        return without_infinities(answer), f"{name}: {fitted}"
    return {"source": name, **fitted.to_dict()}, f"{name}: {fitted}"


def _predict(options: argparse.Namespace) -> Result:
    from batchtime.fit.prediction import predict

    name, runs, timings, _said = _measurements(options)
    check(name is not None, name="NAME", value=name, allowed="a name or a table")
    found = predict(
        runs, timings, batch_sizes=options.at, learning_rate=options.learning_rate, learners=options.learners
    )
    return [without_infinities(one.to_dict()) for one in found], "\n".join(map(str, found))


def _measurements(
    options: argparse.Namespace,
) -> "tuple[str, Runs, Sequence[UpdateTiming] | None, tuple[str, ...]]":
    """Return the name of what is asked about, its runs and timings, and what is to be said of them."""
    from batchtime.fit.face import by_learning_rate
    from batchtime.fit.measurements import observations_of, timings_of
    from batchtime.logs import sheets
    from batchtime.runs import published

    if getattr(options, "command", None) is not None:
        from batchtime.cli.command import timings_of_command

        tables = [path for path in (options.source, *options.timing) if path is not None]
        told = timings_of(sheets.read_timings(tables)) if tables else timings_of_command(options)
        name, runs, said = of_sweep(options, None)
        return name, runs, told, said
    check(options.source is not None, name="NAME|PATH", value=None, allowed="a name or a table")
    if options.source.startswith(published.PREFIX):
        series = options.source.removeprefix(published.PREFIX)
        means = observations_of(published.runs(series))
        if options.timing:
            table = sheets.read_timings(options.timing, decimal=options.decimal)
            return options.source, means, as_counted(options, timings_of(table)), ()
        seconds, notice = published.timings_of_one_device(series)
        return options.source, means, as_counted(options, timings_of(seconds)), (notice,)
    measured = _own(options, [options.source, *options.timing], timed=True)
    if measured is not None:
        beside = measured.timings
        counted = None if beside is None else as_counted(options, timings_of(beside))
        return measured.name, by_learning_rate(measured.runs), counted, measured.notices
    name, runs, said = of_sweep(options, options.source)
    if options.timing:
        table = sheets.read_timings(options.timing, decimal=options.decimal)
        return name, runs, as_counted(options, timings_of(table)), said
    chosen = sweeps(options, options.source)[0]
    own = getattr(options, "own_timings", False) or ":" in options.source
    timing = store_of(options).timing(chosen.sweep.setting, own=own)
    return name, runs, as_counted(options, chosen.relevant(timing.timings)), said


def _recommend(options: argparse.Namespace) -> Result:
    from batchtime.fit.recommendation import fastest

    if options.within is not None:
        return ends.within_time(options)
    network = _network(options)
    name, several, missing, energy = _recommendations(options, network)
    best = fastest(several)
    found: dict[str, object] = {
        "source": name,
        "unit": options.unit,
        **best.to_dict(),
        "by_learners": [one.to_dict() for one in several],
        "energy": None if energy is None else energy.to_dict(),
        "money": ends.money(several, options.price_per_hour),
        "missing": missing,
    }
    lines = [str(one) for one in several]
    lines += [] if energy is None else [str(energy)]
    lines += ends.money_text(several, options.price_per_hour)
    lines += ends.unit_text(options.unit)
    lines += [f"  note: {sentence}" for sentence in (*missing, *best.warnings)]
    finite: dict[str, object] = without_infinities(found)
    if best.refused:
        guess = best.best_guess
        tail = "" if guess is None else f" Best guess: batch size {guess.batch_size}, {guess.predicted_seconds:.3g} s."
        raise RefusedError(" ".join((*missing, *best.reasons)) + tail, finite)
    return finite, "\n".join(lines)


def _network(options: argparse.Namespace) -> "Network":
    from batchtime.laws.scaling import FREE, Network
    from batchtime.laws.time import AllReduceTime

    given = {
        f"--{name}": getattr(options, name.replace("-", "_")) for name in ("latency", "bandwidth", "gradient-bytes")
    }
    if all(value is None for value in given.values()):
        return FREE
    for name, value in given.items():
        check(value is not None, name=name, value=value, allowed=f"a number beside {', '.join({*given} - {name})}")
    check(options.bandwidth > 0, name="--bandwidth", value=options.bandwidth, allowed="more than 0")
    return Network(
        all_reduce=AllReduceTime(latency_seconds=options.latency, seconds_per_byte=1 / options.bandwidth),
        payload_bytes=options.gradient_bytes,
    )


def _recommendations(
    options: argparse.Namespace, network: "Network"
) -> tuple[str, list["Recommendation"], tuple[str, ...], "Energy | None"]:
    """Return the name of what is asked about, a recommendation for each number of learners, what is missing, energy."""
    from collections.abc import Mapping

    from batchtime.fit.advice import recommend
    from batchtime.fit.energy import of_energy
    from batchtime.runs.published import PREFIX

    if options.pilot or options.early:
        from batchtime.plan.pilot import pilot

        beside = options.command is None or options.source is None
        check(beside, name="NAME|PATH", value=options.source, allowed="nothing beside --command and --pilot")
        check(not options.timing, name="TIMING.csv", value=options.timing, allowed="nothing beside --pilot")
        chosen = changed(options, options.source)
        run = pilot(
            chosen,
            store=store_of(options),
            learners=options.learners,
            max_batch_size=options.max_batch_size,
            multiple_of=options.multiple_of,
            network=network,
            limit=options.limit,
            early=options.early,
            cpu_time=options.cpu_time,
            workers=None if options.command is None else 1,
            tell_price=_tell_price,
            progress=bar(f"pilot {chosen.name}"),
        )
        return chosen.name, run.recommendations, (), None
    name, runs, timings, said = _measurements(options)
    allowed = "a second table, with columns batch_size,seconds, beside runs without time stamps"
    check(timings is not None, name="TIMING.csv", value=None, allowed=allowed)
    least = None
    if options.command is not None:
        least = None
    elif not logs.is_own(options.source) and not options.source.startswith(PREFIX):
        chosen = sweeps(options, options.source)[0]
        least = min(chosen.fitted) if chosen.left_out else None
    else:
        check(not options.own_timings, name="--own-timings", value=True, allowed="only beside a named sweep")
    several = [
        recommend(
            runs,
            timings or [],
            learners=learners,
            max_batch_size=options.max_batch_size,
            min_batch_size=least,
            multiple_of=options.multiple_of,
            network=network,
            limit=options.limit,
        )
        for learners in options.learners
    ]
    energy = None
    if any(one.joules for one in timings or []) and not isinstance(runs, Mapping) and not several[0].refused:
        energy = of_energy(
            list(runs),
            timings or [],
            max_batch_size=options.max_batch_size,
            multiple_of=options.multiple_of,
            limit=options.limit,
        )
    return name, several, said, energy


def _tell_price(seconds: float | None) -> None:
    cost = "an unknown time" if seconds is None else f"about {seconds:.3g} s"
    print(  # noqa: T201 - a line for the person who waits
        f"batchtime: this pilot will cost {cost}, by its updates' seconds and a run to an easier target, or by what "
        "runs of the command took",
        file=sys.stderr,
    )


def _published(_options: argparse.Namespace) -> Result:
    from batchtime.runs import published

    found = published.listing()
    width = max(len(str(one["name"])) for one in found) + 2
    lines = [f"{one['name']:{width}}{one['source']}, {one['licence']}" for one in found]
    return found, "\n".join(lines)


def _study(options: argparse.Namespace) -> Result:
    from batchtime.plan import simulation

    name = options.name
    replications = options.replications or simulation.REPLICATIONS[name]
    studies = simulation.complete_study(
        simulation.STUDIES[name],
        name=name,
        replications=replications,
        store=store_of(options),
        progress=bar(name),
    )
    low, high = simulation.lowest_coverage(studies), simulation.highest_coverage(studies)
    found: dict[str, object] = {"designs": len(studies), "lowest_coverage": low, "highest_coverage": high}
    text = (
        f"{len(studies)} designs of {replications} tables: 95 % intervals hold the truth in "
        f"{100 * low:.1f} % to {100 * high:.1f} %"
    )
    return found, text
