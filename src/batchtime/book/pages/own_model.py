"""A recommendation in words and as a table."""

from collections.abc import Sequence

from IPython.display import HTML

from batchtime.book.tables import interval_text, number_text, table
from batchtime.fit.advice import Recommendation


def in_words(one: Recommendation) -> str:
    """Return a recommendation as a sentence or two."""
    if one.refused or one.within_5_percent is None:
        return f"no recommendation. {' '.join(one.reasons)}"
    low, high = one.within_5_percent
    return (
        f"batch size {one.batch_size} (95 % interval of the optimum {interval_text(one.interval)}); from "
        f"{number_text(low)} to {number_text(high)} comes within 5 % of the least time."
    )


def recommendations_table(several: Sequence[Recommendation]) -> HTML:
    """Return recommendations for several numbers of learners, one a row."""
    rows = [
        (
            f"{one.learners}",
            "refused" if one.batch_size is None else f"{one.batch_size}",
            interval_text(one.interval),
            "" if one.within_5_percent is None else " to ".join(map(number_text, one.within_5_percent)),
            "" if one.predicted_seconds is None else number_text(one.predicted_seconds),
        )
        for one in several
    ]
    return table(["L", "batch size", "95 % interval", "within 5 %", "seconds"], rows)
