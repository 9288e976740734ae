"""The class as the page in a browser has it: recorded students, seconds of an update, what becomes of the guesses."""

import json
from collections.abc import Mapping, Sequence

from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import StudentResult

GUESSES = (2, 16, 512)
"""The batch sizes of the first question."""


def data(students: Sequence[StudentResult]) -> str:
    """Return students as JSON: by number the pairs of batch size and updates that reached the target, and seconds.

    Args:
        students: Of one machine.
    """
    return json.dumps(
        {
            "students": [
                {
                    "student": one.student,
                    "runs": [[run.batch_size, run.upper] for run in one.observations if run.upper is not None],
                }
                for one in students
            ],
            "seconds": [[size, float(f"{seconds:.4g}")] for size, seconds in sorted(students[0].seconds.items())],
            "guesses": GUESSES,
        }
    )


def guesses(law: InverseLaw, seconds: Mapping[int, float]) -> dict[int, float]:
    """Return for each guess how many times the shortest of their training times it takes.

    Args:
        law: Of the class.
        seconds: By batch size, of an update; every guess is timed.

    Example:
        >>> law = InverseLaw(n_inf=100, alpha=800)
        >>> [round(times, 2) for times in guesses(law, {2: 1.0, 16: 1.0, 512: 4.0}).values()]
        [3.33, 1.0, 2.71]
    """
    times = {size: law.updates(float(size)) * seconds[size] for size in GUESSES}
    least = min(times.values())
    return {size: value / least for size, value in times.items()}
