"""Verbs of the book: what a class does together, and a page made again with other parameters."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from batchtime.cli.common import (
    AddVerb,
    Result,
    Verb,
    bar,
    count,
    finite,
    store_of,
)

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    pass


def add(verb: AddVerb, *parents: Verb) -> None:
    """Add `class`, `challenge` and `rerun`."""
    lesson = verb(
        "class",
        _class,
        "tell the whole story on digits with a student's own seed, or pool what all students of a class found",
        "batchtime class --student 7 --out results, then batchtime class --pool results/student-7.csv",
        *parents,
    )
    task = lesson.add_mutually_exclusive_group(required=True)
    task.add_argument("--student", type=count, metavar="N", help="number of the student, and seed of the runs")
    task.add_argument("--pool", type=Path, nargs="+", metavar="FILE.csv", help="what students wrote: one law from all")
    lesson.add_argument("--out", type=Path, metavar="FOLDER", help="where student-N.csv is written (default: results)")

    challenge = verb(
        "challenge",
        _challenge,
        "score a way to choose batch sizes over all recorded and published series, beside six baselines",
        "batchtime challenge my_entry.py --json",
        *parents,
    )
    challenge.add_argument("entry", type=Path, metavar="ENTRY.py", help="a file with a function choose(pilot)")
    challenge.add_argument(
        "--limit", type=float, default=10.0, metavar="SECONDS", help="that it may think about one task (default: 10)"
    )

    rerun = verb(
        "rerun",
        _rerun,
        "execute a notebook of the book with other parameters, and render its page",
        'batchtime rerun inverse-law -p workload digits-mlp -p batch_sizes "[4, 16, 64]" --out my-run',
        *parents,
    )
    rerun.add_argument("notebook", metavar="NOTEBOOK", help="its name in notebooks/, or a path")
    rerun.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    rerun.add_argument("--out", type=Path, metavar="FOLDER", help="where the notebook and its page are written")
    rerun.add_argument("--list", action="store_true", help="list the parameters with type and default; run nothing")


def _class(options: argparse.Namespace) -> Result:
    from batchtime.errors import check

    if options.pool is not None:
        from batchtime.book.teaching.pool import QUANTITIES, pool, read_class

        for name in ("out", "data"):
            value = getattr(options, name)
            check(value is None, name=f"--{name}", value=value, allowed="nothing beside --pool")
        fit = pool(read_class(options.pool))
        return {
            "students": sorted(fit.alone),
            "n_runs": fit.together.n_runs,
            "n_censored": fit.together.n_censored,
            **{name: finite(getattr(fit.together.law, name)) for name in QUANTITIES},
            "intervals": {name: getattr(fit.together.intervals, name) for name in QUANTITIES},
            "narrowing": {name: fit.narrowing(name) for name in QUANTITIES},
            "holding": {name: fit.holding(name) for name in QUANTITIES},
            "optima": fit.optima,
            "warnings": fit.together.warnings,
        }, fit.text()

    from batchtime.book.teaching.classroom import tell
    from batchtime.book.teaching.results import write_student

    story = tell(options.student, store=store_of(options), progress=bar(f"student {options.student}"))
    path = (options.out or Path("results")) / f"student-{options.student}.csv"
    write_student(path, story.result)
    law, found, clocked = story.found.law_fit, story.found, story.clocked
    return {
        "student": options.student,
        "n_inf": finite(law.law.n_inf),
        "alpha": finite(law.law.alpha),
        "critical_batch_size": finite(law.law.critical_batch_size),
        "intervals": {
            "n_inf": law.intervals.n_inf,
            "alpha": law.intervals.alpha,
            "critical_batch_size": law.intervals.critical_batch_size,
            "optimal_batch_size": found.optimal_batch_size,
            "predicted_seconds": clocked.predicted_interval,
        },
        "optimal_batch_size": finite(found.time.optimal_batch_size),
        "clocked_batch_size": clocked.batch_size,
        "predicted_seconds": clocked.predicted,
        "measured_seconds": clocked.measured,
        "wall_over_cpu": story.wall_over_cpu,
        "file": str(path),
    }, f"{story.text()}\n\nfor the class: {path}"


def _challenge(options: argparse.Namespace) -> Result:
    from batchtime.book.beyond import challenge
    from batchtime.runs.store import Store

    store = store_of(options)
    scored = challenge.challenge(Store(store.folder, recording=True), options.entry, limit=options.limit)
    tasks, workloads = int(scored["tasks"].iloc[0]), int(scored["workloads"].iloc[0])
    scored = scored.drop(columns=["tasks", "workloads"])
    lines = [f"{tasks} tasks of {workloads} workloads; means over workloads, spent in trainings at the best batch size"]
    lines.append(f"{'':24}{'cost':>8}{'regret':>9}{'worst':>9}{'within 10 %':>13}{'spent':>8}")
    lines += [
        f"{row['entry']:24}{row['cost']:8.3f}{row['regret']:9.1%}{row['worst']:9.0%}{row['within_10']:13.0%}"
        f"{row['spent']:8.2f}"
        for row in scored.to_dict("records")
    ]
    found: list[dict[str, object]] = [{str(k): v for k, v in row.items()} for row in scored.to_dict("records")]
    return {"entry": str(options.entry), "tasks": tasks, "workloads": workloads, "scores": found}, "\n".join(lines)


def _rerun(options: argparse.Namespace) -> Result:
    from batchtime.book import rerun
    from batchtime.errors import check

    notebook = rerun.find_notebook(options.notebook)
    if options.list:
        known = rerun.describe(notebook)
        listing = {p.name: {"type": p.kind, "default": p.default, "help": p.help} for p in known}
        return {"notebook": str(notebook), "parameters": listing}, "\n".join(
            f"{p.name}: {p.kind} = {p.default!r}  {p.help}" for p in known
        )
    check(options.out is not None, name="--out", value=None, allowed="a folder outside the published book")
    if options.data is not None:
        store_of(options).runs_file("any")  # refuses a folder that is not there
        os.environ["BATCHTIME_DATA"] = str(options.data.resolve())  # where the notebook's kernel looks
    page = rerun.rerun(notebook, rerun.parse(options.parameters), options.out)
    return {"page": str(page), "notebook": str(page.with_suffix(".ipynb"))}, str(page)
