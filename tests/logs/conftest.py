"""An environment with the libraries whose logs are read and whose trainers are watched."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Python of requirements.txt: $BATCHTIME_LOGS_PYTHON, or that of an environment that is made now."""
    if python := os.environ.get("BATCHTIME_LOGS_PYTHON"):
        return python
    folder = tmp_path_factory.mktemp("libraries")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements.txt"]
    subprocess.run(pip, check=True)
    return python


@pytest.fixture(scope="session")
def with_libraries(libraries: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables of a shell whose `python` has the libraries and this package, and that has `batchtime`."""
    site, programs = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("bin")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    start = f"#!/bin/sh\nexec {libraries} -c 'import sys; from batchtime.cli import main; sys.exit(main())' \"$@\"\n"
    (programs / "python").write_text(f'#!/bin/sh\nexec {libraries} "$@"\n')
    (programs / "batchtime").write_text(start)
    for program in programs.iterdir():
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTIME")}
    return kept | {"PYTHONPATH": str(site), "PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
