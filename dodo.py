"""The stages of the book and what each depends on, for doit: `make book` and `make test` start here.

doit compares the contents of dependencies, not their dates. A page depends on its notebook, the modules that the
notebook imports (and what those import, however deep), the recorded runs that it reads, and the environment. Which
pages a notebook makes stands in its own header, under `batchtime`:

    data: files below data/ that it reads, as patterns; {workload} stands for that parameter
    after: pages that train runs which this one reads
    pages: by name the title and the parameters of each; one page of the notebook's name and title where there are none
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import jupytext
import nbformat
from doit.action import CmdAction
from doit.exceptions import TaskFailed
from doit.reporter import ExecutedOnlyReporter
from doit.tools import config_changed

ROOT = Path(__file__).parent
RUNS = Path("book/runs")
SITE = Path("_build/html")
SLIDES = SITE / "slides"
QUANTITIES = Path("_build/quantities.json")
ARCHIVE = "batchtime-book"
COLAB = Path("_build/colab")
TITLE = "Batch size and training time"

Task = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page made from a notebook, as the header of the notebook says.

    Args:
        notebook: Source, a file of notebooks/.
        title: Heading of the page, where one notebook makes several; None for the notebook's own.
        parameters: What differs from the notebook's own defaults.
        data: Recorded files that it reads, below data/.
        after: Pages that train runs which this one reads.
    """

    notebook: str
    title: str | None
    parameters: Mapping[str, object]
    data: tuple[str, ...]
    after: tuple[str, ...]


def pages_of(notebook: Path) -> Iterator[tuple[str, Page]]:
    """Yield the pages that a notebook makes, by name."""
    header = jupytext.read(notebook).metadata.get("batchtime", {})
    for name, page in (header.get("pages") or {notebook.stem: {}}).items():
        parameters = page.get("parameters", {})
        patterns = [pattern.format_map({"workload": ""} | parameters) for pattern in header.get("data", ())]
        found = {str(path.relative_to("data")) for pattern in patterns for path in Path("data").glob(pattern)}
        after = tuple(header.get("after", ()))
        title, data = page.get("title"), tuple(sorted(found))
        yield name, Page(notebook=notebook.name, title=title, parameters=parameters, data=data, after=after)


PAGES = dict(one for notebook in sorted(Path("notebooks").glob("*.md")) for one in pages_of(notebook))


class Reporter(ExecutedOnlyReporter):  # type: ignore[misc]  # doit carries no types
    """Say which stage starts and how many there are, and at the end which page to open."""

    desc = "one line a stage, or one line when nothing changed"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Count the stages that are asked for."""
        super().initialize(tasks, selected_tasks)
        wanted, self.done, self.executed = list(selected_tasks), 0, 0
        for name in wanted:
            wanted += [other for other in tasks[name].task_dep if other not in wanted]
        self.total = sum(bool(tasks[name].actions) for name in wanted)

    def execute_task(self, task: Any) -> None:
        """Name the stage that starts."""
        if task.actions:
            self.done, self.executed = self.done + 1, self.executed + 1
            self.outstream.write(f"[{self.done}/{self.total}] {task.name.removeprefix('page:')}\n")
            self.outstream.flush()

    def skip_uptodate(self, task: Any) -> None:
        """Count a stage that need not run."""
        self.done += bool(task.actions)

    def complete_run(self) -> None:
        """Name the page to open, and say it when everything was up to date."""
        super().complete_run()
        if self.failures:
            return
        if not self.executed:
            self.outstream.write(
                "Nothing changed since the last run, so nothing was done; `make clean` starts afresh.\n"
            )
        if (index := SITE / "index.html").exists():
            self.outstream.write(f"Open {index}\n")


DOIT_CONFIG = {
    "default_tasks": ["book"],
    "backend": "json",
    "dep_file": ".doit.json",
    "reporter": Reporter,
    "verbosity": 2,
}


def files(*folders: str) -> list[str]:
    """Return every file of these folders, without what is generated in them."""
    found = (path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    generated = (RUNS, Path("data/cache"))
    return sorted(
        str(path)
        for path in found
        if "__pycache__" not in path.parts and not any(path.is_relative_to(folder) for folder in generated)
    )


@cache
def import_graph() -> grimp.ImportGraph:
    """Return who imports whom in the package, imports inside of functions included."""
    return grimp.build_graph("batchtime", cache_dir=None)


def code_of(notebook: Path) -> list[str]:
    """Return the source files that a notebook depends on: what it imports, and what that imports in its turn."""
    lines = re.findall(
        r"^from (batchtime[\w.]*) import (.+)$", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    named = {module for top, names in lines for module in (top, *(f"{top}.{name}" for name in names.split(", ")))}
    graph = import_graph()
    modules = (named & graph.modules) | {"batchtime.book.rerun", "batchtime.book.forked"}
    modules |= {found for module in modules for found in graph.find_upstream_modules(module)}
    modules |= {name.rsplit(".", depth)[0] for name in modules for depth in range(1, name.count(".") + 1)}
    paths = (Path("src", *name.split(".")) for name in sorted(modules))
    return [str(path / "__init__.py" if path.is_dir() else path.with_suffix(".py")) for path in paths]


def execute_page(name: str) -> TaskFailed | None:
    """Execute one page's notebook into book/runs; return why that failed, if it did."""
    from batchtime import errors
    from batchtime.book import forked, rerun

    page, output = PAGES[name], ROOT / RUNS / f"{name}.ipynb"
    look: dict[str, Any] = {"title": page.title, "engine": forked.NAME}
    try:
        rerun.execute(ROOT / "notebooks" / page.notebook, output, page.parameters, **look)
    except errors.BatchtimeError as error:
        return TaskFailed(str(error))
    return None


def figures_whole(name: str) -> bool:
    """Return whether the figures that a page published are as it published them."""
    page = RUNS / f"{name}.ipynb"
    made = json.loads(page.read_text(encoding="utf-8"))["metadata"]["batchtime"] if page.exists() else {}
    if "figures" not in made:
        return False
    for figure in made["figures"]:
        facts = RUNS / "figures" / f"{figure}.json"
        known = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
        for kind in ("svg", "csv"):
            file = facts.with_suffix(f".{kind}")
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != known.get(f"{kind}_sha256"):
                return False
    return True


def task_page() -> Iterator[Task]:
    """Execute the notebook of a page."""
    # Those that train while the book is built take longest, and so they start first.
    for name, page in sorted(PAGES.items(), key=lambda item: bool(item[1].data)):
        notebook = Path("notebooks") / page.notebook
        yield {
            "name": name,
            "doc": f"execute {notebook}",
            "actions": [(execute_page, [name])],
            "file_dep": [
                str(notebook),
                *code_of(notebook),
                *(f"data/{path}" for path in page.data),
                "requirements.lock",
            ],
            "uptodate": [config_changed({"parameters": page.parameters, "title": page.title}), (figures_whole, [name])],
            "targets": [str(RUNS / f"{name}.ipynb")],
            "task_dep": [f"page:{earlier}" for earlier in page.after],
        }


def write_quantities() -> TaskFailed | None:
    """Join what the pages registered into one list; return why not, if two of them disagree."""
    from batchtime.book import quantities
    from batchtime.errors import BatchtimeError

    try:
        known = quantities.collect(RUNS / f"{name}.ipynb" for name in PAGES)
    except BatchtimeError as error:
        return TaskFailed(str(error))
    QUANTITIES.parent.mkdir(exist_ok=True)
    QUANTITIES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return None


def task_quantities() -> Task:
    """Join the published quantities of the pages."""
    return {
        "doc": f"join the published quantities into {QUANTITIES}",
        "actions": [write_quantities],
        "file_dep": ["src/batchtime/book/quantities.py", *(str(RUNS / f"{name}.ipynb") for name in PAGES)],
        "targets": [str(QUANTITIES)],
    }


def render_site() -> TaskFailed | None:
    """Render the book, any warning being an error; return that it failed, if it did."""
    shutil.rmtree(SITE, ignore_errors=True)  # a page that left the table of contents would stay
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    command = [jupyter_book, "build", "book", "--config", "_config.yml", "--path-output", "."]
    built = subprocess.run([*command, "-W", "-n", "--keep-going", "--all", "--quiet"], check=False)
    return TaskFailed("the warnings above are errors in the book") if built.returncode else None


def rendered_from() -> list[str]:
    """Return every file that the rendered book depends on."""
    return [
        "_config.yml",
        "requirements.lock",
        str(QUANTITIES),
        "data/README.md",  # these are shown as pages: the dictionary of the data,
        *files("tests/bound"),  # what executes the bound,
        *files("src"),  # and the package with its command line
        *files("book"),
        *(str(RUNS / f"{name}.ipynb") for name in PAGES),
    ]


def task_site() -> Task:
    """Render the book."""
    return {
        "doc": f"render the book into {SITE}",
        "actions": [render_site],
        "file_dep": rendered_from(),
        "uptodate": [config_changed({"repository": os.environ.get("BATCHTIME_REPOSITORY", "")})],
        "task_dep": ["page", "quantities"],
        "targets": [str(SITE / "index.html")],
    }


def render_slides() -> TaskFailed | None:
    """Render the slides, any warning being an error; return that it failed, if it did."""
    command = [str(Path(sys.executable).with_name("sphinx-build")), "-b", "revealjs", "-d", "_build/slides", "-E"]
    built = subprocess.run([*command, "-W", "-n", "--keep-going", "-q", "slides", str(SLIDES)], check=False)
    for unused in ("**/*.map", "**/*.scss", "_static/revealjs/plugin/[!n]*/*"):  # half of the folder
        for path in SLIDES.glob(unused):
            path.unlink()
    return TaskFailed("the warnings above are errors in the slides") if built.returncode else None


def task_slides() -> Task:
    """Render the slides beside the book, which is rendered first: it clears its folder."""
    return {
        "doc": f"render the slides into {SLIDES}",
        "actions": [render_slides],
        "file_dep": [
            "requirements.lock",
            "book/_ext/batchtime_book.py",
            str(QUANTITIES),
            *files("slides"),
            *(str(RUNS / f"{name}.ipynb") for name in PAGES),
        ],
        "task_dep": ["site"],
        "targets": [str(SLIDES / "index.html")],
    }


def pack_site() -> None:
    """Pack the site into one file, which opens anywhere without a server."""
    shutil.make_archive(f"_build/{ARCHIVE}", "zip", root_dir=SITE.parent, base_dir=SITE.name)


def task_zip() -> Task:
    """Pack the book."""
    target = f"_build/{ARCHIVE}.zip"
    return {
        "doc": f"pack the book into {target}",
        "actions": [pack_site],
        "file_dep": [str(SITE / "index.html"), str(SLIDES / "index.html"), *rendered_from()],
        "task_dep": ["site", "slides"],
        "targets": [target],
    }


def write_colab() -> TaskFailed | None:
    """Write each notebook with a first cell that fetches the repository, for Colab; return why not, if it cannot."""
    repository = os.environ.get("BATCHTIME_REPOSITORY")
    if not repository:
        return TaskFailed("name the repository that Colab is to fetch: BATCHTIME_REPOSITORY=OWNER/NAME")
    fetch = f"!git clone --quiet https://github.com/{repository} book\n%cd book\n%pip install --quiet -e ."
    COLAB.mkdir(parents=True, exist_ok=True)
    for source in sorted(Path("notebooks").glob("*.md")):
        notebook = jupytext.read(source)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(fetch))
        jupytext.write(notebook, COLAB / f"{source.stem}.ipynb")
    return None


def task_colab() -> Task:
    """Write the notebooks for Colab."""
    return {
        "doc": f"write notebooks for Colab into {COLAB}",
        "actions": [write_colab],
        "file_dep": files("notebooks"),
        "targets": [str(COLAB)],
        "uptodate": [config_changed({"repository": os.environ.get("BATCHTIME_REPOSITORY", "")})],
    }


def print_site() -> TaskFailed | None:
    """Print the book; return why that failed, if it did."""
    sys.path.insert(0, "book/_ext")
    import printed

    try:
        printed.print_book(SITE, Path("book/_toc.yml"), Path(f"_build/{ARCHIVE}.pdf"), title=TITLE)
    except printed.PrintError as error:
        return TaskFailed(str(error))
    return None


def task_pdf() -> Task:
    """Print the book."""
    target = f"_build/{ARCHIVE}.pdf"
    return {
        "doc": f"print the book into {target}",
        "actions": [print_site],
        "file_dep": [str(SITE / "index.html"), "book/_ext/printed.py", *rendered_from()],
        "task_dep": ["site"],
        "targets": [target],
    }


def task_book() -> Task:
    """Everything that `make book` makes."""
    return {"actions": None, "task_dep": ["page", "site", "slides"]}


def task_test() -> Task:
    """Run the tests, but those marked as full or long."""
    # What tests skip for want of: they run again when it has come.
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    surroundings = {
        "CHROMIUM": os.environ.get("CHROMIUM") or next(filter(None, browsers), ""),
        "BATCHTIME_DATASETS": os.environ.get("BATCHTIME_DATASETS") or str(ROOT / "data" / "cache" / "datasets"),
        "BATCHTIME_REQUIRE_ALL": os.environ.get("BATCHTIME_REQUIRE_ALL", ""),
    }
    data_sets = ("MNIST/raw", "cifar-10-batches-py", "cifar-100-python", "europarl/train200k.fr")
    at_hand = [file for file in data_sets if Path(surroundings["BATCHTIME_DATASETS"], file).exists()]
    return {
        "doc": "run the tests, but those marked as full or long",
        # In two processes: most of the time goes to waiting for browsers and for trainings of one thread.
        "actions": [
            CmdAction(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    "-m",
                    "not full and not long",
                    "--numprocesses",
                    "2",
                    "--dist",
                    "worksteal",
                ],
                shell=False,
                env=os.environ | surroundings,
            )
        ],
        "file_dep": [
            *(str(path) for path in sorted(Path().iterdir()) if path.is_file() and path.name != ".doit.json"),
            *files("src", "book", "slides", "notebooks", "data", "tests", "examples", "benchmarks", ".ci"),
            *(str(RUNS / f"{name}.ipynb") for name in PAGES),
            str(SITE / "index.html"),
        ],
        "uptodate": [config_changed(surroundings | {"at hand": ", ".join(at_hand)})],
        "task_dep": ["book"],
    }
