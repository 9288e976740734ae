"""Promises of the figures: every run is drawn, axes are named, the same figure gives the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime import plots
from batchtime.comparisons import Arm, Tuned, arm
from batchtime.experiments import experiment
from batchtime.records import InverseLaw, Observation, Outcome, RunRecord

from .builders import markers, record, runs_on

LAW = InverseLaw(n_inf=100, alpha=1600)
RUNS = [
    Observation(batch_size=size, lower=LAW.updates(float(size)), upper=LAW.updates(float(size)) + 9, seed=seed)
    for size in (4, 16, 64)
    for seed in range(5)
]
LOST = [Observation(batch_size=1, lower=5000, upper=None, seed=seed) for seed in range(2)]


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


def run(size: int, seed: int, status: str) -> RunRecord:
    """Return a run that ended in some way."""
    made = record(batch_size=size, seed=seed)
    ended = {"reached": made.outcome, "censored": Outcome(status="censored", lower=20, upper=None)}
    return replace(made, outcome=ended.get(status, Outcome(status="diverged", lower=20, upper=None)))


def test_the_map_of_outcomes_shows_each_run_once_by_what_came_of_it(axes: Axes) -> None:
    statuses = ["reached", "reached", "censored", "diverged", "reached", "censored"]
    plots.outcome_map(axes, [run(size, seed, statuses.pop()) for size in (3, 100) for seed in (0, 1, 7)])
    assert markers(axes) == 6
    labels = axes.get_legend_handles_labels()[1]
    assert [label.split(": ")[1] for label in labels] == ["3 of 6 runs", "2 of 6 runs", "1 of 6 runs"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["3", "100"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "1", "7"]


DIGITS = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5)


def law_arm(label: str, law: InverseLaw) -> Arm:
    """Return an arm of runs on a law."""
    return arm(DIGITS, runs_on(law), label)


def test_every_arm_has_its_means_and_its_law(axes: Axes) -> None:
    several = [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=300, alpha=900))]
    plots.arms(axes, several)
    assert axes.get_legend_handles_labels()[1] == ["one", "other"]
    assert len(axes.containers) == 6  # three batch sizes of each
    assert [len(line.get_xdata()) for line in axes.lines].count(plots.CURVE_POINTS) == 2


def test_an_arm_that_was_lost_is_drawn_where_its_budget_ended(axes: Axes) -> None:
    lost = arm(DIGITS, [run(size, seed, "censored") for size in (4, 16, 64) for seed in range(5)], "lost")
    half = replace(lost, records=[run(4, seed, "reached" if seed < 2 else "censored") for seed in range(5)])
    plots.arms(axes, [half])
    assert "^" in {line.get_marker() for line in axes.lines}


def test_the_laws_quantities_stand_at_their_positions() -> None:
    plt.switch_backend("agg")
    _, panels = plt.subplots(1, 3)
    several = [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=300, alpha=900))]
    plots.law_against(panels, several, [0.1, 0.2], "step size")
    for axes, values in zip(panels, ((100, 300), (1600, 900), (16, 3)), strict=True):
        drawn = [
            (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if line.get_marker() == "o"
        ]
        assert [x for x, _ in drawn] == [0.1, 0.2]
        assert [y for _, y in drawn] == pytest.approx(values, rel=0.1)


def test_tasks_on_their_laws_lie_on_one_curve(axes: Axes) -> None:
    plots.one_curve(axes, [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=300, alpha=900))])
    points = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
    assert len(points) == 2
    for line in points:
        x = np.asarray(line.get_xdata(), dtype=float)
        assert np.asarray(line.get_ydata(), dtype=float) == pytest.approx(1 + 1 / x, rel=0.05)


def test_the_best_step_sizes_are_drawn_and_hollow_at_the_edge(axes: Axes) -> None:
    tuned = [Tuned(batch_size=size, rate=0.1, runs=(), at_the_edge=size > 10) for size in (4, 16, 64)]
    plots.tuned_rates(axes, [law_arm("one", LAW)], tuned)
    counts = {str(line.get_markerfacecolor()): len(line.get_xdata()) for line in axes.lines}
    assert counts.pop("none") == 2
    assert list(counts.values()) == [1]
