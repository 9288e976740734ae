"""The layers of the package hold, and the check that says so sees each way of breaking them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the layers of the package in this tree."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    return subprocess.run(command, cwd=tree, env=environment, check=False, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path: Path, root: Path) -> Path:
    """Return a copy of the package and its settings."""
    shutil.copytree(root / "src" / "batchtime", tmp_path / "src" / "batchtime")
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(root: Path) -> None:
    assert lint(root).returncode == 0


BREAKS = (
    ("errors", "from batchtime.runs import spec", "batchtime.errors is not allowed to import batchtime.runs"),
    (
        "fit/inverse_law",
        "from batchtime.runs import store",
        "batchtime.fit is not allowed to import batchtime.runs",
    ),
    ("laws/time", "def draw():\n    import torch", "batchtime.laws is not allowed to import torch"),
    ("fit/inverse_law", "import matplotlib", "batchtime.fit is not allowed to import matplotlib"),
    ("book/pages/bound", "from batchtime.book.pages import rivals", "is not allowed to import"),
    ("cli/fitting", "import torch", "batchtime.cli is not allowed to import torch"),
)


def test_the_check_names_every_broken_layer(tree: Path) -> None:
    for module, line, _ in BREAKS:
        with (tree / "src" / "batchtime" / f"{module}.py").open("a") as source:
            source.write(f"\n{line}\n")
    checked = lint(tree)
    assert checked.returncode == 1
    said = " ".join(checked.stdout.split())
    assert [told for *_, told in BREAKS if told not in said] == []


def test_the_check_names_a_module_that_belongs_to_no_room(tree: Path) -> None:
    (tree / "src" / "batchtime" / "helpers.py").touch()
    checked = lint(tree)
    assert checked.returncode == 1
    assert "batchtime.helpers" in checked.stdout
