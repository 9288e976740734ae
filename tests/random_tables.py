"""Random tables, good and bad, through `fit`, `recommend` and `predict`: each is answered or refused in words.

A table is known by its number.
"""

import json
import math
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchtime.cli.common import without_infinities
from batchtime.errors import BatchtimeError
from batchtime.fit.advice import Runs, recommend
from batchtime.fit.curve import fit_curve
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.prediction import predict
from batchtime.fit.seconds import fit_seconds

EXTREMES = (1e-300, 1e-12, 1e-3, 1.0, 1.5, 7.0, 1e6, 1e15, 1e300)
IMPOSSIBLE = (0.0, -1.0, math.nan, math.inf)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Runs, timings, and what is asked of them."""

    runs: Runs
    timings: list[UpdateTiming]
    learners: int
    max_batch_size: int | None
    multiple_of: int


def tables(number: int) -> Tables:
    """Return the tables of a number."""
    random = np.random.default_rng([11, number])
    many = random.random() < 0.03  # these take ten times as long
    rates = 10 ** random.uniform(-3, 1, size=random.integers(2, 5)) if many else np.array([0.1])
    by_rate = {float(rate): _runs(random, float(rate)) for rate in rates}
    return Tables(
        runs=by_rate if many else next(iter(by_rate.values())),
        timings=_timings(random),
        learners=int(random.choice([1, 1, 1, 2, 7])),
        max_batch_size=None if random.random() < 0.7 else int(random.choice([7, 64, 10**6])),
        multiple_of=int(random.choice([1, 1, 1, 7])) if random.random() < 0.3 else 1,
    )


def _value(random: np.random.Generator, usual: float, odd: float) -> float:
    """Return the usual value, or with a probability an extreme, or seldom an impossible one."""
    if random.random() < odd:
        return float(random.choice(EXTREMES))
    return float(random.choice(IMPOSSIBLE)) if random.random() < 0.05 * odd else usual


def _runs(random: np.random.Generator, rate: float) -> list[Observation]:
    odd = float(random.choice([0.0, 0.0, 0.02, 0.3]))
    n_inf, alpha = 10 ** random.uniform(-2, 5), 10 ** random.uniform(-2, 7)
    n_inf, alpha = n_inf * (random.random() > 0.1), alpha * (random.random() > 0.1)
    pole = random.choice([0.0, 0.0, 0.9])
    spread = float(random.choice([0.0, 1e-6, 0.05, 0.2, 1.0, 5.0]))
    censored = float(random.choice([0.0, 0.0, 0.2, 0.6, 1.0]))
    sizes = np.unique(np.round(2 ** random.uniform(0, 13, size=random.integers(1, 6))))
    seeded = random.random() < 0.5
    runs = []
    for size in sizes:
        law = (n_inf / rate + alpha / (size - pole * sizes[0]) + 1e-9) * math.exp(random.normal(0, 0.05))
        for seed in range(int(random.integers(1, 4))):
            updates = law * math.exp(random.normal(0, spread))
            updates = max(round(updates), 1) if random.random() < 0.5 else updates
            lower = _value(random, updates, odd)
            kind = "censored" if random.random() < censored else str(random.choice(["exact", "exact", "interval"]))
            upper = {"exact": lower, "interval": _value(random, 1.05 * lower, odd), "censored": None}[kind]
            if kind == "interval" and random.random() < 0.1:
                lower = 0.0
            size_of = _value(random, float(size), odd / 3)
            runs.append(Observation(batch_size=size_of, lower=lower, upper=upper, seed=seed if seeded else None))
    return runs


def _timings(random: np.random.Generator) -> list[UpdateTiming]:
    odd = float(random.choice([0.0, 0.0, 0.02, 0.3]))
    sizes = np.unique(np.round(2 ** random.uniform(0, 13, size=random.integers(0, 8)))).astype(int)
    fixed, each = 10 ** random.uniform(-6, 1), 10 ** random.uniform(-8, -1)
    fixed, each = fixed * (random.random() > 0.1), each * (random.random() > 0.1)
    found = []
    for size in sizes:
        repeats = int(random.choice([1, 1, 5]))
        usual = (fixed + each * size + 1e-12) * np.exp(random.normal(0, random.choice([0, 0.02, 0.5]), size=repeats))
        walls = tuple(_value(random, float(one), odd) for one in usual)
        found.append(UpdateTiming(batch_size=int(size), wall_seconds=walls, cpu_seconds=tuple(usual.tolist())))
    return found


def asked(given: Tables) -> Iterator[str]:
    """Put each question about some tables, and yield what is wrong with its answer: nothing, if all is well."""
    for ask in (_fit, _seconds, _recommend, _predict):
        try:
            answer = ask(given)
            json.dumps(without_infinities(answer), allow_nan=False)
        except BatchtimeError as error:
            if not str(error):
                yield f"{ask.__name__}: refused without words"
        except Exception:  # noqa: BLE001 - any other one is what is looked for
            yield f"{ask.__name__}: {traceback.format_exc()}"


def _fit(given: Tables) -> object:
    fitted = fit_curve(given.runs) if isinstance(given.runs, dict) else fit_inverse_law(list(given.runs))  # type: ignore[arg-type]
    return str(fitted), fitted.to_dict()


def _seconds(given: Tables) -> object:
    found = fit_seconds(given.timings)
    return str(found), found.to_dict()


def _recommend(given: Tables) -> object:
    found = recommend(
        given.runs,
        given.timings,
        learners=given.learners,
        max_batch_size=given.max_batch_size,
        multiple_of=given.multiple_of,
    )
    assert found.refused == (found.batch_size is None) == bool(found.reasons)
    assert found.regret is None or 0 <= found.regret < math.inf
    assert found.best_guess is None or 0 < found.best_guess.predicted_seconds < math.inf
    return str(found), found.to_dict()


def _predict(given: Tables) -> object:
    found = predict(given.runs, given.timings or None, batch_sizes=[1.0, 48.0, 1e6])
    return [str(one) for one in found], [one.to_dict() for one in found]


def wrong(first: int, last: int) -> Iterator[tuple[int, str]]:
    """Yield the numbers from `first` to `last - 1` whose tables get a wrong answer, with what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(first, last):
            for what in asked(tables(number)):
                yield number, what
