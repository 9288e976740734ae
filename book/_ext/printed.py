"""The whole book as one PDF: its rendered pages, one after the other, printed by a browser.

The pages become one document, in which identifiers are told apart by their page and links lead to places inside. So
the PDF has one numbering of pages, an outline, and links that work, and looks like the site.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from sphinx_external_toc.parsing import parse_toc_yaml

_FOOTER = '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'
_CLOSED = "details.provenance, details.hide, details.all-code"
_DROPPED = f"script, .headerlink, .prev-next-footer, .origin, {_CLOSED}, button, iframe"
_STYLE = """
.printed-page { break-before: page; }
.printed-page pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.printed-page img { max-width: 100%; }
.printed-page mjx-container svg g { stroke: none; }  /* on paper a line of no width is the thinnest there is */
body { background: white; padding: 0; }
.printed-contents a { display: block; }
.printed-title { padding-top: 30vh; text-align: center; }
"""


class PrintError(Exception):
    """The book cannot be printed; the message says what is missing and how to get it."""


def pages(contents: Path) -> list[str]:
    """Return the names of the book's pages in the order of its table of contents."""
    site_map = parse_toc_yaml(contents)

    def below(name: str) -> Iterator[str]:
        yield name
        for tree in site_map[name].subtrees:
            for item in tree.items:
                if str(item) in site_map:
                    yield from below(str(item))

    return list(below(site_map.root.docname))


def identifier(page: str, anchor: str) -> str:
    """Return what an anchor of a page is called in the one document; the page itself for no anchor."""
    return f"{page.replace('/', '-')}--{anchor}" if anchor else page.replace("/", "-")


def one_document(site: Path, names: list[str], title: str) -> str:
    """Return the book as one HTML document, its files named relative to the site."""
    document = BeautifulSoup((site / f"{names[0]}.html").read_text(encoding="utf-8"), "html.parser")
    body = document.body
    if body is None:
        raise PrintError(f"{site / names[0]}.html has no body; build the book again: make book")
    body.clear()
    for sheet in document.select('link[rel="stylesheet"]'):
        sheet["href"] = str(sheet["href"]).split("?")[0]
    style = document.new_tag("style")
    style.string = _STYLE
    document.head.append(style)  # type: ignore[union-attr]  # the body was there
    parts = {name: _part(site, name, set(names)) for name in names}
    headings = {name: part.find("h1") for name, part in parts.items()}
    listed = "".join(
        f'<a href="#{identifier(name, "")}">{heading.get_text(" ", strip=True) if heading else name}</a>'
        for name, heading in headings.items()
    )
    front = (
        f'<div class="printed-title"><h1>{title}</h1></div>'
        f'<div class="printed-page printed-contents"><h2>Contents</h2>{listed}</div>'
    )
    body.append(BeautifulSoup(front, "html.parser"))
    for part in parts.values():
        body.append(part)
    return str(document)


def _part(site: Path, name: str, names: set[str]) -> Tag:
    """Return the article of a page as a part of the one document."""
    source = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    article = source.find("article")
    if not isinstance(article, Tag):
        raise PrintError(f"{site / name}.html has no article; build the book again: make book")
    for dropped in article.select(_DROPPED):
        dropped.decompose()
    for node in article.find_all(id=True):
        node["id"] = identifier(name, str(node["id"]))
    for image in article.find_all("img"):
        image["src"] = _inside(name, str(image["src"]))
        image["loading"] = "eager"
    for link in article.find_all("a", href=True):
        link["href"] = _target(name, str(link["href"]), names)
    for details in article.find_all("details"):
        details["open"] = ""
    part = source.new_tag("section", attrs={"class": "printed-page", "id": identifier(name, "")})
    part.append(article)
    return part


def _inside(name: str, address: str) -> str:
    """Return a file named from a page as it is named from the top of the site."""
    return os.path.normpath(Path(name).parent / unquote(urlsplit(address).path))


def _target(name: str, address: str, names: set[str]) -> str:
    """Return where a link of a page leads in the one document; outside it stays as it is."""
    parts = urlsplit(address)
    if parts.scheme:
        return address
    page = _inside(name, parts.path).removesuffix(".html") if parts.path else name
    return f"#{identifier(page, parts.fragment)}" if page in names else f"#{identifier(name, '')}"


def print_book(site: Path, contents: Path, out: Path, *, title: str) -> None:
    """Write the book as a PDF.

    Args:
        site: The rendered book.
        contents: Its table of contents.
        out: The PDF.
        title: Of the first page.

    Raises:
        PrintError: If there is no Chromium, or a formula is not drawn.
    """
    from playwright.sync_api import sync_playwright

    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    chromium = os.environ.get("CHROMIUM") or next(found, None)
    if chromium is None:
        raise PrintError("a browser prints the book: install Chromium, or name it in CHROMIUM")
    page_file = site / "printed.html"
    page_file.write_text(one_document(site, pages(contents), title), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(color_scheme="light")
            page.goto(page_file.resolve().as_uri(), wait_until="load", timeout=_TIMEOUT)
            page.wait_for_function("window.MathJax && window.MathJax.startup && true", timeout=_TIMEOUT)
            page.evaluate("window.MathJax.startup.promise")
            formulas, drawn = page.locator(".math").count(), page.locator(".math mjx-container svg").count()
            if drawn < formulas:
                raise PrintError(f"{drawn} of {formulas} formulas were drawn; build the book again: make book")
            page.pdf(
                path=out,
                format="A4",
                margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=_FOOTER,
                outline=True,
                tagged=True,
            )
            browser.close()
    finally:
        page_file.unlink()


_TIMEOUT = 300_000.0  # milliseconds: the whole book's formulas at once
