"""Show frames of numbers as tables of a page, and values as phrases: what a number is decides how it is written.

A column is known by its name: `COLUMNS` gives those that many tables have, and the end of a name tells the others
(`_share` and `_error` are fractions, `_seconds` seconds). Three columns NAME, NAME_low and NAME_high are an estimate
with its 95 % interval and share a cell; two of them, without NAME, are an interval.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from batchtime.laws.quantity import interval_text, number_text

ALPHA, N_INF = "\N{GREEK SMALL LETTER ALPHA}", "n<sub>\N{INFINITY}</sub>"
CRITICAL = f"{ALPHA} / {N_INF}"
QUANTITIES = {"n_inf": N_INF, "alpha": ALPHA, "critical_batch_size": CRITICAL}
"""The quantities of the law as text and tables write them."""
UNKNOWN = "\N{EN DASH}"
_NARROW = 5  # columns that a phone has room for


def percent_text(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction in percent, or words where it is not known."""
    return "an unknown share (too few batch sizes)" if fraction is None else f"{100 * fraction:.{digits}f} %"


def p_text(value: float | None) -> str:
    """Return a p-value as a reader says it."""
    if value is None:
        return "not known"
    return "less than 0.001" if value < 0.001 else f"{value:.2g}"


def apart(text: str) -> str:
    """Return text with each percent sign off its number by a space that does not break: what a format leaves out."""
    return re.sub(r"(?<=\d) ?%", "\N{NO-BREAK SPACE}%", text)


def _milliseconds(value: float) -> str:
    return f"{1e3 * value:.3g}"


Writer = Callable[[float], str]
_NUMBER: Writer = number_text
_PLAIN: Writer = "{:g}".format
_COUNT: Writer = "{:,.0f}".format
_RATIO: Writer = "{:.2f}".format
_PERCENT: Writer = percent_text
_CHANGE: Writer = lambda value: f"{100 * value:+.1f} %"  # noqa: E731 - one of a list of formats

COLUMNS: dict[str, tuple[str, Writer]] = {
    "batch_size": ("M", _PLAIN),
    "learning_rate": ("learning rate", _PLAIN),
    "learners": ("L", _COUNT),
    "runs": ("runs", _COUNT),
    "reached": ("reached it", _COUNT),
    "n_inf": (f"{N_INF}, updates", _NUMBER),
    "alpha": (f"{ALPHA}, examples", _NUMBER),
    "critical_batch_size": (f"{CRITICAL}, examples", _NUMBER),
    "interval": ("95 % interval", _NUMBER),
    "updates": ("mean updates", _NUMBER),
    "error": ("error", _CHANGE),
    "worst_error": ("worst error of a mean", _PERCENT),
    "leave_one_out_error": ("left-out error, rms", _PERCENT),
    "spread": ("spread of runs", _PERCENT),
    "aicc_above": ("AICc above the least", "{:.1f}".format),
    "p_value": ("lack of fit, p", p_text),
    "ratio": ("ratio", "{:.3f}".format),
}
"""By column name its heading and how its numbers are written."""

_ENDINGS: tuple[tuple[str, Writer], ...] = (
    ("_milliseconds", _milliseconds),
    ("seconds", number_text),
    ("_share", _PERCENT),
    ("_error", _CHANGE),
    ("_excess", _CHANGE),
    ("_ratio", _RATIO),
    ("batch_size", _NUMBER),
)


def show(frame: pd.DataFrame, **headings: str) -> HTML:
    """Show a frame as a table of the page; on a phone each row of a wide one becomes a list of named cells.

    A column of numbers stands to the right, one of words to the left. What is not known is a dash.

    Args:
        frame: Numbers and words, with the names of `COLUMNS` or names that say what they are.
        headings: By column name the heading that it has instead of its own.

    Example:
        >>> show(pd.DataFrame({"batch_size": [8], "law_error": [0.0724]})).data.count("+7.2")
        1
    """
    names = [name for name in frame.columns if not _is_side(name, frame)]
    texts = {name: _cells(frame, name) for name in names}
    titles = {name: headings.get(name, _heading(name)) for name in names}
    words = {name: ' class="words"' if _holds_words(frame, name) else "" for name in names}
    head = "".join(f'<th scope="col"{words[name]}>{_marked(titles[name])}</th>' for name in names)
    rows = [
        "".join(
            f'<td data-label="{_plain(titles[name])}"{words[name]}>{_marked(apart(texts[name][row]))}</td>'
            for name in names
        )
        for row in range(len(frame))
    ]
    body = "".join(f"<tr>{cells}</tr>\n" for cells in rows)
    kind = "dataframe stacked" if len(names) > _NARROW else "dataframe"
    return HTML(f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>')


def _base(name: str) -> str:
    return re.sub(r"_(low|high)$", "", name)


def _is_side(name: str, frame: pd.DataFrame) -> bool:
    """Return whether a column is shown in another one's cell."""
    other = _base(name) if _base(name) in frame else f"{_base(name)}_low"
    return name != _base(name) and name != other and {f"{_base(name)}_low", f"{_base(name)}_high"} <= set(frame.columns)


def _heading(name: str) -> str:
    name = _base(name)
    return COLUMNS[name][0] if name in COLUMNS else re.sub("_milliseconds$", ", ms", name).replace("_", " ")


def _writer(name: str, whole: bool) -> Writer:
    name = _base(name)
    if name in COLUMNS:
        return COLUMNS[name][1]
    return next((writer for end, writer in _ENDINGS if name.endswith(end)), _COUNT if whole else _NUMBER)


def _cells(frame: pd.DataFrame, name: str) -> list[str]:
    """Return the texts of a column, with its interval where it has one."""
    base, write = _base(name), _writer(name, pd.api.types.is_integer_dtype(frame[name].dtype))
    if not {f"{base}_low", f"{base}_high"} <= set(frame.columns):
        return [_text(value, write) for value in frame[name]]
    sides = zip(frame[f"{base}_low"], frame[f"{base}_high"], strict=True)
    intervals = [_interval(low, high, write) for low, high in sides]
    if base not in frame:
        known = frame[[f"{base}_low", f"{base}_high"]].notna().any(axis=1) | (base == "interval")
        return [text if some else UNKNOWN for text, some in zip(intervals, known, strict=True)]
    values = [_text(value, write) for value in frame[base]]
    return [
        value if value == UNKNOWN else f"{value} ({interval})"
        for value, interval in zip(values, intervals, strict=True)
    ]


def _known(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _interval(low: Any, high: Any, write: Writer) -> str:
    sides = _known(low), _known(high)
    if write is _NUMBER:
        return interval_text(sides)
    texts = [None if side is None else write(side) for side in sides]
    return f"{texts[0]} to {texts[1]}" if None not in texts else interval_text(sides)


def _text(value: Any, write: Writer) -> str:
    if isinstance(value, str):
        return QUANTITIES.get(value) or re.sub(r"\balpha\b", ALPHA, re.sub(r"\bn_inf\b", N_INF, value))
    if isinstance(value, bool | np.bool):
        return "yes" if value else "no"
    known = _known(value)
    if known is None:
        return UNKNOWN
    return "infinite" if math.isinf(known) else write(known)


def _holds_words(frame: pd.DataFrame, name: str) -> bool:
    return any(
        isinstance(value, str | bool | np.bool) and not re.match(r"[-+<>]?\s*\d", str(value)) for value in frame[name]
    )


def _marked(text: str) -> str:
    """Return text for a page, in which nothing but a subscript is markup."""
    return re.sub(r"&lt;(/?sub)&gt;", r"<\1>", escape(text))


def _plain(text: str) -> str:
    return escape(re.sub(r"</?sub>", "", text))


# Phrases


def paragraph(text: str) -> Markdown:
    """Return text as a paragraph of the page."""
    return Markdown(text)


def listed(sentences: Iterable[str], otherwise: str = "The fit raises no warning.") -> Markdown:
    """Return sentences as a list, or one that says that there is none."""
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences) or otherwise)


def either_or(names: Sequence[str]) -> str:
    """Return names as a reader says them: "a, b or c"."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def source(*shown: Callable[..., object] | ModuleType) -> Markdown:
    """Show the source of functions or classes, or of whole modules, one below the other."""
    return Markdown("```python\n{}```".format("\n\n".join(inspect.getsource(one) for one in shown)))
