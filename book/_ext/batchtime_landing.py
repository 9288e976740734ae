"""What the first page shows and what links to the book show: the race as a picture that plays, and a preview.

- `{race}` with the text `page:name:s` draws the recorded race that the notebook of a page glued, as it ends; a script
  plays it. Without scripts, on paper and for those who prefer less motion the picture is whole as it stands.
- Every page names its description and the preview image, which is drawn from the same race while the book is built.
"""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchtime_book import glued
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MARK = "race-data"
WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 44, 452, 34, 256
KINDS = ("small", "good", "large")
PREVIEW = "preview.png"
DESCRIPTION = (
    "Which mini-batch size trains soonest? A law of two numbers for updates, two for seconds, and a stopwatch: a "
    "reproducible companion of arXiv:1911.06459."
)


class Race(SphinxDirective):
    """`{race}` with `page:name:s`: the race that a notebook glued as JSON, drawn as it ends and ready to be played."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the picture with its data.

        Raises:
            Error: If the argument has another form, or the notebook or what it should glue is missing.
        """
        page, _, name = self.arguments[0].removesuffix(":s").partition(":")
        notebook = Path(self.env.srcdir) / "runs" / f"{page}.ipynb"
        self.env.note_dependency(str(notebook))
        try:
            text = str(glued(notebook)[name])
        except (LookupError, OSError) as error:
            raise self.error(f"{{race}}: {error}; write page:name:s of a notebook that glues a race") from error
        raced = json.loads(text)
        data = text.replace("</", "<\\/")  # which alone could end the element
        self.env.metadata[self.env.docname]["race"] = text
        picture = (
            f'<div class="race" id="race">{picture_of(raced)}'
            '<p class="race-line"><button type="button" id="race-play" hidden>Play the race</button>'
            '<output id="race-clock" aria-hidden="true"></output></p></div>'
            f'<script type="application/json" id="{MARK}">{data}</script>'
        )
        return [nodes.raw("", picture, format="html", ids=[MARK])]


def kinds(raced: Mapping[str, Any]) -> list[str]:
    """Return for each lane whether its batch is small, good or large: good is the one that is there first."""
    lanes = raced["lanes"]
    best = min(lanes, key=lambda lane: lane["seconds"])
    return [
        "good" if lane is best else "small" if lane["batch_size"] < best["batch_size"] else "large" for lane in lanes
    ]


def places(raced: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return the last second of the axis, and the least and the greatest value: below the target is room for words."""
    longest = max(lane["seconds"] for lane in raced["lanes"])
    highest = max(value for lane in raced["lanes"] for _, value in lane["points"])
    return 1.06 * longest, raced["target"] / 3.2, min(1.0, 1.15 * highest)


def x_of(seconds: float, end: float) -> float:
    """Return the place of a second."""
    return LEFT + seconds / end * (RIGHT - LEFT)


def y_of(value: float, low: float, high: float) -> float:
    """Return the place of a value, on a logarithmic axis."""
    return BOTTOM - math.log(value / low) / math.log(high / low) * (BOTTOM - TOP)


def picture_of(raced: Mapping[str, Any]) -> str:
    """Return the race as it ends, as SVG."""
    end, low, high = places(raced)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if end / step <= 6)
    levels = [level for level in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if raced["target"] <= level < high]
    target = y_of(raced["target"], low, high)
    parts = [
        *(
            f'<path class="grid" d="M{x_of(s, end):.1f} {TOP}V{BOTTOM}"/>'
            f'<text class="middle" x="{x_of(s, end):.1f}" y="{BOTTOM + 17}">{s}</text>'
            for s in range(0, math.floor(end) + 1, step)
        ),
        *(
            f'<path class="grid" d="M{LEFT} {y_of(v, low, high):.1f}H{RIGHT}"/>'
            f'<text class="end" x="{LEFT - 6}" y="{y_of(v, low, high) + 5:.1f}">{100 * v:g}\N{NO-BREAK SPACE}%</text>'
            for v in levels
        ),
        f'<path class="target" d="M{LEFT} {target:.1f}H{RIGHT}"/>',
        f'<text x="{LEFT - 40}" y="16">{html.escape(raced["metric"])} on images kept aside</text>',
        f'<text class="middle" x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 6}">seconds of training</text>',
        *(lane_of(lane, kind, raced) for lane, kind in zip(raced["lanes"], kinds(raced), strict=True)),
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(told(raced))}">{"".join(parts)}</svg>'
    )


def lane_of(lane: Mapping[str, Any], kind: str, raced: Mapping[str, Any]) -> str:
    """Return a lane: its line, where it is, and how it ended."""
    end, low, high = places(raced)
    points = [(x_of(x, end), y_of(y, low, high)) for x, y in lane["points"]]
    x, y = points[-1]
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    anchor = "end" if x > RIGHT - 40 else "middle"
    at = min(x, RIGHT + 24) if anchor == "end" else x
    below = y_of(raced["target"], low, high)
    return (
        f'<g class="lane {kind}"><path class="line" d="M{line}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
        f'<text class="{anchor} name" x="{at:.1f}" y="{below + 26:.1f}">batch {lane["batch_size"]}</text>'
        f'<text class="{anchor} name" x="{at:.1f}" y="{below + 43:.1f}">{lane["seconds"]:.1f} s</text></g>'
    )


def told(raced: Mapping[str, Any]) -> str:
    """Return the race in words."""
    ends = [f"batch {one['batch_size']} after {one['seconds']:.1f} seconds" for one in raced["lanes"]]
    return (
        f"Three recorded runs race to an {raced['metric']} of {100 * raced['target']:g} %: {', '.join(ends[:-1])} and "
        f"{ends[-1]}"
    )


def draw_preview(raced: Mapping[str, Any], file: Path) -> None:
    """Draw the picture that a link to the book shows: the race, its question and the formula, 1200 x 630 pixels."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    from batchtime.book import plots

    colours = dict(zip(KINDS, (plots.FITTED, plots.PREDICTED, plots.MEASURED), strict=True))
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure, axes = plt.subplots(figsize=(12, 6.3), dpi=100)
        figure.subplots_adjust(left=0.07, right=0.97, top=0.74, bottom=0.12)
        for lane, kind in zip(raced["lanes"], kinds(raced), strict=True):
            xs, ys = zip(*lane["points"], strict=True)
            axes.plot(xs, ys, color=colours[kind], linewidth=4 if kind == "good" else 2.5)
            axes.plot(xs[-1], ys[-1], "o", color=colours[kind], markersize=12)
            words = f"batch {lane['batch_size']}\n{lane['seconds']:.1f} s"
            axes.annotate(
                words, (xs[-1], raced["target"]), (0, -18), textcoords="offset points", ha="center", va="top", size=18
            )
        axes.axhline(raced["target"], color="black", linestyle="--")
        end, low, high = places(raced)
        axes.set(yscale="log", xlim=(0, end), ylim=(low, high), yticks=[])
        axes.minorticks_off()
        axes.set_xlabel("seconds of training", size=16)
        axes.tick_params(labelsize=14)
        axes.spines[["top", "right"]].set_visible(False)
        figure.text(0.04, 0.91, "Which batch size gets there first?", size=34, weight="bold")
        formula = r"$M_{\mathrm{opt}} = \sqrt{\alpha\,\delta\,/\,(n_\infty\,\gamma)}$"
        figure.text(0.04, 0.8, formula + "   a law of two numbers, held against a stopwatch", size=22)
        figure.savefig(file, metadata={"Software": None})
        plt.close(figure)


def write_preview(app: Sphinx, error: Exception | None) -> None:
    """Draw the preview once the pages stand."""
    raced = next((facts["race"] for facts in app.env.metadata.values() if "race" in facts), None)
    if error is None and raced is not None and app.builder.format == "html":
        draw_preview(json.loads(raced), Path(app.outdir) / "_static" / PREVIEW)


def address() -> str:
    """Return where the book is published, with a slash at its end, or nothing where that is not known."""
    owner, _, name = os.environ.get("BATCHTIME_REPOSITORY", "").partition("/")
    return f"https://{owner}.github.io/{name}/" if name else ""


def preview_tags(title: str, page: str, root: str) -> str:
    """Return what tells a link's preview.

    Args:
        title: Of the page.
        page: Its file, from the top of the site.
        root: The way from this page to the top of the site.
    """
    top = address()
    tags = {
        "og:title": title,
        "og:type": "article",
        "og:description": DESCRIPTION,
        "og:image": f"{top or root}_static/{PREVIEW}",
        "og:image:alt": "Three training runs race to a target: the middle batch size wins",
        **({"og:url": f"{top}{page}"} if top else {}),
    }
    given: Sequence[tuple[str, str, str]] = [
        *(("property", name, value) for name, value in tags.items()),
        ("name", "twitter:card", "summary_large_image"),
    ]
    return "".join(f'<meta {kind}="{name}" content="{html.escape(value)}" />\n' for kind, name, value in given)


def describe(app: Sphinx, page: str, _template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Give each page a description and a preview, and the race and sheets to print their own."""
    if doctree is None:
        return
    title = nodes.Element.astext(app.env.titles[page]) if page in app.env.titles else app.config.project
    found = context.get("metatags", "")
    if 'name="description"' not in found:
        found += f'<meta name="description" content="{html.escape(DESCRIPTION)}" />\n'
    context["metatags"] = found + preview_tags(title, f"{page}.html", "../" * page.count("/"))
    if any(MARK in node["ids"] for node in doctree.findall(nodes.raw)):
        app.add_js_file("race.js", loading_method="defer")
        app.add_css_file("race.css")
    if any("sheet-mark" in node.astext() for node in doctree.findall(nodes.raw)):
        app.add_css_file("sheet.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("race", Race)
    app.connect("html-page-context", describe)
    app.connect("build-finished", write_preview)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
