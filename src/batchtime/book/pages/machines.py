"""Machines to start the calculator from: lines and bends through seconds that others published."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from batchtime.errors import ParameterError
from batchtime.fit.measurements import timings_of
from batchtime.fit.update_time import choose_form
from batchtime.laws.time import UpdateTime
from batchtime.runs import published


def seconds_of(workload: str, device: str) -> tuple[pd.DataFrame, str]:
    """Return published seconds of an update on one device alone (batch_size, seconds), and who published them.

    Args:
        workload: As `published.timed` names it, or the name of a series, whose epochs are then divided by its updates.
        device: As the same table names it.

    Raises:
        ParameterError: If there are no such timings.
    """
    series = published.series().set_index("name")
    frame = published.timings(workload) if workload in series.index else published.timed().query("per == 'update'")
    same = frame["workload"] == workload if "workload" in frame else True
    chosen = frame[same & (frame["device"] == device) & (frame["learners"] == 1)]
    if chosen.empty:
        raise ParameterError(f"no published seconds of {workload!r} on {device!r}; `published.timed` lists them all")
    source = series["source"][workload] if workload in series.index else str(chosen["source"].iloc[0])
    return chosen[["batch_size", "seconds"]].reset_index(drop=True), str(source)


def fitted(chosen: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return the time per update of some published machines, a row each, fitted as the book fits its own.

    Columns: machine, source, licence, sizes (timed), smallest, largest, form, fixed_seconds, seconds_per_example,
    sharpness, break_even_batch_size, worst_error (largest relative error of a median).

    Args:
        chosen: By what a reader calls it, workload and device.

    Raises:
        ParameterError: If there are no such timings.
        FitError: If they do not show both costs of an update.
    """
    licences = published.sources().query("table == 'seconds'").set_index("source")[["repository", "licence"]]
    rows = []
    for title, (workload, device) in chosen.items():
        frame, source = seconds_of(workload, device)
        form = choose_form(timings_of(frame))
        time = form.time
        assert isinstance(time, UpdateTime)  # noqa: S101 - of the forms that are chosen from, all are
        rows.append(
            {
                "machine": title,
                "source": licences["repository"][source],
                "licence": licences["licence"][source],
                "sizes": len(frame),
                "smallest": int(frame["batch_size"].min()),
                "largest": int(frame["batch_size"].max()),
                "form": form.name,
                "fixed_seconds": time.fixed_seconds,
                "seconds_per_example": time.seconds_per_example,
                "sharpness": time.sharpness,
                "break_even_batch_size": time.break_even_batch_size,
                "worst_error": form.largest_deviation,
            }
        )
    return pd.DataFrame(rows)


def data(machines: pd.DataFrame) -> str:
    """Return machines as JSON for the calculator: name, title, delta and gamma in seconds, p (null: infinite)."""
    rows: list[dict[str, Any]] = [
        {
            "name": "-".join("".join(c if c.isalnum() else " " for c in str(row["machine"]).lower()).split()),
            "title": f"published: {row['machine']}",
            "delta": row["fixed_seconds"],
            "gamma": row["seconds_per_example"],
            "p": row["sharpness"] if math.isfinite(row["sharpness"]) else None,
        }
        for row in machines.to_dict("records")
    ]
    return json.dumps(rows)
