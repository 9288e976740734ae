"""A class that measures together: each student one seed, all students one law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from batchtime.book.teaching.results import read_student
from batchtime.errors import FitError, StoreError, check
from batchtime.fit.inverse_law import LawFit, fit_inverse_law
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.fit.update_time import BUSY, fit_update_time
from batchtime.laws.quantity import Interval, holds, interval_text, number_text
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.plan.clock import Clocked
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import LARGEST_STUDENT, RunRecord, StudentResult

BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 512)
"""At which a student trains: those of the digits' own sweep without the one at which the law fails."""
CLOCKED_RUNS = 20
"""Runs of a student by the clock, near the predicted optimum: enough for seconds, where one takes a tenth of one."""
QUANTITIES = {"n_inf": "updates", "alpha": "examples", "critical_batch_size": "examples"}


def share(student: int) -> Experiment:
    """Return a student's part of the class's sweep: the digits, with the student's number as the only seed.

    Raises:
        ParameterError: If it is no student's number.
    """
    allowed = f"a whole number from 1 to {LARGEST_STUDENT}"
    check(1 <= student <= LARGEST_STUDENT, name="student", value=student, allowed=allowed)
    part = experiment("digits-mlp").changed(batch_sizes=BATCH_SIZES, seeds=[student])
    return replace(part, name=f"class-{student}")


# One student


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a student found.

    Args:
        result: For the class.
        found: Law and time per update, put together.
        clocked: Predicted training time beside whole runs by the clock, near the optimum.
        cpu: The student's machine.
        wall_over_cpu: The largest, of its updates and of its runs by the clock.
    """

    result: StudentResult
    found: TrainingTimeFit
    clocked: Clocked
    cpu: str
    wall_over_cpu: float

    def text(self) -> str:
        """Return the story for its student to read."""
        fit, time, clocked = self.found.law_fit, self.found.time, self.clocked
        runs = sorted(self.result.observations, key=lambda run: run.batch_size)
        near, far = (number_text(size) for size in time.within(0.05))
        lines = [
            f"Student {self.result.student}: the whole story on handwritten digits, with seed {self.result.student}",
            "",
            "UPDATES: one run at each batch size",
            "  batch size   updates",
            *(f"  {run.batch_size:10g}{_updates(run):>10}" for run in runs),
            f"  your law is N(M) = {number_text(fit.law.n_inf)} + {number_text(fit.law.alpha)} / M:",
            f"  never fewer than {number_text(fit.law.n_inf)} updates ({interval_words(fit.intervals.n_inf)}),",
            (
                f"  and the bend at {number_text(fit.law.critical_batch_size)} examples "
                f"({interval_words(fit.intervals.critical_batch_size)})"
            ),
            "",
            f"SECONDS: {self.cpu}, one thread",
            (
                f"  an update takes {number_text(time.update_time.fixed_seconds * 1e6)} microseconds, and "
                f"{number_text(time.update_time.seconds_per_example * 1e6)} more for each example;"
            ),
            *_bend(time.update_time),
            f"  the two are equal at {number_text(time.update_time.break_even_batch_size)} examples",
            "",
            "BOTH: training time is least between the two batch sizes",
            f"  at {number_text(time.optimal_batch_size)} examples ({interval_words(self.found.optimal_batch_size)});",
            f"  from {near} to {far} costs at most 5 % more",
            "",
            f"THE CLOCK: {clocked.n_runs} runs with new seeds at batch size {clocked.batch_size}",
            (
                f"  predicted {_milliseconds(clocked.predicted)} to the target "
                f"({interval_words(clocked.predicted_interval, 1e3)}), measured {self._verdict()}"
            ),
            *self._parts(),
        ]
        if self.wall_over_cpu > BUSY:
            lines.append(
                f"  other programs ran beside (wall time {self.wall_over_cpu:.2f} times CPU time): your seconds are "
                "partly theirs"
            )
        return "\n".join(lines)

    def _parts(self) -> list[str]:
        """Return how much of the error is the seed's and how much the machine's, nothing where no run arrived."""
        clocked = self.clocked
        if clocked.measured is None or clocked.updates_error is None:
            return []
        return [
            f"  why: updates were predicted {_off(clocked.updates_error, 'few', 'many')}, from one seed alone,",
            f"  and an update {_off(clocked.seconds_error, 'short', 'long')}, by your clock",
        ]

    def _verdict(self) -> str:
        if self.clocked.measured is None or self.clocked.error is None:
            return "nothing, for no run reached the target"
        inside = holds(self.clocked.predicted_interval, self.clocked.measured)
        return f"{_milliseconds(self.clocked.measured)}: {'inside' if inside else 'outside of'} that interval"


def _bend(time: UpdateTime) -> list[str]:
    """Return what to know of seconds that bend otherwise than the sum of the two does, nothing for a line."""
    if time.sharpness == 1:
        return []
    between = "longer" if time.sharpness < 1 else "less"
    return [f"  (a power mean with p = {time.sharpness:.2f}: in between, updates take {between} than that sum);"]


def _updates(run: Observation) -> str:
    return f">{run.lower:g}" if run.upper is None else f"{run.upper:g}"


def _off(error: float, less: str, more: str) -> str:
    """Return by how much a prediction is off: "7 % too few"."""
    return f"{100 * abs(error):.0f} % too {less if error < 0 else more}"


def _milliseconds(seconds: float) -> str:
    return f"{number_text(seconds * 1e3)} ms"


def interval_words(interval: Interval, unit: float = 1.0) -> str:
    """Return a 95 % interval as a student reads it, each end times a unit."""
    low, high = (None if side is None else side * unit for side in interval)
    return f"95 % interval {interval_text((low, high))}"


# The class


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFit:
    """The law of a class beside those of its students.

    Args:
        together: All runs, each student's as those of one seed.
        alone: By student the law of that student's runs; None where they determine none.
        optima: By student the optimal batch size of the class's law on that student's machine.
    """

    together: LawFit
    alone: dict[int, LawFit | None]
    optima: dict[int, float]

    def narrowing(self, quantity: str) -> float | None:
        """Return how many times as wide as the class's interval the median student's is, in log; None if one is open.

        A student whose interval is open counts as one whose interval is wider than all others.
        """
        ours = width(getattr(self.together.intervals, quantity))
        median = float(np.median([width(_interval(fit, quantity)) for fit in self.alone.values()]))
        return median / ours if math.isfinite(median) and math.isfinite(ours) else None

    def holding(self, quantity: str) -> int:
        """Return how many students' own intervals hold the class's estimate."""
        value = float(getattr(self.together.law, quantity))
        return sum(holds(_interval(fit, quantity), value) for fit in self.alone.values() if fit is not None)

    def spread(self, quantity: str) -> tuple[float, float]:
        """Return the least and the greatest estimate of a quantity by a student.

        Raises:
            FitError: If no student's runs determine a law.
        """
        found = [float(getattr(fit.law, quantity)) for fit in self.alone.values() if fit is not None]
        if not found:
            raise FitError("no student's runs determine a law; let each student run more batch sizes")
        return min(found), max(found)

    def text(self) -> str:
        """Return what the class found, to be read aloud."""
        count, law = len(self.alone), self.together.law
        lines = [
            f"{count} students, {self.together.n_runs} runs ({self.together.n_censored} censored), each student a seed",
            f"  the class's law is N(M) = {number_text(law.n_inf)} + {number_text(law.alpha)} / M",
        ]
        for quantity, unit in QUANTITIES.items():
            interval = interval_words(getattr(self.together.intervals, quantity))
            alone = " to ".join(map(number_text, self.spread(quantity)))
            value = number_text(float(getattr(law, quantity)))
            lines.append(f"  {quantity}: {value} {unit} ({interval}); students alone say {alone}")
        factor = self.narrowing("critical_batch_size")
        said = "an interval is open" if factor is None else f"{factor:.1f} times"
        lines += [
            f"  the class's interval of the critical batch size is narrower than the median student's: {said}",
            f"  (of independent runs one expects the root of {count}, {math.sqrt(count):.1f})",
            f"  of {count} students' own intervals {self.holding('n_inf')} hold the class's n_inf,",
            f"  and {self.holding('critical_batch_size')} its critical batch size",
        ]
        if self.optima:
            sizes = dict.fromkeys(map(number_text, (min(self.optima.values()), max(self.optima.values()))))
            lines.append(
                f"  one law, {len(self.optima)} machines: the best batch size is {' to '.join(sizes)} examples"
            )
        return "\n".join([*lines, *(f"  note: {warning}" for warning in self.together.warnings)])


def width(interval: Interval) -> float:
    """Return the logarithm of the ratio of an interval's ends; infinite where one is open."""
    low, high = interval
    return math.log(high / low) if low is not None and high is not None else math.inf


def _interval(fit: LawFit | None, quantity: str) -> Interval:
    found: Interval = (None, None) if fit is None else getattr(fit.intervals, quantity)
    return found


def read_class(paths: Sequence[Path]) -> list[StudentResult]:
    """Read what the students of a class measured, by their numbers.

    Raises:
        StoreError: If a file cannot be used, or two are of the same student.
    """
    found: dict[int, tuple[Path, StudentResult]] = {}
    for path in paths:
        result = read_student(path)
        if result.student in found:
            raise StoreError(
                f"{found[result.student][0]} and {path} are both of student {result.student}; leave one out, or let "
                "one of the two take another number"
            )
        found[result.student] = (path, result)
    return [found[student][1] for student in sorted(found)]


def pool(students: Sequence[StudentResult]) -> ClassFit:
    """Fit one law to a class, each student's runs being those of one seed, and one to each student.

    Raises:
        FitError: If there are fewer than two students, two of the same number, or their runs determine no law.
    """
    numbers = [one.student for one in students]
    if len(set(numbers)) < max(len(numbers), 2):
        raise FitError(f"the students {numbers} make no class; it takes two or more, each with another number")
    together = fit_inverse_law([run for one in students for run in one.observations])
    return ClassFit(
        together=together,
        alone={one.student: _alone(one) for one in students},
        optima={one.student: size for one in students for size in _optimum(one, together)},
    )


def _alone(one: StudentResult) -> LawFit | None:
    try:
        return fit_inverse_law(one.observations)
    except FitError:
        return None


def _optimum(one: StudentResult, together: LawFit) -> list[float]:
    """Return the optimal batch size of the class's law on a student's machine, or nothing if its seconds tell none."""
    timings = [UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in one.seconds.items()]
    time = TrainingTime(law=together.law, update_time=fit_update_time(timings).update_time)
    return [size] if 0 < (size := time.optimal_batch_size) < math.inf else []


def results_of(records: Sequence[RunRecord], seconds: dict[int, float]) -> list[StudentResult]:
    """Return recorded runs as those of a class in which seed s is student s + 1, all with one machine.

    Args:
        records: Of a sweep.
        seconds: By batch size, of an update.
    """
    seeds = sorted({record.seed for record in records})
    return [
        StudentResult(
            student=seed + 1,
            observations=tuple(
                record.observation() for record in records if record.seed == seed and record.batch_size in seconds
            ),
            seconds=seconds,
        )
        for seed in seeds
    ]
