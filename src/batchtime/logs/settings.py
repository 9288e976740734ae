"""Batch size, seed and learning rate of a run: from what its log holds, else from its path."""

import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchtime.errors import LogError
from batchtime.logs.log import Log

_WHOLE_BATCH = ("global_batch_size", "total_train_batch_size", "total_batch_size", "effective_batch_size")
_BATCH = ("batch_size", "train_batch_size", "batchsize", "minibatch_size", "mini_batch_size")
_PER_DEVICE = ("per_device_train_batch_size", "per_device_batch_size", "micro_batch_size", "batch_size_of_a_device")
_ACCUMULATION = (
    "gradient_accumulation_steps",
    "accumulate_grad_batches",
    "grad_accumulation_steps",
    "accumulation_steps",
)
_DEVICES = ("world_size", "num_devices", "n_gpu", "num_gpus", "devices")
_NODES = ("num_nodes",)
_SEED = ("seed", "random_seed", "manual_seed", "rng_seed")
_RATE = ("learning_rate", "lr", "base_lr", "opt_base_learning_rate", "peak_lr", "max_lr", "step_size")
EXAMPLES = ("train_samples", "train_examples", "num_train_examples", "num_examples")
"""Names of the training examples of an epoch."""
NAMES = frozenset((*_WHOLE_BATCH, *_BATCH, *_PER_DEVICE, *_ACCUMULATION, *_DEVICES, *_NODES, *_SEED, *_RATE, *EXAMPLES))
"""What is known by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a person adds to what logs hold.

    Args:
        batch_size_from: Regular expression whose first group is the batch size, looked for in the path of a run.
        seed_from: The same for the seed.
        learning_rate_from: The same for the learning rate.
        examples: Training examples of an epoch.
        batches_per_update: Batches of the size that a log tells in one update: devices times accumulated batches.
    """

    batch_size_from: str | None = None
    seed_from: str | None = None
    learning_rate_from: str | None = None
    examples: int | None = None
    batches_per_update: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one run: its batch size in examples of an update, learning rate, seed, and training examples of an epoch."""

    batch_size: float
    learning_rate: float | None
    seed: int | None
    examples: float | None


@functools.cache
def known(name: str) -> str:
    """Return a name as it is looked up: its last part, in small letters, with underscores."""
    return re.sub(r"[\s-]+", "_", re.split(r"[/.]", name)[-1].strip().lower())


def hparams(folder: Path) -> dict[str, object]:
    """Return the numbers in a folder's hparams.yaml, by name; none where there is no such file.

    Only lines `name: number` are read, at whatever depth: what else Lightning writes there may be Python objects.
    """
    try:
        text = (folder / "hparams.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return dict(re.findall(r"^\s*([\w./-]+):\s+([-+]?[\d.][\d.eE+-]*)\s*$", text, re.MULTILINE))


def settings(log: Log, hints: Hints) -> Settings:
    """Return the settings of a run.

    Raises:
        LogError: If no batch size is told, or the log and the path tell different ones, or it is not told how many
            batches of the size that is told make an update.
    """
    told = {known(name): value for name, value in log.settings.items()}
    batch_size = _batch_size(log, told, hints)
    by_path = _from_path(log, "--batch-size-from", hints.batch_size_from)
    if batch_size is not None and by_path is not None and batch_size != by_path:
        raise LogError(
            f"{log.run}: the log's batch size is {batch_size:g} and its path's {by_path:g}; leave out "
            "--batch-size-from, or give --batches-per-update if an update takes several batches of the log's"
        )
    batch_size = by_path if batch_size is None else batch_size
    if batch_size is None:
        raise LogError(
            f"{log.run}: no batch size is in the log; give a regular expression that finds it in the path, for "
            "instance --batch-size-from 'bs(\\d+)'"
        )
    if not 0 < batch_size <= 1e15:
        raise LogError(f"{log.run}: batch size {batch_size:g} is not allowed; allowed: more than 0 and at most 1e15")
    seed = _first(told, _SEED)
    seed = _from_path(log, "--seed-from", hints.seed_from) if seed is None else seed
    rate = _first(told, _RATE)
    rate = _from_path(log, "--learning-rate-from", hints.learning_rate_from) if rate is None else rate
    examples = _first(told, EXAMPLES) if hints.examples is None else hints.examples
    return Settings(
        batch_size=batch_size, learning_rate=rate, seed=None if seed is None else int(seed), examples=examples
    )


def _batch_size(log: Log, told: Mapping[str, object], hints: Hints) -> float | None:
    whole, size, of_one = _first(told, _WHOLE_BATCH), _first(told, _BATCH), _first(told, _PER_DEVICE)
    if whole is not None:
        return whole
    size = of_one if size is None else size
    if size is None or hints.batches_per_update is not None:
        return None if size is None else size * (hints.batches_per_update or 1)
    accumulated, devices = _first(told, _ACCUMULATION), _first(told, _DEVICES)
    if of_one is not None and devices is None:
        raise LogError(
            f"{log.run}: {of_one:g} is the batch size of one device, and the log does not say how many such batches "
            "make an update; give --batches-per-update K, devices times accumulated batches (1 for neither)"
        )
    return size * (accumulated or 1) * max(devices or 1, 1) * (_first(told, _NODES) or 1)


def _first(told: Mapping[str, object], names: Iterable[str]) -> float | None:
    """Return the first number that is told under one of some names."""
    for name in names:
        value = number(told.get(name))
        if value is not None and math.isfinite(value):
            return value
    return None


def number(value: object) -> float | None:
    """Return a value as a number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _from_path(log: Log, option: str, pattern: str | None) -> float | None:
    """Return the number that the first group of a regular expression finds last, so deepest, in the path of a run."""
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise LogError(f"{option} {pattern!r} is no regular expression ({error}); give one with one group") from None
    if expression.groups < 1:
        raise LogError(f"{option} {pattern!r} has no group; put parentheses around the number, as in 'bs(\\d+)'")
    found = [match.group(1) for match in expression.finditer(log.run)]
    value = number(found[-1]) if found else None
    if value is None:
        raise LogError(f"{log.run}: {option} {pattern!r} finds no number in this path; change the expression")
    return value
