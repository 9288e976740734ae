"""Execute notebooks in forks of a process that has imported what their pages need, instead of in new kernels.

A kernel takes one to two seconds to start and to import numpy, scipy, pandas and seaborn, which for most pages is half
of the work. A fork has them already, and is as much alone as a kernel is.
"""

import multiprocessing
import os
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from papermill.engines import Engine, papermill_engines

from batchtime.errors import NotebookError

NAME = "forked"


class ForkedEngine(Engine):  # type: ignore[misc]  # papermill carries no types
    """The engine of papermill that runs every cell of a notebook in one fork of this process."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:  # noqa: ARG003 - papermill's
        """Fill in the outputs of the cells, up to the first that stops."""
        _import_what_pages_need()
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_run_and_send, args=(nb_man.nb, options.get("cwd"), there))
        child.start()
        there.close()
        try:
            text = here.recv()
        except EOFError:
            child.join()
            raise NotebookError(f"the process that executes the page ended with code {child.exitcode}") from None
        except KeyboardInterrupt:
            child.kill()
            raise
        child.join()
        nb_man.nb.cells = nbformat.reads(text, as_version=4).cells


papermill_engines.register(NAME, ForkedEngine)


def _import_what_pages_need() -> None:
    """Import it here, so that forks need not."""
    os.environ.setdefault("MPLBACKEND", "agg")
    import myst_nb
    import scipy.optimize
    import scipy.stats

    import batchtime.book.plots

    del myst_nb, scipy, batchtime


def _run_and_send(notebook: Any, folder: str | None, there: Connection) -> None:
    if folder is not None:
        os.chdir(folder)
    shell = InteractiveShell.instance(colors="nocolor")
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        count += 1
        cell.outputs, cell.execution_count = run_cell(shell, cell.source), count
        if any(output.output_type == "error" for output in cell.outputs):
            break
    there.send(nbformat.writes(notebook))
    there.close()


def run_cell(shell: InteractiveShell, source: str) -> list[Any]:
    """Run a cell in a shell and return its outputs, as a kernel would."""
    with capture_output() as seen:
        shell.display_trap.hook = sys.displayhook  # the one that captures, which a cell would set aside
        result = shell.run_cell(source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    printed = [("stderr", seen.stderr)] if error is not None else [("stdout", seen.stdout), ("stderr", seen.stderr)]
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in printed if text]
    outputs += [
        nbformat.v4.new_output("display_data", data=dict(one.data or {}), metadata=dict(one.metadata or {}))
        for one in seen.outputs
    ]
    if error is not None:
        lines = traceback.format_exception(error)
        known = {"ename": type(error).__name__, "evalue": str(error), "traceback": lines}
        outputs.append(nbformat.v4.new_output("error", **known))
    return outputs
