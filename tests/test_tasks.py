"""Promises of what a task may bring: optimizer, schedule, step, loader, several inputs, metrics that rise or fall."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from batchtime.book.pages import own_model
from batchtime.errors import DatasetError, ParameterError, WorkloadError
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.catalogue import tasks
from batchtime.runs.records import Evaluations, Outcome, RunRecord
from batchtime.runs.spec import EvaluationGrid, Optimizer, RunSpec, Setting, Source, Target, Workload
from batchtime.runs.store import Store
from batchtime.train.datasets import Examples, examples_of
from batchtime.train.loop import Trainer, train_to_target
from batchtime.train.own import own_experiment
from batchtime.train.sweep import train
from batchtime.train.task import Task
from batchtime.train.workloads import build

from .conftest import missing


def numbers(count: int = 64) -> Examples:
    """Return vectors and what is to be made of them."""
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))
    return Examples(inputs=inputs, targets=inputs.sum(dim=1))


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each example."""
    return (outputs.squeeze(1) - targets).square()


def task(**changes: Any) -> Task:
    """Return a small regression."""
    plain = Task(
        model=lambda: nn.Linear(4, 1),
        train=numbers(),
        validation=numbers(32),
        loss=squares,
        metrics={"squares": squares},
    )
    return replace(plain, **changes)


def trainer(made: Task, *, batch_size: int = 8, rate: float = 0.05) -> Trainer:
    """Return the beginning of a run, with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = made.model()
    generator = torch.Generator().manual_seed(0)
    return Trainer(model=model, task=made, batch_size=batch_size, rate=rate, generator=generator)


def weights(of: Trainer) -> Tensor:
    """Return all parameters as one vector."""
    return torch.cat([value.detach().flatten() for value in of.model.parameters()])


def run(made: Task, target: Target, *, seed: int = 0, max_updates: int = 200) -> RunRecord:
    """Train a run to its target."""
    setting = Setting(
        workload=Workload(name="test", dataset="test", model="test", target=target),
        learning_rate=LearningRate(maximum=0.05),
        max_updates=max_updates,
        grid=EvaluationGrid(ratio=1.2, stride=2),
    )
    return train_to_target(RunSpec(setting=setting, batch_size=8, seed=seed), made)


MAKERS: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "AdamW": lambda model, rate: torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1),
    "RMSprop": lambda model, rate: torch.optim.RMSprop(model.parameters(), lr=rate),
    "Adagrad": lambda model, rate: torch.optim.Adagrad(model.parameters(), lr=rate),
    "NAdam": lambda model, rate: torch.optim.NAdam(model.parameters(), lr=rate),
    "two groups": lambda model, rate: torch.optim.SGD(
        [{"params": [model.get_parameter("weight")]}, {"params": [model.get_parameter("bias")], "lr": 2 * rate}],
        lr=rate,
        momentum=0.5,
    ),
    "LBFGS": lambda model, rate: torch.optim.LBFGS(model.parameters(), lr=rate),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_any_optimizer_of_torch_does_what_it_does_in_torchs_own_loop(make: Any) -> None:
    ours = trainer(task(optimizer=make))
    model = copy.deepcopy(ours.model)
    optimizer = make(model, 0.05)
    inputs, targets = numbers().inputs[:40], numbers().targets[:40]
    for batch, answers in zip(inputs.split(8), targets.split(8), strict=True):
        ours.step(batch, answers)

        def closure(batch: Tensor = batch, answers: Tensor = answers) -> Tensor:
            optimizer.zero_grad()
            loss = squares(model(batch), answers).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    assert torch.equal(weights(ours), torch.cat([value.detach().flatten() for value in model.parameters()]))


def warm_up(optimizer: torch.optim.Optimizer, batch_size: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a learning rate that rises for 64 examples, and stays."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: min(1.0, (update + 1) * batch_size / 64))


def test_a_schedule_steps_after_each_update_and_knows_the_batch_size() -> None:
    ours, constant = trainer(task(schedule=warm_up)), trainer(task())
    moved = []
    for _ in range(10):
        before = weights(ours)
        gradients = torch.autograd.grad(
            squares(ours.model(numbers().inputs), numbers().targets).mean(), list(ours.model.parameters())
        )
        ours.step(numbers().inputs, numbers().targets)
        step = (before - weights(ours)) / torch.cat([gradient.flatten() for gradient in gradients])
        moved.append(float(step.median()))
    assert moved == pytest.approx([0.05 * min(1, (k + 1) / 8) for k in range(10)], rel=1e-3)
    constant.step(numbers().inputs, numbers().targets)


def in_parts(model: nn.Module, batch: Examples, optimizer: torch.optim.Optimizer) -> None:
    """Do an update with the gradients of three examples at a time, added up."""
    optimizer.zero_grad()
    for part in batch.split(3):
        (squares(model(part.inputs), part.targets).sum() / len(batch)).backward()
    optimizer.step()


def test_a_step_that_accumulates_gradients_is_the_update_of_the_whole_batch() -> None:
    ours, whole = trainer(task(step=in_parts)), trainer(task())
    ours.update(20)
    whole.update(20)
    assert torch.allclose(weights(ours), weights(whole), rtol=1e-4)


def in_half_precision(model: nn.Module, batch: Examples, optimizer: torch.optim.Optimizer) -> None:
    """Do an update whose products are taken in bfloat16."""
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(batch.inputs)
    assert outputs.dtype == torch.bfloat16
    squares(outputs.float(), batch.targets).mean().backward()
    optimizer.step()


def test_a_step_in_mixed_precision_reaches_the_target_and_comes_out_the_same_again() -> None:
    made, goal = task(step=in_half_precision), Target(metric="squares", value=0.1)
    first = run(made, goal)
    assert first.outcome.status == "reached"
    assert run(made, goal).evaluations == first.evaluations
    assert run(made, goal).evaluations != run(task(), goal).evaluations


class Pair(nn.Module):
    """A model of two inputs that returns a mapping."""

    def __init__(self) -> None:
        """Draw random weights."""
        super().__init__()
        self.left, self.right = nn.Linear(4, 1), nn.Linear(2, 1)
        self.unused = nn.Linear(3, 3)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        """Return the sum of both sides."""
        return {"sum": self.left(left) + self.right(right)}


@pytest.mark.parametrize("named", [True, False])
def test_a_model_takes_two_inputs_by_name_or_by_position_and_may_return_a_mapping(named: bool) -> None:
    def examples(count: int) -> Examples:
        left, right = numbers(count).inputs, numbers(count).inputs[:, :2] * 2
        inputs = {"left": left, "right": right} if named else (left, right)
        return Examples(inputs=inputs, targets=numbers(count).targets)

    def errors(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        return squares(outputs["sum"], targets)

    made = task(
        model=Pair,
        train=examples(64),
        validation=examples(32),
        loss=errors,
        metrics={"squares": errors, "far": lambda outputs, targets: (errors(outputs, targets) > 1).float()},
    )
    ended = run(made, Target(metric="squares", value=0.01, hold=2), max_updates=2000)
    assert ended.outcome.status == "reached"
    assert set(ended.evaluations.metrics) == {"squares", "far"}
    assert ended.evaluations.metrics["far"][-1] == 0


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Examples that are changed at random each time, by torch's random numbers."""

    def __len__(self) -> int:
        """Return how many there are."""
        return 64

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one, with noise."""
        return numbers().inputs[index] + 0.1 * torch.randn(4), numbers().targets[index]


def shuffled(dataset: Dataset[Any], batch_size: int, generator: torch.Generator) -> DataLoader[Any]:
    """Return a loader as torch's documentation writes it."""
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, generator=generator)


def test_a_loader_gives_every_example_once_an_epoch_and_the_same_run_again() -> None:
    seen: list[Tensor] = []

    def keep(model: nn.Module, batch: Examples, optimizer: torch.optim.Optimizer) -> None:
        seen.append(batch.targets)
        in_parts(model, batch, optimizer)

    plain = TensorDataset(numbers().inputs, numbers().targets)
    trainer(task(train=plain, loader=shuffled, step=keep)).update(16)
    both = torch.cat(seen).split(64)
    assert all(torch.equal(epoch.sort().values, numbers().targets.sort().values) for epoch in both)
    assert not torch.equal(*both)
    made, goal = task(train=Noisy(), loader=shuffled), Target(metric="squares", value=0.05)
    first = run(made, goal)
    torch.manual_seed(99)
    assert run(made, goal).evaluations == first.evaluations
    assert run(made, goal, seed=1).evaluations != first.evaluations


def beside(dataset: Dataset[Any], batch_size: int, generator: torch.Generator) -> DataLoader[Any]:
    """Return the same loader with a worker process."""
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, generator=generator, num_workers=1)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_worker_processes_of_a_loader_change_no_run_but_by_random_numbers_of_their_own() -> None:
    plain, goal = TensorDataset(numbers().inputs, numbers().targets), Target(metric="squares", value=0.05)
    without = run(task(train=plain, loader=shuffled), goal)
    assert without.outcome.status == "reached"
    assert run(task(train=plain, loader=beside), goal).evaluations == without.evaluations
    noisy = run(task(train=Noisy(), loader=beside), goal)
    assert noisy.outcome.status == "reached"
    assert noisy.evaluations != run(task(train=Noisy(), loader=shuffled), goal).evaluations


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (lambda data, size, _: DataLoader(data, batch_size=size + 1), "a batch of 9 where the batch size is 8"),
        (lambda data, size, _: DataLoader(data, batch_size=3 * size), "a batch of 24 .*; say drop_last=True"),
        (lambda _data, _size, _: [], "gave nothing, not pairs"),
        (lambda _data, _size, _: [{"inputs": torch.zeros(8, 4)}], "gave dict, not pairs.*collate_fn"),
    ],
)
def test_a_loader_that_gives_something_else_is_refused(loader: Any, reason: str) -> None:
    with pytest.raises(WorkloadError, match=reason):
        trainer(task(train=Noisy(), loader=loader)).update(1)


def test_a_data_set_of_two_inputs_becomes_tensors() -> None:
    class Two(Dataset[Any]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return ({"left": torch.full((2,), float(index)), "right": index}, (torch.zeros(1), torch.ones(2)))

    examples = examples_of(Two())
    assert examples.inputs["left"].shape == (3, 2)
    assert examples.inputs["right"].tolist() == [0, 1, 2]
    assert [part.shape for part in examples.targets] == [(3, 1), (3, 2)]
    assert [part.inputs["right"].tolist() for part in examples.split(2)] == [[0, 1], [2]]
    with pytest.raises(DatasetError, match="or give a loader"):
        examples_of(Noisy())


def test_a_metric_that_rises_and_a_target_below_zero_end_a_run_where_they_are_met() -> None:
    def fitted(outputs: Tensor, targets: Tensor) -> Tensor:
        return -squares(outputs, targets)

    def near(outputs: Tensor, targets: Tensor) -> Tensor:
        return (squares(outputs, targets) < 0.25).float()

    made = task(metrics={"fitted": fitted, "accuracy": near, "negative": lambda o, t: squares(o, t) - 5})
    for target in (
        Target(metric="fitted", value=-0.1, rises=True),
        Target(metric="accuracy", value=0.8, rises=True, hold=2),
        Target(metric="negative", value=-4.9),
    ):
        ended = run(made, target)
        values = ended.evaluations.metrics[target.metric]
        assert ended.outcome.status == "reached"
        assert [target.is_met(value) for value in values[: -target.hold]] == [False] * (len(values) - target.hold)
        assert all(map(target.is_met, values[-target.hold :]))
        assert ended.at(target) == ended
        assert ended.outcome.lower > 0


def test_a_metric_is_near_its_target_when_half_of_the_way_is_left_where_it_has_no_ratio() -> None:
    falling = Target(metric="loss", value=0.5)
    assert falling.is_near(1.0, first=9.0, factor=2)
    assert not falling.is_near(1.01, first=9.0, factor=2)
    rising = Target(metric="accuracy", value=0.9, rises=True)  # from 0.1: half of the way is left at 0.5
    assert rising.is_near(0.5, first=0.1, factor=2)
    assert not rising.is_near(0.49, first=0.1, factor=2)
    negative = Target(metric="nats", value=-3.0)  # from 1 with factor 4: three quarters are left at 0
    assert negative.is_near(0.0, first=1.0, factor=4)
    assert not negative.is_near(0.1, first=1.0, factor=4)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"metric": "accuracy", "value": 0.9}, "rises = False .* True for accuracy"),
        ({"metric": "val_acc", "value": 0.9}, "rises = False"),
        ({"metric": "error", "value": 0.1, "rises": True}, "rises = True .* False for error"),
        ({"metric": "nats", "value": float("nan")}, "target = nan"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        Target(**values)


def test_the_unit_of_a_metric_of_ones_own_is_ones_own_and_that_of_the_packages_is_checked() -> None:
    names = {"name": "test", "dataset": "test", "model": "test"}
    source = Source(function="mine:good", version="1", examples_sha256="")
    for target in (Target(metric="loss", value=-1.0), Target(metric="error", value=7.5)):
        assert Workload(**names, target=target, source=source).target == target
        with pytest.raises(ParameterError, match=f"target = {target.value}"):
            Workload(**names, target=target)


def test_a_run_whose_loss_stops_being_finite_has_diverged_although_its_error_has_not() -> None:
    wild = task(metrics={"error": lambda o, t: (squares(o, t) > 0.01).float(), "loss": squares})
    ended = run(wild, Target(metric="error", value=0.001))
    assert ended.ending == "reached"
    lost = Evaluations(updates=(1, 2), metrics={"error": (0.9, 0.9), "loss": (2.0, None)})
    outcome = Outcome(status="censored", lower=2, upper=None)
    assert replace(ended, evaluations=lost, outcome=outcome).ending == "diverged"


def test_a_record_says_that_the_optimizer_is_the_tasks_own() -> None:
    plain = own_experiment("batchtime.train.samples.regression:regression").sweep.setting
    assert plain.optimizer == Optimizer()
    own = own_experiment("batchtime.train.samples.tabular:tabular").sweep.setting
    assert own.optimizer == Optimizer(name="task")
    with pytest.raises(ParameterError, match=r"momentum = 0\.9"):
        Optimizer(name="task", momentum=0.9)


TASKS = {"mnist": "mnist-lenet", "cifar10": "cifar10-cnn", "cifar100": "cifar100-cnn", "europarl": "europarl-gru"}


def test_each_of_the_four_tasks_is_a_function_as_anybody_writes_one() -> None:
    assert sorted(TASKS.values()) == sorted(one.name for one in tasks().values())


@pytest.mark.full
@pytest.mark.parametrize("function", TASKS)
def test_a_task_of_the_package_goes_through_the_door_of_ones_own(function: str) -> None:
    named = next(one for one in tasks().values() if one.name == TASKS[function])
    try:
        build(named.workload)
    except DatasetError as error:
        missing(str(error))
    chosen = own_experiment(f"batchtime.train.tasks:{function}")
    few = {"max_updates": 5, "grid": EvaluationGrid(ratio=2)}
    runs = [train(RunSpec(setting=replace(one.sweep.setting, **few), batch_size=8, seed=0)) for one in (named, chosen)]
    assert runs[0].evaluations == runs[1].evaluations


def test_what_the_advice_cost_is_taken_from_runs_of_other_seeds_than_the_pilots(root: Path) -> None:
    store, name = Store(root / "data"), "batchtime.train.samples.tabular:tabular"
    rows = own_model.clocked(store)
    found = own_model.regrets(rows)
    assert (rows["n_runs"] == 3).all()
    assert (found["regret"] >= 0).all()
    table = rows[(rows["function"] == name) & (rows["pilot"] == "nine runs")]
    one = [r for r in store.runs(name) if r.batch_size == 8 and 10 <= r.seed < 20]
    spent = [(r.cost.cpu_seconds - r.cost.evaluation_cpu_seconds) / r.evaluations.updates[-1] for r in one]
    ends = [(r.outcome.lower + (r.outcome.upper or 0)) / 2 for r in one]
    mean = sum(each * end for each, end in zip(spent, ends, strict=True)) / 3
    assert table.set_index("batch_size").loc[8, "measured"] == pytest.approx(mean)


def test_each_of_the_three_models_was_predicted_before_its_grid_by_the_pilot_that_users_have(root: Path) -> None:
    known = own_model.predictions()
    chosen = known[known["pilot"] == "chosen"]
    assert sorted(chosen["function"].unique()) == sorted(own_model.GRIDS)
    assert (chosen.groupby("function")["advised"].sum() == 1).all()
    rows = own_model.clocked(Store(root / "data"))
    for (function, first), some in known.groupby(["function", "first_seed"]):
        grid = [r for r in Store(root / "data").runs(str(function)) if first <= r.seed < first + 3]
        assert {run.batch_size for run in grid} == set(some["batch_size"])
        assert all(run.provenance.date > date for run in grid for date in some["date"])
        assert all(run.provenance.dirty is False for run in grid)
    assert len(own_model.regrets(rows)) == known.groupby(["function", "pilot"]).ngroups
