"""A recommendation in words and as a frame."""

from collections.abc import Sequence

import pandas as pd

from batchtime.fit.recommendation import Recommendation
from batchtime.laws.quantity import interval_text, number_text


def in_words(one: Recommendation) -> str:
    """Return a recommendation as a sentence or two."""
    if one.refused or one.within_5_percent is None:
        return f"no recommendation. {' '.join(one.reasons)}"
    low, high = one.within_5_percent
    return (
        f"batch size {one.batch_size} (95 % interval of the optimum {interval_text(one.interval)}); from "
        f"{number_text(low)} to {number_text(high)} comes within 5 % of the least time."
    )


def recommendations(several: Sequence[Recommendation]) -> pd.DataFrame:
    """Return recommendations for several numbers of learners, one a row; no batch size where it was refused."""
    return pd.DataFrame(
        {
            "learners": one.learners,
            "batch_size": one.batch_size,
            "interval_low": one.interval[0],
            "interval_high": one.interval[1],
            "within_5_percent_low": None if one.within_5_percent is None else one.within_5_percent[0],
            "within_5_percent_high": None if one.within_5_percent is None else one.within_5_percent[1],
            "predicted_seconds": one.predicted_seconds,
        }
        for one in several
    )
