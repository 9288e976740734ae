"""Training times of named sweeps, as several pages show them."""

from collections.abc import Mapping, Sequence

from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.training_time import TrainingTimeFit, fit_training_time
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store


def of_experiment(chosen: Experiment, records: Sequence[RunRecord], timings: Sequence[UpdateTiming]) -> TrainingTimeFit:
    """Return the training time of a named sweep, fitted to the batch sizes that its plan fits.

    Raises:
        FitError: If runs or timings do not determine their law.
    """
    return fit_training_time(chosen.fit_observations(records), chosen.relevant(timings))


def of_experiments(
    runs: Mapping[str, tuple[Experiment, Sequence[RunRecord]]], store: Store
) -> dict[str, TrainingTimeFit]:
    """Return the training time of several sweeps by the same labels, from published timings.

    Raises:
        FitError: If runs or timings do not determine their law.
        StoreError: If there are no timings.
    """
    return {
        label: of_experiment(one, records, store.latest_timing(one.name).timings)
        for label, (one, records) in runs.items()
    }
