"""Batches of a run: drawn from examples in memory, or given by a loader."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from batchtime.errors import WorkloadError
from batchtime.runs.spec import Sampling
from batchtime.train.augment import Augment, pack, pack_order, unpack
from batchtime.train.datasets import Examples, each

MakeLoader = Callable[[Any, int, torch.Generator], Iterable[Any]]
"""Data set, batch size and the run's generator to a `DataLoader` that shuffles with it and drops what is left over."""

Batches = Callable[[int], Iterator[tuple[Any, Any]]]
"""The inputs and targets of the next so many batches."""

_DRAWS = 2**20  # indices drawn at once, at most


class Team(Protocol):
    """Learners that do each update together, each on its share of the batch."""

    def share(self, batch: Tensor) -> Tensor:
        """Return which examples of a batch (M,) are this learner's."""

    def average(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean of the learners' gradients."""


class Drawn:
    """Batches drawn from examples in memory by the run's generator: a batch of 2 M is two batches of M."""

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        generator: torch.Generator,
        *,
        sampling: Sampling = "with replacement",
        augment: Augment | None = None,
        team: Team | None = None,
    ) -> None:
        """Start with the first batch of the generator; a team takes shares of each."""
        self._examples = examples
        self._batch_size = batch_size
        self._generator = generator
        self._sampling = sampling
        self._augment = augment
        self._team = team
        self._order = torch.empty(0, dtype=torch.int64)  # what is left of the epoch that was begun

    def __call__(self, count: int) -> Iterator[tuple[Any, Any]]:
        """Yield the next `count` batches."""
        examples, augment, device = self._examples, self._augment, self._examples.device
        at_once = max(1, _DRAWS // self._batch_size)
        for first in range(0, count, at_once):
            for drawn in self._draw(min(at_once, count - first)):
                batch = (drawn if self._team is None else self._team.share(drawn)).to(device)
                if augment is None:
                    yield examples.take(batch)
                else:
                    batch, bits = unpack(batch)
                    inputs, targets = examples.take(batch)
                    yield augment(inputs, bits), targets

    def _draw(self, updates: int) -> Tensor:
        """Return the examples of some updates, (updates, batch); where they are augmented, packed with random bits."""
        examples = len(self._examples)
        shape = (updates, self._batch_size)
        augmented = self._augment is not None
        if self._sampling == "with replacement":
            draw = pack if augmented else torch.randint
            return draw(examples, shape, generator=self._generator)
        orders = [self._order]
        while sum(map(len, orders)) < updates * self._batch_size:
            draw_order = pack_order if augmented else torch.randperm
            orders.append(draw_order(examples, generator=self._generator))
        drawn, self._order = torch.cat(orders).tensor_split([updates * self._batch_size])
        return drawn.reshape(shape)


class Loaded:
    """Batches of a loader, which is begun again where it ends."""

    def __init__(self, loader: Iterable[Any], batch_size: int, device: torch.device) -> None:
        """Start before the first batch."""
        self._loader, self._batch_size, self._device = loader, batch_size, device
        self._left: Iterator[Any] = iter(())

    def __call__(self, count: int) -> Iterator[tuple[Any, Any]]:
        """Yield the next `count` batches.

        Raises:
            WorkloadError: If the loader gives none, something else than pairs, or a batch of another size.
        """
        for _ in range(count):
            batch = next(self._left, None)
            if batch is None:
                self._left = iter(self._loader)
                batch = next(self._left, None)
            if not (isinstance(batch, tuple | list) and len(batch) == 2):
                given = "nothing" if batch is None else type(batch).__name__
                raise WorkloadError(f"its loader gave {given}, not pairs of inputs and targets; change its collate_fn")
            inputs, targets = (each(lambda part: part.to(self._device), _tree(side)) for side in batch)
            examples = len(Examples(inputs=inputs, targets=targets))
            if examples != self._batch_size:
                remedy = "say drop_last=True, and give it no larger batch size than there are examples"
                raise WorkloadError(
                    f"its loader gave a batch of {examples} where the batch size is {self._batch_size}; {remedy}"
                )
            yield inputs, targets


def _tree(side: Any) -> Any:
    """Return what a loader collated, with its lists as tuples: several inputs by position."""
    return tuple(side) if isinstance(side, list) else side
