"""Publish a figure with what a reader needs to trust it: the picture, its table, and the data that it was drawn from.

The table is read off the drawing itself, so that it cannot say anything else: every line, point, band and interval of
every panel, under the names of its axes. An artist must therefore have a label; one that starts with an underscore is
kept out of the legend. Where what is drawn is not what is meant (points spread sideways, an arrow at the edge), `note`
says what is.
"""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from batchtime.errors import FigureError
from batchtime.runs.store import Source, sources

Row = dict[str, object]
_FIRST, _LAST = ("panel", "series", "shape"), ("low", "high")
_ORNAMENT = "note(artist, {}) if it is an ornament"
_NOTES: WeakKeyDictionary[Artist, Mapping[str, object]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A figure that was written: name, picture, SHA-256 of picture and table, the records read before it was drawn."""

    name: str
    svg: str
    svg_sha256: str
    csv_sha256: str
    sources: tuple[Source, ...]

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, str], Any]:
        """Show the picture where a notebook shows this value, and keep the rest beside it as metadata."""
        facts = asdict(self)
        return {"image/svg+xml": facts.pop("svg")}, {"batchtime": facts}


def publish(figure: Figure, folder: str | Path, name: str) -> Published:
    """Write a figure as `name`.svg and its table as `name`.csv, the same bytes for the same figure, and close it.

    Raises:
        FigureError: If something is drawn that the table could not name.
    """
    table = _csv(list(rows(figure)))
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "batchtime"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)  # or the notebook would show it a second time
    picture = buffer.getvalue().rstrip("\n")  # as notebooks keep it
    Path(folder).mkdir(parents=True, exist_ok=True)
    for text, kind in ((picture, "svg"), (table, "csv")):
        (Path(folder) / f"{name}.{kind}").write_bytes(text.encode())
    return Published(
        name=name, svg=picture, svg_sha256=_sha256(picture), csv_sha256=_sha256(table), sources=tuple(sources())
    )


def note(artist: Artist | ErrorbarContainer, columns: Mapping[str, object]) -> None:
    """Say what an artist stands for, where its place does not: columns that replace or join those of its axes.

    Args:
        artist: What is drawn.
        columns: One value, or one for each point; None for nothing. Without columns it is an ornament, and no data.
    """
    _NOTES[_key(artist)] = columns


def _key(artist: Artist | ErrorbarContainer) -> Artist:
    return artist[0] if isinstance(artist, ErrorbarContainer) else artist  # a container is a tuple of artists


def rows(figure: Figure) -> Iterator[Row]:
    """Return the table of what is drawn, one row a point, by panel and in the order of drawing.

    Raises:
        FigureError: If an artist has no label, or is of a kind that cannot be read.
    """
    for number, axes in enumerate(figure.axes, start=1):
        inside = {part for container in _containers(axes) for part in container.get_children()}
        drawn: list[Artist] = [one for one in (*axes.lines, *axes.collections, *axes.patches) if one not in inside]
        everything: list[Artist | ErrorbarContainer] = [*_containers(axes), *drawn]
        for artist in everything:
            for row in _rows(axes, artist):
                yield {"panel": axes.get_title("left") or axes.get_title() or number, **row}


def _containers(axes: Axes) -> list[ErrorbarContainer]:
    return [one for one in axes.containers if isinstance(one, ErrorbarContainer)]


def _rows(axes: Axes, artist: Artist | ErrorbarContainer) -> Iterator[Row]:
    noted = _NOTES.get(_key(artist))
    if noted is not None and not noted:
        return
    shape, columns = _read(axes, artist)
    columns = {name: values for name, values in columns.items() if name} | dict(noted or {})
    listed = {name: _listed(values) for name, values in columns.items()}
    count = max((len(values) for values in listed.values() if values is not None), default=0)
    if count == 0:
        return  # it is there for the legend alone
    label = str(artist.get_label())
    if re.fullmatch(r"_(child|container)\d+|", label):
        kind, place = type(artist).__name__, axes.get_ylabel() or axes.get_xlabel()
        raise FigureError(
            f"a {kind} in the panel {place!r} has no label; give it one; is it an ornament, note() it as {{}}"
        )
    for index in range(count):
        cells = {name: values[index if len(values) > 1 else 0] for name, values in listed.items()}
        yield {"series": label.lstrip("_"), "shape": shape, **cells}


def _listed(values: object) -> list[object]:
    return list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else [values]


def _read(axes: Axes, artist: Artist | ErrorbarContainer) -> tuple[str, dict[str, Any]]:
    """Return the shape of an artist and its columns, by the labels of the axes."""
    for kind, reader in _READERS.items():
        if isinstance(artist, kind):
            return reader(axes, artist, axes.get_xlabel() or _shared_label(axes), axes.get_ylabel())
    raise FigureError(f"a {type(artist).__name__} cannot be read off as a table; {_ORNAMENT}")


def _line(axes: Axes, line: Line2D, across: str, upward: str) -> tuple[str, dict[str, Any]]:
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    if line.get_transform() == axes.get_yaxis_transform("grid"):
        return "level", {upward: y[:1]}
    if line.get_transform() == axes.get_xaxis_transform("grid"):
        return "level", {across: x[:1]}
    return "points" if line.get_linestyle() == "None" else "line", {across: x, upward: y}


def _bars(_axes: Axes, bars: ErrorbarContainer, across: str, upward: str) -> tuple[str, dict[str, Any]]:
    line, _, (verticals,) = bars
    ends = np.array(verticals.get_segments())[:, :, 1]  # (points, two ends)
    return "interval", {across: line.get_xdata(), upward: line.get_ydata(), "low": ends[:, 0], "high": ends[:, 1]}


def _segments(_axes: Axes, lines: LineCollection, across: str, _upward: str) -> tuple[str, dict[str, Any]]:
    ends = np.array(lines.get_segments())  # (lines, two ends, x and y)
    return "interval", {across: ends[:, 0, 0], "low": ends[:, 0, 1], "high": ends[:, 1, 1]}


def _band(_axes: Axes, band: PolyCollection, across: str, _upward: str) -> tuple[str, dict[str, Any]]:
    corners = np.asarray(band.get_paths()[0].vertices)
    x = np.unique(corners[:, 0])
    heights = [corners[corners[:, 0] == one, 1] for one in x]
    return "band", {across: x, "low": [one.min() for one in heights], "high": [one.max() for one in heights]}


def _level_band(_axes: Axes, span: Rectangle, _across: str, _upward: str) -> tuple[str, dict[str, Any]]:
    return "band", {"low": span.get_y(), "high": span.get_y() + span.get_height()}


_READERS: dict[type, Callable[[Axes, Any, str, str], tuple[str, dict[str, Any]]]] = {
    Line2D: _line,
    ErrorbarContainer: _bars,
    LineCollection: _segments,
    PolyCollection: _band,
    Rectangle: _level_band,  # of axhspan; nothing else draws one
}


def _shared_label(axes: Axes) -> str:
    """Return the label of the axis that panels above each other share."""
    return next((one.get_xlabel() for one in axes.get_shared_x_axes().get_siblings(axes) if one.get_xlabel()), "")


def _csv(found: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in found for name in row))
    names = [*_FIRST, *(name for name in names if name not in (*_FIRST, *_LAST)), *(n for n in _LAST if n in names)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in found)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    # Ten digits: more than anybody reads, and fewer than machines agree upon.
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
