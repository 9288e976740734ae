"""Every command of the page for Monday morning is run, and answers what the page says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from batchtime import cli


def blocks(root: Path) -> list[tuple[str, str]]:
    """Return each command of the page with the answer that stands below it."""
    page = (root / "book" / "monday.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\nbatchtime (.*?)\n```\n\n```text\n(.*?)```", page, re.DOTALL)


def test_each_command_answers_what_the_page_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root / "tests" / "logs" / "data" / "grid", tmp_path / "logs")
    monkeypatch.chdir(tmp_path)
    found = blocks(root)
    assert len(found) == 4
    for command, answer in found:
        assert cli.main(shlex.split(command)) == 0
        assert capsys.readouterr().out == answer, command
