"""Text of files as people and programs save them: compressed, with a byte order mark, in UTF-16, or of a code page."""

import csv
import gzip
import io
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchtime.errors import LogError

HEAD = 2**16
"""Bytes by which the format of a file is told."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_ASCII = bytes([*range(32, 127), 9, 10, 12, 13, 27])


def head(path: Path) -> str:
    """Return how a file begins; empty where it is no text."""
    try:
        with path.open("rb") as file:
            start = file.read(HEAD)
        if start.startswith(b"\x1f\x8b"):
            start = zlib.decompressobj(wbits=31).decompress(start, HEAD)
    except (OSError, zlib.error):
        return ""
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
    return "" if encoding == "utf-8" and b"\0" in start else start.decode(encoding, errors="ignore")


def header(start: str) -> list[str]:
    """Return the names that the first line of a table gives to its columns."""
    line = start.lstrip("\ufeff").partition("\n")[0]
    return [name.strip().strip('"') for name in line.split(_delimiter(line))]


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file ("-" is standard input), and what there is to say of it.

    Raises:
        LogError: If it cannot be read, or is no text.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; name another file") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding), ()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = f"byte 0x{content[error.start]:02x} in line {line}"
        if encoding != "utf-8" or 4 * len(content.translate(None, _ASCII)) > len(content):
            raise LogError(f"cannot read {path}: it is no text ({place}); save it as UTF-8") from error
        # Numbers and the usual names are the same in every code page; only the odd letter is not.
        return content.decode("cp1252", errors="replace"), (f"it is not UTF-8 ({place}) and was read as Windows-1252",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The cells of a file with a header, as text.

    Args:
        path: For messages.
        delimiter: What stands between cells.
        names: Headers, stripped.
        cells: (rows, columns) Stripped cells of the rows that are not empty, columns by number.
        lines: (rows,) Line of each row in the file.
        cut: Whether the last line ended early and was left out.
        notices: What there is to say of it.
    """

    path: str
    delimiter: str
    names: tuple[str, ...]
    cells: pd.DataFrame
    lines: npt.NDArray[np.int64]
    cut: bool
    notices: tuple[str, ...]


def read_grid(path: Path, *, may_be_cut: bool = False) -> Grid:
    """Return the cells of a file of values separated by commas, semicolons or tabs, as its header has them.

    Args:
        path: Of the file; "-" is standard input.
        may_be_cut: Whether a last line with too few cells is left out, as one that is still being written.

    Raises:
        LogError: If it cannot be read, or a line has more or fewer cells than the header.
    """
    return parse_grid(*read_text(path), path=path, may_be_cut=may_be_cut)


def parse_grid(text: str, notices: tuple[str, ...] = (), *, path: Path, may_be_cut: bool = False) -> Grid:
    """Return the cells of a text; see `read_grid`."""
    whole, text = text, text.lstrip("\ufeff\r\n")
    if text.lower().startswith("sep="):  # how a spreadsheet is told the delimiter
        text = text.partition("\n")[2]
    skipped = whole.count("\n") - text.count("\n")
    delimiter = _delimiter(text)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header=None,
            sep=delimiter,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=delimiter != "\t",
        )
    except pd.errors.EmptyDataError:
        raise LogError(f"{path} is empty; give a table with a header") from None
    except (pd.errors.ParserError, csv.Error) as error:
        where = str(error).partition("in line ")[2].partition(",")[0]
        if where.isdigit():
            more = f"{path}, line {int(where) + skipped} has more or fewer cells than the header"
            raise LogError(f"{more}; give one cell a column") from None
        raise LogError(f"cannot read {path}: {str(error).strip()}; close every quote that is opened") from None
    table = table.apply(lambda column: column.str.strip())
    lines = np.arange(len(table)) + 1 + skipped
    within = np.zeros(len(table), dtype=np.int64)
    if '"' in text:  # cells may hold line ends
        within = sum((table[column].str.count("\n").to_numpy() for column in table), within)
        lines = lines + np.cumsum(within) - within
    full = (table != "").any(axis=1).to_numpy(copy=True)
    raw, width = text.split("\n"), table.shape[1]
    short = [
        row
        for row in np.flatnonzero(full & (table.iloc[:, -1] == "").to_numpy() & (within == 0))
        if raw[lines[row] - 1 - skipped].count(delimiter) < width - 1
    ]
    cut = may_be_cut and len(short) == 1 and 0 < short[0] == int(np.flatnonzero(full)[-1])
    if cut:
        full[short] = False
    elif short:
        more = f"{path}, line {lines[short[0]]} has more or fewer cells than the header"
        raise LogError(f"{more}; give one cell a column")
    full[0] = False
    return Grid(
        path=str(path),
        delimiter=delimiter,
        names=tuple(table.iloc[0]),
        cells=table[full].reset_index(drop=True),
        lines=lines[full],
        cut=cut,
        notices=notices,
    )


def _delimiter(text: str) -> str:
    """Return what separates the names in the header: a tab, else a semicolon, else a comma."""
    header = "".join(text.split("\n", 1)[0].split('"')[::2])  # what stands in quotes separates nothing
    return next((mark for mark in ("\t", ";") if mark in header), ",")
