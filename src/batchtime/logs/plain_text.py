"""Plain text, by regular expressions of one's own with named groups."""

import re
from pathlib import Path

from batchtime.errors import LogError
from batchtime.logs.log import Lines, Log, Unit, Wanted
from batchtime.logs.settings import number
from batchtime.logs.text import read_text
from batchtime.logs.times import seconds

NAME = "plain text"
_COUNTS: tuple[tuple[str, Unit], ...] = (("step", "updates"), ("epoch", "epochs"))
_SETTINGS = ("batch_size", "seed", "learning_rate")


def matches(_path: Path, _head: str) -> bool:
    """Return whether this is text: it is read only where an expression is given."""
    return bool(_head)


def place(path: Path) -> Path:
    """Return the file: it holds all of its runs."""
    return path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run: a line is what the first expression that it holds makes of it."""
    expressions = [_compiled(pattern) for pattern in wanted.line]
    groups = {name for expression in expressions for name in expression.groupindex}
    name, unit = next((pair for pair in _COUNTS if pair[0] in groups), _COUNTS[0])
    if not {name, "value"} <= groups:
        raise LogError(f"--line {wanted.line[0]!r} lacks the groups (?P<step>...) and (?P<value>...); add them")
    text, notices = read_text(path)
    lines = Lines()
    for at, line in enumerate(text.replace("\r", "\n").split("\n"), start=1):
        found = next(filter(None, (expression.search(line) for expression in expressions)), None)
        if found is None:
            continue
        told = {key: value for key, value in found.groupdict().items() if value is not None}
        lines.settings.update({key: told[key] for key in _SETTINGS if key in told})
        if name not in told:
            continue
        step, value = number(told[name]), number(told.get("value"))
        if step is None or (value is None and "value" in told):
            raise LogError(f"{path}, line {at}: --line finds {told} there, which are no numbers; narrow its groups")
        stamp = told.get("time")
        lines.add(step, value=value, time=None if stamp is None else seconds(stamp, f"{path}, line {at}"))
    return [lines.log(path.as_posix(), unit=unit, notices=notices)]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise LogError(f"--line {pattern!r} is no regular expression ({error}); mend it") from None
