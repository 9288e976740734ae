"""What the book's calculator starts from: a fitted training time as JSON, each number with its interval."""

import json
import math

from batchtime.fit.means import LONGEST_REACH
from batchtime.fit.scatter import f_point
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.laws.curve import CurveLaw
from batchtime.laws.quantity import Interval
from batchtime.runs.catalogue import experiment


def preset(name: str, found: TrainingTimeFit, *, cpu: str) -> str:
    """Return a fitted training time as JSON: seconds and examples, 95 % intervals, an open side as null.

    JSON has no infinite number: an infinite sharpness p is null.

    Args:
        name: Of the sweep, as it stands in addresses.
        found: The fit.
        cpu: Of the machine that was timed.
    """
    time, intervals = found.time, found.law_fit.intervals
    p = time.update_time.sharpness
    return json.dumps(
        {
            "name": name,
            "n_inf": time.law.n_inf,
            "alpha": time.law.alpha,
            "delta": time.update_time.fixed_seconds,
            "gamma": time.update_time.seconds_per_example,
            "p": p if math.isfinite(p) else None,
            "intervals": {
                "n_inf": intervals.n_inf,
                "alpha": intervals.alpha,
                "critical": intervals.critical_batch_size,
                "optimum": found.optimal_batch_size,
                **time_intervals(found),
            },
            "runs": found.law_fit.n_runs,
            "fitted": found.within_law,
            "form": found.form.name,
            "timed": found.form.freedom + len(found.form.covariance),
            "cpu": cpu,
        },
        allow_nan=False,
    )


def curve(law: CurveLaw, workload: str) -> str:
    """Return the curve over learning rates of a task as JSON, with the task's own learning rate; no pole is null.

    Args:
        law: The curve.
        workload: Name of the task.

    Raises:
        ParameterError: If there is no such task.
    """
    return json.dumps(
        {
            "rate": experiment(workload).sweep.setting.learning_rate.maximum,
            "A": law.A,
            "alpha": law.alpha,
            "pole": law.pole if math.isfinite(law.pole) else None,
            "lift": law.lift,
            "largest": law.largest_learning_rate,
            "form": law.form,
        },
        allow_nan=False,
    )


def time_intervals(found: TrainingTimeFit) -> dict[str, Interval]:
    """Return the 95 % t interval of each fitted parameter of the time per update, symmetric in its logarithm."""
    time, form = found.time.update_time, found.form
    values = {"delta": time.fixed_seconds, "gamma": time.seconds_per_example, "p": time.sharpness}
    reaches = [math.sqrt(f_point(max(form.freedom, 1)) * row[k]) for k, row in enumerate(form.covariance)]
    return {
        name: (value * math.exp(-reach), value * math.exp(reach)) if reach < LONGEST_REACH else (None, None)
        for (name, value), reach in zip(values.items(), reaches, strict=False)
    }
