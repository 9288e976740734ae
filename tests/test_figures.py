"""Promises of a published figure: its table says what is drawn, and the same figure gives the same bytes."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime.book import figures, plots
from batchtime.book.comparisons import arm
from batchtime.book.diagnostics import Residual
from batchtime.book.pages import scrutiny
from batchtime.errors import FigureError
from batchtime.runs import store
from batchtime.runs.catalogue import experiment

from .builders import LAW, LOST, RUNS, record, runs_on

DIGITS = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5)


def published(axes: Axes, folder: Path, name: str = "drawn") -> list[dict[str, str]]:
    """Publish a figure and return its table."""
    figures.publish(axes.get_figure(root=True), folder, name)
    return list(csv.DictReader(io.StringIO((folder / f"{name}.csv").read_text())))


def of_series(rows: list[dict[str, str]], series: str) -> list[dict[str, str]]:
    """Return the rows of a series."""
    return [row for row in rows if row["series"] == series]


def test_every_run_stands_in_the_table_with_its_seed_and_its_interval_and_not_where_it_was_spread_to(
    axes: Axes, tmp_path: Path
) -> None:
    plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW, left_out=LOST)
    rows = published(axes, tmp_path)
    told = [
        tuple(float(row[name]) for name in (plots.M_LABEL, "seed", "updates, more than", "updates, at most"))
        for row in of_series(rows, "a run")
    ]
    assert told == [(seen.batch_size, seen.seed, seen.lower, seen.upper) for seen in RUNS]
    lost = of_series(rows, "a run left out of the fit, budget spent first")
    assert [(row["updates, more than"], row["updates, at most"]) for row in lost] == [("5000", "")] * 2


def test_a_curve_a_level_and_a_band_stand_in_the_table_as_drawn(axes: Axes, tmp_path: Path) -> None:
    sizes = plots.curve_sizes(RUNS)
    plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW, band=(LAW.updates(sizes) - 5, LAW.updates(sizes) + 5))
    rows = published(axes, tmp_path)
    curve = of_series(rows, "n_inf + alpha / M")
    assert [float(row[plots.M_LABEL]) for row in curve] == pytest.approx(sizes)
    assert [float(row["updates N to the target"]) for row in curve] == pytest.approx(LAW.updates(sizes))
    assert [(row["shape"], row["updates N to the target"]) for row in of_series(rows, "n_inf")] == [("level", "100")]
    band = of_series(rows, "95 % of laws, seeds resampled")
    assert [float(row["high"]) - float(row["low"]) for row in band] == pytest.approx([10] * len(sizes))


def test_an_interval_stands_in_the_table_as_known_and_an_open_side_is_empty(tmp_path: Path) -> None:
    plt.switch_backend("agg")
    figure, panels = plt.subplots(1, 3)
    one = arm(DIGITS, runs_on(LAW), "one")
    plots.law_against(panels, [one], [0.1], "step size")
    rows = published(panels[0], tmp_path)
    assert one.fit is not None
    intervals = [getattr(one.fit.intervals, name) for name in ("n_inf", "alpha", "critical_batch_size")]
    assert [(float(row["low"]), float(row["high"])) for row in rows] == [pytest.approx(ends) for ends in intervals]
    assert [row["panel"] for row in rows] == ["1", "2", "3"]
    assert {"n_inf (updates)", "alpha (examples)", "alpha / n_inf (examples)"} <= set(rows[0])
    assert not plt.fignum_exists(figure.number)  # or a notebook would show it twice


def test_a_mean_beyond_the_edge_stands_in_the_table_where_it_is(axes: Axes, tmp_path: Path) -> None:
    near = Residual(batch_size=4, error=0.01, interval=(-0.02, None), fitted=True)
    far = Residual(batch_size=1, error=9.0, interval=(8.0, 10.0), fitted=False)
    scrutiny.residuals(axes, [near, far], None)
    rows = published(axes, tmp_path)
    (fitted,) = of_series(rows, "mean of fitted runs")
    assert (float(fitted[scrutiny.RESIDUAL_LABEL]), float(fitted["low"]), fitted["high"]) == (1, -2, "")
    (beyond,) = of_series(rows, "mean of runs not fitted")
    assert float(beyond[scrutiny.RESIDUAL_LABEL]) == 900


def test_what_has_no_label_cannot_be_published_and_its_panel_is_named(axes: Axes, tmp_path: Path) -> None:
    axes.set_ylabel("seconds")
    axes.plot([1, 2], [3, 4])
    with pytest.raises(FigureError, match=r"Line2D in the panel 'seconds' has no label"):
        published(axes, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_off_is_named_unless_it_is_an_ornament(axes: Axes, tmp_path: Path) -> None:
    drawn = axes.scatter([1, 2], [3, 4], label="points")
    with pytest.raises(FigureError, match="a PathCollection cannot be read off"):
        published(axes, tmp_path)
    figures.note(drawn, {})
    assert published(axes, tmp_path) == []


def test_the_same_figure_gives_the_same_bytes_and_says_which(tmp_path: Path) -> None:
    plt.switch_backend("agg")
    made = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        figure, axes = plt.subplots()
        plots.updates_against_batch_size(axes, fitted=RUNS, law=LAW)
        made.append(figures.publish(figure, folder, "law"))
        plots.use_style()  # whatever else was asked for, the bytes are told by the drawing
        plt.rcdefaults()
    for kind in ("svg", "csv"):
        first, second = ((tmp_path / name / f"law.{kind}").read_bytes() for name in ("first", "second"))
        assert first == second
        assert {hashlib.sha256(first).hexdigest()} == {getattr(one, f"{kind}_sha256") for one in made}


def test_numbers_that_are_not_there_are_empty_cells(axes: Axes, tmp_path: Path) -> None:
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.plot([1, 2], [np.nan, 4], label="some")
    assert [row["y"] for row in published(axes, tmp_path)] == ["", "4"]


def test_the_files_that_were_read_are_known_with_their_checksum_and_the_commits_that_recorded_them(
    tmp_path: Path, axes: Axes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SOURCES", {})
    for top, live in ((tmp_path, False), (tmp_path / "cache", True)):
        with store.writing(top / "runs" / "law.jsonl") as writer:
            writer.append(record(seed=int(live)))
    assert store.sources() == []
    store.Store(tmp_path).runs("law")
    store.Store(tmp_path).runs("nothing")
    found = figures.publish(axes.get_figure(root=True), tmp_path / "figures", "empty").sources
    assert [(one.file, one.records, one.live) for one in found] == [
        ("data/cache/runs/law.jsonl", 1, True),
        ("data/runs/law.jsonl", 1, False),
    ]
    published = (tmp_path / "runs" / "law.jsonl").read_bytes()
    assert found[1].sha256 == hashlib.sha256(published).hexdigest()
    assert found[1].commits == ()  # the builder's record names none
