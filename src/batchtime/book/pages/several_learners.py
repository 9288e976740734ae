"""The page on several learners: tables and figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from batchtime.book.figures import note
from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    MARKS,
    MEASURED,
    PLAIN,
    PREDICTED,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    shades,
    sideways,
)
from batchtime.book.tables import number_text, reached_text, table
from batchtime.errors import FitError
from batchtime.laws.scaling import Network, optimal_scaling, strong_scaling, weak_scaling, with_learners
from batchtime.laws.time import TrainingTime
from batchtime.runs.records import CommunicationMode, LearnersRecord, RunRecord


def learners_recorded(records: Sequence[LearnersRecord], *counts: int) -> tuple[LearnersRecord, ...]:
    """Return for each number of learners what was measured last.

    Raises:
        FitError: If there is nothing for one of them; the message names it and the remedy.
    """
    latest = {record.learners: record for record in records}
    for count in counts:
        if count not in latest:
            raise FitError(f"no timings of {count} learners; measure them: batchtime learners NAME --learners {count}")
    return tuple(latest[count] for count in counts)


def exposed_seconds(together: LearnersRecord, mode: CommunicationMode) -> float:
    """Return what an update with communication takes beyond the work alone, the median over batch sizes."""
    alone = {timing.batch_size: timing.seconds for timing in together.timings["compute"]}
    return float(np.median([timing.seconds - alone[timing.batch_size] for timing in together.timings[mode]]))


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


def learners_table(alone: Sequence[RunRecord], together: Sequence[RunRecord], learners: int) -> HTML:
    """Return between which updates each run reached its target with one learner, and with several."""
    rows = [
        (f"{one.batch_size}", f"{one.seed}", reached_text(one.outcome), reached_text(other.outcome))
        for one, other in zip(alone, together, strict=True)
    ]
    return table(["M", "seed", "updates, one learner", f"updates, {learners} learners"], rows)


def communication(axes: Axes, alone: LearnersRecord, together: LearnersRecord) -> None:
    """Draw milliseconds of an update against the total batch size, for one learner and by way of communication."""
    looks = {"compute": (MEASURED, "-", "without communication"), "in turn": (FITTED, "--", "then all-reduce")}
    looks["overlapped"] = (PREDICTED, ":", "all-reduce during backward")
    seen = alone.timings["compute"]
    axes.plot(
        [t.batch_size for t in seen],
        [t.seconds * 1e3 for t in seen],
        "s-",
        color=LEFT_OUT,
        label="one learner",
        markersize=4,
    )
    for mode, timings in together.timings.items():
        colour, style, words = looks[mode]
        axes.plot(
            [t.batch_size for t in timings],
            [t.seconds * 1e3 for t in timings],
            "o" + style,
            color=colour,
            markersize=4,
            label=f"{together.learners} learners, {words}",
        )
    batch_size_axis(axes)
    axes.set_xlabel("batch size M of all learners (examples)")
    plain_log_axis(axes, "milliseconds per update")
    legend(axes)


def _size_text(count: float, _position: object = None) -> str:
    """Return a power of two of bytes as a reader says it."""
    power = max(int(np.log2(count)) // 10, 0)
    return f"{count / 1024**power:g}{('', ' Ki', ' Mi', ' Gi')[power]}"


def all_reduce(axes: Axes, together: LearnersRecord, network: Network) -> None:
    """Draw milliseconds of an all-reduce against its bytes, every repeat, and the fitted latency and bandwidth."""
    payloads = [timing.payload_bytes for timing in together.all_reduce]
    for timing in together.all_reduce:
        where = np.full(len(timing.seconds), timing.payload_bytes) * sideways(len(timing.seconds))
        look: dict[str, Any] = {"color": MEASURED, "markersize": 3, "alpha": 0.4, "label": "_an all-reduce"}
        (dots,) = axes.plot(where, np.multiply(timing.seconds, 1e3), ".", **look)
        note(dots, {"bytes": timing.payload_bytes})
    axes.plot(payloads, [t.median_seconds * 1e3 for t in together.all_reduce], "o", color=MEASURED, label="median")
    grid = even_grid(payloads)
    fitted = [network.all_reduce.seconds(together.learners, payload) * 1e3 for payload in grid]
    axes.plot(grid, fitted, color=FITTED, label="latency + bytes / bandwidth")
    axes.axvline(together.gradient_bytes, color=LEFT_OUT, linestyle="--", label="a gradient of this model")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(_size_text))
    axes.set_xlabel("bytes")
    plain_log_axis(axes, "milliseconds per all-reduce")
    legend(axes)


def scaling(axes: Axes, time: TrainingTime, network: Network, *, most: int, measured: Mapping[int, float]) -> None:
    """Draw the seconds to the target against the number of learners for three ways to choose the batch.

    Args:
        axes: Where to draw.
        time: Of one learner.
        network: Between the learners.
        most: The largest number of learners of the projection.
        measured: Seconds to the target at the optimum, from measured updates, by number of learners.
    """
    counts = [2**k for k in range(most.bit_length())]
    ways: Mapping[str, tuple[Callable[[TrainingTime, int, Network], float], object, str]] = {
        "strong: the batch that is best for one": (strong_scaling, MEASURED, "--"),
        "weak: that batch for each": (weak_scaling, FITTED, ":"),
        "optimal: the best batch for so many": (optimal_scaling, PREDICTED, "-"),
    }
    for label, (seconds, colour, style) in ways.items():
        axes.plot(counts, [seconds(time, count, network) for count in counts], style, color=colour, label=label)
    axes.plot(list(measured), list(measured.values()), "D", color="black", label="optimal, from measured t(M, L)")
    if len(counts) > len(measured):
        note(axes.axvspan(max(measured, default=1) * 1.4, counts[-1], color=LEFT_OUT, alpha=0.12), {})
        axes.text(
            counts[-1], 0.02, "projection ", ha="right", va="bottom", fontsize=10, transform=axes.get_xaxis_transform()
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts[::2], [f"{count:,}" for count in counts[::2]])
    axes.set_xlabel("learners L")
    plain_log_axis(axes, "seconds to the target")
    legend(axes)


def straggling(axes: Axes, optima: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Draw the optimal batch size against the number of learners for some spreads of their speed."""
    for colour, mark, (label, points) in zip(shades(len(optima)), MARKS, optima.items(), strict=False):
        look: dict[str, Any] = {"color": colour, "markersize": 4, "label": label}
        axes.plot([count for count, _ in points], [best for _, best in points], f"{mark}-", **look)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_xlabel("learners L")
    plain_log_axis(axes, "optimal batch size M (examples)")
    legend(axes)
