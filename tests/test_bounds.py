"""Promises of the certified counts beyond the equations: what is refused, and how the theorems stand to each other."""

import math

import numpy as np
import pytest

from batchtime.errors import ParameterError
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import (
    AveragedIterate,
    Constants,
    LastIterate,
    interpolation,
    necessary,
    without_replacement,
)
from batchtime.theory.margins import CASE, MARGINS, Case

VALID = {"smoothness": 2.0, "curvature": 0.1, "noise_variance": 3.0, "distance": 1.0, "start": 1.0, "gap": 0.01}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smoothness", 0.0),
        ("smoothness", math.inf),
        ("curvature", 0.0),
        ("curvature", 3.0),
        ("noise_variance", -1.0),
        ("distance", 0.0),
        ("gap", 1.0),
        ("gap", math.nan),
    ],
)
def test_constants_that_no_function_has_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=r" = .* is not allowed; allowed: ") as error:
        Constants(**(VALID | {name: value}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("theorem", "rate"), [(AveragedIterate, 0.51), (LastIterate, 1.0), (LastIterate, 0.0)])
def test_a_step_for_which_the_theorem_says_nothing_is_refused(theorem: type, rate: float) -> None:
    with pytest.raises(ParameterError, match="learning_rate = "):
        theorem(constants=Constants(**VALID)).updates(100, rate)


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(ParameterError, match="smoothness = 2"):
        necessary(Constants(**(VALID | {"curvature": 1.5})))
    with pytest.raises(ParameterError, match="examples = 1"):
        without_replacement(InverseLaw(n_inf=1, alpha=1), 1)
    with pytest.raises(ParameterError, match="largest_smoothness = 1"):
        interpolation(smoothness=2, largest_smoothness=1, curvature=0.1, distance=1, gap=0.1)
    with pytest.raises(ParameterError, match="gap = 5"):
        interpolation(smoothness=2, largest_smoothness=3, curvature=0.1, distance=1, gap=5)
    with pytest.raises(ParameterError, match="split = 1"):
        AveragedIterate(constants=Constants(**VALID)).harmonic(1)


def test_one_update_of_the_longest_step_is_certified_where_there_is_one_curvature_and_no_noise() -> None:
    constants = Constants(**(VALID | {"curvature": 2.0, "noise_variance": 0.0}))
    assert math.ceil(LastIterate(constants=constants).updates(1, 0.5)) == 1


def test_without_noise_the_batch_size_does_not_matter() -> None:
    constants = Constants(**(VALID | {"noise_variance": 0.0}))
    for theorem in (AveragedIterate(constants=constants), LastIterate(constants=constants)):
        assert theorem.updates(1, 0.3) == pytest.approx(theorem.updates(1000, 0.3))
        assert theorem.best(1) == theorem.best(1000)
        assert theorem.harmonic()[1].alpha == 0


@pytest.mark.parametrize("size", [1, 30, 1000, 100_000])
def test_no_step_of_a_fine_grid_serves_both_problems_with_fewer_updates(size: int) -> None:
    # The recursions themselves, update by update, for steps on both sides of the longest one that is allowed.
    c = Constants(**(VALID | {"smoothness": 1.0, "curvature": 0.05, "noise_variance": 0.3}))
    needed = necessary(c).updates(size)
    for rate in np.geomspace(1e-3, 2.5, 60):
        steep = flat = c.start
        updates = 0
        while max(steep, flat) > c.gap and updates < needed + 1:
            steep = (1 - rate * c.smoothness) ** 2 * steep + c.smoothness * rate**2 * c.noise_variance / (2 * size)
            flat = (1 - rate * c.curvature) ** 2 * flat
            updates += 1
        assert updates >= needed


def test_each_inequality_is_shown_in_pairs_of_a_tight_and_a_loose_problem() -> None:
    for label, sides in MARGINS.items():
        margins = sides(CASE)
        assert len(margins) in {2, 4}, label
        for tight, loose in zip(margins[::2], margins[1::2], strict=True):
            assert tight.used > loose.used, label


def test_inequalities_hold_for_other_constants_whole_numbers_among_them() -> None:
    constants = Constants(smoothness=4, curvature=1, noise_variance=2, distance=2, start=8, gap=0.1)
    case = Case(constants=constants, rate=0.05, batch_size=200)
    broken = [(label, margin) for label, sides in MARGINS.items() for margin in sides(case) if not margin.holds]
    assert broken == []
