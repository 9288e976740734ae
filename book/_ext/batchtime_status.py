"""What the page on the state of the build shows: when, where and with what each page was executed, and for how long.

- `{status}` writes the table from what the executed notebooks say of themselves, so that nothing in it is typed.
- `{versions}` writes the versions of the package's direct dependencies, as they are installed.
"""

import json
import re
import time
import tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from batchtime.runs.provenance import provenance

RENDERING = "seconds-of-rendering"
Facts = dict[str, Any]


def executed_pages(source: Path, names: list[str]) -> dict[str, Facts]:
    """Return what each executed page of the book says of its making, by the page's name."""
    files = {name: source / f"{name}.ipynb" for name in sorted(names)}
    return {
        name: json.loads(file.read_text(encoding="utf-8"))["metadata"]["batchtime"]
        for name, file in files.items()
        if file.exists()
    }


def duration(seconds: float) -> str:
    """Return a duration as a reader says it."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def commit_text(environment: Facts) -> str:
    """Return a commit, and whether something differed from it."""
    changed = ", with changes that are not committed" if environment["dirty"] else ""
    return f"`{(environment['commit'] or 'unknown')[:10]}`{changed}"


def row(name: str, facts: Facts) -> str:
    """Return a page's row: what it is, how long it took, when, at which commit, with which parameters."""
    parameters = {key: value for key, value in facts["parameters"].items() if key != "out_dir"}
    given = ", ".join(f"`{key} = {value!r}`" for key, value in parameters.items()) or "those of the notebook"
    link, date = f"[](/{name}.ipynb)", facts["environment"]["date"][:16].replace("T", " ")
    cells = (link, duration(facts["seconds"]), date, commit_text(facts["environment"]), given)
    return "* - " + "\n  - ".join(cells)


def surroundings(pages: dict[str, Facts]) -> str:
    """Return each machine with its versions, and how many pages were executed there."""
    counts = Counter(
        f"{facts['environment']['cpu']}: "
        + ", ".join(f"{name} {version}" for name, version in facts["environment"]["versions"].items())
        + f"; SHA-256 of requirements.lock `{facts['requirements_sha256']}`"
        for facts in pages.values()
    )
    return "\n".join(f"- {count} page{'s' if count > 1 else ''} on {text}." for text, count in counts.most_common())


class Status(SphinxDirective):
    """`{status}`: the executed pages of the book, in one table."""

    def run(self) -> list[nodes.Node]:
        """Return what stands before the table, and the table."""
        pages = executed_pages(Path(self.env.srcdir), list(self.env.found_docs))
        for name in pages:
            self.env.note_dependency(f"{name}.ipynb")
        total = duration(sum(facts["seconds"] for facts in pages.values()))
        here = provenance(threads=1, parts=("book", "data", "notebooks", "src", "_config.yml", "requirements.lock"))
        commit = commit_text({"commit": here.commit, "dirty": here.dirty})
        header = "* - page\n  - execution\n  - when (UTC)\n  - commit\n  - parameters\n"
        text = (
            f"Executed pages: {len(pages)}, in {total} together.\n"
            f"The book was rendered on {here.date[:10]}, at commit {commit}, in"
        )
        words = self.parse_inline(text)[0]
        shown = nodes.paragraph("", "", *words, nodes.Text(" "), nodes.inline("", "", ids=[RENDERING]), nodes.Text("."))
        table = ":::{list-table}\n:header-rows: 1\n:class: claims\n\n" + header
        table += "\n".join(row(name, facts) for name, facts in pages.items()) + "\n:::\n"
        return [shown, *self.parse_text_to_nodes(f"{surroundings(pages)}\n\n{table}")]


class Versions(SphinxDirective):
    """`{versions}`: the direct dependencies of the package and of the book, each with its installed version."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph."""
        file = Path(self.env.srcdir).parent / "pyproject.toml"
        self.env.note_dependency(str(file))
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        wanted = [*project["dependencies"], *project["optional-dependencies"]["book"]]
        names = sorted({re.split(r"[^\w.-]", text)[0] for text in wanted})
        return self.parse_text_to_nodes(", ".join(f"{name} {metadata.version(name)}" for name in names) + ".")


def start(app: Sphinx) -> None:
    """Note when the rendering starts."""
    app.batchtime_start = time.perf_counter()  # type: ignore[attr-defined]


def finish(app: Sphinx, failure: Exception | None) -> None:
    """Write how long the rendering took into the page that tells it, which was written before."""
    for page in [] if failure else Path(app.outdir).rglob("status.html"):
        text = page.read_text(encoding="utf-8")
        seconds = duration(time.perf_counter() - app.batchtime_start)  # type: ignore[attr-defined]
        page.write_text(text.replace(f'<span id="{RENDERING}"></span>', f"<span>{seconds}</span>"), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("status", Status)
    app.add_directive("versions", Versions)
    app.connect("builder-inited", start)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
