"""The page on several learners: frames and figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

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
    strip,
    together,
)
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


def communication_frame(together: LearnersRecord) -> pd.DataFrame:
    """Return seconds of an update of several learners by way of communication, and what of it is exposed."""
    seconds = {mode: {t.batch_size: t.seconds for t in timings} for mode, timings in together.timings.items()}
    wide = pd.DataFrame(seconds).rename_axis("batch_size").reset_index()
    return pd.DataFrame(
        {
            "batch_size": wide["batch_size"],
            "work alone_milliseconds": wide["compute"],
            "in turn_milliseconds": wide["in turn"],
            "overlapped_milliseconds": wide["overlapped"],
            "exposed in turn_milliseconds": wide["in turn"] - wide["compute"],
            "exposed overlapped_milliseconds": wide["overlapped"] - wide["compute"],
        }
    )


def scaling_frame(time: TrainingTime, learners: Sequence[int], network: Network) -> pd.DataFrame:
    """Return the optimum for several numbers of learners, and the time of strong, weak and optimal scaling."""
    rows = []
    for count in learners:
        best = with_learners(time, count, network).optimal_batch_size
        rows.append(
            {
                "learners": count,
                "optimum": best,
                "for_each": best / count,
                "strong_seconds": strong_scaling(time, count, network),
                "weak_seconds": weak_scaling(time, count, network),
                "optimal_seconds": optimal_scaling(time, count, network),
            }
        )
    return pd.DataFrame(rows)


def runs_frame(alone: Sequence[RunRecord], together: Sequence[RunRecord]) -> pd.DataFrame:
    """Return between which updates each run reached its target with one learner, and with several."""
    return pd.DataFrame(
        {
            "batch_size": one.batch_size,
            "seed": one.seed,
            "alone_low": one.outcome.lower,
            "alone_high": one.outcome.upper,
            "together_low": other.outcome.lower,
            "together_high": other.outcome.upper,
        }
        for one, other in zip(alone, together, strict=True)
    )


def limited_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `network_frame` found as a reader sees it: predicted beside measured."""
    return pd.DataFrame(
        {
            "learners": frame["learners"],
            "exchange, model_milliseconds": frame["exchange_predicted"],
            "exchange, measured_milliseconds": frame["exchange_measured"],
            "exposed in turn_milliseconds": frame["in_turn_measured"],
            "exposed overlapped, model_milliseconds": frame["overlapped_predicted"],
            "exposed overlapped_milliseconds": frame["overlapped_measured"],
            "best batch, model": frame["optimum_predicted"].round(),
            "best batch, measured": frame["optimum_measured"].round(),
        }
    )


def communication(axes: Axes, alone: LearnersRecord, together: LearnersRecord) -> pd.DataFrame:
    """Draw milliseconds of an update against the total batch size, for one learner and by way of communication."""
    words = {"compute": "without communication", "in turn": "then all-reduce", "overlapped": "all-reduce meanwhile"}
    several = {f"{together.learners} workers, {words[mode]}": timings for mode, timings in together.timings.items()}
    frame = pd.DataFrame(
        {"what": label, "batch_size": timing.batch_size, "milliseconds": 1e3 * timing.seconds}
        for label, timings in {"one worker": alone.timings["compute"], **several}.items()
        for timing in timings
    )
    sns.lineplot(
        frame,
        x="batch_size",
        y="milliseconds",
        hue="what",
        style="what",
        palette=[LEFT_OUT, MEASURED, FITTED, PREDICTED][: 1 + len(several)],
        markers=list("soDP")[: 1 + len(several)],
        markeredgewidth=0,
        estimator=None,
        ax=axes,
    )
    batch_size_axis(axes)
    axes.set_xlabel("batch size $M$ of all workers (examples)")
    plain_log_axis(axes, "milliseconds per update")
    legend(axes)
    return frame


def _size_text(count: float, _position: object = None) -> str:
    """Return a power of two of bytes as a reader says it."""
    power = max(int(np.log2(count)) // 10, 0)
    return f"{count / 1024**power:g}{('', ' Ki', ' Mi', ' Gi')[power]}"


def all_reduce(axes: Axes, timed: LearnersRecord, network: Network) -> pd.DataFrame:
    """Draw milliseconds of an all-reduce against its bytes, every repeat, and the fitted latency and bandwidth."""
    repeats = pd.DataFrame(
        {"bytes": timing.payload_bytes, "milliseconds": 1e3 * seconds, "what": "repeat"}
        for timing in timed.all_reduce
        for seconds in timing.seconds
    )
    looks = {"repeat": ("an all-reduce", MEASURED, ".")}
    strip(axes, repeats, "bytes", "milliseconds", by="what", looks=looks, size=10)
    medians = repeats.groupby("bytes", as_index=False)["milliseconds"].median()
    axes.plot(medians["bytes"], medians["milliseconds"], "o", color=MEASURED, label="their median")
    grid = even_grid(list(medians["bytes"]))
    fitted = [1e3 * network.all_reduce.seconds(timed.learners, payload) for payload in grid]
    axes.plot(grid, fitted, color=FITTED, label="latency + bytes / bandwidth")
    axes.axvline(timed.gradient_bytes, color=LEFT_OUT, linestyle="--", label="a gradient of this model")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(_size_text))
    axes.set_xlabel("bytes")
    plain_log_axis(axes, "milliseconds per all-reduce")
    legend(axes)
    curve = pd.DataFrame({"bytes": grid, "milliseconds": fitted})
    return together(repeats=repeats.drop(columns="what"), fitted=curve)


def scaling(
    axes: Axes, time: TrainingTime, network: Network, *, most: int, measured: Mapping[int, float]
) -> pd.DataFrame:
    """Draw the seconds to the target against the number of learners for three ways to choose the batch.

    Args:
        axes: Where to draw.
        time: Of one learner.
        network: Between the learners.
        most: The largest number of learners of the projection.
        measured: Seconds to the target at the optimum, from measured updates, by number of learners.
    """
    counts = [2**k for k in range(most.bit_length())]
    ways = {
        "strong: the batch that is best for one": "strong_seconds",
        "weak: that batch for each": "weak_seconds",
        "optimal: the best batch for so many": "optimal_seconds",
    }
    wide = scaling_frame(time, counts, network)
    parts = [wide[["learners"]].assign(what=label, seconds=wide[column]) for label, column in ways.items()]
    long = pd.concat(parts, ignore_index=True)
    for (label, part), colour, style in zip(
        long.groupby("what", sort=False), (MEASURED, FITTED, PREDICTED), ("--", ":", "-"), strict=True
    ):
        sns.lineplot(part, x="learners", y="seconds", color=colour, linestyle=style, label=label, ax=axes)
    seen = pd.DataFrame({"learners": list(measured), "seconds": list(measured.values())})
    axes.plot(seen["learners"], seen["seconds"], "D", color="black", label="optimal, from measured t(M, L)")
    if len(counts) > len(measured):
        axes.axvspan(max(measured, default=1) * 1.4, counts[-1], color=LEFT_OUT, alpha=0.12)
        axes.text(
            counts[-1], 0.02, "projection ", ha="right", va="bottom", fontsize=10, transform=axes.get_xaxis_transform()
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts[::2], [f"{count:,}" for count in counts[::2]])
    axes.set_xlabel("workers L")
    plain_log_axis(axes, "seconds to the target")
    legend(axes)
    return together(projection=long, measured=seen)


def straggling(axes: Axes, optima: Mapping[str, Sequence[tuple[int, float]]]) -> pd.DataFrame:
    """Draw the optimal batch size against the number of learners for some spreads of their speed."""
    frame = pd.DataFrame(
        {"spread": label, "learners": count, "optimum": best}
        for label, points in optima.items()
        for count, best in points
    )
    look: dict[str, Any] = {"palette": shades(len(optima)), "markers": list(MARKS[: len(optima)]), "dashes": False}
    look |= {"style": "spread", "markeredgewidth": 0, "estimator": None}
    sns.lineplot(frame, x="learners", y="optimum", hue="spread", ax=axes, **look)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_xlabel("workers L")
    plain_log_axis(axes, "optimal batch size $M$ (examples)")
    legend(axes)
    return frame
