"""Tables of seconds: the time per update, training time and its optimum, several learners, other machines."""

from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML

from batchtime.implications import Reading
from batchtime.records import InverseLaw, LearnersRecord, Outcome, RunRecord, TrainingTime, UpdateTime, UpdateTiming
from batchtime.scaling import Network, optimal_scaling, strong_scaling, weak_scaling, with_learners
from batchtime.tables import interval_text, number_text, table
from batchtime.training_time import Clocked, TrainingTimeFit, least_time
from batchtime.update_time import BentTime, TimeForm


def update_time_table(timings: Sequence[UpdateTiming], time: UpdateTime | BentTime) -> HTML:
    """Return the median of each timed batch size with its quartiles, in milliseconds, beside a fitted form."""
    sizes = np.array([timing.batch_size for timing in timings], dtype=np.float64)
    rows = [
        (
            f"{timing.batch_size}",
            f"{timing.seconds * 1e3:.3g}",
            " to ".join(f"{side * 1e3:.3g}" for side in np.quantile(timing.wall_seconds, (0.25, 0.75))),
            f"{fitted * 1e3:.3g}",
            f"{fitted / timing.seconds - 1:+.1%}",
        )
        for timing, fitted in zip(timings, time.seconds(sizes), strict=True)
    ]
    return table(["M", "median, ms", "middle half, ms", "fitted, ms", "error"], rows)


def forms_table(forms: Sequence[TimeForm], law: InverseLaw) -> HTML:
    """Return how well each form of the time per update fits, and the optimum that it gives with a law."""
    least = min(form.aicc for form in forms if form.aicc is not None)
    rows = []
    for form in forms:
        best, seconds = least_time(law, form.time)
        rows.append(
            (
                form.name,
                "" if form.aicc is None else f"{form.aicc - least:.1f}",
                f"{form.largest_deviation:.1%}",
                "" if form.leave_one_out_error is None else f"{form.leave_one_out_error:.1%}",
                f"{best:.3g}",
                f"{seconds:.3g}",
            )
        )
    columns = [
        "form",
        "AICc above the least",
        "worst size is off by",
        "size left out, rms",
        "optimum M",
        "least time, s",
    ]
    return table(columns, rows)


def penalty_table(time: TrainingTime, factors: Sequence[float]) -> HTML:
    """Return how much longer training takes at batch sizes some factor below or above the optimum."""
    best, least = time.optimal_batch_size, time.least_seconds
    rows = [
        (
            f"{factor:g}",
            f"{best / factor:.3g}",
            f"{time.seconds(best / factor) / least - 1:.1%}",
            f"{best * factor:.3g}",
            f"{time.seconds(best * factor) / least - 1:.1%}",
        )
        for factor in factors
    ]
    return table(["off by a factor of", "M below", "longer by", "M above", "longer by "], rows)


def clock_table(rows: Sequence[Clocked]) -> HTML:
    """Return predicted and measured seconds to the target at each batch size, and whose part of the error is whose."""
    return table(
        ["M", "runs", "predicted, s", "95 % interval", "measured, s", "its interval", "error", "of updates", "of t(M)"],
        [
            (
                f"{row.batch_size}",
                f"{row.n_runs}",
                number_text(row.predicted),
                interval_text(row.predicted_interval),
                "not known" if row.measured is None else number_text(row.measured),
                interval_text(row.measured_interval),
                "" if row.error is None else f"{row.error:+.1%}",
                "" if row.updates_error is None else f"{row.updates_error:+.1%}",
                f"{row.seconds_error:+.1%}",
            )
            for row in rows
        ],
    )


def optima_table(found: Mapping[str, TrainingTimeFit]) -> HTML:
    """Return the two batch sizes of each task, the optimum between them, and what it takes."""
    rows = []
    for label, one in found.items():
        time = one.time
        low, high = time.within(0.05)
        rows.append(
            (
                label,
                number_text(time.law.critical_batch_size),
                number_text(time.update_time.break_even_batch_size),
                f"{number_text(time.optimal_batch_size)} ({interval_text(one.optimal_batch_size)})",
                f"{number_text(low)} to {number_text(high)}",
                number_text(time.least_seconds),
            )
        )
    columns = ["task", "alpha / n_inf", "delta / gamma", "optimum (95 %)", "within 5 %", "least time, s"]
    return table(columns, rows)


def communication_table(together: LearnersRecord) -> HTML:
    """Return milliseconds of an update of several learners by way of communication, and what of it is exposed."""
    by_mode = {mode: {t.batch_size: t.seconds for t in timings} for mode, timings in together.timings.items()}
    rows = []
    for size, compute in by_mode["compute"].items():
        in_turn, overlapped = by_mode["in turn"][size], by_mode["overlapped"][size]
        rows.append(
            (
                f"{size}",
                f"{compute * 1e3:.3g}",
                f"{in_turn * 1e3:.3g}",
                f"{overlapped * 1e3:.3g}",
                f"{(in_turn - compute) * 1e3:+.2g}",
                f"{(overlapped - compute) * 1e3:+.2g}",
            )
        )
    return table(
        ["M of all", "work alone, ms", "in turn, ms", "overlapped, ms", "exposed in turn", "exposed overlapped"], rows
    )


def predicted_updates_table(alone: UpdateTime, together: LearnersRecord, network: Network) -> HTML:
    """Return measured milliseconds of an update of several learners beside gamma M / L + delta + c(L)."""
    learners = together.learners
    exchange = network.all_reduce.seconds(learners, network.payload_bytes)
    rows = []
    for timing in together.timings["in turn"]:
        predicted = alone.seconds(timing.batch_size / learners) + exchange
        rows.append(
            (
                f"{timing.batch_size}",
                f"{predicted * 1e3:.3g}",
                f"{timing.seconds * 1e3:.3g}",
                f"{predicted / timing.seconds - 1:+.0%}",
            )
        )
    return table(["M of all", "predicted, ms", "measured, ms", "error"], rows)


def scaling_table(time: TrainingTime, learners: Sequence[int], network: Network) -> HTML:
    """Return the optimum for several numbers of learners, and the time of strong, weak and optimal scaling."""
    rows = []
    for count in learners:
        best = with_learners(time, count, network).optimal_batch_size
        rows.append(
            (
                f"{count:,}",
                number_text(best),
                f"{best / count:.3g}",
                number_text(strong_scaling(time, count, network)),
                number_text(weak_scaling(time, count, network)),
                number_text(optimal_scaling(time, count, network)),
            )
        )
    return table(["L", "optimum M", "for each", "strong, s", "weak, s", "optimal, s"], rows)


def scenarios_table(base: TrainingTime, scenarios: Mapping[str, TrainingTime]) -> HTML:
    """Return the optimum and the least time of each scenario, and how much faster than the base it is."""
    rows = [
        (
            name,
            number_text(one.optimal_batch_size),
            number_text(one.least_seconds),
            f"{base.least_seconds / one.least_seconds:.2f}",
        )
        for name, one in scenarios.items()
    ]
    return table(["what changes", "optimum M", "least time, s", "times as fast"], rows)


def learners_table(alone: Sequence[RunRecord], together: Sequence[RunRecord], learners: int) -> HTML:
    """Return between which updates each run reached its target with one learner, and with several."""
    rows = [
        (f"{one.batch_size}", f"{one.seed}", _reached(one.outcome), _reached(other.outcome))
        for one, other in zip(alone, together, strict=True)
    ]
    return table(["M", "seed", "updates, one learner", f"updates, {learners} learners"], rows)


def _reached(outcome: Outcome) -> str:
    return f"{outcome.lower} to {outcome.upper}" if outcome.upper is not None else f"more than {outcome.lower}"


def readings_table(readings: Mapping[str, Reading]) -> HTML:
    """Return what the closed form says of each task, in numbers."""
    rows = [
        (
            name,
            f"{one.epoch_gain:.2f}",
            f"{one.training_loss:.2f}",
            f"{one.machine_gain:.2f}",
            f"{one.noise_share:.0%}",
            f"{one.most_speedup:.2f}",
            f"{one.weak_excess:+.0%}",
        )
        for name, one in readings.items()
    ]
    columns = [
        "task",
        "epoch, large M over optimum",
        "training, the same",
        "gain of half gamma",
        "share of alpha",
        "most speedup",
        "weak over optimal",
    ]
    return table(columns, rows)
