"""Promises of the figures: every run is drawn, axes are named, the same figure gives the same bytes."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime import plots
from batchtime.records import InverseLaw, Observation, TrainingTime, UpdateTime, UpdateTiming

LAW = InverseLaw(n_inf=100, alpha=1600)
RUNS = [
    Observation(batch_size=size, lower=LAW.updates(float(size)), upper=LAW.updates(float(size)) + 9, seed=seed)
    for size in (4, 16, 64)
    for seed in range(5)
]
LOST = [Observation(batch_size=1, lower=5000, upper=None, seed=seed) for seed in range(2)]


@pytest.fixture
def axes() -> Axes:
    """Return empty axes of a figure that nobody sees."""
    plt.switch_backend("agg")
    plt.close("all")
    return plt.subplots()[1]


def markers(axes: Axes) -> int:
    """Return the number of marked points."""
    return sum(len(np.asarray(line.get_xdata())) for line in axes.lines if line.get_marker() not in ("None", None, ""))


def test_every_run_is_drawn_also_one_that_did_not_reach_its_target(axes: Axes) -> None:
    plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW, left_out=LOST)
    assert markers(axes) == len(RUNS) + len(LOST)
    labels = axes.get_legend_handles_labels()[1]
    assert "a run left out of the fit, not reached within its budget" in labels
    assert len(labels) == len(set(labels))


def test_batch_sizes_are_plain_integers_on_base_two(axes: Axes) -> None:
    plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW)
    axes.figure.canvas.draw()
    shown = {text.get_text() for text in axes.get_xticklabels()}
    assert {"4", "16", "64"} <= shown
    assert axes.get_xlabel() == "batch size M (examples)"
    assert axes.get_ylabel() == "updates N to the target"


def test_the_curve_of_examples_is_the_straight_line_of_the_law(axes: Axes) -> None:
    plots.examples_against_batch_size(axes, fitted=RUNS, law=LAW)
    line = next(line for line in axes.lines if line.get_label() == "alpha + n_inf M")
    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    assert y == pytest.approx((1600 + 100 * x) / 1e3)


def test_every_duration_is_drawn_with_its_median(axes: Axes) -> None:
    timings = [UpdateTiming(batch_size=m, wall_seconds=(1.0, 2.0, 3.0), cpu_seconds=(1.0, 2.0, 3.0)) for m in (1, 8)]
    plots.update_time(axes, timings, UpdateTime(fixed_seconds=1, seconds_per_example=0.1))
    assert markers(axes) == 6 + 2


def test_the_optimum_is_marked_where_the_curve_is_least(axes: Axes) -> None:
    time = TrainingTime(law=LAW, update_time=UpdateTime(fixed_seconds=0.004, seconds_per_example=0.001))
    plots.training_time(axes, {"here": time}, batch_sizes=[1, 256])
    curve = next(line for line in axes.lines if line.get_label() == "here")
    marked = next(line for line in axes.lines if line.get_marker() == "D" and len(np.asarray(line.get_xdata())))
    least = np.asarray(curve.get_ydata(), float).min()
    assert float(np.asarray(marked.get_ydata(), float)[0]) == pytest.approx(least, rel=1e-3)


@pytest.mark.usefixtures("axes")
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    plots.use_style()
    for name in ("first", "second"):
        figure, axes = plt.subplots()
        plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW)
        plots.save_figure(figure, tmp_path / "figures", name)
    assert (tmp_path / "figures" / "first.svg").read_bytes() == (tmp_path / "figures" / "second.svg").read_bytes()
