"""Other ends than seconds in `recommend`: the least metric within a time, money, and other units than examples."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batchtime.cli.common import Result, changed, store_of, without_infinities
from batchtime.errors import FitError, check

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    import pandas as pd

    from batchtime.fit.recommendation import Recommendation


def within_time(options: argparse.Namespace) -> Result:
    """Return which batch size has the least metric after `--within` seconds.

    Raises:
        FitError: If no run tells its metric at that time.
        ParameterError: If the time is not more than 0.
    """
    from batchtime.fit.within import within

    found = within(_evaluations(options), options.within, grows=options.at_least is not None)
    return without_infinities({"source": options.source, **found.to_dict()}), f"{options.source}: {found}"


def _evaluations(options: argparse.Namespace) -> "pd.DataFrame":
    """Return the evaluations of a table, of a folder that `read --out` wrote, or of a recorded sweep."""
    import pandas as pd

    from batchtime.fit.seconds import measured_seconds
    from batchtime.fit.within import evaluations_of
    from batchtime.logs.tables import FILES
    from batchtime.train.sweep import recorded

    path = Path(options.source)
    path = path / FILES[2] if path.is_dir() else path
    if path.is_file():
        try:
            return pd.read_csv(path)
        except (ValueError, UnicodeDecodeError) as error:
            raise FitError(f"{path} is no table of evaluations: {' '.join(str(error).split())}") from error
    chosen = changed(options, options.source)
    store = store_of(options)
    records = recorded(chosen.sweep, name=chosen.name, store=store)
    if not records:
        raise FitError(f"no run of {chosen.name} with these parameters is recorded; do `batchtime sweep` first")
    timing = store.timing(chosen.sweep.setting, own=options.own_timings)
    seconds = measured_seconds(chosen.relevant(timing.timings))
    metric = chosen.sweep.setting.workload.target.metric
    return evaluations_of(
        [
            (
                f"{one.batch_size}-{one.seed}",
                one.batch_size,
                one.evaluations.updates,
                one.evaluations.metrics[metric],
                seconds.at(one.batch_size),
            )
            for one in records
        ]
    )


def money(several: Sequence["Recommendation"], price: float | None) -> list[dict[str, object]] | None:
    """Return seconds and cost for each number of learners, and whether no other is better in both; None unpriced.

    With one price an hour, money is seconds times learners: the batch size that is fastest for so many learners is
    the cheapest for so many, and how many learners to take is the choice.
    """
    if price is None:
        return None
    check(0 <= price < float("inf"), name="--price-per-hour", value=price, allowed="a number of at least 0")
    rows = [
        (one.learners, one.best_guess.predicted_seconds, one.best_guess.predicted_seconds * one.learners * price / 3600)
        for one in several
        if one.best_guess is not None
    ]
    return [
        {
            "learners": learners,
            "seconds": seconds,
            "cost": cost,
            "on_frontier": not any(s <= seconds and c <= cost and (s, c) != (seconds, cost) for _, s, c in rows),
        }
        for learners, seconds, cost in rows
    ]


def money_text(several: Sequence["Recommendation"], price: float | None) -> list[str]:
    """Return a line for each number of learners that no other beats in time and money."""
    rows = money(several, price) or []
    return [
        f"  {row['learners']} learner{'s' * (row['learners'] != 1)}: {row['cost']:.3g} for {row['seconds']:.3g} s"
        for row in rows
        if row["on_frontier"]
    ]


def unit_text(unit: str) -> list[str]:
    """Return what another unit than examples means."""
    if unit == "examples":
        return []
    what = f"batch sizes count {unit}: alpha, the critical batch size and --multiple-of are in {unit}, too"
    return [f"  {what}; divide by the {unit} of one sequence to get sequences"]
