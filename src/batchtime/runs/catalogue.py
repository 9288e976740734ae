"""The named sweeps of the book, from catalogue.toml, and those that belong together."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

import msgspec

from batchtime.errors import ParameterError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.experiment import Experiment
from batchtime.runs.spec import EvaluationGrid, Optimizer, Sampling, Setting, SweepSpec, Target, Workload


def experiment(name: str) -> Experiment:
    """Return a named experiment.

    Raises:
        ParameterError: If there is none of this name.
    """
    if name not in EXPERIMENTS:
        near = ", ".join(difflib.get_close_matches(name, EXPERIMENTS, n=3))
        refused = ", and here no function of one's own" if ":" in name else ""
        raise ParameterError(
            f"workload = {name!r} is not allowed; allowed: a name that `batchtime workloads` lists"
            f"{f' ({near}?)' if near else ''}{refused}"
        )
    return EXPERIMENTS[name]


def rate_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweeps at other step sizes, by increasing step size, as a reader names them.

    Raises:
        ParameterError: If there is no such task, or it was swept at one step size only.
    """
    swept = sorted({e.variant_of for e in EXPERIMENTS.values() if e.variant_of and "-rate-" in e.name})
    check(base in swept, name="workload", value=base, allowed=f"swept at several step sizes: {', '.join(swept)}")
    same = [e for e in EXPERIMENTS.values() if e.name == base or e.name.startswith(f"{base}-rate-")]
    ordered = sorted(same, key=lambda e: e.sweep.setting.learning_rate.maximum)
    return {f"learning rate {e.sweep.setting.learning_rate.maximum:g}": e for e in ordered}


def optimizer_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweeps with other optimizers, as a reader names them."""
    return _named_arms(base, {"plain SGD": "", "momentum 0.9": "-momentum", "Adam": "-adam"})


def sampling_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweep epoch by epoch, as a reader names them."""
    return _named_arms(base, {"drawn with replacement": "", "drawn epoch by epoch": "-epochs"})


def harmonic_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweep with a step size that shrinks with the batch, as a reader names them."""
    return _named_arms(base, {"constant learning rate": "", "learning rate that shrinks with the batch": "-harmonic"})


def _named_arms(base: str, suffixes: Mapping[str, str]) -> dict[str, Experiment]:
    have = [name for name in EXPERIMENTS if all(name + suffix in EXPERIMENTS for suffix in suffixes.values())]
    check(base in have, name="workload", value=base, allowed=f"swept in these ways: {', '.join(have)}")
    return {label: EXPERIMENTS[base + suffix] for label, suffix in suffixes.items()}


def changed_all(chosen: Mapping[str, Experiment], *, seeds: int | None) -> dict[str, Experiment]:
    """Return some experiments with the first so many of their seeds; None keeps them as they are."""
    return {label: one.changed(seeds=seeds) for label, one in chosen.items()}


def tasks() -> dict[str, Experiment]:
    """Return the four tasks of the book, as a reader names them."""
    names = {"MNIST": "mnist-lenet", "CIFAR-10": "cifar10-cnn", "CIFAR-100": "cifar100-cnn", "Europarl": "europarl-gru"}
    return {title: experiment(name) for title, name in names.items()}


def swept(names: Sequence[str]) -> dict[str, Experiment]:
    """Return the tasks and their variants among some names, each task before its variants, as a reader names them."""
    labels: dict[str, Experiment] = {}
    for title, task in tasks().items():
        if task.name in names:
            labels[title] = task
        variants = [e for e in EXPERIMENTS.values() if e.variant_of == task.name and e.name in names]
        for one in sorted(variants, key=lambda e: (e.sweep.setting.learning_rate.maximum, e.name)):
            labels[f"{title}, {one.name.removeprefix(task.name + '-').replace('-', ' ')}"] = one
    return labels


def timed_batch_sizes(chosen: Experiment, given: str | None = None) -> tuple[int, ...]:
    """Return the batch sizes at which an experiment's updates are timed.

    Without `given`: 1, those of its sweep, of a named one also those of the others of its workload and optimizer, and
    a size between each two neighbours, so that not all are powers of two.

    Raises:
        ParameterError: If `given` is no list of batch sizes.
    """
    if given is not None:
        return chosen.changed(batch_sizes=given).sweep.batch_sizes
    swept = {1, *chosen.sweep.batch_sizes}
    if chosen == EXPERIMENTS.get(chosen.name):
        alike = (chosen.workload, chosen.sweep.setting.optimizer)
        swept = swept.union(
            *(e.sweep.batch_sizes for e in EXPERIMENTS.values() if (e.workload, e.sweep.setting.optimizer) == alike)
        )
    between = {low + (high - low) // 2 for low, high in pairwise(sorted(swept))}
    return tuple(sorted(between | swept))


def read_catalogue(text: str) -> dict[str, Experiment]:
    """Return the sweeps that a catalogue in TOML names; a sweep with a base differs from it in what it states.

    Raises:
        ParameterError: If an entry cannot be used; the message names it.
    """
    entries = tomllib.loads(text)
    found = {}
    for name, entry in entries.items():
        base = entry.get("base")
        inherited = {} if base is None else {k: v for k, v in entries[base].items() if k not in _OF_ONE_SWEEP}
        values = {**inherited, **entry}
        if base is not None:
            values["summary"] = f"as {base}, but {entry['summary']}"
        try:
            found[name] = _experiment(name, msgspec.convert(values, _Entry))
        except (msgspec.ValidationError, ParameterError) as error:
            raise ParameterError(f"catalogue entry {name!r}: {error}") from error
    return found


_OF_ONE_SWEEP = ("sealed", "left_out", "costly")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    summary: str
    dataset: str
    model: str
    target: Target
    learning_rate: float | LearningRate
    max_updates: int
    batch_sizes: tuple[int, ...]
    seeds: int
    n_examples: int
    grid: EvaluationGrid = EvaluationGrid()
    optimizer: Optimizer = Optimizer()
    sampling: Sampling = "with replacement"
    max_examples: int | None = None
    sealed: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    costly: tuple[int, ...] = ()
    description: str = ""
    sealed_until_predicted: bool = False
    unfinished: bool = False
    base: str | None = None


def _experiment(name: str, entry: _Entry) -> Experiment:
    rate = entry.learning_rate
    setting = Setting(
        workload=Workload(name=entry.base or name, dataset=entry.dataset, model=entry.model, target=entry.target),
        learning_rate=rate if isinstance(rate, LearningRate) else LearningRate(maximum=rate),
        max_updates=entry.max_updates,
        max_examples=entry.max_examples,
        grid=entry.grid,
        optimizer=entry.optimizer,
        sampling=entry.sampling,
    )
    return Experiment(
        name=name,
        summary=entry.summary,
        description=entry.description.strip(),
        sweep=SweepSpec(
            setting=setting, batch_sizes=entry.batch_sizes, seeds=tuple(range(entry.seeds)), costly=entry.costly
        ),
        n_examples=entry.n_examples,
        sealed=entry.sealed,
        left_out=entry.left_out,
        variant_of=entry.base,
        sealed_until_predicted=entry.sealed_until_predicted,
        unfinished=entry.unfinished,
    )


EXPERIMENTS = read_catalogue((resources.files("batchtime.runs") / "catalogue.toml").read_text(encoding="utf-8"))
