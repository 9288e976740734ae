"""Execute a notebook of the book with parameters of one's own, and render it as a page.

The notebooks are text; papermill executes notebooks with outputs. So a notebook is converted in a temporary folder,
its parameters are checked before a kernel starts, and what comes out appears under its own name only when it is whole.
"""

import ast
import asyncio
import hashlib
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from shlex import quote
from typing import Any

from batchtime import errors
from batchtime.book import quantities
from batchtime.errors import NotebookError, ParameterError, check
from batchtime.runs.provenance import CHECKOUT, provenance

ROOT = CHECKOUT or Path.cwd()
"""Where notebooks/ and book/ lie: a book is rendered from a checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a notebook, as its parameters cell declares it: `name: kind = default  # help`."""

    name: str
    kind: str
    default: object
    help: str

    def check(self, value: object) -> None:
        """Refuse a value of another type than the default's; a whole number may stand for a fraction.

        Raises:
            ParameterError: If the types differ.
        """
        kinds = (int, float) if isinstance(self.default, float) else type(self.default)
        fits = self.default is None or (
            isinstance(value, kinds) and isinstance(value, bool) == isinstance(self.default, bool)
        )
        check(fits, name=self.name, value=value, allowed=f"a value of type {self.kind}, for example {self.default!r}")


def find_notebook(name: str) -> Path:
    """Return the notebook at this path, or of this name in the notebooks folder of the checkout.

    Raises:
        ParameterError: If there is none; it lists what there is.
    """
    folder = ROOT / "notebooks"
    candidates = [Path(name), folder / name, folder / f"{name}.md"]
    found = [path for path in candidates if path.is_file()]
    names = ", ".join(sorted(path.stem for path in folder.glob("*.md")))
    check(bool(found), name="notebook", value=name, allowed=f"the path of a notebook, or one of {names}")
    return found[0].resolve()


def parse(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return parameters typed on a command line as values: numbers, True, False, None, lists, else text.

    Raises:
        ParameterError: If a name comes twice, or a list is no list of plain values.
    """
    values: dict[str, object] = {}
    for name, text in pairs:
        check(name not in values, name=name, value=text, allowed="one value for each parameter")
        try:
            values[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            check(not text.startswith(("[", "(", "{")), name=name, value=text, allowed="plain values, such as [16, 64]")
            values[name] = text
    return values


def describe(notebook: Path) -> list[Parameter]:
    """Return every parameter that a notebook takes, in the order of its parameters cell.

    Raises:
        NotebookError: If the notebook cannot be read.
    """
    with _converted(notebook) as executable:
        return _parameters(executable)


def execute(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, object],
    *,
    title: str | None = None,
    engine: str | None = None,
) -> None:
    """Execute a notebook with these parameters and write it, outputs included, to `output`.

    Figures go to a folder `figures` beside the output, unless the parameters say otherwise. The output keeps in its
    metadata which notebook made it, with what, where and when, in how many seconds, and the command that does it again.
    The same stands beside each figure, as `NAME.json`, with the checksums of what the figure consists of and draws.

    Args:
        notebook: Source, as text.
        output: Where the executed notebook is written.
        parameters: What differs from the notebook's defaults.
        title: Heading of the page; None for the notebook's own.
        engine: What papermill executes it with; None for a kernel of its own.

    Raises:
        ParameterError: If a name is unknown or a value has another type, before anything runs.
        NotebookError: If a cell stops; with its own message alone where the package refused something.
    """
    import nbformat
    import papermill

    with _converted(notebook) as executable:
        known = {parameter.name: parameter for parameter in _parameters(executable)}
        values = dict(parameters)
        for name, value in values.items():
            listing = "; ".join(f"{p.name}: {p.kind} = {p.default!r}" for p in known.values())
            if name not in known:
                raise ParameterError(f"{notebook.name} has no parameter {name!r}; it has {listing or 'none'}")
            known[name].check(value)
        if "out_dir" in known and "out_dir" not in values:
            values["out_dir"] = _shown(output.parent / "figures")
        finished = executable.with_name("finished.ipynb")
        # Every failure is told once, by the exception; without a handler of its own its log goes to the terminal.
        logging.getLogger("papermill").addHandler(logging.NullHandler())
        start = time.perf_counter()
        try:
            papermill.execute_notebook(
                executable,
                finished,
                values,
                kernel_name="python3",
                cwd=ROOT,
                engine_name=engine,
                progress_bar=sys.stderr.isatty(),
                # The kernel logs how it is started and stopped; what a cell prints or raises is in the notebook.
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookError(_reason(notebook, error)) from error
        except RuntimeError as error:
            raise NotebookError(f"{notebook.name} stopped with its kernel: {error}") from error
        except KeyboardInterrupt:
            # The kernel is stopped. What its cell said last has no reader, and asyncio would log it as an accident.
            asyncio.get_event_loop().set_exception_handler(lambda _loop, _context: None)
            raise
        node = nbformat.read(finished, as_version=4)
        _present(node, title)
        registered = quantities.take(node)
        name = _shown(notebook)
        options = "".join(f" -p {key} {quote(str(value))}" for key, value in parameters.items())
        made = {
            "notebook": name,
            "parameters": values,
            "seconds": time.perf_counter() - start,
            "command": f".venv/bin/batchtime rerun {name}{options} --out my-run",
            **_environment(),
        }
        figures = {figure["name"]: {**figure, "page": output.stem, **made} for figure in _published(node)}
        for figure, facts in figures.items():
            sidecar = ROOT / str(values["out_dir"]) / f"{figure}.json"
            sidecar.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        node.metadata["batchtime"] = {**made, "figures": sorted(figures), "quantities": registered}
        del node.metadata["papermill"]  # names of temporary files, and what stands above
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f".{output.name}.partial")
        nbformat.write(node, partial)
        partial.replace(output)


def _environment() -> dict[str, object]:
    """Return what a page is made with: commit, versions, the checksum of their list, machine, date."""
    here = provenance(threads=1, parts=("src", "notebooks", "requirements.lock"))
    drawing = {name: metadata.version(name) for name in ("scipy", "matplotlib")}
    lock = ROOT / "requirements.lock"
    known = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None
    return {"environment": asdict(replace(here, versions={**here.versions, **drawing})), "requirements_sha256": known}


def _published(node: Any) -> list[dict[str, Any]]:
    """Return what the cells of an executed notebook say of the figures that they published."""
    outputs = (output for cell in node.cells for output in cell.get("outputs", []))
    return [output.metadata["batchtime"] for output in outputs if "batchtime" in output.get("metadata", {})]


def _present(node: Any, title: str | None) -> None:
    """Give an executed notebook its page's title, and show no cell that papermill put in."""
    if title is not None:
        first = next(cell for cell in node.cells if cell.cell_type == "markdown")
        first.source = re.sub(r"\A# .*", lambda _: f"# {title}", first.source)
    for cell in node.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-input")


def render(executed: Path) -> Path:
    """Render an executed notebook as a page of the book beside it, and return the page.

    The page is built by the book's own configuration, so its glued numbers, formulas and citations are as in the
    book; links to other pages of the book are left as text. What it loads lies beside it: it needs no network.

    Raises:
        NotebookError: If the page cannot be built.
    """
    import nbformat

    source = nbformat.read(executed, as_version=4).metadata["batchtime"]["notebook"]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        shutil.copytree(ROOT / "book", here / "book", ignore=shutil.ignore_patterns("*.md", "runs", "_toc.yml"))
        shutil.copy(ROOT / "_config.yml", here)
        (here / "notebooks").mkdir()
        shutil.copy(ROOT / source, here / "notebooks")
        shutil.copy(executed, here / "book")
        if (executed.parent / "figures").is_dir():
            shutil.copytree(executed.parent / "figures", here / "book" / "figures")
        (here / "book" / "_toc.yml").write_text(f"format: jb-article\nroot: {executed.stem}\n", encoding="utf-8")
        jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
        command = [jupyter_book, "build", "book", "--config", "_config.yml", "--path-output", ".", "-qq"]
        built = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        page = here / "_build" / "html" / f"{executed.stem}.html"
        if built.returncode or not page.exists():
            last = (built.stderr or built.stdout).strip().splitlines()[-1:]
            raise NotebookError(f"{executed} could not be rendered: {' '.join(last)}")
        for part in (page, *_loaded(page)):
            copy = executed.parent / part.relative_to(page.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(part, copy)
    return executed.with_suffix(".html")


def _loaded(page: Path) -> set[Path]:
    """Return the files below the page's folders that it names, and those that these name in their turn."""
    files = {path for folder in page.parent.glob("_*") for path in folder.rglob("*") if path.suffix != ".map"}
    found: set[Path] = set()
    unread = [page]
    while unread:
        text = unread.pop().read_bytes()
        named = {path for path in files - found if path.is_file() and path.name.encode() in text}
        found |= named
        unread += (path for path in named if path.suffix in {".css", ".js"})
    return found


def rerun(notebook: Path, parameters: Mapping[str, object], out: Path) -> Path:
    """Execute a notebook into the folder `out`, render it there, and return the page.

    Raises:
        ParameterError: If `out` or the parameter `out_dir` is part of the published book, `out` cannot be written, or
            a parameter is refused.
        NotebookError: If the notebook stops or cannot be rendered.
    """
    for name, folder in (("out", out), ("out_dir", ROOT / str(parameters.get("out_dir", "")))):
        for published in (ROOT / "book", ROOT / "_build"):
            inside = folder.resolve().is_relative_to(published)
            check(
                not inside,
                name=name,
                value=str(folder),
                allowed=f"a folder outside {published.name}/, the published book",
            )
    try:
        with tempfile.TemporaryFile(dir=next(folder for folder in (out, *out.absolute().parents) if folder.exists())):
            pass
    except OSError as error:
        raise ParameterError(
            f"out = {str(out)!r} is not allowed; allowed: a folder that can be written ({error.strerror})"
        ) from error
    executed = out / f"{notebook.stem}.ipynb"
    execute(notebook, executed, parameters)
    return render(executed)


def _shown(path: Path) -> str:
    """Return a path as the book shows it: from the top of the checkout where it lies inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


@contextmanager
def _converted(notebook: Path) -> Iterator[Path]:
    """Convert a notebook from text to the form that papermill reads, in a folder that goes away."""
    import jupytext

    with tempfile.TemporaryDirectory() as folder:
        try:
            node = jupytext.read(notebook)
        except (OSError, ValueError) as error:
            raise NotebookError(f"{notebook} cannot be read as a notebook: {error}") from error
        executable = Path(folder) / f"{notebook.stem}.ipynb"
        jupytext.write(node, executable)
        yield executable


def _parameters(executable: Path) -> list[Parameter]:
    """Return the parameters of a converted notebook."""
    import papermill

    def default(source: str) -> object:
        try:
            return ast.literal_eval(source)
        except (SyntaxError, ValueError):
            return None  # an expression: any value may replace it

    found: Mapping[str, Mapping[str, Any]] = papermill.inspect_notebook(executable)
    return [
        Parameter(
            name=name,
            default=default(entry["default"]),
            help=entry["help"],
            kind=type(default(entry["default"])).__name__
            if entry["inferred_type_name"] == "None"
            else entry["inferred_type_name"],
        )
        for name, entry in found.items()
    ]


def _reason(notebook: Path, error: Any) -> str:
    """Return why a notebook stopped: the message alone where the package refused something."""
    kind = getattr(errors, error.ename, None)
    if isinstance(kind, type) and issubclass(kind, errors.BatchtimeError):
        return str(error.evalue)
    line = error.source.strip().splitlines()[0] if error.source.strip() else ""
    return f"{notebook.name}, cell {error.exec_count} ({line} ...) stopped: {error.ename}: {error.evalue}"
