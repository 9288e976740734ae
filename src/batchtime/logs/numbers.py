"""Numbers as people and spreadsheets write them: which mark is the decimal one is found out, or asked for."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from batchtime.errors import LogError

Decimal = Literal[".", ","]
_MARKS: tuple[tuple[Decimal, Decimal], ...] = ((".", ","), (",", "."))
_SPACES = re.compile(r"(?<=\d)[ '\u2019\u00a0\u202f](?=\d{3}(?!\d))")
"""Between groups of three digits: never decimal."""
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(rf"[+-]?\d+{_EXPONENT}")
_DECIMAL = {mark: re.compile(rf"[+-]?\d*{re.escape(mark)}\d*{_EXPONENT}") for mark, _ in _MARKS}
_GROUPED = {
    mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+(?:{re.escape(other)}\d*{_EXPONENT})?")
    for other, mark in _MARKS
}
"""Digits in groups of three: by a comma where the decimal mark is a point, and the other way round."""
_DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
"""14.640 is fourteen and a bit, or fourteen thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where a text stands, for messages, and whether it counts something (so that fractions are unlikely)."""

    place: str
    text: str
    counts: bool


def decimal_mark(cells: Iterable[Cell], *, commas_separate: bool) -> tuple[Decimal, Cell | None]:
    """Return the decimal mark of a table, and a cell that was read as thousands for no reason in its own digits.

    Args:
        cells: Those with a point or a comma in them.
        commas_separate: Whether commas stand between the cells; then those in a count are of thousands, for who
            writes decimal commas separates cells by something else.

    Raises:
        LogError: If cells contradict each other, or nothing tells; the message names `--decimal`.
    """
    telling: dict[Decimal, Cell] = {}
    doubtful: dict[str, Cell] = {}
    for cell in cells:
        text = _SPACES.sub("", cell.text)
        if _DOUBTFUL.fullmatch(text):
            doubtful.setdefault("." if "." in text else "," if not cell.counts else ",counts", cell)
            continue
        marks = [
            mark
            for mark, other in _MARKS
            if (mark in text and _DECIMAL[mark].fullmatch(text)) or (other in text and _GROUPED[other].fullmatch(text))
        ]
        if len(marks) == 1:
            telling.setdefault(marks[0], cell)
    if len(telling) == 2:
        one, other = telling["."], telling[","]
        raise LogError(
            f"{one.place}, value {one.text!r} has a decimal point and {other.place}, value {other.text!r} a decimal "
            "comma; give --decimal . or --decimal , for the table"
        )
    if telling:
        return next(iter(telling)), None
    thousands = doubtful.pop(",counts", None) if commas_separate and "," not in doubtful else None
    if doubtful:
        cell = next(iter(doubtful.values()))
        whole = re.sub("[.,]", "", cell.text)
        raise LogError(
            f"{cell.place}, value {cell.text!r} is doubtful: {cell.text.replace(',', '.')} or {whole}? Give "
            "--decimal . or --decimal ,"
        )
    return ".", thousands


def number(text: str, decimal: Decimal) -> float | None:
    """Return the number that a text is with this decimal mark; None if it is none, NaN or infinite.

    Example:
        >>> number("1.464,5", ","), number("1,464.5", "."), number("1'464", "."), number("12,34,5", ".")
        (1464.5, 1464.5, 1464.0, None)
    """
    text = _SPACES.sub("", text)
    other: Decimal = "," if decimal == "." else "."
    if not (_PLAIN.fullmatch(text) or _DECIMAL[decimal].fullmatch(text) or _GROUPED[other].fullmatch(text)):
        return None
    try:
        value = float(text.replace(other, "").replace(decimal, "."))
    except ValueError:  # a lone mark
        return None
    return value if math.isfinite(value) else None
