"""Publish a figure with what a reader needs to trust it: the picture, its table, and where its data come from."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from batchtime.errors import FigureError
from batchtime.runs.store import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A figure that was written: name, picture, SHA-256 of picture and table, and the files that its data are from."""

    name: str
    svg: str
    svg_sha256: str
    csv_sha256: str
    sources: tuple[Source, ...]

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, str], Any]:
        """Show the picture where a notebook shows this value, and keep the rest beside it as metadata."""
        facts = asdict(self)
        return {"image/svg+xml": facts.pop("svg")}, {"batchtime": facts}


def publish(
    figure: Figure, folder: str | Path, name: str, *, data: pd.DataFrame, sources: Sequence[Source] = ()
) -> Published:
    """Write a figure as `name`.svg and its table as `name`.csv, the same bytes for the same figure, and close it.

    Args:
        figure: What is drawn.
        folder: Where it is written.
        name: Of the figure.
        data: What it was drawn from.
        sources: The files that these data were read from; none for what was computed on the page.

    Raises:
        FigureError: If there are no data.
    """
    if data.empty:
        raise FigureError(f"the figure {name} has no data; give the frame that it was drawn from")
    # Ten digits: more than anybody reads, and fewer than machines agree upon.
    table = data.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "batchtime"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)  # or the notebook would show it a second time
    picture = buffer.getvalue().rstrip("\n")  # as notebooks keep it
    Path(folder).mkdir(parents=True, exist_ok=True)
    for text, kind in ((picture, "svg"), (table, "csv")):
        (Path(folder) / f"{name}.{kind}").write_bytes(text.encode())
    return Published(
        name=name, svg=picture, svg_sha256=_sha256(picture), csv_sha256=_sha256(table), sources=tuple(sources)
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
