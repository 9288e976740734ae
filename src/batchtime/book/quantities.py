"""Published quantities: a number that several pages state is registered by one of them, and read by all.

A notebook calls `quantity` beside `glue`; executing it keeps what was registered in its metadata; `collect` joins the
pages into one list, which the build writes to `_build/quantities.json`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchtime.errors import NotebookError
from batchtime.laws.quantity import Interval, interval_text

MARK = "batchtime_quantity"
"""Key of the metadata of an output that registers a quantity."""


def quantity(name: str, value: float, *, interval: Interval | None = None, unit: str = "", digits: int = 3) -> None:
    """Register a published quantity, and glue it for this page under the last part of its name.

    An interval is glued as a phrase, under that name and `_interval`.

    Args:
        name: Of what and which, as "mnist-lenet.n_inf".
        value: The number, in its unit.
        interval: 95 %, if there is one.
        unit: "updates", "examples", "seconds"; empty for a ratio.
        digits: Significant digits of the phrase.
    """
    from IPython.display import publish_display_data
    from myst_nb import glue

    known = {"name": name, "value": float(value), "interval": interval, "unit": unit}
    publish_display_data(data={}, metadata={MARK: known})
    short = name.rpartition(".")[2]
    glue(short, value, display=False)
    if interval is not None:
        glue(f"{short}_interval", interval_text(interval, digits), display=False)


def take(node: Any) -> list[dict[str, Any]]:
    """Return what the cells of an executed notebook registered, and remove the outputs that say it."""
    found = []
    for cell in node.cells:
        outputs = cell.get("outputs", [])
        found += [dict(output.metadata[MARK]) for output in outputs if MARK in output.get("metadata", {})]
        if outputs:
            cell.outputs = [output for output in outputs if MARK not in output.get("metadata", {})]
    return found


def collect(pages: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the quantities of executed pages by name, each with the page that registered it as its `source`.

    Raises:
        NotebookError: If two pages register one name with different values.
    """
    known: dict[str, dict[str, Any]] = {}
    for page in sorted(pages):
        for one in json.loads(page.read_text(encoding="utf-8"))["metadata"]["batchtime"].get("quantities", []):
            other = known.setdefault(one["name"], {**one, "source": page.stem})
            if {**other, "source": None} != {**one, "source": None}:
                raise NotebookError(
                    f"{one['name']} is {other['value']:g} on the page {other['source']} and {one['value']:g} on "
                    f"{page.stem}; let one of them register it and the other read it"
                )
    return [known[name] for name in sorted(known)]
