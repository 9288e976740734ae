"""The command line: parse, call one function, print one result."""

import argparse
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from batchtime.cli import fitting, logs, measuring, teaching, training
from batchtime.cli.common import INTERRUPTED, REFUSED, RefusedError, Result, Verb, complain
from batchtime.errors import BatchtimeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for a refusal, 130 for Ctrl-C."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_place: complain(f"warning: {message}")
        return _answer(options)


def _answer(options: argparse.Namespace) -> int:
    try:
        found, text = options.verb(options)
        return _say(json.dumps(found, allow_nan=False) if options.json else text)
    except KeyboardInterrupt:
        complain("stopped; what was recorded is whole: the same command goes on from there")
        return INTERRUPTED
    except RefusedError as error:
        if options.json and error.found is not None:
            _say(json.dumps(error.found, allow_nan=False))
        complain(str(error))
        return REFUSED
    except BatchtimeError as error:
        complain(str(error))
        return 1


def _say(text: str) -> int:
    """Print the one result and return the exit code: 1 where it cannot be written."""
    try:
        print(text)  # noqa: T201 - the one result
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again when it ends
        if not isinstance(error, BrokenPipeError):  # the reader went away: nothing to tell
            complain(f"the result cannot be written: {error.strerror}")
        return 1
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, metavar="FOLDER", help="data folder (default: data/ of the checkout)")
    record = argparse.ArgumentParser(add_help=False)
    record.add_argument("--record", action="store_true", help="write to the published results instead of the cache")
    program = argparse.ArgumentParser(
        prog="batchtime",
        description="Choose the mini-batch size that minimises SGD training time.",
        epilog="Example: batchtime sweep digits-mlp && batchtime fit digits-mlp",
    )
    verbs = program.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, act: Callable[[argparse.Namespace], Result], summary: str, example: str, *parents: Verb
    ) -> Verb:
        added = verbs.add_parser(
            name,
            parents=[common, *parents],
            help=summary,
            description=summary[:1].upper() + summary[1:] + ".",
            epilog=f"Example: {example}",
        )
        added.set_defaults(verb=act)
        return added

    logs.add(verb)
    fitting.add(verb, data, record)
    training.add(verb, data, record)
    measuring.add(verb, data, record)
    teaching.add(verb, data)
    return program
