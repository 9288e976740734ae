"""Exercises in code: what a learner writes is tried on random inputs, and one line says whether it is right.

A complaint names the input, what was returned and what was expected to hold, and gives no formula away.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from batchtime.errors import check
from batchtime.laws.quantity import Array
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import Evaluations
from batchtime.runs.spec import Target
from batchtime.theory.problems import NoisyQuadratic

TRIES = 20
CLOSE = 1e-6  # relative error that counts as right

Inputs = dict[str, Any]
Complaint = Callable[[Inputs, tuple[float, ...]], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of trying a learner's function.

    Args:
        exercise: Its name.
        right: Whether it passed every input.
        text: One line for the learner.
    """

    exercise: str
    right: bool
    text: str

    def __str__(self) -> str:
        """Return the line."""
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """One exercise.

    Args:
        inputs: Draws the arguments, by name.
        returns: What a function returns: how many numbers, in words.
        count: How many numbers.
        complaint: What is wrong with these numbers for these inputs; None if nothing is.
    """

    inputs: Callable[[np.random.Generator], Inputs]
    returns: str
    count: int
    complaint: Complaint


def try_out(name: str, answer: Callable[..., object], *, seed: int = 0) -> Verdict:
    """Try a learner's function on random inputs.

    Args:
        name: Of the exercise.
        answer: The function; it takes its arguments by name.
        seed: Of the inputs.

    Raises:
        ParameterError: If there is no such exercise, or the answer is no function.
    """
    check(name in EXERCISES, name="exercise", value=name, allowed=", ".join(EXERCISES))
    check(callable(answer), name="answer", value=answer, allowed="the function itself, without parentheses")
    exercise = EXERCISES[name]
    generator = np.random.default_rng(seed)
    for _ in range(TRIES):
        inputs = exercise.inputs(generator)
        problem = _problem(exercise, answer, inputs)
        if problem is not None:
            return Verdict(exercise=name, right=False, text=f"not yet, {name}: {problem}")
    return Verdict(exercise=name, right=True, text=f"right, {name}: it holds for {TRIES} random inputs")


def _problem(exercise: Exercise, answer: Callable[..., object], inputs: Inputs) -> str | None:
    call = f"with {', '.join(f'{name} = {_shown(value)}' for name, value in inputs.items())}"
    try:
        returned = answer(**inputs)
    except Exception as error:  # noqa: BLE001 - whatever a learner's function does, the answer is a line
        if "ellipsis" in str(error):
            return _BLANK
        return f"{call} it stopped: {type(error).__name__}: {' '.join(str(error).split())}"
    if returned is ... or (isinstance(returned, tuple) and ... in [part for part in returned if part is ...]):
        return _BLANK
    numbers = _numbers(returned, exercise.count)
    if numbers is None:
        return f"{call} it returned {_shown(returned)}; it should return {exercise.returns}"
    complaint = exercise.complaint(inputs, numbers)
    return None if complaint is None else f"{call} it returned {_shown(returned)}; {complaint}"


_BLANK = "there is still a blank in it: put your own in place of the three dots"


def _numbers(returned: object, count: int) -> tuple[float, ...] | None:
    """Return so many numbers, or None if that is not what was returned; None stands for an infinite number."""
    parts = list(returned) if isinstance(returned, tuple | list | np.ndarray) else [returned]
    if len(parts) != count:
        return None
    found = []
    for part in parts:
        if part is None:
            found.append(math.inf)
        elif isinstance(part, int | float | np.number) and not isinstance(part, bool) and not math.isnan(float(part)):
            found.append(float(part))
        else:
            return None
    return tuple(found)


def _shown(value: object) -> str:
    """Return a value as a line can hold it."""
    if isinstance(value, np.ndarray) and value.size > 1:
        return f"an array of shape {value.shape}"
    if isinstance(value, float | np.number):
        return f"{float(value):.6g}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_shown, value))})"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 80


def _close(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=CLOSE)


# Inputs


def _law(generator: np.random.Generator) -> Inputs:
    return {"n_inf": float(generator.integers(50, 2000)), "alpha": float(generator.integers(500, 50_000))}


def _law_at_a_size(generator: np.random.Generator) -> Inputs:
    return _law(generator) | {"batch_size": int(generator.integers(2, 1024))}


def _law_and_machine(generator: np.random.Generator) -> Inputs:
    delta, gamma = 10 ** generator.uniform(-4, -2), 10 ** generator.uniform(-6, -4)
    return _law(generator) | {"delta": float(delta), "gamma": float(gamma)}


def _two_points(generator: np.random.Generator) -> Inputs:
    law = InverseLaw(**_law(generator))
    small, large = int(generator.integers(1, 32)), int(generator.integers(64, 1024))
    return {"m1": small, "n1": law.updates(float(small)), "m2": large, "n2": law.updates(float(large))}


def _evaluations(generator: np.random.Generator) -> Inputs:
    updates = np.cumsum(generator.integers(5, 40, size=12))
    errors = 0.6 * np.exp(-np.arange(12) / 5) + generator.normal(0, 0.04, size=12)
    hold = int(generator.integers(1, 4))
    errors[-hold:] = np.minimum(errors[-hold:], 0.1)  # every run gets there in the end
    return {
        "updates": [int(one) for one in updates],
        "errors": [round(float(max(one, 0.01)), 3) for one in errors],
        "target": 0.12,
        "hold": hold,
    }


def _gradients(generator: np.random.Generator) -> Inputs:
    n, d = int(generator.integers(32, 256)), int(generator.integers(2, 8))
    mean = generator.uniform(0.5, 2, size=d)
    return {"gradients": mean + generator.normal(0, generator.uniform(0.5, 2), size=(n, d))}


def _recursion(generator: np.random.Generator) -> Inputs:
    return {
        "rate": float(generator.choice([0.02, 0.05, 0.1, 0.2])),
        "noise_variance": float(generator.integers(1, 80)),
        "start": float(generator.integers(5, 50)),
        "target": 0.5,
        "batch_size": int(2 ** generator.integers(0, 8)),
    }


# What should hold


def _about_updates(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    law, size = InverseLaw(n_inf=inputs["n_inf"], alpha=inputs["alpha"]), float(inputs["batch_size"])
    (value,) = returned
    if _close(value, law.updates(size)):
        return None
    if value <= law.n_inf:
        return "more than n_inf updates remain, however large the batch"
    if value * size <= law.alpha:
        return f"a run sees more than alpha examples, and these are {value * size:.6g}"
    more, bend = size < law.critical_batch_size, f"{law.critical_batch_size:.6g}"
    if more != (value > 2 * law.n_inf):
        side, much = ("below", "more") if more else ("above", "less")
        return f"{side} a batch size of {bend} there are {much} than 2 n_inf updates"
    return f"{law.updates(size):.6g} was expected"


def _about_saving(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    law, size = InverseLaw(n_inf=inputs["n_inf"], alpha=inputs["alpha"]), float(inputs["batch_size"])
    before, after = law.updates(size), law.updates(2 * size)
    (value,) = returned
    if _close(value, 1 - after / before):
        return None
    if not 0 < value < 0.5:
        return "a fraction more than 0 and less than a half was expected"
    return f"the law says {before:.6g} updates at this batch size and {after:.6g} at twice that: which share is saved?"


def _about_two_points(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    n_inf, alpha = returned
    for size, updates in ((inputs["m1"], inputs["n1"]), (inputs["m2"], inputs["n2"])):
        said = InverseLaw(n_inf=n_inf, alpha=alpha).updates(float(size))
        if not _close(said, updates):
            return f"with these two the law says {said:.6g} updates at batch size {size}, where {updates:.6g} are given"
    return None


def _time(inputs: Inputs) -> TrainingTime:
    return TrainingTime(
        law=InverseLaw(n_inf=inputs["n_inf"], alpha=inputs["alpha"]),
        update_time=UpdateTime(fixed_seconds=inputs["delta"], seconds_per_example=inputs["gamma"]),
    )


def _about_optimum(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    time, (value,) = _time(inputs), returned
    if _close(value, time.optimal_batch_size):
        return None
    if not 0 < value < math.inf:
        return "a batch size more than 0 was expected"
    larger, smaller = time.seconds(value * 1.02), time.seconds(value / 1.02)
    here = time.seconds(value)
    if min(larger, smaller) < here:
        which, there = ("larger", larger) if larger < smaller else ("smaller", smaller)
        return f"training takes {here:.6g} s there, and {there:.6g} s at a batch 2 % {which}"
    return "that is near, but not the least; do not round it"


def _about_range(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    time, (low, high) = _time(inputs), returned
    if not 0 < low < high < math.inf:
        return "two batch sizes more than 0 were expected, the smaller one first"
    best = time.optimal_batch_size
    if not low < best < high:
        return f"the best batch size, {best:.6g}, was expected between them"
    for size in (low, high):
        excess = time.seconds(size) / time.least_seconds - 1
        if not math.isclose(excess, inputs["excess"], rel_tol=1e-3):
            asked = f"{100 * inputs['excess']:.0f} % was asked for"
            return f"at {size:.6g} training takes {100 * excess:.3f} % longer than at best, and {asked}"
    return None


def _about_outcome(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    target = Target(metric="error", value=inputs["target"], hold=inputs["hold"])
    run = Evaluations(updates=tuple(inputs["updates"]), metrics={"error": tuple(inputs["errors"])})
    outcome = run.outcome(target)
    low, high = returned
    if (low, high) == (outcome.lower, outcome.upper):
        return None
    known = [0, *inputs["updates"]]
    if low not in known or high not in known:
        return "two numbers of updates at which the run was evaluated were expected (or 0 before the first)"
    if known.index(int(high)) != known.index(int(low)) + 1:
        return "two successive evaluations were expected: the last one before, and the first one that counts"
    place = inputs["updates"].index(int(high))
    held = [error <= target.value for error in inputs["errors"][place : place + target.hold]]
    if not all(held):
        return f"from {high:g} updates on the error does not stay at or below the target for {target.hold} evaluations"
    return f"before {high:g} updates the error was already at or below the target for {target.hold} evaluations"


def _about_noise_scale(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    gradients: Array = inputs["gradients"]
    n, (value,) = len(gradients), returned
    mean = gradients.mean(axis=0)
    squares = float(((gradients - mean) ** 2).sum())
    variance, square = squares / (n - 1), float(mean @ mean)
    if _close(value, variance / (square - variance / n)):
        return None
    if _close(value, variance / square) or _close(value, squares / n / square):
        return f"that is too small: the mean of {n} gradients is longer than the true gradient, for it has noise too"
    if _close(value, squares / n / (square - squares / n / n)):
        return f"that is nearly it: the squares about a mean that was itself taken from these {n} are too small"
    return "the variance of one gradient, all its components together, over the squared length of the mean one is meant"


def _about_recursion(inputs: Inputs, returned: tuple[float, ...]) -> str | None:
    rate, noise, size = inputs["rate"], inputs["noise_variance"], inputs["batch_size"]
    (value,) = returned
    problem = NoisyQuadratic(
        curvatures=(1.0,),
        examples=1,
        noise_variance=noise,
        distance=math.sqrt(2 * inputs["start"]),
        gap=inputs["target"],
    )
    floor = problem.floor(size, rate)
    if floor >= inputs["target"]:
        if value == math.inf:
            return None
        return f"noise alone keeps the mean gap at {floor:.4g}, above the target: math.inf was expected"
    if value == math.inf or value != round(value) or value < 0:
        return "a whole number of updates was expected, for the mean gap does reach the target"
    before, after = (problem.mean_gap(updates, size, rate) for updates in (max(value - 1, 0), value))
    if after > inputs["target"] * (1 + CLOSE):
        return f"after so many updates the mean gap is still {after:.6g}"
    if value > 0 and before <= inputs["target"] * (1 - CLOSE):
        return f"one update earlier the mean gap is already {before:.6g}"
    return None


EXERCISES: Mapping[str, Exercise] = {
    "updates": Exercise(inputs=_law_at_a_size, returns="one number", count=1, complaint=_about_updates),
    "saving": Exercise(inputs=_law_at_a_size, returns="one number", count=1, complaint=_about_saving),
    "two_points": Exercise(
        inputs=_two_points, returns="two numbers, n_inf and alpha", count=2, complaint=_about_two_points
    ),
    "outcome": Exercise(
        inputs=_evaluations, returns="two numbers of updates, the lower one first", count=2, complaint=_about_outcome
    ),
    "optimum": Exercise(inputs=_law_and_machine, returns="one number", count=1, complaint=_about_optimum),
    "good_range": Exercise(
        inputs=lambda generator: _law_and_machine(generator) | {"excess": 0.05},
        returns="two batch sizes, the smaller one first",
        count=2,
        complaint=_about_range,
    ),
    "noise_scale": Exercise(inputs=_gradients, returns="one number", count=1, complaint=_about_noise_scale),
    "recursion": Exercise(inputs=_recursion, returns="one number", count=1, complaint=_about_recursion),
}


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return how many of some exercises are right, and which are not yet."""
    missing = [verdict.exercise for verdict in verdicts if not verdict.right]
    done = f"{len(verdicts) - len(missing)} of {len(verdicts)} are right"
    return done if not missing else f"{done}; not yet: {', '.join(missing)}"
