"""Promises of the only training loop."""

import copy
import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from batchtime.runs.spec import Device, Optimizer, RunSpec, Target
from batchtime.train.datasets import Examples
from batchtime.train.loop import Trainer, evaluate, train_to_target
from batchtime.train.workloads import Task, build

from .builders import setting


def test_the_same_spec_gives_the_same_record() -> None:
    spec = RunSpec(setting=setting(), batch_size=16, seed=3)
    task = build(spec.setting.workload)
    first, second = train_to_target(spec, task), train_to_target(spec, task)
    assert (first.outcome, first.evaluations) == (second.outcome, second.evaluations)
    assert first.spec == spec


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_run_on_any_device_names_it_and_starts_from_the_same_weights_and_examples(device: Device) -> None:
    spec = RunSpec(setting=setting(), batch_size=16, seed=3)
    task = build(spec.setting.workload)
    here, there = train_to_target(spec, task), train_to_target(spec, task, device=device)
    assert there.provenance.device.startswith(device)
    updates = min(len(here.evaluations.updates), len(there.evaluations.updates))
    first, other = (run.evaluations.metrics["loss"][:updates] for run in (here, there))
    assert other[:5] == pytest.approx(first[:5], rel=1e-3)


def test_another_seed_gives_another_run() -> None:
    task = build(setting().workload)
    runs = [train_to_target(RunSpec(setting=setting(), batch_size=16, seed=seed), task) for seed in (0, 1)]
    assert runs[0].evaluations != runs[1].evaluations


def test_training_leaves_torchs_own_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train_to_target(RunSpec(setting=setting(max_updates=5), batch_size=4, seed=0), build(setting().workload))
    assert torch.equal(torch.rand(1), expected)


def test_an_update_is_the_one_of_torchs_own_sgd() -> None:
    task = build(setting().workload)
    torch.manual_seed(0)
    model = task.model()
    reference = task.model()
    reference.load_state_dict(model.state_dict())
    inputs, targets = task.train.inputs[:32], task.train.targets[:32]
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.3)
    trainer = Trainer(model=model, task=task, batch_size=32, rate=0.3, generator=torch.Generator())
    for _ in range(3):
        trainer.step(inputs, targets)
        optimizer.zero_grad()
        nn.functional.cross_entropy(reference(inputs), targets).backward()
        optimizer.step()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


class Recorder(nn.Module):
    """A model that keeps the inputs that it saw."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Keep the inputs."""
        self.seen.append(inputs)
        return inputs + 0 * self.weight


def counting_task() -> Task:
    """Return a task whose examples are the numbers from 0."""
    numbers = torch.arange(100, dtype=torch.float32)
    examples = Examples(inputs=numbers, targets=numbers)
    return Task(
        model=Recorder,
        train=examples,
        validation=examples,
        loss=lambda out, _: out,
        metrics={"loss": lambda out, _: out},
    )


def order(batch_size: int, stretches: list[int]) -> list[float]:
    """Return the examples that were drawn, in order."""
    task, model = counting_task(), Recorder()
    trainer = Trainer(
        model=model, task=task, batch_size=batch_size, rate=1e-3, generator=torch.Generator().manual_seed(0)
    )
    for count in stretches:
        trainer.update(count)
    return torch.cat(model.seen).tolist()


def test_a_seed_draws_the_same_examples_in_the_same_order_for_every_batch_size() -> None:
    reference = order(1, [64])
    assert order(4, [16]) == reference
    assert order(64, [1]) == reference
    assert order(4, [3, 5, 8]) == reference  # evaluations in between do not move it
    assert len(set(reference)) < 64  # with replacement: some of 64 draws from 100 come twice


def test_a_metric_is_the_mean_over_all_validation_examples() -> None:
    assert evaluate(Recorder(), counting_task()) == {"loss": 49.5}


def test_a_run_that_diverges_says_so_and_stops() -> None:
    # On |x|^2 / 2 a step size of 3 doubles the distance at every update: 32-bit numbers end before update 128.
    wild = setting(dataset="gaussian-noise", model="position", metric="loss", target=0.1, learning_rate=3)
    record = train_to_target(RunSpec(setting=wild, batch_size=4, seed=0), build(wild.workload))
    assert record.outcome.status == "diverged"
    assert record.outcome.upper is None
    assert record.evaluations.updates[-1] < wild.max_updates


def test_a_budget_that_is_too_small_is_recorded_as_censored() -> None:
    brief = setting(max_updates=3)
    record = train_to_target(RunSpec(setting=brief, batch_size=4, seed=0), build(brief.workload))
    assert record.outcome.status == "censored"
    assert record.outcome.lower == 3
    assert record.cost.examples == 12


def test_a_record_can_be_read_again_at_another_target() -> None:
    spec = RunSpec(setting=setting(target=0.2, hold=2), batch_size=16, seed=0)
    record = train_to_target(spec, build(spec.setting.workload))
    assert record.at(record.setting.workload.target) == record
    easier = record.at(Target(metric="error", value=0.4))
    assert easier.outcome.upper is not None
    assert record.outcome.upper is not None
    assert easier.outcome.upper <= record.outcome.upper


def test_near_the_target_every_point_of_the_grid_is_evaluated() -> None:
    spec = RunSpec(setting=setting(), batch_size=16, seed=0)
    record = train_to_target(spec, build(spec.setting.workload))
    grid = spec.setting.grid.points(spec.setting.max_updates)
    errors = record.evaluations.metrics["error"]
    near = next(k for k, error in enumerate(errors) if error is not None and error <= 2 * 0.2)
    places = [grid.index(point) for point in record.evaluations.updates]
    assert {later - sooner for sooner, later in pairwise(places[near:])} == {1}
    assert {later - sooner for sooner, later in pairwise(places[: near + 1])} == {2}


@pytest.mark.parametrize("batch_size", [1, 7, 2000])
def test_any_batch_size_trains_also_one_above_the_number_of_examples(batch_size: int) -> None:
    brief = setting(max_updates=2)
    record = train_to_target(RunSpec(setting=brief, batch_size=batch_size, seed=0), build(brief.workload))
    assert record.cost.examples == 2 * batch_size


def epochs(batch_size: int, stretches: list[int]) -> list[float]:
    """Return the examples that were taken epoch by epoch, in order."""
    model = Recorder()
    trainer = Trainer(
        model=model,
        task=counting_task(),
        batch_size=batch_size,
        rate=1e-3,
        generator=torch.Generator().manual_seed(0),
        sampling="epochs",
    )
    for count in stretches:
        trainer.update(count)
    return torch.cat(model.seen).tolist()


def test_an_epoch_takes_each_example_once_in_an_order_that_does_not_depend_on_the_batch_size() -> None:
    reference = epochs(1, [250])
    for first in (0, 100):
        assert sorted(reference[first : first + 100]) == list(range(100))
    assert reference[:100] != reference[100:200]
    assert len(set(reference[200:])) == 50
    assert epochs(25, [10]) == reference
    assert epochs(25, [3, 1, 6]) == reference
    assert epochs(125, [2]) == reference  # a batch may end one epoch and begin the next


@pytest.mark.parametrize(
    ("optimizer", "theirs"),
    [
        (Optimizer(), lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
        (Optimizer(momentum=0.9), lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9)),
        (Optimizer(name="adam"), lambda parameters: torch.optim.Adam(parameters, lr=0.1)),
    ],
)
def test_updates_are_those_of_torchs_own_loop(optimizer: Optimizer, theirs: Any) -> None:
    task = build(setting().workload)
    torch.manual_seed(0)
    ours = task.model()
    reference = copy.deepcopy(ours)
    inputs, targets = task.train.inputs[:80], task.train.targets[:80]
    trainer = Trainer(model=ours, task=task, batch_size=8, rate=0.1, generator=torch.Generator(), optimizer=optimizer)
    stepper = theirs(reference.parameters())
    for batch, labels in zip(inputs.split(8), targets.split(8), strict=True):
        trainer.step(batch, labels)
        stepper.zero_grad()
        torch.nn.functional.cross_entropy(reference(batch), labels).backward()
        stepper.step()
    for one, other in zip(ours.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_report_is_taken_once_of_a_run_that_reached_its_target_and_of_no_other() -> None:
    asked: list[nn.Module] = []

    def report(model: nn.Module) -> dict[str, float]:
        asked.append(model)
        return {"score": 7.0}

    task = replace(build(setting().workload), report=report)
    reached = train_to_target(RunSpec(setting=setting(), batch_size=8, seed=0), task)
    assert (reached.outcome.status, dict(reached.reports), len(asked)) == ("reached", {"score": 7.0}, 1)
    censored = train_to_target(RunSpec(setting=setting(max_updates=2), batch_size=8, seed=0), task)
    assert (censored.outcome.status, dict(censored.reports), len(asked)) == ("censored", {}, 1)


def test_a_record_names_the_examples_that_it_was_made_of() -> None:
    task = build(setting().workload)
    made = train_to_target(RunSpec(setting=setting(), batch_size=8, seed=0), task)
    content = b"".join(
        tensor.numpy().tobytes() for part in (task.train, task.validation) for tensor in (part.inputs, part.targets)
    )
    assert made.provenance.examples_sha256 == hashlib.sha256(content).hexdigest()
