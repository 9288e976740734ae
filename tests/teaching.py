"""What tests of teaching material share: the commands in a page, and whether the program takes them."""

import re
import shlex
from pathlib import Path

from batchtime.book import rerun
from batchtime.cli import parser

PROGRAM = ".venv/bin/batchtime"


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of this program in the shell blocks of a page."""
    blocks = re.findall(r"```(?:sh|bash|\{code-block\} sh)\n(.*?)```", text, re.DOTALL)
    words = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in words if line[:1] == [PROGRAM]]


def check_command(words: list[str]) -> None:
    """Fail where the program would refuse a command's form, or a notebook has no such parameter."""
    options = parser().parse_args(words)  # leaves with SystemExit, and says why
    if words[0] == "rerun":
        notebook = rerun.find_notebook(options.notebook)
        known = {parameter.name for parameter in rerun.describe(notebook)}
        assert {name for name, _ in options.parameters} <= known, words


def shell_lines(page: Path) -> int:
    """Return the number of lines in shell blocks that start this program, however they are spelt."""
    return page.read_text(encoding="utf-8").count(f"\n{PROGRAM} ")
