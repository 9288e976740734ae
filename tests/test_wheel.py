"""The wheel stands by itself: five dependencies, no checkout, no torch, the user's own folder, and no fcntl."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .conftest import missing

LIGHT = {"msgspec", "numpy", "pandas", "scipy", "tqdm"}
HEAVY = ("torch", "torchvision", "matplotlib", "seaborn", "IPython", "sklearn", "sacrebleu", "sentencepiece", "pooch")
PYTHONS = ("3.11", "3.12", "3.13")
RUNS = "batch_size,updates,seed\n" + "".join(
    f"{size},{round((200 + 3200 / size) * factor)},{seed}\n"
    for size in (4, 16, 64, 256)
    for seed, factor in enumerate((0.95, 1.0, 1.05))
)
TIMING = "batch_size,seconds\n" + "".join(
    f"{size},{(1e-3 + 2e-5 * size) * factor:.6g}\n" for size in (1, 4, 16, 64, 256) for factor in (0.98, 1.0, 1.02)
)
THREE_LINES = """
import batchtime as bt
law = bt.fit(bt.read_runs("runs.csv"))
print(law.with_timings(bt.read_timings("timing.csv")).recommend().batch_size)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder with two tables, which is no checkout."""
    (tmp_path / "runs.csv").write_text(RUNS)
    (tmp_path / "timing.csv").write_text(TIMING)
    return tmp_path


def test_the_wheel_asks_for_five_packages_and_carries_what_is_no_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        asked = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or []
    always = {Requirement(line).name for line in asked if "extra ==" not in line}
    assert always == LIGHT
    assert {"batchtime/runs/catalogue.toml", "batchtime/py.typed"} <= set(names)
    assert any(name.startswith("batchtime/") and name.endswith(".csv") for name in names)


def run_from(wheel: Path, elsewhere: Path, program: str, *more: str) -> str:
    """Run a program with the unpacked wheel in place of the checkout, and nothing heavy to import."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(elsewhere / "site")
    blocked = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {(*HEAVY, *more)!r}:
            raise ModuleNotFoundError(f"no module {{name}} here")
sys.meta_path.insert(0, Block())
"""
    home = {"HOME": str(elsewhere / "home"), "PYTHONPATH": str(elsewhere / "site")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHTIME", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", blocked + program],
        cwd=elsewhere,
        env=kept | home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_lines_of_python_give_a_batch_size_without_torch_and_checkout(wheel: Path, elsewhere: Path) -> None:
    assert 10 <= int(run_from(wheel, elsewhere, THREE_LINES)) <= 90


def test_the_command_line_advises_without_torch_and_checkout(wheel: Path, elsewhere: Path) -> None:
    advise = "from batchtime.cli import main; sys.exit(main(['recommend', 'runs.csv', 'timing.csv', '--json']))"
    assert 10 <= json.loads(run_from(wheel, elsewhere, advise))["batch_size"] <= 90


def test_without_a_checkout_own_runs_are_kept_in_the_users_folder(wheel: Path, elsewhere: Path) -> None:
    found = run_from(wheel, elsewhere, "from batchtime.runs.store import data_folder; print(data_folder())").strip()
    assert Path(found) == elsewhere / "home" / ".local" / "share" / "batchtime"
    assert Path(found).is_dir()


def test_everything_that_fits_can_be_imported_where_there_is_no_fcntl(wheel: Path, elsewhere: Path) -> None:
    program = """
import batchtime as bt
for name in bt.__all__:
    try:
        getattr(bt, name)
    except ImportError as error:
        print(name, error)
"""
    refused = run_from(wheel, elsewhere, program, "fcntl")
    # What trains needs the extra; nothing asks for fcntl.
    assert "fcntl" not in refused
    assert {line.split()[0] for line in refused.splitlines()} <= {"Task", "sweep", "time_updates", "pilot"}


def python_of(version: str) -> str:
    """Return an interpreter of a version, on the path or where pyenv puts it; do without the test if there is none."""
    shims = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    installed = sorted(shims.glob(f"{version}.*/bin/python3"))
    found = str(installed[-1]) if installed else shutil.which(f"python{version}")
    if found is None:
        missing(f"there is no Python {version} here")
    return str(found)


@pytest.mark.full
@pytest.mark.parametrize("version", PYTHONS)
def test_pip_installs_the_wheel_and_nothing_heavy_under_each_python(version: str, wheel: Path, elsewhere: Path) -> None:
    subprocess.run([python_of(version), "-m", "venv", str(elsewhere / "env")], check=True)
    python = str(elsewhere / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True)
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert names >= LIGHT
    assert names.isdisjoint(name.lower() for name in HEAVY)
    home = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "HOME": str(elsewhere / "home")
    }
    advised = subprocess.run(
        [python, "-c", THREE_LINES], cwd=elsewhere, env=home, check=True, capture_output=True, text=True
    )
    assert 10 <= int(advised.stdout) <= 90
    program = str(Path(python).with_name("batchtime"))
    told = subprocess.run(
        [program, "recommend", "runs.csv", "timing.csv", "--json"],
        cwd=elsewhere,
        env=home,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(told.stdout)["batch_size"] == int(advised.stdout)
