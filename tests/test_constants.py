"""Promises of the computed constants: what is recorded is what comes out again, and the bounds on them hold."""

from pathlib import Path

import pytest
import torch

from batchtime.errors import ParameterError
from batchtime.runs.catalogue import EXPERIMENTS, experiment
from batchtime.runs.store import Store, data_folder
from batchtime.theory.bounds import Constants, LastIterate
from batchtime.train.constants import softmax_constants
from batchtime.train.models import SoftmaxRegression
from batchtime.train.workloads import build

KNOWN = Store(data_folder(), recording=True).latest_constants("mnist-logistic")
CHOSEN = experiment("mnist-logistic")


def test_the_recorded_constants_are_computed_again_from_the_images(mnist_folder: Path) -> None:
    assert mnist_folder.is_dir()
    found = softmax_constants(CHOSEN.workload).values
    assert found.keys() == KNOWN.values.keys()
    for name in found.keys() - {"gradient_at_minimum"}:
        assert found[name] == pytest.approx(KNOWN.values[name], rel=1e-5), name
    assert found["gradient_at_minimum"] < 1e-7


def test_the_bounds_on_curvature_and_noise_hold_at_random_weights(mnist_folder: Path) -> None:
    assert mnist_folder.is_dir()
    task = build(CHOSEN.workload)
    model = task.model()
    generator = torch.Generator().manual_seed(0)
    inputs, targets = task.train.inputs[:2000], task.train.targets[:2000]
    for scale in (0.0, 1.0, 10.0):
        weights = scale * torch.randn(10, 196, generator=generator)
        along = torch.randn(10, 196, generator=generator)
        along /= along.norm()

        def gradient(at: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                model.weights.copy_(at)
            return torch.autograd.grad(task.loss(model(inputs), targets).mean(), [model.weights])[0]

        step = 1e-2
        curvature = float(((gradient(weights + step * along) - gradient(weights)) * along).sum()) / step
        assert KNOWN.values["curvature"] * 0.9 <= curvature <= KNOWN.values["smoothness"] * 1.1
    assert KNOWN.values["noise_variance_at_minimum"] < KNOWN.values["noise_variance"]
    assert KNOWN.values["noise_variance_at_start"] < KNOWN.values["noise_variance"]


def test_every_recorded_run_needed_fewer_updates_than_are_certified_for_its_step() -> None:
    values = KNOWN.values
    names = ("smoothness", "curvature", "noise_variance", "distance", "start")
    gap = CHOSEN.workload.target.value - values["minimum"]
    theorem = LastIterate(constants=Constants(gap=gap, **{name: values[name] for name in names}))
    sweeps = [known for name, known in EXPERIMENTS.items() if name.startswith("mnist-logistic")]
    compared = 0
    for chosen in sweeps:
        rate = chosen.sweep.setting.learning_rate
        for record in Store(data_folder(), recording=True).runs(chosen.name):
            step = rate.at(record.batch_size)
            if step < theorem.largest_rate and record.batch_size > theorem.pole(step):
                # The theorem is on the mean gap; a run that is no outlier arrives long before it is certified.
                assert record.outcome.upper is not None
                assert record.outcome.upper < theorem.updates(record.batch_size, step)
                compared += 1
    assert compared > 100


def test_the_harmonic_step_of_the_sweep_is_that_of_the_theorem_to_the_safe_side() -> None:
    values = KNOWN.values
    rate = CHOSEN.sweep.setting.learning_rate
    gap = CHOSEN.workload.target.value - values["minimum"]
    assert 0.9 / values["smoothness"] < rate.maximum <= 1 / values["smoothness"]
    half = values["noise_variance"] / (values["curvature"] * gap)
    assert half <= rate.half_batch_size < 1.1 * half


def test_another_model_is_refused() -> None:
    with pytest.raises(ParameterError, match="model = 'mlp' is not allowed; allowed: softmax"):
        softmax_constants(experiment("digits-mlp").workload)


def test_the_penalty_stands_in_the_last_column() -> None:
    model = SoftmaxRegression()
    with torch.no_grad():
        model.weights.fill_(0.5)
    outputs = model(torch.zeros(3, 196))
    assert outputs.shape == (3, 11)
    assert outputs[:, -1].tolist() == pytest.approx([SoftmaxRegression.RIDGE / 2 * 1960 * 0.25] * 3)
