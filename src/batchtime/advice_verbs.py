"""What the command line says of tables: advice, predictions, and fits of timings and of several learning rates."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchtime.advice import Predicted, Recommendation, Runs, predict
from batchtime.curve import fit_curve
from batchtime.seconds import fit_seconds
from batchtime.store import read_runs, read_timings


def runs_of(path: Path) -> Runs:
    """Return the runs of a table, by learning rate where it has several."""
    by_rate = read_runs(path)
    if len(by_rate) == 1:
        return next(iter(by_rate.values()))
    return {rate: runs for rate, runs in by_rate.items() if rate is not None}


def is_of_timings(path: Path) -> bool:
    """Return whether the header of a table has seconds and no updates."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            names = [name.strip() for name in file.readline().split(",")]
    except (OSError, UnicodeDecodeError):
        return False
    return "seconds" in names and "updates" not in names


def timings_answer(path: Path) -> tuple[dict[str, object], str]:
    """Return what `fit` says of a table of timings.

    Raises:
        FitError: If fewer than two batch sizes are timed.
    """
    found = fit_seconds(read_timings(path))
    answer = {"source": str(path), **found.to_dict()}
    sizes = found.batch_sizes
    lines = [f"{path}: timings at {len(sizes)} batch sizes, {sizes[0]:g} to {sizes[-1]:g}"]
    for name, unit in (("delta", "s"), ("gamma", "s/example")):
        lines.append(f"  {name:20}{getattr(found, name):10.4g} {unit:9} 95 % interval {_ends(found.intervals[name])}")
    lines.append(f"  {'form':20}{found.form}: the medians stand {100 * found.misfit:.2g} % off it (rms)")
    if found.misses:
        sizes_off = ", ".join(f"{size:g} ({100 * math.expm1(off):+.0f} %)" for size, off in found.misses)
        lines.append(f"  warning: the form misses the median at batch size {sizes_off}")
    return answer, "\n".join(lines)


def curve_answer(source: str, runs: Mapping[float, Sequence[object]]) -> tuple[dict[str, object], str]:
    """Return what `fit` says of runs at several learning rates.

    Raises:
        FitError: If they make no curve.
    """
    found = fit_curve(runs)  # type: ignore[arg-type]
    answer: dict[str, object] = {
        "source": source,
        "curve": found.to_dict(),
        "left_out": {f"{rate:g}": error for rate, error in found.left_out.items()},
        "lack_of_fit": found.lack_of_fit,
        "rivals": [{"name": r.name, "parameters": r.parameters, "rms": r.rms, "aicc": r.aicc} for r in found.rivals],
        "warnings": list(found.warnings),
    }
    lines = [f"{source}: one curve N = g(eta) Phi(eta / M) / eta through {len(found.cells)} means"]
    lines += [
        f"  {name:20}{getattr(found.law, name):10.4g}           95 % interval {_ends(found.intervals[name])}"
        for name in ("A", "alpha", "pole", "lift")
    ]
    lines.append(f"  the means stand {100 * found.rms:.2g} % off it (rms), {100 * found.misfit:.2g} % beyond sampling")
    lines += [
        f"  learning rate {rate:g} left out: predicted to {100 * e:.2g} % (rms)" for rate, e in found.left_out.items()
    ]
    lines += [f"  {one.name}: rms {100 * one.rms:.2g} %, {one.parameters} parameters" for one in found.rivals[1:]]
    lines += [f"  warning: {warning}" for warning in found.warnings]
    return answer, "\n".join(lines)


def recommendation_lines(one: Recommendation) -> list[str]:
    """Return a recommendation as lines for a reader."""
    learners = f"{one.learners} learner{'s' * (one.learners > 1)}"
    guess = one.best_guess
    if one.batch_size is None or guess is None:
        tail = "" if guess is None else f" Best guess: batch size {guess.batch_size}, {guess.predicted_seconds:.3g} s."
        return [f"{learners}: refused. {' '.join(one.reasons)}{tail}"]
    rate = "" if one.learning_rate is None else f" at learning rate {one.learning_rate:.3g}"
    low, high = guess.within_5_percent
    loss, cost = 100 * (one.regret or 0.0), one.pilot_seconds or 0.0
    lines = [
        f"{learners}: batch size {one.batch_size}{rate}, at most {loss:.2g} % slower than the best (95 %)",
        f"  {low:g} to {high:g} within 5 % of the least time; 95 % interval of the optimum {_ends(one.interval)}",
        f"  {guess.predicted_seconds:.3g} s to the target (95 % interval {_ends(one.predicted_seconds_interval)})",
        f"  the runs behind this cost {cost:.3g} s",
    ]
    return [*lines, *([] if one.next_measurement is None else [f"  {one.next_measurement.text()}"])]


def predict_answer(
    runs: Path, timing: Path | None, *, batch_sizes: Sequence[float], learning_rate: float | None, learners: int
) -> tuple[list[dict[str, object]], str]:
    """Return what `predict` says.

    Raises:
        FitError: If the tables determine nothing.
    """
    found = predict(
        runs_of(runs),
        None if timing is None else read_timings(timing),
        batch_sizes=batch_sizes,
        learning_rate=learning_rate,
        learners=learners,
    )
    return [_as_dict(one) for one in found], "\n".join(_line(one) for one in found)


def _as_dict(one: Predicted) -> dict[str, object]:
    return {
        "batch_size": one.batch_size,
        "learning_rate": one.learning_rate,
        "updates": one.updates if math.isfinite(one.updates) else None,
        "updates_interval": list(one.updates_interval),
        "seconds": one.seconds,
        "seconds_interval": list(one.seconds_interval),
        "beyond_measured": one.beyond_measured,
    }


def _line(one: Predicted) -> str:
    rate = "" if one.learning_rate is None else f" at learning rate {one.learning_rate:g}"
    seconds = "" if one.seconds is None else f", {one.seconds:.4g} s ({_ends(one.seconds_interval)})"
    beyond = "; beyond what was measured" if one.beyond_measured else ""
    updates = f"{one.updates:.4g} updates ({_ends(one.updates_interval)})"
    return f"batch size {one.batch_size:g}{rate}: {updates}{seconds}{beyond}"


def _ends(interval: Sequence[float | None]) -> str:
    low, high = ("open" if side is None else f"{side:.4g}" for side in interval)
    return f"{low} to {high}"
