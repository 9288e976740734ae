"""What the book adds to Sphinx: numbers from executed notebooks, a way to rerun each page, and mathematics offline.

- `{num}` with the text `page:name:format` writes a number that the notebook of a page glued, on any page of the book.
- An executed page ends with the notebook that made it, how long that took, and the command that runs it again.
- MathJax comes from an installed package, so that pages show their formulas without a network and from file://.
"""

import ast
import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxRole

MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"


def glued(notebook: Path) -> dict[str, object]:
    """Return what an executed notebook glued, by name: numbers and text; other objects as their printed form.

    Raises:
        OSError: If the notebook is not there.
    """
    found: dict[str, object] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name is None:
                continue
            prefix = output["metadata"]["scrapbook"].get("mime_prefix", "")
            printed = "".join(output["data"].get(f"{prefix}text/plain", ""))
            try:
                found[name] = ast.literal_eval(printed)
            except (SyntaxError, ValueError):
                found[name] = printed
    return found


class Number(SphinxRole):
    """`{num}` with `page:name:format`: a glued number of the page's notebook, in Python's format."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text, or a warning that says what is missing."""
        try:
            return [nodes.Text(self.number())], []
        except (LookupError, OSError, ValueError) as error:
            message = self.inliner.reporter.warning(f"{{num}}`{self.text}`: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]

    def number(self) -> str:
        """Return the number in its format.

        Raises:
            LookupError: If the notebook glued nothing of this name.
            OSError: If the page has no executed notebook.
            ValueError: If the text has another form, or the value does not fit the format.
        """
        parts = self.text.split(":", maxsplit=2)
        if len(parts) != 3:
            raise ValueError("write page:name:format, for example law-digits:n_inf:.0f")
        page, name, form = parts
        notebook = Path(self.env.srcdir) / "runs" / f"{page}.ipynb"
        self.env.note_dependency(str(notebook))
        values = glued(notebook)
        if name not in values:
            raise LookupError(f"the page glues no {name!r}, only {', '.join(sorted(values)) or 'nothing'}")
        try:
            return format(values[name], form)
        except TypeError as error:
            raise ValueError(f"{values[name]!r} does not fit the format {form!r}") from error


def add_origin(app: Sphinx, doctree: nodes.document) -> None:
    """End an executed page with the notebook that made it, its run time, and the command that runs it again."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    made = json.loads(source.read_text(encoding="utf-8"))["metadata"]["batchtime"]
    notebook = made["notebook"]
    link = addnodes.download_reference(
        "", "", nodes.literal("", notebook), reftarget=f"/../notebooks/{Path(notebook).name}", refdoc=app.env.docname
    )
    origin = nodes.section("", nodes.title("", "Run this page yourself"), ids=["run-this-page"], classes=["origin"])
    origin += nodes.paragraph(
        "", "", nodes.Text("This page was made by "), link, nodes.Text(f" in {made['seconds']:.0f} s.")
    )
    origin += nodes.paragraph(
        "",
        "",
        nodes.Text("After "),
        nodes.literal("", "make book"),
        nodes.Text(", these commands list its parameters, and run it again as it stands:"),
    )
    commands = f".venv/bin/batchtime rerun {notebook} --list\n{made['command']}"
    origin += nodes.literal_block(commands, commands, language="bash")
    option = nodes.literal("", "-p NAME VALUE")
    origin += nodes.paragraph(
        "", "", nodes.Text("To change a parameter, add "), option, nodes.Text(" to the second command, once for each.")
    )
    next(iter(doctree.findall(nodes.section))).append(origin)


def mend_roles(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """Give the entries of a bibliography the role that items of a list have; docutils writes one that is deprecated."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def take_mathjax(_app: Sphinx, config: Config) -> None:
    """Let MathJax come from the installed package.

    The SVG output is one file; the others fetch fonts beside it.
    """
    path = Path(str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    config.html_static_path = [*config.html_static_path, str(path)]
    config.mathjax_path = path.name


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_role("num", Number())
    app.connect("config-inited", take_mathjax)
    # Before Sphinx collects the files to download, at priority 500.
    app.connect("doctree-read", add_origin, priority=400)
    app.connect("html-page-context", mend_roles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
