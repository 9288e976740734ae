"""What headers of tables mean: the names that people give to columns."""

import difflib
import re
from collections.abc import Mapping, Sequence

from batchtime.errors import LogError

RUNS = {
    "batch_size": "batchsize batch bs mini_batch_size minibatch_size minibatch global_batch_size total_batch_size "
    "effective_batch_size total_train_batch_size",
    "updates": "update steps step iterations iteration iters n_updates n_steps num_updates num_steps total_steps "
    "global_step global_steps updates_to_target steps_to_target optimizer_steps",
    "epochs": "epoch n_epochs num_epochs epochs_to_target",
    "seed": "random_seed rng_seed",
    "learning_rate": "lr step_size learningrate",
    "updates_lower": "steps_lower",
    "censored": "",
    "reached": "target_reached reached_target converged",
    "target": "",
}
"""Columns of a table of runs, each with other names that it may have."""
TIMINGS = {
    "batch_size": RUNS["batch_size"],
    "seconds": "s sec secs seconds_per_update seconds_per_step seconds_per_iteration s_per_step s_per_update "
    "sec_per_step step_time_s time_s s_it sec_it seconds_per_batch wall_seconds",
    "milliseconds": "ms msec ms_per_update ms_per_step ms_per_iteration ms_per_batch ms_step ms_it step_time_ms "
    "time_ms",
    "microseconds": "us usec us_per_step us_per_update time_us",
    "updates_per_second": "steps_per_second steps_per_sec iterations_per_second it_s its_s it_per_s it_per_second "
    "steps_s train_steps_per_second batches_per_second",
    "examples_per_second": "samples_per_second images_per_second examples_per_sec samples_per_sec images_per_sec "
    "samples_s examples_s images_s img_s imgs_s train_samples_per_second throughput_samples_per_second",
    "cpu_seconds": "cpu_s",
    "joules": "joules_per_update energy_j",
    "learners": "workers devices",
    "device": "",
}
"""Columns of a table of durations."""


def plain(name: str) -> str:
    """Return a header in small letters, with underscores for all that is no letter or digit.

    Example:
        >>> plain("Batch Size"), plain("time [ms]"), plain("samples/s")
        ('batch_size', 'time_ms', 'samples_s')
    """
    return re.sub(r"[\W_]+", "_", name.strip().lower().replace("µ", "u").replace("μ", "u")).strip("_")


def meanings(names: Sequence[str], known: Mapping[str, str], *, path: str) -> dict[str, int]:
    """Return for each known column its position in a header.

    A column of the very name goes before others of its meaning.

    Raises:
        LogError: If two columns may be the same, or the name of one is nearly that of a known one.
    """
    by_name = {other: column for column, others in known.items() for other in (column, *others.split())}
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        if plain(name) in by_name:
            found.setdefault(by_name[plain(name)], []).append(position)
        elif near := difflib.get_close_matches(plain(name), [*known], n=1, cutoff=0.87):
            raise LogError(f"{path}: column {name!r} is nearly {near[0]!r}; give it that name, or another one")
    chosen = {}
    for column, positions in found.items():
        exact = [position for position in positions if plain(names[position]) == column]
        exact = [position for position in exact if names[position] == column] or exact or positions
        if len(exact) > 1:
            several = " and ".join(repr(names[position]) for position in exact)
            raise LogError(f"{path}: columns {several} may both be {column}, repeated; rename all but one")
        chosen[column] = exact[0]
    return chosen
