"""Say where a result comes from: commit, versions, machine, date."""

import contextlib
import functools
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from batchtime.runs.records import Provenance


def find_checkout(inside: Path) -> Path | None:
    """Return the top of the checkout that holds this file of the package; None where it is installed without one."""
    marks = ("pyproject.toml", "notebooks", "src/batchtime")
    return next((top for top in inside.resolve().parents if all((top / mark).exists() for mark in marks)), None)


CHECKOUT = find_checkout(Path(__file__))
"""Top of the checkout; None where the package is installed without one."""


def provenance(
    *, threads: int, device: str = "cpu", examples_sha256: str | None = None, parts: tuple[str, ...] = ("src",)
) -> Provenance:
    """Describe this code on this machine, now.

    Args:
        threads: Threads that each operation may use.
        device: Where the operations run, as torch names it.
        examples_sha256: Checksum of the examples that were used.
        parts: Of the checkout, that the result depends on.
    """
    commit, dirty = _checkout(parts)
    return Provenance(
        commit=commit,
        dirty=dirty,
        versions={"python": platform.python_version(), **versions()},
        cpu=_cpu(),
        threads=threads,
        device=device,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        examples_sha256=examples_sha256,
    )


def versions() -> dict[str, str]:
    """Return the versions of what a run's result depends on, as far as it is installed."""
    found = {}
    for name in ("batchtime", "torch", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = _version(name)
    return found


@functools.cache
def _version(name: str) -> str:
    """Return the version of an installed package; reading it takes a millisecond."""
    return metadata.version(name)


@functools.cache
def _checkout(parts: tuple[str, ...]) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout and whether parts of it differ from it; None where there is no checkout."""
    if CHECKOUT is None:
        return None, None
    git = ["git", "-C", str(CHECKOUT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run([*git, "status", "--porcelain", *parts], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, changes.stdout != ""


@functools.cache
def _cpu() -> str:
    """Return the processor's name, its family and model where they are told, and the number of processors.

    One name stands for several generations, which round otherwise and take other times.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    names = [value for key, value in told if key == "model name"]
    first = dict(reversed(told))
    name = names[0] if names else platform.processor() or platform.machine()
    which = f" family {first['cpu family']} model {first['model']}" if {"cpu family", "model"} <= set(first) else ""
    return f"{name}{which} ({max(len(names), 1)} processors)"
