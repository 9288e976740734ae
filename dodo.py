"""The stages of the book and what each depends on, for doit: `make book` and `make test` start here.

doit compares the contents of dependencies, not their dates. A page depends on its notebook, its parameters, the modules
that the notebook imports (and what those import, however deep), the recorded runs that it reads, and the environment.
"""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
ARCHIVE = "batchtime-book"
COLAB = Path("_build/colab")
TITLE = "Batch size and training time"

Task = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page made from a notebook.

    Args:
        notebook: Source, a file of notebooks/.
        title: Heading of the page, where one notebook makes several; None for the notebook's own.
        parameters: What differs from the notebook's own defaults.
        data: Recorded files that it reads, below data/.
        figures: Files of book/runs/figures that it writes and other pages show.
        after: Pages that train runs which this one reads.
    """

    notebook: str
    title: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


MNIST_RUNS = "runs/mnist-lenet.jsonl"
TASKS = {"mnist-lenet": "MNIST", "cifar10-cnn": "CIFAR-10", "cifar100-cnn": "CIFAR-100", "europarl-gru": "Europarl"}
NOISE = ("mnist-lenet", "cifar10-cnn", "mnist-logistic")
RECORDED = tuple(f"runs/{name}.jsonl" for name in TASKS)
PUBLISHED = tuple(sorted(f"runs/{path.name}" for path in Path("data/runs").glob("*.jsonl")))
STUDIES = tuple(sorted(f"studies/{path.name}" for path in Path("data/studies").glob("*.jsonl")))
TARGETS = {"mnist-lenet": [0.06, 0.07, 0.08, 0.1, 0.12], "europarl-gru": [4.25, 4.35, 4.5, 4.65, 4.75]}


def arms(base: str, *patterns: str) -> tuple[str, ...]:
    """Return the recorded runs of a task and of its sweeps in other settings."""
    found = [path for pattern in patterns for path in Path("data/runs").glob(f"{base}-{pattern}.jsonl")]
    return (f"runs/{base}.jsonl", *sorted(str(path.relative_to("data")) for path in found))


PAGES = {
    "law-digits": Page(
        notebook="inverse-law.md",
        title="The inverse law on handwritten digits, trained as you build",
        parameters={"workload": "digits-mlp"},
    ),
    **{
        f"law-{name}": Page(
            notebook="inverse-law.md",
            title=f"The inverse law on {title}, from recorded runs",
            parameters={"workload": name},
            data=(f"runs/{name}.jsonl",),
        )
        for name, title in TASKS.items()
    },
    "four-tasks": Page(notebook="four-tasks.md", data=RECORDED),
    **{
        f"learning-rates-{name}": Page(
            notebook="learning-rates.md",
            title=f"{TASKS[name]} at several step sizes",
            parameters={"workload": name},
            data=arms(name, "rate-*"),
        )
        for name in ("mnist-lenet", "cifar10-cnn")
    },
    "optimisers": Page(notebook="optimisers.md", data=arms("mnist-lenet", "momentum", "adam", "epochs")),
    "harmonic": Page(notebook="harmonic.md", data=arms("europarl-gru", "harmonic")),
    **{
        f"converged-{name}": Page(
            notebook="converged.md",
            title=f"What counts as converged: {TASKS[name]}",
            parameters={"workload": name, "targets": values},
            data=(f"runs/{name}.jsonl",),
        )
        for name, values in TARGETS.items()
    },
    "rivals": Page(notebook="rivals.md", data=PUBLISHED),
    **{
        f"scrutiny-{name}": Page(
            notebook="scrutiny.md",
            title=f"One fit under scrutiny: {TASKS[name]}",
            parameters={"workload": name},
            data=(f"runs/{name}.jsonl",),
        )
        for name in ("mnist-lenet", "cifar10-cnn")
    },
    "simulation-study": Page(notebook="simulation-study.md", data=STUDIES),
    "four-names": Page(notebook="four-names.md", data=(MNIST_RUNS,)),
    "known-answer": Page(notebook="known-answer.md"),
    "known-answers": Page(notebook="known-answers.md"),
    "bound": Page(notebook="bound.md"),
    "bound-mnist": Page(
        notebook="bound-mnist.md", data=("constants/mnist-logistic.jsonl", *arms("mnist-logistic", "rate-*"))
    ),
    "bound-scaling": Page(
        notebook="bound-scaling.md",
        data=(
            "constants/mnist-logistic.jsonl",
            *arms("mnist-logistic", "rate-*"),
            *arms("mnist-lenet", "rate-*"),
            *arms("cifar10-cnn", "rate-*"),
        ),
    ),
    "precision": Page(notebook="precision.md", data=("runs/mnist-lenet.jsonl", "runs/cifar10-cnn.jsonl")),
    "own-model": Page(notebook="own-model.md"),
    **{
        f"update-time-{name}": Page(
            notebook="update-time.md",
            title=f"Seconds per update: {title}",
            parameters={"workload": name},
            data=(f"runs/{name}.jsonl", f"timings/{name}.jsonl"),
        )
        for name, title in TASKS.items()
    },
    **{
        f"training-time-{name}": Page(
            notebook="training-time.md",
            title=f"Training time and its optimum: {title}",
            parameters={"workload": name},
            data=(f"runs/{name}.jsonl", f"timings/{name}.jsonl", f"timed_runs/{name}.jsonl"),
        )
        for name, title in TASKS.items()
    },
    "learners": Page(notebook="learners.md", data=("runs/mnist-lenet.jsonl", "learners/mnist-lenet.jsonl")),
    "noise-scale": Page(
        notebook="noise-scale.md",
        data=(
            "constants/mnist-logistic.jsonl",
            *(f"{kind}/{name}.jsonl" for kind in ("runs", "noise") for name in NOISE),
        ),
    ),
    "implications": Page(notebook="implications.md", data=(*RECORDED, *(f"timings/{name}.jsonl" for name in TASKS))),
    "class": Page(notebook="class.md", after=("law-digits",)),
    "exercises-law": Page(notebook="exercises-law.md", data=RECORDED),
    "exercises-seconds": Page(notebook="exercises-seconds.md", data=(MNIST_RUNS, "timings/mnist-lenet.jsonl")),
    "exercises-theory": Page(notebook="exercises-theory.md", data=(MNIST_RUNS, "noise/mnist-lenet.jsonl")),
    "exercises-practice": Page(
        notebook="exercises-practice.md",
        data=tuple(f"{kind}/{name}.jsonl" for kind in ("runs", "timings") for name in ("mnist-lenet", "europarl-gru")),
    ),
}


class Reporter(ExecutedOnlyReporter):  # type: ignore[misc]  # doit carries no types
    """Say which stages run, and say so when none had to."""

    desc = "one line a stage, or one line when nothing changed"

    def __init__(self, outstream: Any, options: Mapping[str, Any]) -> None:
        """Start with no stage executed."""
        super().__init__(outstream, options)
        self.executed = 0

    def execute_task(self, task: Any) -> None:
        """Name the stage that starts."""
        if task.actions:
            self.executed += 1
            self.outstream.write(f"{task.name}: {task.doc}\n")
            self.outstream.flush()

    def complete_run(self) -> None:
        """Say it when everything was up to date."""
        super().complete_run()
        if not self.executed and not self.failures:
            self.outstream.write(
                "Nothing changed since the last run, so nothing was done; `make clean` starts afresh.\n"
            )


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


def sources(modules: set[str]) -> list[str]:
    """Return the source files of these modules of the package, and of all that they import."""
    graph = import_graph()
    closure = modules | {found for module in modules for found in graph.find_upstream_modules(module)}
    closure |= {name.rsplit(".", depth)[0] for name in closure for depth in range(1, name.count(".") + 1)}
    return sorted(source_file(name) for name in closure)


def source_file(module: str) -> str:
    """Return the source file of a module of the package, or of a room of it."""
    path = Path("src", *module.split("."))
    return str(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def imported_modules(notebook: Path) -> set[str]:
    """Return the modules of the package that the code cells of a notebook import."""
    cells = jupytext.read(notebook).cells
    known = import_graph().modules
    names: set[str] = set()
    for cell in cells:
        if cell.cell_type != "code":
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            continue  # executing the page says it, with the cell
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & known


def execute_page(name: str) -> TaskFailed | None:
    """Execute one page's notebook into book/runs; return why that failed, if it did."""
    from batchtime import errors
    from batchtime.book import rerun

    page = PAGES[name]
    try:
        rerun.execute(
            ROOT / "notebooks" / page.notebook, ROOT / RUNS / f"{name}.ipynb", page.parameters, title=page.title
        )
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
    for name, page in PAGES.items():
        notebook = Path("notebooks") / page.notebook
        yield {
            "name": name,
            "doc": f"execute {notebook}",
            "actions": [(execute_page, [name])],
            "file_dep": [
                str(notebook),
                *sources(imported_modules(notebook) | {"batchtime.book.rerun"}),
                *(f"data/{path}" for path in page.data),
                "requirements.lock",
            ],
            "uptodate": [config_changed({"parameters": page.parameters, "title": page.title}), (figures_whole, [name])],
            "targets": [str(RUNS / f"{name}.ipynb")],
            "task_dep": [f"page:{earlier}" for earlier in page.after],
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
        "task_dep": ["page"],
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
    """Run every test."""
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
        "doc": "run every test",
        # In two processes: most of the time goes to waiting for browsers and for trainings of one thread.
        "actions": [
            CmdAction(
                [sys.executable, "-m", "pytest", "-m", "not full", "--numprocesses", "2", "--dist", "worksteal"],
                shell=False,
                env=os.environ | surroundings,
            )
        ],
        "file_dep": [
            *(str(path) for path in sorted(Path().iterdir()) if path.is_file() and path.name != ".doit.json"),
            *files("src", "book", "slides", "notebooks", "data", "tests", "benchmarks", ".ci"),
            *(str(RUNS / f"{name}.ipynb") for name in PAGES),
            str(SITE / "index.html"),
        ],
        "uptodate": [config_changed(surroundings | {"at hand": ", ".join(at_hand)})],
        "task_dep": ["book"],
    }
