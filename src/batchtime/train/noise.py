"""Measure the gradient noise scale along training, from the gradients of single examples."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from batchtime.errors import check
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.records import NoiseRecord, Progress, RunRecord, unwatched
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store, writing
from batchtime.train.loop import begin, evaluate
from batchtime.train.sweep import complete
from batchtime.train.task import Task
from batchtime.train.workloads import build

GROUPS = 16
"""Groups of examples of the jackknife."""
_CHUNK = 256  # examples whose gradients are held at once


def measured_points(records: Sequence[RunRecord], batch_size: int, *, count: int = 9) -> list[int]:
    """Return 0 and increasing numbers of updates up to the mean at which recorded runs of a batch size got there.

    Raises:
        ParameterError: If no recorded run of that batch size reached its target.
    """
    upper = [r.outcome.upper for r in records if r.batch_size == batch_size and r.outcome.upper is not None]
    sizes = sorted({r.batch_size for r in records if r.outcome.upper is not None})
    check(len(upper) > 0, name="batch_size", value=batch_size, allowed=f"one with recorded runs: {sizes}")
    end = sum(upper) / len(upper)
    return sorted({0, *(round(end ** (k / (count - 1))) for k in range(count))})


def noise_along(spec: RunSpec, *, points: Sequence[int], examples: int, progress: Progress = unwatched) -> NoiseRecord:
    """Train a run and measure the gradient noise after some numbers of updates.

    At each point, examples are drawn anew from the training set without replacement, and with g_i the gradient of one,
    tr S = sum |g_i - mean g|^2 / (n - 1) and |G|^2 = |mean g|^2 - tr S / n, which are without bias for many more
    training examples than n.

    Args:
        spec: The run; its target and budget are not used.
        points: Updates after which the noise is measured, increasing; 0 is before the first.
        examples: How many examples are drawn at each point.
        progress: Called with the points done and the points in all.

    Raises:
        ParameterError: If points or examples are not allowed.
        DatasetError: If the data set cannot be had.
    """
    task = build(spec.setting.workload)
    task.check_plain("gradient noise")
    n_train = len(task.train)
    increasing = len(points) > 0 and points[0] >= 0 and sorted(set(points)) == list(points)
    check(increasing, name="points", value=list(points), allowed="increasing numbers of updates, at least 0")
    allowed = f"a multiple of {GROUPS} groups, at least {2 * GROUPS} and at most the {n_train:,} training examples"
    check(
        2 * GROUPS <= examples <= n_train and examples % GROUPS == 0, name="examples", value=examples, allowed=allowed
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        trainer = begin(spec, task)
    drawing = torch.Generator().manual_seed(spec.seed)
    variances, squares, groups, metric = [], [], [], []
    done = 0
    for number, point in enumerate(points):
        progress(number, len(points))
        trainer.update(point - done)
        done = point
        drawn = torch.randperm(n_train, generator=drawing)[:examples]
        sums, norms = _group_sums(trainer.model, task, drawn)
        whole = _noise(sums.sum(dim=0), norms.sum(), examples)
        without = examples - examples // GROUPS
        variances.append(whole[0])
        squares.append(whole[1])
        others, rest = sums.sum(dim=0) - sums, norms.sum() - norms
        groups.append(tuple(_noise(total, square, without) for total, square in zip(others, rest, strict=True)))
        metric.append(evaluate(trainer.model, task)[spec.setting.workload.target.metric])
    progress(len(points), len(points))
    return NoiseRecord(
        setting=spec.setting,
        batch_size=spec.batch_size,
        seed=spec.seed,
        examples=examples,
        updates=tuple(points),
        noise_variance=tuple(variances),
        gradient_square=tuple(squares),
        groups=tuple(groups),
        metric=tuple(metric),
        provenance=provenance(threads=torch.get_num_threads(), examples_sha256=task.examples_sha256),
    )


def _group_sums(model: torch.nn.Module, task: Task, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each group of examples the sum of gradients (groups, parameters) and of their squares (groups,)."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(values: dict[str, Tensor], one: Tensor, target: Tensor) -> Tensor:
        return task.loss(functional_call(model, values, (one[None],)), target[None]).squeeze(0)

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    sums, norms = [], []
    for group in drawn.chunk(GROUPS):
        total = torch.zeros(sum(value.numel() for value in parameters.values()), dtype=torch.float64)
        square = torch.zeros((), dtype=torch.float64)
        for part in group.split(_CHUNK):
            found = gradients(parameters, task.train.inputs[part], task.train.targets[part])
            rows = torch.cat([value.flatten(1) for value in found.values()], dim=1)  # (part, parameters)
            total += rows.sum(dim=0, dtype=torch.float64)
            square += rows.square().sum(dtype=torch.float64)
        sums.append(total)
        norms.append(square)
    return torch.stack(sums), torch.stack(norms)


def _noise(total: Tensor, square: Tensor, n: int) -> tuple[float, float]:
    """Return tr S and |G|^2 from the sum of n gradients and the sum of their squares."""
    mean_square = float((total / n).square().sum())
    variance = (float(square) - n * mean_square) / (n - 1)
    return variance, mean_square - variance / n


def complete_noise(
    chosen: Experiment, *, store: Store, batch_size: int, seeds: int, examples: int
) -> list[NoiseRecord]:
    """Return the gradient noise along some runs of a named sweep's setting, measuring what is not recorded.

    Args:
        chosen: The sweep; its runs at this batch size, which are trained if they are not recorded, say how long to go.
        store: Where both are recorded.
        batch_size: Of the runs along which the noise is measured.
        seeds: How many, counted from 0.
        examples: As in `noise_along`.

    Raises:
        ParameterError: If a value is not allowed, or no run of that batch size reached its target.
        StoreError: If records cannot be read or written.
    """
    ends = chosen.changed(batch_sizes=[batch_size])
    points = measured_points(complete(ends.sweep, name=chosen.name, store=store), batch_size)
    specs = [RunSpec(setting=chosen.sweep.setting, batch_size=batch_size, seed=seed) for seed in range(seeds)]

    def recorded() -> dict[RunSpec, NoiseRecord]:
        same = [one for one in store.noise(chosen.name) if (one.examples, list(one.updates)) == (examples, points)]
        return {RunSpec(setting=r.setting, batch_size=r.batch_size, seed=r.seed): r for r in reversed(same)}

    if missing := [spec for spec in specs if spec not in recorded()]:
        with writing(store.noise_file(chosen.name)) as writer:
            for spec in missing:
                writer.append(noise_along(spec, points=points, examples=examples))
    found = recorded()
    return [found[spec] for spec in specs]
