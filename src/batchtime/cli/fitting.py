"""Verbs that fit: the law, the batch size to use, and simulated tables whose law is known."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batchtime.cli.common import (
    AddVerb,
    RefusedError,
    Result,
    Verb,
    add_changes,
    bar,
    changed,
    count,
    observations,
    store_of,
    without_infinities,
)

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from batchtime.fit.recommend import Recommendation
    from batchtime.laws.scaling import Network
    from batchtime.plan.price import Estimate


def add(verb: AddVerb, data: Verb, record: Verb) -> None:
    """Add `fit`, `recommend` and `study`."""
    fit = verb(
        "fit",
        _fit,
        "fit N(M) = n_inf + alpha / M to recorded runs, or to a table of one's own",
        "batchtime fit measurements.csv --json",
        data,
    )
    fit.add_argument("source", metavar="NAME|FILE.csv", help="a named sweep, or columns batch_size,updates[,seed,...]")
    add_changes(fit)

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
    recommend.add_argument(
        "--learners", type=count, nargs="+", default=[1], metavar="L", help="that share each batch (default: 1)"
    )
    recommend.add_argument("--max-batch-size", type=count, metavar="N", help="of all learners together")
    recommend.add_argument("--latency", type=float, metavar="SECONDS", help="of a message between learners")
    recommend.add_argument("--bandwidth", type=float, metavar="BYTES", help="a second, of the network")
    recommend.add_argument("--gradient-bytes", type=float, metavar="BYTES", help="of one gradient; all three or none")
    add_changes(recommend)

    study = verb(
        "study",
        _study,
        "simulate tables of runs whose law is known, and count how often the intervals hold it",
        "batchtime study coverage --replications 50",
        data,
        record,
    )
    names = ("coverage", "bias", "spreads")
    study.add_argument("name", metavar="NAME", choices=names, help="coverage, bias or spreads")
    study.add_argument("--replications", type=count, metavar="N", help="tables of each design (default: its own)")


def _fit(options: argparse.Namespace) -> Result:
    from dataclasses import replace

    from batchtime.errors import FitError
    from batchtime.fit.inverse_law import fit_inverse_law

    name, seen, missing = observations(options)
    try:
        fitted = fit_inverse_law(seen)
    except FitError as error:
        raise FitError(". ".join((*missing, str(error))).replace("..", ".")) from error
    fitted = replace(fitted, warnings=(*missing, *fitted.warnings))
    return {"source": name, **fitted.to_dict()}, f"{name}: {fitted}"


def _recommend(options: argparse.Namespace) -> Result:
    from dataclasses import asdict

    from batchtime.errors import check
    from batchtime.fit import recommend
    from batchtime.laws.scaling import FREE, Network
    from batchtime.laws.time import AllReduceTime

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
    best = recommend.fastest(several)
    found: dict[str, object] = {
        "source": name,
        **asdict(best),
        "by_learners": [asdict(one) for one in several],
        "missing": missing,
    }
    lines = [line for one in several for line in _recommendation_lines(one)]
    lines += [f"  note: {sentence}" for sentence in (*missing, *best.warnings)]
    finite: dict[str, object] = without_infinities(found)
    if best.refused:
        raise RefusedError(" ".join((*missing, *best.reasons)), finite)
    return finite, "\n".join(lines)


def _recommendations(
    options: argparse.Namespace, network: "Network"
) -> tuple[str, list["Recommendation"], tuple[str, ...]]:
    """Return the name of what is asked about, a recommendation for each number of learners, and what is missing."""
    from batchtime.errors import check
    from batchtime.fit import recommend
    from batchtime.plan import pilot
    from batchtime.runs.store import read_timings

    if options.pilot:
        check(options.timing is None, name="TIMING.csv", value=options.timing, allowed="nothing beside --pilot")
        chosen = changed(options, options.source)
        chosen = chosen if options.batch_sizes else pilot.pilot_of(chosen)
        run = pilot.recommend(
            chosen,
            store=store_of(options),
            learners=options.learners,
            max_batch_size=options.max_batch_size,
            network=network,
            tell_price=_tell_price,
            progress=bar(f"pilot {chosen.name}"),
        )
        return chosen.name, run.recommendations, ()
    name, seen, missing = observations(options)
    if name == options.source and Path(name).is_file():
        allowed = "a second table, with columns batch_size,seconds, beside one of runs"
        check(options.timing is not None, name="TIMING.csv", value=None, allowed=allowed)
        check(not options.own_timings, name="--own-timings", value=True, allowed="only beside a named sweep")
    least = None
    if options.timing is not None:
        timings = read_timings(Path(options.timing))
    else:
        chosen = changed(options, options.source)
        least = min(chosen.fitted) if chosen.left_out else None
        timings = chosen.relevant(
            store_of(options).latest_timing(name, own=options.own_timings or ":" in options.source).timings
        )
    several = [
        recommend.recommend(
            seen,
            timings,
            learners=learners,
            max_batch_size=options.max_batch_size,
            min_batch_size=least,
            network=network,
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


def _recommendation_lines(one: "Recommendation") -> list[str]:
    learners = f"{one.learners} learner{'s' * (one.learners > 1)}"
    if one.predicted_seconds is None or one.within_5_percent is None:
        return [f"{learners}: refused. {' '.join(one.reasons)}"]
    low, high = ("open" if side is None else f"{side:.4g}" for side in one.interval)
    near, far = one.within_5_percent
    return [
        (
            f"{learners}: batch size {one.batch_size} (95 % interval of the optimum {low} to {high}), "
            f"{near:.4g} to {far:.4g} within 5 %"
        ),
        f"  {one.predicted_seconds:.3g} s to the target; the runs behind this cost {one.pilot_seconds:.3g} s",
    ]


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
