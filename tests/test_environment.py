"""The lists of what is installed agree: pyproject.toml, requirements.lock, environment.yml and what is there."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@pytest.fixture
def direct(root: Path) -> list[Requirement]:
    """Return the direct dependencies."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    every = [Requirement(line) for group in (project["dependencies"], *extras) for line in group]
    return [requirement for requirement in every if requirement.name != "batchtime"]


@pytest.fixture
def locked(root: Path) -> dict[str, str]:
    """Return the locked version of each package."""
    lines = (root / "requirements.lock").read_text().splitlines()
    listed = [Requirement(line) for line in lines if not line.startswith("#")]
    here = [one for one in listed if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def test_every_direct_dependency_is_locked_at_a_version_that_it_allows(
    direct: list[Requirement], locked: dict[str, str]
) -> None:
    for requirement in direct:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_everything_that_is_imported_is_a_direct_dependency(direct: list[Requirement], root: Path) -> None:
    folders = ("src", "tests", "benchmarks", "book/_ext")
    # What writes real logs runs in an environment of its own, tests/logs/requirements.txt; and callbacks in that of the
    # trainers that call them, which are no dependency.
    callbacks = (root / "src" / "batchtime" / name for name in ("lightning.py", "huggingface.py"))
    apart = {root / "tests" / "logs" / "write.py", *callbacks}
    found = (path for folder in folders for path in (root / folder).rglob("*.py"))
    files = [root / "dodo.py", *(path for path in found if path not in apart)]
    imported = {
        name.split(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    own = {"batchtime", "tests"} | {path.stem for path in files}
    providers = packages_distributions()
    listed = {canonicalize_name(requirement.name) for requirement in direct}
    third_party = imported - own - set(sys.stdlib_module_names)
    assert [
        name for name in third_party if listed.isdisjoint(canonicalize_name(found) for found in providers[name])
    ] == []


def test_the_lock_holds_exact_public_versions_and_no_address(root: Path) -> None:
    lines = (root / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9a-z.]*( ; .+)?", line)] == []
    # They come with a build of torch for GPUs, and would be installed for nothing beside one for the processor.
    assert [line for line in lines if re.match(r"(cuda|nvidia|triton)[a-z0-9-]*==", line)] == []


def test_what_is_installed_is_what_is_locked(locked: dict[str, str]) -> None:
    # A local label (+cpu) says for which processor the same release was built.
    assert {name: Version(version(name)).public for name in locked} == {
        name: Version(locked_version).public for name, locked_version in locked.items()
    }


def test_the_conda_environment_points_at_the_lock_and_lists_nothing_itself(root: Path) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text())
    assert environment["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements.lock", "-e ."]}]


def test_every_direct_dependency_has_its_reason_in_contributing(direct: list[Requirement], root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text()
    assert [requirement.name for requirement in direct if f"`{requirement.name}`" not in text] == []
