"""Promises of the figures: every run is drawn, axes are named, colours can be told apart by everybody."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from batchtime.book import frames, plots
from batchtime.book.comparisons import Arm, arm
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome, RunRecord

from .builders import LAW, LOST, RUNS, markers, record, runs_on


def test_every_run_is_drawn_also_one_that_did_not_reach_its_target(axes: Axes) -> None:
    plots.updates_against_batch_size(axes, frames.runs({"fitted": RUNS, "left out": LOST}), LAW)
    assert markers(axes) == len(RUNS) + len(LOST)
    labels = axes.get_legend_handles_labels()[1]
    assert "a run left out of the fit, budget spent first" in labels
    assert len(labels) == len(set(labels))


def test_batch_sizes_are_plain_integers_on_base_two(axes: Axes) -> None:
    plots.updates_against_batch_size(axes, frames.runs({"fitted": RUNS}), LAW)
    axes.figure.canvas.draw()
    shown = {text.get_text() for text in axes.get_xticklabels()}
    assert {"4", "16", "64"} <= shown
    assert (axes.get_xlabel(), axes.get_ylabel()) == (plots.M_LABEL, plots.N_LABEL)


def test_the_curve_of_examples_is_the_straight_line_of_the_law(axes: Axes) -> None:
    plots.examples_against_batch_size(axes, frames.runs({"fitted": RUNS}), LAW)
    line = next(line for line in axes.lines if str(line.get_label()).startswith(r"$\alpha + n_\infty"))
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
    plots.arms(axes, frames.means(several), frames.laws(several))
    assert axes.get_legend_handles_labels()[1] == ["one", "other"]
    assert markers(axes) == 6  # three batch sizes of each
    assert [len(line.get_xdata()) for line in axes.lines].count(plots.CURVE_POINTS) == 2


def test_an_arm_that_was_lost_is_drawn_where_its_budget_ended(axes: Axes) -> None:
    lost = arm(DIGITS, [run(size, seed, "censored") for size in (4, 16, 64) for seed in range(5)], "lost")
    half = replace(lost, records=[run(4, seed, "reached" if seed < 2 else "censored") for seed in range(5)])
    plots.arms(axes, frames.means([half]), frames.laws([half]))
    assert "^" in {line.get_marker() for line in axes.lines}


def test_the_laws_quantities_stand_at_their_positions_each_in_a_facet() -> None:
    plt.switch_backend("agg")
    several = [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=300, alpha=900))]
    figure, _ = plots.law_against(frames.laws(several).assign(rate=[0.1, 0.2]), "rate", "step size")
    for axes, values in zip(figure.axes, ((100, 300), (1600, 900), (16, 3)), strict=True):
        (drawn,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert list(np.asarray(drawn.get_xdata())) == [0.1, 0.2]
        assert list(np.asarray(drawn.get_ydata())) == pytest.approx(values, rel=0.1)


def test_tasks_on_their_laws_lie_on_one_curve(axes: Axes) -> None:
    several = [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=300, alpha=900))]
    drawn = plots.one_curve(axes, frames.means(several), frames.laws(several))
    assert markers(axes) == len(drawn) == 6
    assert list(drawn["updates_ratio"]) == pytest.approx(list(1 + 1 / drawn["batch_ratio"]), rel=0.05)


def test_the_map_of_seconds_has_a_cell_for_each_batch_size_and_step_size_that_arrived_and_frames_the_best(
    axes: Axes,
) -> None:
    several = [law_arm("one", LAW), law_arm("other", InverseLaw(n_inf=50, alpha=1600))]
    means = frames.means(several).assign(learning_rate=[0.1] * 3 + [0.2] * 3)
    means.loc[0, "censored"] = 1  # a run was lost at M = 4 with the shorter step
    best = pd.DataFrame({"batch_size": [16], "learning_rate": [0.2]})
    drawn = plots.seconds_map(axes, means, {4: 1.0, 16: 2.0, 64: 4.0}, best)
    assert len(drawn) == 5
    known = drawn.set_index(["learning_rate", "batch_size"])["seconds"]
    assert known[0.2, 16] == pytest.approx(2 * (50 + 1600 / 16), rel=0.05)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0.2", "0.1"]  # longer steps above
    (frame,) = axes.patches
    assert isinstance(frame, Rectangle)
    assert frame.get_xy() == (1, 0)


def test_a_finding_stands_above_everything_and_is_broken_into_lines_that_fit(axes: Axes) -> None:
    plots.use_style()
    figure = axes.get_figure(root=True)
    assert figure is not None
    before = figure.get_figheight()
    plots.say(axes, "Two numbers describe the mean updates of every task to within thirteen percent of their means")
    title = figure.get_suptitle()
    assert title.count("\n") == 1
    assert figure.get_figheight() > before
    plt.rcdefaults()


# Machado, Oliveira and Fernandes (2009), severity 1: how linear RGB looks to people without one kind of cone.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE_XYZ = (0.95047, 1, 1.08883)
TURN_HUE = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])  # hue-rotate(180deg)


def linear(colour: Array) -> Array:
    """Return a colour of sRGB as amounts of light."""
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def in_the_dark(colour: Array) -> Array:
    """Return a colour as book.css shows it in dark mode: invert(0.93) hue-rotate(180deg)."""
    return np.clip(TURN_HUE @ (0.93 * (1 - colour) + 0.07 * colour), 0, 1)


def lab(colour: Array, sight: Array) -> Array:
    """Return a colour in CIE 1976 L*a*b*, as it is seen."""
    xyz = TO_XYZ @ np.clip(sight @ linear(colour), 0, 1) / WHITE_XYZ
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: Array, other: Array) -> float:
    """Return the contrast of two colours as the accessibility guidelines define it."""
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_are_told_apart_by_everybody_and_stand_out_from_the_ground(*, dark: bool) -> None:
    shown = [in_the_dark(np.array(to_rgb(colour))) if dark else np.array(to_rgb(colour)) for colour in plots.COLOURS]
    ground = in_the_dark(np.ones(3)) if dark else np.ones(3)
    assert min(contrast(colour, ground) for colour in shown) >= 3
    for name, sight in SIGHT.items():
        seen = [lab(colour, sight) for colour in shown]
        apart = [float(np.linalg.norm(a - b)) for k, a in enumerate(seen) for b in seen[:k]]
        assert min(apart) >= 25, name


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_shades_stand_out_from_the_ground_and_neighbours_from_each_other(*, dark: bool) -> None:
    for count in (1, 3, 5):
        shown = [in_the_dark(np.array(one[:3])) if dark else np.array(one[:3]) for one in plots.shades(count)]
        ground = in_the_dark(np.ones(3)) if dark else np.ones(3)
        assert min(contrast(colour, ground) for colour in shown) >= 3
        for name, sight in SIGHT.items():
            seen = [lab(colour, sight) for colour in shown]
            apart = [float(np.linalg.norm(a - b)) for a, b in zip(seen[1:], seen, strict=False)]
            assert min(apart, default=10) >= 9, name  # close ones are told by their marks as well


def test_no_text_is_smaller_than_a_phone_can_show() -> None:
    with mpl.rc_context():
        plots.use_style()
        sizes = [mpl.rcParams[f"{name}size"] for name in ("legend.font", "xtick.label", "ytick.label", "font.")]
        assert isinstance(mpl.rcParams["axes.labelsize"], str)  # relative to the font's
        inches = mpl.rcParams["figure.figsize"][0]
    shown = 350 / (96 * inches)  # of a page that is 390 pixels wide
    assert min(sizes) * 96 / 72 * shown >= 9


def test_a_legend_lies_above_its_panel_and_covers_nothing(axes: Axes) -> None:
    plots.use_style()
    plots.updates_against_batch_size(axes, frames.runs({"fitted": RUNS, "left out": LOST}), LAW)
    axes.figure.canvas.draw()
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1
    plt.rcdefaults()
