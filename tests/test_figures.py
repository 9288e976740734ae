"""Promises of a published figure: its table is the frame it was drawn from, and its bytes are those of the figure."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime.book import figures, frames, plots
from batchtime.book.comparisons import arm
from batchtime.book.diagnostics import Residual
from batchtime.book.pages import scrutiny
from batchtime.errors import FigureError
from batchtime.runs import store
from batchtime.runs.catalogue import experiment

from .builders import LAW, LOST, RUNS, record, runs_on

DIGITS = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5)


def published(axes: Axes, drawn: pd.DataFrame, folder: Path, name: str = "drawn") -> list[dict[str, str]]:
    """Publish a figure and return its table."""
    figures.publish(axes.get_figure(root=True), folder, name, data=drawn)
    return list(csv.DictReader(io.StringIO((folder / f"{name}.csv").read_text())))


def test_every_run_stands_in_the_table_with_its_seed_and_its_interval_and_not_where_it_was_spread_to(
    axes: Axes, tmp_path: Path
) -> None:
    drawn = plots.updates_against_batch_size(axes, frames.runs({"fitted": RUNS, "left out": LOST}), LAW)
    rows = published(axes, drawn, tmp_path)
    names = ("batch_size", "seed", "updates_lower", "updates_upper")
    told = [tuple(float(row[name]) for name in names) for row in rows if row["run_is"] == "fitted"]
    assert told == [(seen.batch_size, seen.seed, seen.lower, seen.upper) for seen in RUNS]
    lost = [row for row in rows if row["run_is"] == "left out"]
    assert [(row["updates_lower"], row["updates_upper"], row["censored"]) for row in lost] == [("5000", "", "True")] * 2


def test_a_curve_and_its_band_stand_in_the_table_as_drawn(axes: Axes, tmp_path: Path) -> None:
    runs = frames.runs({"fitted": RUNS})
    sizes = plots.curve_sizes(runs)
    drawn = plots.updates_against_batch_size(axes, runs, LAW, band=(LAW.updates(sizes) - 5, LAW.updates(sizes) + 5))
    curve = [row for row in published(axes, drawn, tmp_path) if row["series"] == "law"]
    assert [float(row["batch_size"]) for row in curve] == pytest.approx(sizes)
    assert [float(row["updates"]) for row in curve] == pytest.approx(LAW.updates(sizes))
    assert [float(row["updates_high"]) - float(row["updates_low"]) for row in curve] == pytest.approx([10] * len(sizes))


def test_an_interval_stands_in_the_table_as_known(tmp_path: Path) -> None:
    plt.switch_backend("agg")
    one = arm(DIGITS, runs_on(LAW), "one")
    figure, drawn = plots.law_against(frames.laws([one]).assign(rate=0.1), "rate", "step size")
    number = figure.number
    rows = published(figure.axes[0], drawn, tmp_path)
    assert one.fit is not None
    intervals = [getattr(one.fit.intervals, name) for name in ("n_inf", "alpha", "critical_batch_size")]
    told = [(float(row["value_low"]), float(row["value_high"])) for row in rows]
    assert told == [pytest.approx(ends) for ends in intervals]
    assert [row["quantity"] for row in rows] == ["n_inf", "alpha", "critical_batch_size"]
    assert not plt.fignum_exists(number)  # or a notebook would show it twice


def test_a_mean_beyond_the_edge_stands_in_the_table_where_it_is_and_an_open_side_is_empty(
    axes: Axes, tmp_path: Path
) -> None:
    near = Residual(batch_size=4, error=0.01, interval=(-0.02, None), fitted=True)
    far = Residual(batch_size=1, error=9.0, interval=(8.0, 10.0), fitted=False)
    fitted, beyond = published(axes, scrutiny.residuals(axes, [near, far], None), tmp_path)
    assert (float(fitted["percent"]), float(fitted["percent_low"]), fitted["percent_high"]) == (1, -2, "")
    assert float(beyond["percent"]) == 900


def test_a_figure_without_data_is_refused_by_its_name_and_nothing_is_written(axes: Axes, tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="the figure drawn has no data; give the frame that it was drawn from"):
        published(axes, pd.DataFrame(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_same_figure_gives_the_same_bytes_and_says_which(tmp_path: Path) -> None:
    plt.switch_backend("agg")
    made = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        figure, axes = plt.subplots()
        drawn = plots.updates_against_batch_size(axes, frames.runs({"fitted": RUNS}), LAW)
        made.append(figures.publish(figure, folder, "law", data=drawn))
        plots.use_style()  # whatever else was asked for, the bytes are told by the drawing
        plt.rcdefaults()
    for kind in ("svg", "csv"):
        first, second = ((tmp_path / name / f"law.{kind}").read_bytes() for name in ("first", "second"))
        assert first == second
        assert {hashlib.sha256(first).hexdigest()} == {getattr(one, f"{kind}_sha256") for one in made}


def test_numbers_that_are_not_there_are_empty_cells(axes: Axes, tmp_path: Path) -> None:
    rows = published(axes, pd.DataFrame({"x": [1, 2], "y": [np.nan, 4]}), tmp_path)
    assert [row["y"] for row in rows] == ["", "4"]


@pytest.mark.parametrize("top", ["data", "cache"])
def test_a_record_is_published_or_of_this_machine_whatever_the_data_folder_is_called(tmp_path: Path, top: str) -> None:
    folder = tmp_path / top
    for place, seed in ((folder, 0), (folder / "cache", 1)):
        with store.writing(place / "runs" / "law.jsonl") as writer:
            writer.append(record(seed=seed))
    here = store.Store(folder)
    found = here.sources("runs", "law", "nothing", "law")
    assert [(one.file, one.records, one.live) for one in found] == [
        ("data/runs/law.jsonl", 1, False),
        ("data/cache/runs/law.jsonl", 1, True),
    ]
    assert found[0].sha256 == hashlib.sha256((folder / "runs" / "law.jsonl").read_bytes()).hexdigest()
    assert found[0].commits == ()  # the builder's record names none
    assert here.sources("runs", "law", own=True) == found[1:]
    assert store.Store(folder, recording=True).sources("runs", "law") == found[:1]


def test_a_figure_names_the_files_that_it_was_given_and_no_others_that_were_read(tmp_path: Path, axes: Axes) -> None:
    for name in ("law", "other"):
        with store.writing(tmp_path / "runs" / f"{name}.jsonl") as writer:
            writer.append(record())
    here = store.Store(tmp_path)
    here.runs("other")
    found = figures.publish(
        axes.get_figure(root=True),
        tmp_path / "figures",
        "one",
        data=pd.DataFrame({"x": [1]}),
        sources=here.sources("runs", "law"),
    )
    assert [one.file for one in found.sources] == ["data/runs/law.jsonl"]
