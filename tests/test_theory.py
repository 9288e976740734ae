"""Promises of the exactly solvable problem: formulas against brute force, and the whole chain against the formulas."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from batchtime.errors import ParameterError
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.means import mean_updates
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store
from batchtime.theory.problems import ANISOTROPIC_QUADRATIC, LEAST_SQUARES, NOISY_QUADRATIC, Solvable, first_passages
from batchtime.train.datasets import load_gaussian_features
from batchtime.train.sweep import complete

SEEDS = [3, pytest.param(10, marks=pytest.mark.full)]
"""Runs at each batch size of a sweep: those of the book take a minute."""
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


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("seeds", SEEDS)
def test_sweep_store_and_fit_recover_the_known_law(tmp_path: Path, seeds: int) -> None:
    chosen = experiment("noisy-quadratic").changed(seeds=seeds)
    rate = chosen.sweep.setting.learning_rate
    records = complete(chosen.sweep, name=chosen.name, store=Store(tmp_path))
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


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize(
    ("name", "problem"), [("anisotropic-quadratic", ANISOTROPIC_QUADRATIC), ("least-squares", LEAST_SQUARES)]
)
def test_sweep_store_and_fit_recover_the_other_known_laws(
    tmp_path: Path, name: str, problem: Solvable, seeds: int
) -> None:
    chosen = experiment(name).changed(seeds=seeds)
    rate = chosen.sweep.setting.learning_rate
    records = complete(chosen.sweep, name=chosen.name, store=Store(tmp_path))
    assert all(record.outcome.status == "reached" for record in records)
    found = fit_inverse_law(chosen.fit_observations(records))
    assert found.law.critical_batch_size == pytest.approx(problem.law(rate).critical_batch_size, rel=0.15)
    for seen in mean_updates([record.observation() for record in records]):
        assert seen.mean == pytest.approx(problem.updates(seen.batch_size, rate), rel=0.05)


def test_the_anisotropic_mean_gap_is_that_of_its_coordinates() -> None:
    problem, eta, size = ANISOTROPIC_QUADRATIC, 0.1, 8
    h = np.array(problem.curvatures)
    squares = np.full(problem.dimension, problem.distance**2 / problem.dimension)
    assert problem.mean_gap(0, size, eta) == pytest.approx(problem.start)
    for _ in range(50):
        squares = (1 - eta * h) ** 2 * squares + eta**2 * problem.noise_variance / (problem.dimension * size)
    assert problem.mean_gap(50, size, eta) == pytest.approx(float((h * squares).sum()) / 2)


def test_the_features_have_the_moments_that_the_closed_form_takes() -> None:
    train, validation = load_gaussian_features()
    a, d = train.inputs.double(), LEAST_SQUARES.dimension
    assert len(a) == LEAST_SQUARES.examples
    assert torch.allclose(a.T @ a / len(a), torch.eye(d, dtype=torch.float64), atol=1e-6)
    weighted = a * a.square().sum(dim=1, keepdim=True)
    assert torch.allclose(weighted.T @ a / len(a), (d + 2) * torch.eye(d, dtype=torch.float64), atol=1e-4)
    start = (validation.targets.double() ** 2).mean() / 2  # the loss of zero weights
    assert float(start) == pytest.approx(LEAST_SQUARES.start, rel=1e-5)


def test_first_passages_are_those_of_simulated_points() -> None:
    problem = replace(NOISY_QUADRATIC, curvatures=(1.0,) * 3)
    eta, size, runs = 0.1, 4, 4000
    generator = np.random.default_rng(1)
    x = np.full((runs, 3), problem.distance / math.sqrt(3))
    passed = np.full(runs, np.inf)
    for update in range(1, 400):
        noise = generator.standard_normal((runs, 3)) * math.sqrt(problem.noise_variance / (3 * size))
        x = x - eta * (x + noise)
        passed[np.isinf(passed) & ((x**2).sum(axis=1) / 2 <= problem.gap)] = update
    found = first_passages(problem, batch_size=size, rate=eta, runs=runs, most_updates=400)
    error = math.hypot(passed.std(), found.std()) / math.sqrt(runs)
    assert abs(passed.mean() - found.mean()) < 4 * error
    with pytest.raises(ParameterError, match="curvatures"):
        first_passages(ANISOTROPIC_QUADRATIC, batch_size=1, rate=0.1, runs=1, most_updates=1)


def test_a_law_of_least_squares_is_refused_at_another_step() -> None:
    with pytest.raises(ParameterError, match="learning_rate = "):
        LEAST_SQUARES.law(LearningRate(maximum=0.5))
