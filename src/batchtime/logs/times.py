"""Time stamps as logs have them: numbers of seconds, dates, times of day."""

import re
from datetime import UTC, datetime

from batchtime.errors import LogError
from batchtime.logs.settings import number

STAMPS = ("time", "timestamp", "_timestamp", "wall_time", "walltime", "elapsed", "_runtime", "elapsed_seconds")
"""Names under which they stand."""


def seconds(stamp: object, place: str) -> float:
    """Return a time stamp as seconds on a clock of its own.

    Raises:
        LogError: If it is no number of seconds, date or time of day.

    Example:
        >>> seconds("2026-01-01 00:01:00", "a.log") - seconds("2026-01-01 00:00:58,5", "a.log")
        1.5
    """
    value = number(stamp)
    if value is not None:
        return value
    text = str(stamp).strip().strip("[]").replace(",", ".").replace("/", "-")
    try:
        if found := re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)", text):
            hours, minutes, rest = found.groups()
            return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest)
        date = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        raise LogError(
            f"{place}: time stamp {stamp!r} is neither a number of seconds nor a date as 2026-01-31 12:00:00; leave "
            "it out, or write it so"
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
