"""Promises of the gradient noise: what is estimated is what a direct computation gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from batchtime.errors import ParameterError
from batchtime.runs.catalogue import experiment
from batchtime.runs.noise_scale import noise_scales
from batchtime.runs.records import NoiseRecord
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store
from batchtime.theory.problems import NOISY_QUADRATIC
from batchtime.train.noise import GROUPS, complete_noise, measured_points, noise_along
from batchtime.train.workloads import build

from .builders import record, setting

SPEC = RunSpec(setting=setting(), batch_size=16, seed=0)


def test_the_noise_before_the_first_update_is_that_of_all_gradients_one_by_one() -> None:
    task = build(SPEC.setting.workload)
    torch.manual_seed(0)
    model = task.model()
    gradients = []
    for one, target in zip(task.train.inputs, task.train.targets, strict=True):
        model.zero_grad()
        task.loss(model(one[None]), target[None]).mean().backward()
        gradients.append(
            np.concatenate([p.grad.double().numpy().ravel() for p in model.parameters() if p.grad is not None])
        )
    rows = np.array(gradients)
    examples = len(rows) // GROUPS * GROUPS
    variance = rows.var(axis=0, ddof=1).sum()
    square = (rows.mean(axis=0) ** 2).sum() - variance / len(rows)
    found = noise_along(SPEC, points=[0], examples=examples)
    assert found.noise_variance[0] == pytest.approx(variance, rel=0.01)
    assert found.gradient_square[0] == pytest.approx(square, rel=0.03)


def test_the_noise_of_the_quadratic_is_known_everywhere() -> None:
    # Its examples differ by additive noise alone: tr S = sigma^2 at every point, and |G|^2 = 2 f.
    quadratic = experiment("noisy-quadratic")
    spec = RunSpec(setting=quadratic.sweep.setting, batch_size=64, seed=0)
    found = noise_along(spec, points=[0, 10, 40], examples=2048)
    sigma_squared = float(NOISY_QUADRATIC.noise_variance)
    assert found.noise_variance == pytest.approx([sigma_squared] * 3, rel=0.05)
    losses = np.array([value or 0 for value in found.metric])
    assert np.array(found.gradient_square) == pytest.approx(
        2 * losses, abs=3 * np.sqrt(4 * sigma_squared * losses.max() / 2048)
    )


def of_gradients(generator: np.random.Generator, *, n: int = 320, scale: float = 1.0) -> NoiseRecord:
    """Return what is measured of Gaussian gradients with tr S = 20 and |G|^2 = scale."""
    rows = generator.normal(0, 1, size=(n, 20))
    rows[:, 0] += np.sqrt(scale)
    groups = rows.reshape(GROUPS, -1, 20)

    def noise(some: np.ndarray) -> tuple[float, float]:
        variance = float(some.var(axis=0, ddof=1).sum())
        return variance, float((some.mean(axis=0) ** 2).sum()) - variance / len(some)

    whole = noise(rows)
    without = tuple(noise(np.delete(groups, k, axis=0).reshape(-1, 20)) for k in range(GROUPS))
    return NoiseRecord(
        setting=setting(),
        batch_size=16,
        seed=0,
        examples=n,
        updates=(0,),
        noise_variance=(whole[0],),
        gradient_square=(whole[1],),
        groups=(without,),
        metric=(0.5,),
        provenance=record().provenance,
    )


def test_the_interval_of_the_noise_scale_covers_the_truth() -> None:
    generator = np.random.default_rng(0)
    found = [noise_scales(of_gradients(generator))[0] for _ in range(200)]
    # 200 draws at 95 %: fewer than 180 hits has a probability of 0.1 %.
    assert sum(low <= 20 <= high for _, low, high in found) >= 180
    assert np.median([value for value, _, _ in found]) == pytest.approx(20, rel=0.1)


def test_a_gradient_that_the_noise_hides_has_no_upper_end() -> None:
    generator = np.random.default_rng(1)
    ends = [noise_scales(of_gradients(generator, scale=1e-4))[0] for _ in range(20)]
    assert any(high == np.inf for _, _, high in ends)
    assert all(low > 0 for _, low, _ in ends)


def test_points_go_up_to_the_mean_updates_to_the_target() -> None:
    runs = [record(batch_size=64, seed=seed, upper=upper) for seed, upper in enumerate((90, 110))]
    points = measured_points(runs, 64)
    assert (points[0], points[-1]) == (0, 100)
    assert points == sorted(set(points))
    with pytest.raises(ParameterError, match=r"batch_size = 32 .* \[64\]"):
        measured_points(runs, 32)


@pytest.mark.usefixtures("in_this_process")
def test_measured_noise_is_recorded_and_not_measured_again(tmp_path: Path) -> None:
    store, chosen = Store(tmp_path), experiment("digits-mlp").changed(seeds=2)
    first = complete_noise(chosen, store=store, batch_size=64, seeds=1, examples=64)
    assert complete_noise(chosen, store=store, batch_size=64, seeds=1, examples=64) == first
    assert complete_noise(chosen, store=store, batch_size=64, seeds=2, examples=64)[0] == first[0]
    assert len(store.noise("digits-mlp")) == 2


@pytest.mark.parametrize(
    ("points", "examples"), [([], 64), ([3, 1], 64), ([-1], 64), ([0], 63), ([0], 16), ([0], 10**6)]
)
def test_impossible_points_and_examples_are_refused(points: list[int], examples: int) -> None:
    with pytest.raises(ParameterError, match=r"points|examples"):
        noise_along(SPEC, points=points, examples=examples)
