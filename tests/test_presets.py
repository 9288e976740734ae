"""Promises of what the calculator starts from: the fit's own numbers, and intervals that cover."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from batchtime.book.pages.presets import curve, preset, time_intervals
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.training_time import TrainingTimeFit, fit_training_time
from batchtime.laws.curve import CurveLaw
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw

LAW = InverseLaw(n_inf=300, alpha=6000)
MACHINE = UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256)


def fitted(seed: int, machine: UpdateTime = MACHINE) -> TrainingTimeFit:
    """Return a fit to runs that scatter by 10 % and medians of seconds that scatter by 2 %."""
    draw = np.random.default_rng(seed)
    counts = [(size, LAW.updates(float(size)) * math.exp(draw.normal(0, 0.1))) for size in SIZES for _ in range(5)]
    runs = [Observation(batch_size=size, lower=count, upper=count) for size, count in counts]
    timings = []
    for size in (1, 3, *SIZES, 512):
        seconds = machine.seconds(float(size)) * math.exp(draw.normal(0, 0.02))
        walls = tuple(float(seconds * factor) for factor in np.exp(draw.normal(0, 0.001, size=9)))
        timings.append(UpdateTiming(batch_size=size, wall_seconds=walls, cpu_seconds=walls))
    return fit_training_time(runs, timings)


def test_a_preset_has_the_numbers_of_the_fit_to_the_last_digit() -> None:
    found = fitted(0)
    given = json.loads(preset("mine", found, cpu="a processor"))
    time = found.time
    assert (given["name"], given["cpu"], given["form"]) == ("mine", "a processor", found.form.name)
    numbers = [given[name] for name in ("n_inf", "alpha", "delta", "gamma", "p")]
    machine = time.update_time
    assert numbers == [
        time.law.n_inf,
        time.law.alpha,
        machine.fixed_seconds,
        machine.seconds_per_example,
        machine.sharpness,
    ]
    assert (given["runs"], given["fitted"], given["timed"]) == (40, [2, 256], 11)
    assert given["intervals"]["n_inf"] == list(found.law_fit.intervals.n_inf)
    assert given["intervals"]["optimum"] == list(found.optimal_batch_size)


def test_what_json_cannot_say_is_null() -> None:
    found = fitted(0)
    machine = replace(found.time.update_time, sharpness=math.inf)
    open_above = replace(
        found,
        time=TrainingTime(law=LAW, update_time=machine),
        optimal_batch_size=(3.0, None),
    )
    given = json.loads(preset("mine", open_above, cpu=""))
    assert given["p"] is None
    assert given["intervals"]["optimum"] == [3.0, None]


def test_a_curve_has_the_numbers_of_its_law_and_the_tasks_own_learning_rate() -> None:
    law = CurveLaw(A=15.0, alpha=4000.0, pole=0.03, lift=1.5, largest_learning_rate=0.32, form="logarithm")
    given = json.loads(curve(law, "mnist-lenet"))
    assert given == {
        "rate": 0.02,
        "A": 15.0,
        "alpha": 4000.0,
        "pole": 0.03,
        "lift": 1.5,
        "largest": 0.32,
        "form": "logarithm",
    }
    assert json.loads(curve(replace(law, pole=math.inf), "mnist-lenet"))["pole"] is None


@pytest.mark.parametrize("machines", [12, pytest.param(200, marks=pytest.mark.full)])
def test_the_intervals_of_the_machine_cover(machines: int) -> None:
    # Machines whose medians scatter by 2 % about a line: 95 % less three standard errors.
    inside = {"delta": 0, "gamma": 0}
    draws = [found for found in map(fitted, range(machines)) if found.form.name == "line"]
    for found in draws:
        for name, truth in (("delta", MACHINE.fixed_seconds), ("gamma", MACHINE.seconds_per_example)):
            low, high = time_intervals(found)[name]
            assert low is not None
            assert high is not None
            inside[name] += low <= truth <= high
    assert len(draws) > machines / 2
    assert min(inside.values()) / len(draws) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(draws))


def test_a_bend_has_an_interval_too() -> None:
    found = fitted(1, UpdateTime(fixed_seconds=2e-3, seconds_per_example=1e-4, sharpness=3.0))
    assert found.form.name == "power mean"
    low, high = time_intervals(found)["p"]
    assert (low or 0) < found.time.update_time.sharpness < (high or 0)
    assert low == pytest.approx(found.time.update_time.sharpness**2 / (high or 0))
