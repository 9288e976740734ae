"""A training command on the command line: the same options for `sweep`, `fit` and `recommend`."""

import argparse
from typing import TYPE_CHECKING

import msgspec

from batchtime.errors import BatchtimeError, check

if TYPE_CHECKING:  # `batchtime --help` answers without waiting for any of these
    from batchtime.fit.measurements import UpdateTiming
    from batchtime.runs.experiment import Experiment


def of_command(options: argparse.Namespace, rate: str | None) -> "Experiment":
    """Return the sweep of a command at a learning rate.

    Raises:
        ParameterError: If an option is missing, or not allowed.
    """
    from batchtime.logs.read import goals_of
    from batchtime.runs.spec import Target
    from batchtime.train.command import command_experiment

    for name in ("target", "batch_size_from", "seed_from", "learning_rate_from", "batches_per_update", "decimal"):
        value = getattr(options, name, None)
        check(value is None, name=f"--{name.replace('_', '-')}", value=value, allowed="nothing beside --command")
    check(options.metric is not None, name="--metric", value=None, allowed="the name of the metric in the log")
    (goal, *others) = goals_of(options.at_most, options.at_least, options.hold)
    check(not others, name="--at-most or --at-least", value=len(others) + 1, allowed="one target")
    allowed = "one number more than 0: what goes in for {learning_rate}, or what the command trains with"
    number = _number(rate, name="--learning-rate", allowed=allowed)
    check(options.batch_sizes is not None, name="--batch-sizes", value=None, allowed='a list, for instance "[8, 64]"')
    base = command_experiment(
        options.command,
        target=Target(metric=options.metric, value=goal.value, hold=goal.hold, rises=not goal.at_most),
        learning_rate=number,
        batch_sizes=(1,),  # changed below
        line=options.line,
        examples=options.examples,
        max_updates=options.budget,
        time_out=options.time_out,
    )
    many = base.changed(batch_sizes=options.batch_sizes, seeds=options.seeds)
    one = len(many.sweep.seeds) == 1 or any("{seed" in word for word in options.command.split())
    check(one, name="--seeds", value=options.seeds, allowed="1, as the command has no {seed}")
    return many


def timings_of_command(options: argparse.Namespace) -> "list[UpdateTiming]":
    """Return the durations of updates that the recorded runs of a command tell."""
    from batchtime.cli.common import store_of, sweeps
    from batchtime.plan.pilot import TIMES
    from batchtime.runs.records import timings_of_runs
    from batchtime.train.sweep import recorded

    store = store_of(options)
    several = [recorded(one.sweep, name=one.name, store=store) for one in sweeps(options, None)]
    timings = timings_of_runs([record for records in several for record in records])
    check(len(timings) > 0, name="seconds", value=None, allowed=TIMES)
    return timings


def _number(text: str | None, *, name: str, allowed: str) -> float:
    try:
        return msgspec.convert(msgspec.json.decode(text or ""), float)
    except (msgspec.MsgspecError, BatchtimeError):
        check(False, name=name, value=text, allowed=allowed)
        raise
