"""What the book adds at each figure: where it comes from, its data, and the command that makes it again.

Wherever a page shows a file NAME.svg that has facts beside it (NAME.json, written when its notebook was executed), a
small control follows that opens without a script: the table of the figure and the picture to download, the files that
were read with their checksums and the commits that recorded them, the environment, and the command. A figure in the
output of a notebook is recognised by its checksum, and shown from that same file.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

Facts = dict[str, Any]


class control(nodes.Part, nodes.Element):  # noqa: N801 - a node is named as it is written in a tree
    """A part of a page that is closed until a reader opens it."""


def open_control(translator: Any, node: nodes.Element) -> None:
    """Begin what the browser opens and closes, by mouse and by keyboard."""
    translator.body.append(f'<details class="provenance"><summary>{node["title"]}</summary>\n')


def close_control(translator: Any, _node: nodes.Element) -> None:
    """End it."""
    translator.body.append("</details>\n")


def leave_out(_translator: Any, _node: nodes.Element) -> None:
    """Leave it out, where nothing can be opened."""
    raise nodes.SkipNode


@cache
def known_figures(folder: Path) -> dict[tuple[str, str], Facts]:
    """Return the facts of the figures in a folder by their page and the checksum of their picture."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {(facts["page"], facts["svg_sha256"]): facts for facts in found}


def add_controls(app: Sphinx, doctree: nodes.document) -> None:
    """Follow each figure by its control."""
    page = Path(app.env.doc2path(app.env.docname))
    for image in list(doctree.findall(nodes.image)):
        facts = facts_of(app, page, image)
        if facts is None:
            continue
        shown = enclosing_figure(image) or image
        shown.parent.insert(shown.parent.index(shown) + 1, control_of(app, facts))


def enclosing_figure(image: nodes.image) -> nodes.figure | None:
    """Return the figure that an image is part of, also where a notebook's output lies between them."""
    above = image.parent
    while above is not None and not isinstance(above, nodes.figure):
        above = above.parent
    return above


def facts_of(app: Sphinx, page: Path, image: nodes.image) -> Facts | None:
    """Return the facts of an image, which then comes from the file beside them; None for any other image."""
    shown = Path(image["uri"])
    published = known_figures(page.parent / "figures").get((page.stem, shown.stem))
    if published is None:
        file = page.parent / shown
    else:
        file = page.parent / "figures" / f"{published['name']}.svg"
        image["uri"] = f"/{file.relative_to(app.srcdir)}"
    facts = file.with_suffix(".json")
    if file.suffix != ".svg" or not facts.exists():
        return None
    app.env.note_dependency(str(facts))
    return {**json.loads(facts.read_text(encoding="utf-8")), "file": file}


def control_of(app: Sphinx, facts: Facts) -> control:
    """Return the control of a figure."""
    environment = facts["environment"]
    part = control(title=f"Data and origin of <code>{facts['name']}</code>")
    links = [download(app, facts["file"].with_suffix(f".{kind}"), text) for kind, text in KINDS.items()]
    part += sentence("Download ", links[0], ", ", links[1], ", or ", links[2], ".")
    if facts["sources"]:
        part += sentence("Read from records, until it was drawn:")
        part += nodes.bullet_list("", *(nodes.list_item("", line) for line in map(source_line, facts["sources"])))
    else:
        part += sentence("Computed where the page was made: no recorded file was read before it was drawn.")
    changed = ", with changes that are not committed," if environment["dirty"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    part += sentence(
        "Drawn by ",
        nodes.literal("", facts["notebook"]),
        " at commit ",
        code(environment["commit"] or "unknown"),
        f"{changed} on {environment['date'][:10]}, with {versions}; SHA-256 of requirements.lock: ",
        code(facts["requirements_sha256"]),
        ".",
    )
    part += sentence("After ", nodes.literal("", "make book"), ", this makes it again:")
    part += nodes.literal_block(facts["command"], facts["command"], language="bash")
    part += sentence("It is then ", code(f"my-run/figures/{facts['name']}.svg"), ", with its table beside it.")
    return part


KINDS = {"csv": "its table (CSV)", "svg": "the picture (SVG)", "json": "what stands here (JSON)"}


def source_line(source: Facts) -> nodes.paragraph:
    """Return what is to be said of a file that was read."""
    commits = [part for commit in source["commits"] for part in (", ", code(commit))][1:]
    made = (
        ("; trained where this book was built, at commit " if source["live"] else "; recorded at commit ")
        if commits
        else ""
    )
    count = f", {source['records']} record{'s' if source['records'] != 1 else ''}, SHA-256 "
    return sentence(code(source["file"]), count, code(source["sha256"]), made, *commits)


def code(text: str) -> nodes.literal:
    """Return a file, a checksum or a commit."""
    return nodes.literal("", text)


def sentence(*parts: str | nodes.Node) -> nodes.paragraph:
    """Return a paragraph of text and nodes."""
    return nodes.paragraph("", "", *(nodes.Text(part) if isinstance(part, str) else part for part in parts))


def download(app: Sphinx, file: Path, text: str) -> addnodes.download_reference:
    """Return a link that downloads a file, also where the page is opened from a file."""
    target = f"/{file.relative_to(app.srcdir)}"
    return addnodes.download_reference("", "", nodes.Text(text), reftarget=target, refdoc=app.env.docname)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_node(control, html=(open_control, close_control), latex=(leave_out, None), text=(leave_out, None))
    # Before Sphinx collects images and files to download, at priority 500.
    app.connect("doctree-read", add_controls, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
