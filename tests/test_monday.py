"""Every command of the page for Monday morning is run, and answers what the page says."""

import json
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


class Model:
    """A model whose accuracy grows with its updates, and faster where batches are large."""

    def __init__(self, batch_size: int, seed: int) -> None:
        """Start without an update."""
        self._needs, self._done = (40 + 400 / batch_size) * (1 + 0.1 * seed), 0

    def train(self, updates: int) -> None:
        """Do some updates."""
        self._done += updates

    def accuracy(self) -> float:
        """Return the accuracy so far."""
        return 0.9 * self._done / self._needs


def test_the_loop_of_ones_own_makes_runs_that_fit(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (root / "book" / "monday.md").read_text(encoding="utf-8")
    (loop,) = re.findall(r"```python\n([^`]*bt\.watch\(.*?)\n```", page, re.DOTALL)
    exec(loop, {"Model": Model})  # noqa: S102 - what the page says
    assert cli.main(["fit", "measured", "--json"]) == 0
    law = json.loads(capsys.readouterr().out)
    assert law["n_runs"] == 6
    assert law["n_inf"] == pytest.approx(40, rel=0.3)
    assert law["alpha"] == pytest.approx(400, rel=0.5)


RUN_ELSEWHERE = (
    "lightning.Trainer(",
    "add_callback",
    "bt.watch(",
    "train.py",
    "Tuner",
    "find_executable",
    "gpt[@]",
    "digits[@]",
)
"""What tells the other blocks: the loop is run here, and scripts are in tests/logs/test_loops.py, by the same words."""


def test_no_block_of_the_page_is_without_a_test(root: Path) -> None:
    page = (root / "book" / "monday.md").read_text(encoding="utf-8")
    others = [text for kind, text in re.findall(r"```(sh|python)\n(.*?)\n```", page, re.DOTALL)]
    others = [text for text in others if text.removeprefix("batchtime ") not in dict(blocks(root))]
    assert len(others) == len(RUN_ELSEWHERE)
    assert all(any(words in text for text in others) for words in RUN_ELSEWHERE)
