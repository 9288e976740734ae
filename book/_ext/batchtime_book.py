"""What the book adds to Sphinx: numbers from executed notebooks, a way to rerun each page, and mathematics offline.

- `{num}` with the text `name:format` writes a published quantity, `name.interval:s` its interval, and with the text
  `page:name:format` a number that the notebook of a page glued, on any page of the book.
- A labelled equation of the chapter "The bound" is followed by a link to the test that executes it; the directive
  `{executed}` lists all of them.
- The directive `{minutes}` puts into the margin how long a page takes to read, counted from its words.
- The hidden code of an executed page is in one control at its end.
- An executed page ends with the notebook that made it, how long that took, and the command that runs it again; and,
  where it is known in which repository the book is published, with links that open the notebook on the web.
- Docstrings are shown as they are written, as plain text with code in backquotes.
- MathJax comes from an installed package, so that pages show their formulas without a network and from file://.
"""

import ast
import json
import os
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from batchtime.book.show import apart
from batchtime.laws.quantity import interval_text

logger = logging.getLogger(__name__)
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
WORDS_A_MINUTE = 200


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


def published(file: Path) -> dict[str, object]:
    """Return the published quantities by name, and the interval of each as a phrase by its name and `.interval`.

    Raises:
        OSError: If the file is not there: the build writes it when all pages are executed.
    """
    found: dict[str, object] = {}
    for one in json.loads(file.read_text(encoding="utf-8")):
        found[one["name"]] = one["value"]
        if one["interval"] is not None:
            found[f"{one['name']}.interval"] = interval_text(tuple(one["interval"]))
    return found


class Number(SphinxRole):
    """`{num}` with `name:format` or `page:name:format`: a published quantity or a glued number, in Python's format."""

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
        page, name, form = ["", "", "", *self.text.split(":", maxsplit=2)][-3:]
        if not page and "." not in name:  # the names of quantities have one
            raise ValueError("write name:format or page:name:format, for example mnist-lenet.n_inf:.0f")
        config, top = self.env.config, Path(self.env.srcdir)
        file = top / config.batchtime_runs / f"{page}.ipynb" if page else top / config.batchtime_quantities
        self.env.note_dependency(str(file))
        values = glued(file) if page else published(file)
        if name not in values:
            kind = "the page glues" if page else "there is"
            raise LookupError(f"{kind} no {name!r}, only {', '.join(sorted(values)) or 'nothing'}")
        try:
            return format(values[name], form)
        except TypeError as error:
            raise ValueError(f"{values[name]!r} does not fit the format {form!r}") from error


def label_of(test: str) -> str:
    """Return the label of the equation that a test executes."""
    return test.removeprefix("test_").replace("_", "-")


def tests_of(file: Path) -> list[str]:
    """Return the names of the tests of a file, in its order."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def bound_tests(source: Path) -> dict[str, Path]:
    """Return the tests of equations by name, each with its file, in the order of files."""
    files = sorted((source.parent / "tests" / "bound").glob("test_*.py"))
    return {name: file for file in files if file.name != "test_chapter.py" for name in tests_of(file)}


def source_link(test: str, file: Path, docname: str) -> addnodes.download_reference:
    """Return a link to the source of a test, which the site carries as a file."""
    text = nodes.literal("", f"tests/bound/{file.name}::{test}")
    return addnodes.download_reference("", "", text, reftarget=f"/../tests/bound/{file.name}", refdoc=docname)


def link_to_tests(app: Sphinx, doctree: nodes.document) -> None:
    """Put below each labelled equation of the bound the test that executes it, or warn that there is none."""
    if not app.env.docname.startswith("bound/"):
        return
    tests = bound_tests(Path(app.srcdir))
    for equation in list(doctree.findall(nodes.math_block)):
        label = equation.get("label")
        if label is None:
            continue
        test = f"test_{label.replace('-', '_')}"
        if test not in tests:
            logger.warning("no test executes the equation %r: write %s in tests/bound", label, test, location=equation)
            continue
        app.env.note_dependency(str(tests[test]))
        link = source_link(test, tests[test], app.env.docname)
        line = nodes.paragraph("", "", nodes.Text("executed by "), link, classes=["executed"])
        equation.parent.insert(equation.parent.index(equation) + 1, line)


class Executed(SphinxDirective):
    """`{executed}`: every equation of the bound with the test that executes it, and whether it holds with room."""

    def run(self) -> list[nodes.Node]:
        """Return a list for each file of tests."""
        source = Path(self.env.srcdir)
        reading = source.parent / "tests" / "bound" / "reading.py"
        self.env.note_dependency(str(reading))
        (room,) = re.findall(r"^ROOM = \{(.*?)^\}", reading.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        with_room = set(re.findall(r'"([a-z-]+)"', room))
        listed = nodes.bullet_list()
        for test, file in bound_tests(source).items():
            self.env.note_dependency(str(file))
            item = nodes.paragraph()
            item += self.parse_inline(f"{{eq}}`{label_of(test)}`: ")[0]
            item += source_link(test, file, self.env.docname)
            if label_of(test) in with_room:
                item += nodes.Text(" (with room)")
            listed += nodes.list_item("", item)
        return [listed]


class minutes_to_read(nodes.Part, nodes.Element):  # noqa: N801 - a node is named as it is written in a tree
    """Where the minutes of a page are to stand, until its words can be counted."""


class Minutes(SphinxDirective):
    """`{minutes}`: how long the page takes to read, in the margin."""

    def run(self) -> list[nodes.Node]:
        """Return the place of the number."""
        return [minutes_to_read()]


def count_minutes(_app: Sphinx, doctree: nodes.document) -> None:
    """Put the minutes to read into the margin, at 200 words of open text a minute; a solution is closed."""
    for place in list(doctree.findall(minutes_to_read)):
        closed = {
            id(text) for node in doctree.findall(nodes.Element) if _is_closed(node) for text in node.findall(nodes.Text)
        }
        words = sum(len(text.split()) for text in doctree.findall(nodes.Text) if id(text) not in closed)
        read = f"{max(1, round(words / WORDS_A_MINUTE))} minutes to read"
        place.replace_self(nodes.sidebar("", nodes.paragraph("", read), classes=["margin", "minutes"]))


def _is_closed(node: nodes.Element) -> bool:
    """Return whether a reader has to open a part of a page, or does not see it at all."""
    return "dropdown" in node.get("classes", []) or isinstance(node, nodes.comment)


def plain_docstring(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Let a docstring mean what it says: bars and stars are mathematics, backquotes are code; no more is markup."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([|*\\])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "``".join(parts) if len(parts) % 2 else line
    if what in {"attribute", "data", "property"}:
        lines.insert(0, "")  # or what stands before a colon in the first line is taken for a type


def set_percent_apart(_app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Write 5 % with a space that does not break wherever text says a percentage, as tables and programs do."""
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.math | nodes.math_block | nodes.raw):
            spaced = apart(str(text))
            if spaced != text:
                text.parent.replace(text, nodes.Text(spaced))
    for image in doctree.findall(nodes.image):
        if "alt" in image:
            image["alt"] = apart(image["alt"])


class KeepExamples(SphinxTransform):
    """The example at the end of a verb's help is code, before its quotes and dashes are made typographic."""

    default_priority = 500

    def apply(self, **_options: object) -> None:
        """Set each example as code."""
        for paragraph in list(self.document.findall(nodes.paragraph)):
            before, example, command = paragraph.astext().partition("Example: ")
            if example and not before:
                paragraph.children = []
                paragraph += [nodes.Text(example), nodes.literal(command, command)]


def launchers(notebook: str) -> dict[str, str]:
    """Return where a notebook can be opened on the web, once it is known where the book is published; else nothing."""
    repository = os.environ.get("BATCHTIME_REPOSITORY")
    if not repository:
        return {}
    branch = os.environ.get("BATCHTIME_BRANCH", "main")
    return {
        "Binder": f"https://mybinder.org/v2/gh/{repository}/{branch}?labpath=notebooks%2F{notebook}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/colab/{notebook}.ipynb",
    }


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
    executed = addnodes.download_reference(
        "", "", nodes.literal("", source.name), reftarget=source.name, refdoc=app.env.docname
    )
    forms = nodes.paragraph("", "", nodes.Text("The notebook with its results: "), executed, nodes.Text("."))
    for name, address in launchers(Path(notebook).stem).items():
        forms += [nodes.Text(" Open it in "), nodes.reference("", name, refuri=address), nodes.Text(".")]
    origin += forms
    next(iter(doctree.findall(nodes.section))).append(origin)


def pass_by(_translator: Any, _node: nodes.Element) -> None:
    """Write nothing of a node but what it holds."""


class all_code(nodes.Part, nodes.Element):  # noqa: N801 - a node is named as it is written in a tree
    """The code of a page, closed until a reader opens it."""


def open_code(translator: Any, _node: nodes.Element) -> None:
    """Begin what the browser opens and closes, by mouse and by keyboard."""
    translator.body.append('<details class="all-code"><summary>The code of this page</summary>\n')


def close_code(translator: Any, _node: nodes.Element) -> None:
    """End it."""
    translator.body.append("</details>\n")


def fold_code(app: Sphinx, doctree: nodes.document) -> None:
    """Gather the hidden code of an executed page in one control at its end, in place of one at each cell."""
    if Path(app.env.doc2path(app.env.docname)).suffix != ".ipynb":
        return
    gathered = all_code()
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code" or cell.get("hide_mode") != "input":
            continue
        source = cell.children[0]
        if not isinstance(source, nodes.Element) or source.get("nb_element") != "cell_code_source":
            continue
        cell.remove(source)
        del cell["hide_mode"]
        gathered += nodes.container("", source, classes=["cell"])
        if not cell.children:
            cell.parent.remove(cell)
    if gathered.children:
        next(iter(doctree.findall(nodes.section))).append(gathered)


def mend_roles(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """Give the entries of a bibliography the role that items of a list have; docutils writes one that is deprecated."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


SEARCH = re.compile(r'<script src="((?:\.\./)*(?:_static/searchtools|_static/language_data|searchindex)\.js)">')


def mend_pages(app: Sphinx, error: Exception | None) -> None:
    """Name what unfolds a chapter in the table of contents, and let a page be drawn before its search is there.

    The theme gives the first a drawing without a name, and loads the index of the whole book before anything is drawn.
    """
    if error is not None:
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mended = text.replace(
            '<summary><span class="toctree-toggle"',
            '<summary aria-label="Pages of this chapter"><span class="toctree-toggle"',
        )
        if page.name != "search.html":
            mended = SEARCH.sub(r'<script defer="defer" src="\1">', mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def take_mathjax(_app: Sphinx, config: Config) -> None:
    """Let MathJax come from the installed package.

    The SVG output is one file; the others fetch fonts beside it.
    """
    path = Path(str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    config.html_static_path = [*config.html_static_path, str(path)]
    config.mathjax_path = path.name


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_config_value("batchtime_runs", "runs", "env")  # where executed notebooks lie, from the source folder
    app.add_config_value("batchtime_quantities", "../_build/quantities.json", "env")
    app.add_role("num", Number())
    app.add_directive("executed", Executed)
    app.add_directive("minutes", Minutes)
    app.add_node(minutes_to_read)
    app.add_node(all_code, html=(open_code, close_code), latex=(pass_by, pass_by), text=(pass_by, pass_by))
    app.connect("config-inited", take_mathjax)
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)  # before its sections are read
    # Before Sphinx collects the files to download, at priority 500.
    app.connect("doctree-read", count_minutes, priority=300)  # before controls are added, which are closed
    app.connect("doctree-read", fold_code, priority=350)  # before the page's origin, which comes after it
    app.connect("doctree-read", add_origin, priority=400)
    app.connect("doctree-read", link_to_tests, priority=400)
    app.add_transform(KeepExamples)
    app.connect("doctree-resolved", set_percent_apart)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", mend_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
