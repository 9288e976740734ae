"""Promises of the exactly solvable problem: formulas against brute force, and the whole chain against the formulas."""

import math
from pathlib import Path

import numpy as np
import pytest

from batchtime.experiments import experiment
from batchtime.fit import fit_inverse_law
from batchtime.records import LearningRate, ParameterError
from batchtime.store import Store
from batchtime.sweep import complete
from batchtime.theory import NOISY_QUADRATIC

RATES = [LearningRate(maximum=0.05), LearningRate(maximum=0.05, half_batch_size=16), LearningRate(maximum=0.4)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("size", [4, 64, 4096])
def test_the_closed_form_count_is_where_the_recursion_reaches_the_target(rate: LearningRate, size: int) -> None:
    problem, eta = NOISY_QUADRATIC, rate.at(size)
    gap, updates = problem.start, 0
    expected = problem.updates(size, rate)
    while gap > problem.gap and updates < 10_000:
        gap = (1 - eta) ** 2 * gap + eta**2 * problem.noise_variance / (2 * size)
        updates += 1
    assert updates == (math.ceil(expected) if math.isfinite(expected) else 10_000)


@pytest.mark.parametrize("rate", RATES)
def test_the_law_is_the_first_order_part_of_the_closed_form(rate: LearningRate) -> None:
    law = NOISY_QUADRATIC.law(rate)
    for size in (1e5, 1e6):
        exact = NOISY_QUADRATIC.updates(size, rate)
        # What is left is of second order: a hundredth for ten times the batch.
        assert abs(exact - law.updates(size)) <= 100 * law.n_inf * (law.critical_batch_size / size) ** 2 + 1e-9
    assert NOISY_QUADRATIC.updates(1e12, rate) == pytest.approx(law.n_inf)


def test_at_a_constant_rate_the_updates_are_above_the_law_and_end_at_the_pole() -> None:
    rate = LearningRate(maximum=0.4)
    pole = NOISY_QUADRATIC.pole(rate)
    # 0.4 * 5 / (2 * 1.6 * 0.05) = 12.5 examples.
    assert pole == pytest.approx(12.5)
    law = NOISY_QUADRATIC.law(rate)
    sizes = pole * np.array([1.01, 1.5, 2, 10])
    assert all(NOISY_QUADRATIC.updates(size, rate) > law.updates(size) for size in sizes)
    assert NOISY_QUADRATIC.updates(pole * 0.99, rate) == math.inf


def test_a_harmonic_rate_without_a_pole_says_so() -> None:
    with pytest.raises(ParameterError, match="no pole"):
        NOISY_QUADRATIC.pole(LearningRate(maximum=0.05, half_batch_size=16))


def test_sweep_store_and_fit_recover_the_known_law(tmp_path: Path) -> None:
    chosen = experiment("noisy-quadratic")
    rate = chosen.sweep.setting.learning_rate
    records = complete(chosen.sweep, name=chosen.name, store=Store(tmp_path), workers=2)
    assert all(record.outcome.status == "reached" for record in records)
    found = fit_inverse_law(chosen.fit_observations(records))
    known = NOISY_QUADRATIC.law(rate)
    for name in ("n_inf", "alpha", "critical_batch_size"):
        low, high = getattr(found.intervals, name)
        assert low <= getattr(known, name) <= high
        assert high / low < 1.1  # and the interval says something
    for size in chosen.sealed:
        uppers = [r.outcome.upper for r in records if r.batch_size == size and r.outcome.upper is not None]
        assert np.mean(uppers) == pytest.approx(NOISY_QUADRATIC.updates(size, rate), rel=0.03)
