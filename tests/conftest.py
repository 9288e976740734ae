"""What the tests share: where things are, and what to do when something is missing on this machine."""

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one of several equal shares of the tests be asked for."""
    parser.addoption("--share", metavar="K/N", help="only the share K (from 0) of N, by the names of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other shares."""
    share = config.getoption("--share")
    if share is None:
        return
    wanted, shares = map(int, share.split("/"))
    kept = {item for item in items if zlib.crc32(item.nodeid.encode()) % shares == wanted}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def missing(reason: str) -> None:
    """Skip the test for want of something; fail where BATCHTIME_REQUIRE_ALL says that nothing may be missing."""
    if os.environ.get("BATCHTIME_REQUIRE_ALL"):
        pytest.fail(f"BATCHTIME_REQUIRE_ALL is set, and {reason}")
    pytest.skip(reason)


@pytest.fixture
def axes() -> Axes:
    """Return empty axes of a figure that nobody sees."""
    plt.switch_backend("agg")
    plt.close("all")
    return plt.subplots()[1]


@contextlib.contextmanager
def one_thread(_workers: int | None) -> Iterator[Executor]:
    """Open what takes the place of a pool of processes: a thread of this one."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Train without starting processes, each of which imports torch; test_sweep.py is about those."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchtime.train.sweep.pool", one_thread)
        patch.setattr("batchtime.plan.verify.pool", one_thread)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy: setuptools leaves its traces where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(root / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(folder / "dist"), str(folder)], check=True, capture_output=True)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def datasets_folder() -> Path:
    """Return the folder of data sets."""
    return Path(os.environ.get("BATCHTIME_DATASETS", ROOT / "data" / "cache" / "datasets"))


@pytest.fixture(scope="session")
def mnist_folder(datasets_folder: Path) -> Path:
    """Return the folder of data sets in which MNIST lies, unpacked."""
    if not (datasets_folder / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        missing(
            f"{datasets_folder} holds no MNIST: `batchtime sweep mnist-lenet` downloads it, or set BATCHTIME_DATASETS"
        )
    return datasets_folder


@pytest.fixture(scope="session")
def data_sets(datasets_folder: Path) -> None:
    """Do without a test where a data set that is to be downloaded is not at hand."""
    files = ("MNIST/raw", "cifar-10-batches-py", "cifar-100-python", "europarl/train200k.fr")
    absent = [name for name in files if not (datasets_folder / name).exists()]
    if absent:
        missing(f"{datasets_folder} lacks {', '.join(absent)}: sweeps download them, or set BATCHTIME_DATASETS")


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the rendered book."""
    folder = ROOT / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.fail("the book is not rendered: run `make book` first, as `make test` does")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium or Chrome."""
    found = shutil.which(os.environ.get("CHROMIUM") or "chromium")
    if found is None:
        missing("no Chromium is on the path: install one, or set CHROMIUM to its path")
    return str(found)


@pytest.fixture(scope="session")
def server(site: Path) -> Iterator[str]:
    """Serve the rendered book on this machine, and return its address."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Log nothing."""
