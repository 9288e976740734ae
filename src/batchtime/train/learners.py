"""Train with several learners: processes on this machine that share each batch and average their gradients."""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from time import perf_counter, thread_time
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from batchtime.errors import LearnersError, check
from batchtime.fit.measurements import AllReduceTiming, UpdateTiming
from batchtime.laws.quantity import Array
from batchtime.runs.provenance import provenance
from batchtime.runs.records import CommunicationMode, LearnersRecord, RunRecord
from batchtime.runs.spec import RunSpec, Workload
from batchtime.train.loop import Trainer, begin, train_to_target
from batchtime.train.task import Task
from batchtime.train.timing import BLOCKS, DISCARDED, SECONDS, Blocks, plan_blocks, turns
from batchtime.train.workloads import build

_R = TypeVar("_R")
PAYLOADS = tuple(4**k for k in range(1, 13))
"""Bytes of the all-reduces that are timed: 4 to 16.8 million."""
BUCKET_MEGABYTES = 0.1
"""What is exchanged at once during the backward pass: small, so that a small model has several buckets."""
BUCKETS = 4
"""Into which a gradient is cut where the work is a sleep."""


class GradientTeam:
    """This process among learners that take every L-th example of a batch and average gradients in one all-reduce."""

    def share(self, batch: Tensor) -> Tensor:
        """Return which examples of a batch (M,) are this learner's."""
        return batch[dist.get_rank() :: dist.get_world_size()]

    def average(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean of the learners' gradients."""
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        parts = flat.split([gradient.numel() for gradient in gradients])
        return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]


class _AloneTeam(GradientTeam):
    """As many learners, that do not talk to each other: what their updates take without communication."""

    def average(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        return list(gradients)


def run_together(
    work: Callable[..., _R], *arguments: object, learners: int, namespaces: Sequence[str] = ()
) -> list[_R]:
    """Call a function in several processes on this machine that can talk to each other by torch.distributed.

    Args:
        work: A function of a module; what it returns must be picklable.
        arguments: What it is called with, the same in every process.
        learners: Number of processes, one thread each; they talk by gloo over the loopback interface.
        namespaces: Network namespaces that the processes enter, one each; none to stay on the loopback interface.

    Returns:
        What each process returned, by rank.

    Raises:
        ParameterError: If the number of learners is not allowed.
        LearnersError: If a process stopped.
    """
    check(learners >= 1, name="learners", value=learners, allowed="a whole number, at least 1")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(learners)]
        processes = [
            context.Process(
                target=_learner,
                args=((rank, learners, folder), sender, work, arguments, *namespaces[rank : rank + 1]),
                daemon=True,
            )
            for rank, (_, sender) in enumerate(pipes)
        ]
        try:
            for process in processes:
                process.start()
            for _, sender in pipes:
                sender.close()  # or the end of a process would not be seen
            return _received([receiver for receiver, _ in pipes])
        finally:
            for process in processes:
                process.kill()
                process.join()


def _received(receivers: Sequence[Connection]) -> list[Any]:
    """Return what each learner found; the first that stops stops all, and is the one that is named."""
    found: dict[int, Any] = {}
    while len(found) < len(receivers):
        waiting = [receiver for rank, receiver in enumerate(receivers) if rank not in found]
        for ready in wait(waiting):
            rank = receivers.index(ready)
            try:
                found[rank], reason = receivers[rank].recv()
            except EOFError:
                reason = "it was killed"
            if reason is not None:
                remedy = "try again, with fewer learners if memory is short"
                raise LearnersError(f"learner {rank} stopped: {reason}; {remedy}")
    return [found[rank] for rank in range(len(receivers))]


def _learner(
    place: tuple[int, int, str],
    sender: Connection,
    work: Callable[..., object],
    arguments: Sequence[object],
    namespace: str | None = None,
) -> None:
    """Be one learner: its rank, how many there are, and the folder where they meet."""
    rank, learners, folder = place
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    try:
        if namespace is not None:
            from batchtime.train.limited import enter

            enter(namespace)
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=learners)
        found, reason = work(*arguments), None
        dist.barrier()  # nobody leaves while others still talk
        dist.destroy_process_group()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent says it in one line
        found, reason = None, " ".join(f"{type(error).__name__}: {error}".split())[:300]
    sender.send((found, reason))


def train_together(specs: Sequence[RunSpec], *, learners: int) -> list[RunRecord]:
    """Train some runs to their targets, one after the other, each with several learners on shares of the same batches.

    Args:
        specs: The runs; their batch sizes are those of all learners together.
        learners: Processes; must divide the batch sizes.

    Raises:
        ParameterError: If the learners do not divide a batch size.
        LearnersError: If a process stopped.
    """
    check_shares([spec.batch_size for spec in specs], learners)
    return run_together(_train, tuple(specs), learners=learners)[0]


def parameters_after(spec: RunSpec, *, updates: int, learners: int) -> list[Array]:
    """Return the parameters of a run after some updates with several learners, from each learner as one vector.

    Raises:
        ParameterError: If the learners do not divide the batch size.
        LearnersError: If a process stopped.
    """
    check_shares([spec.batch_size], learners)
    return run_together(_parameters, spec, updates, learners=learners)


def check_shares(batch_sizes: Sequence[int], learners: int) -> None:
    """Refuse batch sizes that learners cannot share evenly.

    Raises:
        ParameterError: If they do not divide one of them.
    """
    allowed = f"multiples of the {learners} learners, for each takes the same share"
    check(
        all(size % learners == 0 for size in batch_sizes), name="batch_sizes", value=list(batch_sizes), allowed=allowed
    )


def _train(specs: Sequence[RunSpec]) -> list[RunRecord]:
    return [train_to_target(spec, build(spec.setting.workload), team=GradientTeam()) for spec in specs]


def _parameters(spec: RunSpec, updates: int) -> Array:
    task = build(spec.setting.workload)
    torch.manual_seed(spec.seed)
    trainer = begin(spec, task, team=GradientTeam())
    trainer.update(updates)
    return np.concatenate([value.detach().double().numpy().ravel() for value in trainer.model.parameters()])


def time_learners(
    workload: Workload, *, batch_sizes: Sequence[int], learners: int, blocks: int = BLOCKS, seconds: float = SECONDS
) -> LearnersRecord:
    """Measure what an update takes with several learners at some total batch sizes, and what an all-reduce takes.

    Three ways of communication and the batch sizes take turns as in `time_updates`, blocks in random order: without any
    ("compute"), with one all-reduce after the backward pass ("in turn"), and with buckets that travel during it
    ("overlapped", torch's DistributedDataParallel). An update ends when the last learner has ended it.

    Args:
        workload: What is trained.
        batch_sizes: Examples in a batch, of all learners together; multiples of `learners`.
        learners: Processes, one thread each; for one alone "compute" is all there is.
        blocks: Durations kept of each, each the mean of 16 updates; fewer where they do not fit into the budget.
        seconds: The budget.

    Raises:
        ParameterError: If the learners do not divide a batch size, or the blocks or the budget are not allowed.
        LearnersError: If a process stopped.
    """
    check_shares(batch_sizes, learners)
    check(blocks >= 1, name="blocks", value=blocks, allowed="a whole number, at least 1")
    check(seconds > 0, name="seconds", value=seconds, allowed="more than 0")
    found = run_together(_time, workload, tuple(batch_sizes), blocks, seconds, learners=learners)
    by_mode: dict[CommunicationMode, list[UpdateTiming]] = {}
    first_updates, first_reduces, gradient_bytes = found[0]
    for mode, size in first_updates:
        pairs = [max(durations) for durations in zip(*(one[0][mode, size] for one in found), strict=True)]
        walls, cpus = zip(*pairs, strict=True)
        by_mode.setdefault(mode, []).append(UpdateTiming(batch_size=size, wall_seconds=walls, cpu_seconds=cpus))
    return LearnersRecord(
        workload=workload.name,
        learners=learners,
        gradient_bytes=gradient_bytes,
        timings={mode: tuple(timings) for mode, timings in by_mode.items()},
        all_reduce=tuple(
            AllReduceTiming(
                payload_bytes=payload,
                seconds=tuple(max(times) for times in zip(*(one[1][payload] for one in found), strict=True)),
            )
            for payload in first_reduces
        ),
        provenance=provenance(threads=1),
    )


_Key = tuple[CommunicationMode, int] | int
"""What takes turns: updates of a way of communication and a batch size, or an all-reduce of so many bytes."""
_Durations = dict[tuple[CommunicationMode, int], list[tuple[float, float]]]


def _time(
    workload: Workload, batch_sizes: Sequence[int], blocks: int, budget: float
) -> tuple[_Durations, dict[int, list[float]], int]:
    """Return (wall, CPU) seconds by mode and batch size, seconds by payload, and the bytes of a gradient."""
    task, learners = build(workload), dist.get_world_size()
    modes: tuple[CommunicationMode, ...] = ("compute",) if learners == 1 else ("compute", "in turn", "overlapped")
    updaters = {(mode, size): _updater(mode, task, size) for mode in modes for size in batch_sizes}
    payloads = {payload: torch.zeros(payload // 4) for payload in (PAYLOADS if learners > 1 else ())}
    works: dict[_Key, Callable[[int], None]] = {size: partial(_reduce, payload) for size, payload in payloads.items()}
    works |= {pair: update for pair, update in updaters.items()}  # noqa: C416 - for mypy, a key of either kind
    costs: dict[_Key, float] = {}
    for key, work in works.items():
        work(DISCARDED)
        with clock() as seconds:
            work(2)
        costs[key] = seconds[0] / 2
    plan = _shared(plan_blocks(costs, blocks=blocks, seconds=budget))
    durations: _Durations = {key: [] for key in updaters}
    reduces: dict[int, list[float]] = {payload: [] for payload in payloads}
    for key in turns(plan):
        count = plan[key].updates
        works[key](DISCARDED)
        with clock() as seconds:
            works[key](count)
        if isinstance(key, int):
            reduces[key].append(seconds[0] / count)
        else:
            durations[key].append((seconds[0] / count, seconds[1] / count))
    gradient_bytes = sum(parameter.numel() * parameter.element_size() for parameter in task.model().parameters())
    return durations, reduces, gradient_bytes


def _reduce(payload: Tensor, count: int) -> None:
    for _ in range(count):
        dist.all_reduce(payload)


def _shared(plan: dict[_Key, Blocks]) -> dict[_Key, Blocks]:
    """Return the plan of the first learner: all must do the same."""
    plans = [plan]
    dist.broadcast_object_list(plans, src=0)
    return plans[0]


@contextlib.contextmanager
def clock() -> Iterator[list[float]]:
    """Take the wall and CPU seconds of a block that all learners begin together."""
    seconds: list[float] = []
    dist.barrier()
    started, worked = perf_counter(), thread_time()
    yield seconds
    seconds += [perf_counter() - started, thread_time() - worked]


def _updater(mode: CommunicationMode, task: Task, batch_size: int) -> Callable[[int], None]:
    """Return a function that does so many updates."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = task.model()
    if mode != "overlapped":
        team = GradientTeam() if mode == "in turn" else _AloneTeam()
        trainer = Trainer(model=model, task=task, batch_size=batch_size, rate=1e-9, generator=generator, team=team)
        return trainer.update
    wrapped = DistributedDataParallel(model, bucket_cap_mb=BUCKET_MEGABYTES, gradient_as_bucket_view=True)
    parameters: list[Tensor] = list(wrapped.parameters())
    share = GradientTeam().share

    def update(count: int) -> None:
        for batch in torch.randint(len(task.train.targets), (count, batch_size), generator=generator):
            own = share(batch)
            outputs = wrapped(task.train.inputs.index_select(0, own))
            task.loss(outputs, task.train.targets.index_select(0, own)).mean().backward()
            with torch.no_grad():
                torch._foreach_add_(parameters, [p.grad for p in parameters if p.grad is not None], alpha=-1e-9)
                wrapped.zero_grad(set_to_none=False)

    return update


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """The same runs by one learner and by several.

    Args:
        alone: By one learner.
        together: By several, in the same order.
        largest_difference: Between the parameters after `updates` updates of the first run, over the largest parameter.
        disagreement: Between the learners' own copies of them, the same way.
        updates: Updates after which parameters are compared.
    """

    alone: list[RunRecord]
    together: list[RunRecord]
    largest_difference: float
    disagreement: float
    updates: int

    @property
    def same(self) -> int:
        """Runs that reached the target between the same two evaluations."""
        return sum(one.outcome == other.outcome for one, other in zip(self.alone, self.together, strict=True))


def compare_learners(specs: Sequence[RunSpec], *, learners: int, updates: int = 100) -> Together:
    """Train some runs with one learner and with several, and compare their parameters and their updates to the target.

    Raises:
        ParameterError: If the learners do not divide a batch size.
        LearnersError: If a process stopped.
    """
    check_shares([spec.batch_size for spec in specs], learners)
    ((by_one, alone),) = run_together(_parameters_and_runs, tuple(specs), updates, learners=1)
    by_each = run_together(_parameters_and_runs, tuple(specs), updates, learners=learners)
    first, together = by_each[0]
    largest = float(np.abs(by_one).max())
    return Together(
        alone=alone,
        together=together,
        largest_difference=float(np.abs(by_one - first).max()) / largest,
        disagreement=max(float(np.abs(other - first).max()) for other, _ in by_each) / largest,
        updates=updates,
    )


def _parameters_and_runs(specs: Sequence[RunSpec], updates: int) -> tuple[Array, list[RunRecord]]:
    return _parameters(specs[0], updates), _train(specs)
