"""Promises of random changes of a batch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import EvaluationGrid, RunSpec, Sampling, Setting, Target, Workload
from batchtime.train.augment import RANDOM_BITS, flip_and_shift, pack, pack_order, unpack
from batchtime.train.datasets import Examples
from batchtime.train.loop import Trainer, train_to_target
from batchtime.train.workloads import Task

EXAMPLES = 40


def images(count: int = EXAMPLES) -> Tensor:
    """Return images that are all different, of 3 channels and 6 x 5 pixels."""
    return torch.arange(1.0, count * 90 + 1).view(count, 3, 6, 5) / 1000


@given(bits=st.integers(min_value=0, max_value=2**RANDOM_BITS - 1), most=st.integers(min_value=0, max_value=3))
def test_an_image_is_moved_as_cutting_it_from_one_with_a_margin_does(bits: int, most: int) -> None:
    image = images(1)
    down, right = divmod(bits // 2 % (2 * most + 1) ** 2, 2 * most + 1)
    margin = torch.zeros(3, 6 + 2 * most, 5 + 2 * most)
    margin[:, most : most + 6, most : most + 5] = image[0]
    expected = margin[:, down : down + 6, right : right + 5]
    moved = flip_and_shift(image, torch.tensor([bits]), most=most)[0]
    assert torch.equal(moved, expected.flip(2) if bits % 2 else expected)


def test_each_image_of_a_batch_is_moved_by_its_own_bits() -> None:
    _, bits = unpack(pack(EXAMPLES, (EXAMPLES,), torch.Generator().manual_seed(1)))
    together = flip_and_shift(images(), bits)
    one_by_one = [flip_and_shift(images()[k : k + 1], bits[k : k + 1]) for k in range(EXAMPLES)]
    assert torch.equal(together, torch.cat(one_by_one))
    assert not torch.equal(together, images())


def test_every_shift_and_both_sides_come_up_equally_often() -> None:
    _, bits = unpack(pack(10, (81_000,), torch.Generator().manual_seed(2)))
    counts = torch.bincount(bits // 2 % 81 + 81 * (bits % 2), minlength=162)
    # 500 are expected of each; the chi-square statistic has mean 161 and deviation 18.
    assert float(((counts - 500.0) ** 2 / 500).sum()) < 161 + 5 * 18


def test_examples_are_drawn_equally_often_and_an_order_holds_each_once() -> None:
    indices, _ = unpack(pack(7, (70_000,), torch.Generator().manual_seed(3)))
    assert torch.bincount(indices, minlength=7).sub(10_000).abs().max() < 500  # five standard deviations
    order, bits = unpack(pack_order(EXAMPLES, torch.Generator().manual_seed(3)))
    assert sorted(order.tolist()) == list(range(EXAMPLES))
    assert len(set(bits.tolist())) == EXAMPLES


class Seen:
    """What a network was shown: an augmentation that changes nothing but keeps what it was given."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.bits: list[Tensor] = []
        self.inputs: list[Tensor] = []

    def __call__(self, inputs: Tensor, bits: Tensor) -> Tensor:
        """Keep the examples and their bits."""
        self.bits.append(bits)
        self.inputs.append(inputs)
        return inputs


def shown(*, batch_size: int, counts: list[int], sampling: Sampling = "with replacement") -> tuple[Tensor, Tensor]:
    """Return the examples and bits that a network was shown in some calls of `update`."""
    seen = Seen()
    trainer = Trainer(
        model=network(),
        task=task(augment=seen),
        batch_size=batch_size,
        rate=0.01,
        generator=torch.Generator().manual_seed(5),
        sampling=sampling,
    )
    for count in counts:
        trainer.update(count)
    return torch.cat(seen.inputs), torch.cat(seen.bits)


@pytest.mark.parametrize("sampling", ["with replacement", "epochs"])
def test_a_batch_of_twice_the_size_is_two_batches_changed_alike(sampling: Sampling) -> None:
    small = shown(batch_size=4, counts=[30], sampling=sampling)
    large = shown(batch_size=8, counts=[4, 1, 10], sampling=sampling)
    assert all(torch.equal(one, other) for one, other in zip(small, large, strict=True))
    assert len(set(small[1].tolist())) == 120


def network() -> nn.Module:
    """Return a linear classifier of the images, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(90, 2))


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats of each example."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def task(**changes: object) -> Task:
    """Return images of two classes."""
    examples = Examples(inputs=images(), targets=torch.arange(EXAMPLES) % 2)
    plain = Task(
        model=network, train=examples, validation=examples, loss=cross_entropy, metrics={"loss": cross_entropy}
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def run(made: Task, seed: int = 0) -> RunRecord:
    """Train a few updates."""
    setting = Setting(
        workload=Workload(name="test", dataset="test", model="test", target=Target(metric="loss", value=1e-6)),
        learning_rate=LearningRate(maximum=0.1),
        max_updates=12,
        grid=EvaluationGrid(ratio=1.5, stride=1),
    )
    return train_to_target(RunSpec(setting=setting, batch_size=4, seed=seed), made)


def test_an_augmented_run_is_the_same_again_and_another_one_with_another_seed() -> None:
    augmented = task(augment=flip_and_shift)
    assert run(augmented).evaluations == run(augmented).evaluations
    assert run(augmented).evaluations != run(augmented, seed=1).evaluations
    assert run(augmented).evaluations != run(task()).evaluations


def test_validation_examples_are_not_changed() -> None:
    seen = Seen()
    run(task(augment=seen))
    assert len(seen.inputs) == 12  # one a batch: nothing else goes through
