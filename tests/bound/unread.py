"""The formulas of the chapter that no machine reads: those inside sentences that relate two things, and their kinds."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

CHAPTER = Path(__file__).parents[2] / "book" / "bound"
KINDS = (
    (r"\\to(?![a-z])|\\gg|\\approx|\\propto|O\(", "a limit or an order of magnitude"),
    (r"\\sim|\\in(?![a-z])", "how something is drawn, or where it lies"),
    (r"^[^=<>]*=", "what a name stands for, or its value at one place"),
    (r"\\le(?![a-z])|\\ge(?![a-z])|<|>|=", "a condition, or a step of a proof"),
)
"""Kinds of formulas by what they hold, the first that fits."""


def unread() -> Iterator[tuple[str, str, str]]:
    """Yield page, formula and kind of each formula inside a sentence that relates two things."""
    for path in sorted(CHAPTER.glob("*.md")):
        text = re.sub(r"^```\{math\}\n.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for formula in re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text):
            kind = next((kind for what, kind in KINDS if re.search(what, formula)), None)
            if kind is not None:
                yield path.name, formula, kind


if __name__ == "__main__":
    found = list(unread())
    for _, kind in KINDS:
        here = [(page, formula) for page, formula, of in found if of == kind]
        lines = [f"{len(here)} formulas inside sentences: {kind}", *(f"  {page}: {formula}" for page, formula in here)]
        sys.stdout.write("\n".join(lines) + "\n")
