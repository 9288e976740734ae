"""Read formulas off pages: from the LaTeX of a displayed equation to the truth of what it says, at given numbers.

What is understood: fractions, roots, powers, logarithms, minima and maxima, brackets of any size, and names with their
subscripts; and relations between such expressions. The value of a name may be a function, which then takes what stands
in the brackets behind it.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = float | Callable[..., float]
_SPACE = r"\\[,;!]|\\(?:big|Big|bigg|left|right)(?![a-zA-Z])|[&~]|\\(?:begin|end)\{\w+\}"
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\[{}|]|\d+(?:\.\d+)?|[a-zA-Z]|[-+/^_(){}\[\]|,*]")
_RELATION = re.compile(r"\\le(?![a-z])|\\ge(?![a-z])|=|<|>")
_OPEN = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", "|": "|"}


class LatexError(Exception):
    """Something in a formula that is not understood; the message says what, and where."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """left = right, left <= right or left >= right, each an expression in LaTeX."""

    left: str
    sign: str
    right: str

    def sides(self) -> tuple[str, str]:
        """Return both of them."""
        return self.left, self.right


def relations(latex: str) -> list[Relation]:
    """Return what a displayed equation states, one relation after another; a chain a = b <= c is two of them.

    An expression on its own is what `=` in the values stands for.
    """
    text = re.sub(r"_\{\\text\{(\w+)\}\}", r"_{\1}", latex)  # a subscript is part of a name; other words are none
    text = re.sub(r"\\text\{[^{}]*\}", " ", text)
    text = re.sub(_SPACE, " ", text)
    lines = re.split(r"\\\\|\\quad|\\qquad", text)
    statements: list[str] = []
    for line in (part for whole in lines for part in _apart(whole)):
        piece = line.strip().rstrip(".,:").strip()
        if not piece:
            continue
        if statements and _RELATION.match(piece):
            statements[-1] += " " + piece
        else:
            statements.append(piece)
    found = []
    for statement in statements:
        sides, signs = _RELATION.split(statement), _RELATION.findall(statement)
        if not signs:
            found.append(Relation(left="=", sign="=", right=statement))
        found += [
            Relation(left=a.strip(), sign=sign, right=b.strip())
            for a, sign, b in zip(sides, signs, sides[1:], strict=False)
            if r"\dots" not in b  # the first terms of a series
        ]
    return found


def _apart(text: str) -> list[str]:
    """Return a line, cut at the commas that stand in no bracket and behind which a relation follows."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def evaluate(latex: str, values: Mapping[str, Value]) -> float:
    """Return the value of an expression.

    Raises:
        LatexError: If it holds something that is not understood, or a name without a value.
    """
    reader = _Reader(_TOKEN.findall(latex), values)
    if re.sub(r"\s", "", latex) != "".join(reader.tokens):
        raise LatexError(f"{latex!r} holds something else than names, numbers and signs")
    value = reader.total()
    if reader.tokens:
        raise LatexError(f"{latex!r} goes on with {reader.tokens[0]!r}")
    return value


class _Reader:
    """Recursive descent over the tokens of an expression."""

    def __init__(self, tokens: Sequence[str], values: Mapping[str, Value]) -> None:
        self.tokens, self.values = list(tokens), values

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self.tokens[0] != expected):
            raise LatexError(f"{expected or 'something'} is missing before {' '.join(self.tokens[:5])!r}")
        return self.tokens.pop(0)

    def total(self) -> float:
        sign = -1.0 if self.peek() == "-" else 1.0
        if self.peek() in {"-", "+"}:
            self.take()
        value = sign * self.product()
        while self.peek() in {"+", "-"}:
            sign = 1.0 if self.take() == "+" else -1.0
            value += sign * self.product()
        return value

    def product(self) -> float:
        value = self.power()
        while self.peek() and self.peek() not in {"+", "-", ",", *(set(_OPEN.values()) - {"|"})}:
            if self.peek() == "|" and self.closing:
                break
            if self.peek() == "/":
                self.take()
                value /= self.power()
            else:
                value *= self.power()
        return value

    closing = 0  # bars that are open

    def power(self) -> float:
        name = self.peek()
        if name == r"\ln":
            self.take()
            return math.log(self.power())
        base = self.atom()
        if self.peek() == "^":
            self.take()
            base **= self.argument()
        return base

    def argument(self) -> float:
        """Return the value of a group, or of a single digit or name, of which a fraction may have two."""
        if self.peek() == "{":
            return self.bracket()
        token = self.peek()
        if token.isdigit() and len(token) > 1:
            self.tokens[0] = token[1:]
            return float(token[0])
        return self.power() if token.startswith("\\") else self.atom()

    def bracket(self) -> float:
        close = _OPEN[self.take()]
        self.closing += close == "|"
        value = self.total()
        self.closing -= close == "|"
        self.take(close)
        return abs(value) if close == "|" else value

    def arguments(self) -> list[float]:
        close = _OPEN[self.take()]
        found = [self.total()]
        while self.peek() == ",":
            self.take()
            found.append(self.total())
        self.take(close)
        return found

    def atom(self) -> float:
        if self.peek() in _OPEN:
            return self.bracket()
        name = self.take()
        if name in self.commands():
            return self.commands()[name]()
        return float(name) if re.fullmatch(r"[\d.]+", name) else self.named(name)

    def commands(self) -> dict[str, Callable[[], float]]:
        return {
            r"\pi": lambda: math.pi,
            r"\dfrac": lambda: self.argument() / self.argument(),
            r"\frac": lambda: self.argument() / self.argument(),
            r"\sqrt": lambda: math.sqrt(self.argument()),
            r"\min": lambda: min(self.arguments()),
            r"\max": lambda: max(self.arguments()),
        }

    def named(self, name: str) -> float:
        if self.peek() == "_":
            self.take()
            name += "_" + self.raw()
        if self.peek() == "^" and self.tokens[1:2] == ["*"]:
            del self.tokens[:2]
            name += "^*"
        if name not in self.values:
            raise LatexError(f"{name!r} has no value")
        value = self.values[name]
        return value(*self.arguments()) if callable(value) else value

    def raw(self) -> str:
        """Return a subscript as it is written."""
        if self.peek() != "{":
            return self.take()
        self.take()
        found = ""
        while self.peek() != "}":
            found += self.take()
        self.take()
        return "{" + found + "}"
