"""Promises of the tasks that are swept over batch size and step size."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from batchtime.cli import main
from batchtime.errors import ParameterError
from batchtime.runs.catalogue import EXPERIMENTS, experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.spec import EvaluationGrid, Optimizer, RunSpec
from batchtime.train.loop import train_to_target
from batchtime.train.models import MODELS
from batchtime.train.workloads import build

CURVES = [known for known in EXPERIMENTS.values() if known.sealed_until_predicted and known.variant_of is None]
each_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)


def sweeps(curve: Experiment) -> dict[float, Experiment]:
    """Return the sweeps of a task by plain SGD at a constant step size, by step size."""
    family = [known for known in EXPERIMENTS.values() if curve.name in (known.name, known.variant_of)]
    return {
        known.sweep.setting.learning_rate.maximum: known
        for known in family
        if known.sweep.setting.optimizer == Optimizer() and known.sweep.setting.learning_rate.half_batch_size == 0
    }


def cells(curve: Experiment, *, sealed: bool) -> Iterator[tuple[float, int]]:
    """Yield step size and batch size of the cells at constant step sizes."""
    for rate, known in sweeps(curve).items():
        yield from ((rate, size) for size in known.sweep.batch_sizes if (size in known.sealed) == sealed)


@each_curve
def test_a_curve_has_twenty_cells_over_sixteen_fold_steps_and_seals_one_step_and_two_cells(curve: Experiment) -> None:
    every = [*cells(curve, sealed=True), *cells(curve, sealed=False)]
    assert len(every) >= 20
    assert len(sweeps(curve)) >= 4
    assert max(sweeps(curve)) >= 16 * min(sweeps(curve))
    whole = [rate for rate, chosen in sweeps(curve).items() if chosen.sealed == chosen.sweep.batch_sizes]
    further = [rate for rate, _ in cells(curve, sealed=True) if rate not in whole]
    assert len(whole) == 1
    assert min(sweeps(curve)) < whole[0] < max(sweeps(curve))
    assert len(further) == 2


@each_curve
def test_every_sealed_cell_lies_where_cells_at_other_step_sizes_share_its_quotient(curve: Experiment) -> None:
    known = {rate / size for rate, size in cells(curve, sealed=False)}
    for rate, size in cells(curve, sealed=True):
        assert min(known) <= rate / size <= max(known)
    for rate, chosen in sweeps(curve).items():
        others = {r / m for r, m in cells(curve, sealed=False) if r != rate}
        assert sum(any(abs(rate / m / tau - 1) < 1e-9 for tau in others) for m in chosen.sweep.batch_sizes) >= 2


@each_curve
def test_sealed_runs_are_not_in_the_ordinary_sweep_and_alone_in_the_sealed_one(curve: Experiment) -> None:
    name = curve.name
    for known in EXPERIMENTS.values():
        if name in (known.name, known.variant_of):
            runs = {(spec.batch_size, spec.seed) for spec in known.sweep.runs()}
            parts = []
            for sealed in (False, True):
                if {size in known.sealed for size in known.sweep.batch_sizes} & {sealed}:
                    part = known.part(sealed=sealed).sweep.runs()
                    assert all((spec.batch_size in known.sealed) == sealed for spec in part)
                    parts += [(spec.batch_size, spec.seed) for spec in part]
                else:
                    with pytest.raises(ParameterError, match=f"workload = '{known.name}' is not allowed"):
                        known.part(sealed=sealed)
            assert set(parts) == runs
            assert len(parts) == len(runs)


def test_a_sweep_that_seals_nothing_for_later_is_trained_whole() -> None:
    digits = experiment("digits-mlp")
    assert digits.part(sealed=False) == digits
    with pytest.raises(ParameterError, match="sealed until they are predicted"):
        digits.part(sealed=True)


def test_costly_batch_sizes_get_three_seeds() -> None:
    known = experiment("mnist-error-2")
    assert [spec.seed for spec in known.sweep.runs() if spec.batch_size == 4] == [0, 1, 2]
    assert [spec.seed for spec in known.sweep.runs() if spec.batch_size == 32] == [0, 1, 2, 3, 4]
    assert len({spec.seed for spec in known.changed(batch_sizes=[4]).sweep.runs()}) == 5


def test_a_run_ends_when_its_examples_are_spent() -> None:
    digits = experiment("digits-mlp")
    setting = replace(digits.sweep.setting, max_examples=640, grid=EvaluationGrid(ratio=1.5))
    for size in (8, 64):
        record = train_to_target(RunSpec(setting=setting, batch_size=size, seed=0), build(digits.workload))
        assert record.cost.examples == 640
        assert record.outcome.lower == 640 // size
    assert setting.budget(10_000) == 1
    with pytest.raises(ParameterError, match="max_examples = 0"):
        replace(setting, max_examples=0)


@each_curve
def test_each_curve_trains_a_few_updates_and_learns_something(curve: Experiment, data_sets: None) -> None:  # noqa: ARG001
    task = build(curve.workload)
    name = curve.workload.target.metric
    # The first thousand, so that it takes seconds.
    few = replace(task.validation, inputs=task.validation.inputs[:500], targets=task.validation.targets[:500])
    setting = replace(curve.sweep.setting, max_updates=40, grid=EvaluationGrid(ratio=2, first=1, near=1))
    record = train_to_target(RunSpec(setting=setting, batch_size=16, seed=3), replace(task, validation=few))
    values = record.evaluations.metrics["loss"]
    assert record.evaluations.metrics[name][-1] is not None
    assert values[0] is not None
    assert values[-1] is not None
    assert values[-1] < values[0]


@each_curve
def test_each_curve_validates_on_examples_enough_and_reports_what_its_reader_asks_for(
    curve: Experiment,
    data_sets: None,  # noqa: ARG001
) -> None:
    task = build(curve.workload)
    text = curve.workload.target.metric == "loss"
    assert len(task.train.targets) == curve.n_examples
    assert len(task.validation.targets) >= (2000 if text else 5000)
    assert task.report is not None
    if not text:
        torch.manual_seed(0)
        (found,) = task.report(task.model()).items()
        assert found[0] == "test_error"
        assert 0.85 < found[1] <= 1  # untrained: a guess


def test_an_image_network_without_normalisation_is_among_them() -> None:
    def normalised(model: torch.nn.Module) -> bool:
        return any("Norm" in type(layer).__name__ for layer in model.modules())

    found = {curve.workload.model: normalised(MODELS[curve.workload.model]()) for curve in CURVES}
    assert found["lenet"] is False
    assert found["wide-cnn-10"] is True


def test_sealed_runs_are_refused_without_the_word_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    known = [one for one in EXPERIMENTS.values() if one.sealed_until_predicted and one.sealed == one.sweep.batch_sizes]
    assert main(["sweep", known[0].name]) == 1
    assert "--sealed" in capsys.readouterr().err
