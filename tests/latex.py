"""Read formulas off pages: from the LaTeX of a displayed equation to the truth of what it says, on given values.

What is understood: fractions, roots, powers, logarithms, minima and maxima, brackets of any size, and names with their
subscripts; vectors with their norms and inner products; means, chances and deviations over outcomes; sums, integrals,
derivatives, and least values over a name; and relations between such expressions.

A value is a number, one number for each of some outcomes (an array), a `Vector`, a function (which takes what stands in
the brackets behind its name), or `Of`: something that depends on other values. `weights` is the chance of each outcome;
outcomes are equally likely where it is not given.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar

Values = Mapping[str, Any]
_SPACE = r"\\[,;!]|\\(?:big|Big|bigg|left|right)(?![a-zA-Z])|[&~]|\\(?:begin|end)\{\w+\}|\{\}"
_SIGN = r"\\(?:le|ge|to|approx|propto)(?![a-zA-Z])|=|<|>"
_TOKEN = re.compile(rf"{_SIGN}|\\[a-zA-Z]+|\\[{{}}|]|\d+(?:\.\d+)?|[a-zA-Z]|[-+/^_(){{}}\[\]|,*']")
_RELATION = re.compile(_SIGN)
_OPEN = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", "|": "|", r"\|": r"\|", r"\langle": r"\rangle"}
_STOP = {"+", "-", ",", *_OPEN.values()} - {"|", r"\|"}
_TERMS = 400  # of a series


class LatexError(Exception):
    """Something in a formula that is not understood; the message says what, and where."""


class Vector:
    """A vector, or one for each of some outcomes.

    Args:
        rows: Shape (outcomes, d), or (d,) for one that is the same in all.
    """

    __array_ufunc__ = None  # or numpy would multiply row by row

    def __init__(self, rows: Any) -> None:  # noqa: D107
        self.rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))

    def __add__(self, other: "Vector") -> "Vector":
        """Return the sum."""
        return Vector(self.rows + other.rows)

    def __sub__(self, other: "Vector") -> "Vector":
        """Return the difference."""
        return Vector(self.rows - other.rows)

    def __neg__(self) -> "Vector":
        """Return the vector that points the other way."""
        return Vector(-self.rows)

    def __mul__(self, scale: Any) -> "Vector":
        """Return a multiple, another one in each outcome if there are several."""
        return Vector(self.rows * np.asarray(scale, dtype=np.float64).reshape(-1, 1))

    __rmul__ = __mul__

    def __truediv__(self, scale: Any) -> "Vector":
        """Return a fraction."""
        return self * (1 / np.asarray(scale))

    def dot(self, other: "Vector") -> Any:
        """Return the inner product in each outcome."""
        return (self.rows * other.rows).sum(axis=1)


@dataclass(frozen=True)
class Of:
    """A value that depends on the others: what `compute` makes of them."""

    compute: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Between:
    """The values of a name over which the least one is looked for."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Relation:
    """left = right, left <= right or another sign of `_SIGN`, each side an expression in LaTeX."""

    left: str
    sign: str
    right: str


def relations(latex: str) -> list[Relation]:
    """Return what a displayed equation states, one relation after another; a chain a = b <= c is two of them.

    An expression on its own is what `=` in the values stands for. A condition in brackets is a relation of its own.
    Dots stand for smaller terms, which are left out.
    """
    text = re.sub(r"_\{\\text\{(\w+)\}\}", r"_{\1}", latex)  # a subscript is part of a name; other words are none
    text = re.sub(r"\\text\{[^{}]*\}", " ", text)
    text = re.sub(_SPACE, " ", text)
    text = re.sub(r"[+-]\s*\\dots", " ", text)
    statements: list[str] = []
    for line in re.split(r"\\\\", text):
        for position, part in enumerate(p for q in re.split(r"\\q?quad|\\Rightarrow", line) for p in _cut(q, r",")):
            piece = part.strip().rstrip(".,:").strip()
            goes_on = _RELATION.match(piece) or (position == 0 and (piece[:1] in {"+", "-"} or _open(statements)))
            if piece and statements and goes_on:
                statements[-1] += " " + piece
            elif piece:
                statements.append(piece)
    found = []
    for statement in statements:
        said = (
            statement[1:-1] if statement[0] == "(" and _RELATION.search(statement) and _whole(statement) else statement
        )
        sides, signs = _cut(said, _SIGN), _signs(said)
        if not signs:
            found.append(Relation(left="=", sign="=", right=said))
        found += [
            Relation(left=a.strip(), sign=sign, right=b.strip())
            for a, sign, b in zip(sides, signs, sides[1:], strict=False)
            if r"\dots" not in b  # the first terms of a series
        ]
    return found


def _depths(text: str) -> list[int]:
    """Return for each letter how many brackets are open before it."""
    depths, depth = [], 0
    for place, letter in enumerate(text):
        depths.append(depth)
        depth += letter in "([{" or text.startswith(r"\langle", place)
        depth -= letter in ")]}" or text.startswith(r"\rangle", place)
    return [*depths, depth]


def _cut(text: str, at: str) -> list[str]:
    """Return a text, cut at what stands in no bracket."""
    depths, parts, start = _depths(text), [], 0
    for found in re.finditer(at, text):
        if depths[found.start()] == 0:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _signs(text: str) -> list[str]:
    depths = _depths(text)
    return [found.group() for found in _RELATION.finditer(text) if depths[found.start()] == 0]


def _open(statements: Sequence[str]) -> bool:
    return bool(statements) and _depths(statements[-1])[-1] > 0


def _whole(text: str) -> bool:
    """Return whether a text is one bracket."""
    return text[0] == "(" and text[-1] == ")" and 0 not in _depths(text)[1:-1]


def evaluate(latex: str, values: Values) -> Any:
    """Return the value of an expression.

    Raises:
        LatexError: If it holds something that is not understood, or a name without a value.
    """
    reader = _Reader(_TOKEN.findall(latex), values)
    if re.sub(r"\s", "", latex) != "".join(reader.tokens):
        raise LatexError(f"{latex!r} holds something else than names, numbers and signs")
    try:
        value = reader.total()
    except (AttributeError, TypeError) as error:
        raise LatexError(f"{latex!r} does something with a function or a vector that one cannot: {error}") from error
    if reader.tokens:
        raise LatexError(f"{latex!r} goes on with {reader.tokens[0]!r}")
    return value


class _Reader:
    """Recursive descent over the tokens of an expression."""

    def __init__(self, tokens: Sequence[str], values: Values) -> None:
        self.tokens, self.values = list(tokens), dict(values)
        self.bars: list[str] = []  # those that are open

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self.tokens[0] != expected):
            raise LatexError(f"{expected or 'something'} is missing before {' '.join(self.tokens[:5])!r}")
        return self.tokens.pop(0)

    def total(self) -> Any:
        minus = self.peek() == "-"
        if self.peek() in {"-", "+"}:
            self.take()
        value = -self.product() if minus else self.product()
        while self.peek() in {"+", "-"}:
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self) -> Any:
        value = self.power()
        while (sign := self.peek()) and sign not in _STOP and not _RELATION.fullmatch(sign):
            if self.bars and sign == self.bars[-1]:
                break
            if sign == "/":
                self.take()
                value = value / self.power()
            else:
                value = value * self.power()
        return value

    def power(self) -> Any:
        if self.peek() == r"\ln":
            self.take()
            return np.log(self.power())
        base = self.atom()
        if self.peek() == "^":
            self.take()
            base = base ** self.argument()
        return base

    def argument(self) -> Any:
        """Return the value of a group, or of a single digit or name, of which a fraction may have two."""
        if self.peek() == "{":
            return self.bracket()
        token = self.peek()
        if token.isdigit() and len(token) > 1:
            self.tokens[0] = token[1:]
            return float(token[0])
        return self.power() if token.startswith("\\") else self.atom()

    def bracket(self) -> Any:
        close = _OPEN[self.take()]
        self.bars.append(close)
        value = self.total()
        if close == r"\rangle":
            self.take(",")
            value = value.dot(self.total())
        self.bars.pop()
        self.take(close)
        if close == r"\|":
            return np.sqrt(value.dot(value))
        return abs(value) if close == "|" else value

    def arguments(self) -> list[Any]:
        close = _OPEN[self.take()]
        self.bars.append(close)
        found = [self.total()]
        while self.peek() == ",":
            self.take()
            found.append(self.total())
        self.bars.pop()
        self.take(close)
        return found

    def atom(self) -> Any:
        if self.peek() in _OPEN:
            return self.bracket()
        name = self.take()
        if name in self.commands():
            return self.commands()[name]()
        return float(name) if re.fullmatch(r"[\d.]+", name) else self.named(name)

    def commands(self) -> dict[str, Callable[[], Any]]:
        known = {
            r"\pi": lambda: math.pi,
            r"\dfrac": self.fraction,
            r"\frac": self.fraction,
            r"\sqrt": lambda: np.sqrt(self.argument()),
            r"\min": lambda: self.least() if self.peek() == "_" else np.min(self.arguments()),
            r"\max": lambda: np.max(self.arguments()),
            r"\mathbb": self.expectation,
            r"\operatorname": self.deviation,
            r"\sum": self.sum,
            r"\int": self.integral,
        }
        return known if "P" in self.values else known | {"P": self.chance}

    # --- over outcomes

    def mean(self, value: Any) -> Any:
        """Return the mean over outcomes; what is the same in all of them is its own."""
        rows = value.rows if isinstance(value, Vector) else np.atleast_1d(value)
        weights = self.values.get("weights")
        mean = rows.mean(axis=0) if weights is None or len(rows) == 1 else np.average(rows, axis=0, weights=weights)
        return Vector(mean) if isinstance(value, Vector) else float(mean)

    def expectation(self) -> Any:
        self.take("E")
        if self.peek() == "_":
            self.take()
            self.raw()
        return self.mean(self.product())

    def deviation(self) -> float:
        words = self.raw()
        if words != "{sd}":
            raise LatexError(f"{words!r} is no operator")
        (value,) = self.arguments()
        return math.sqrt(self.mean((value - self.mean(value)) ** 2))

    def chance(self) -> float:
        self.take("(")
        left, sign, right = self.total(), self.take(), self.total()
        self.take(")")
        return float(self.mean(np.asarray(left > right if sign == ">" else left < right, dtype=np.float64)))

    # --- over values of a name

    def body(self, names: Values) -> Callable[[Values], Any]:
        """Take the product that follows, and return it as a function of these names."""
        before, kept = list(self.tokens), self.values
        self.values = {**kept, **names}
        self.product()
        self.values = kept
        taken, bars = before[: len(before) - len(self.tokens)], list(self.bars)

        def at(values: Values) -> Any:
            reader = _Reader(taken, {**kept, **values})
            reader.bars = bars
            return reader.product()

        return at

    def fraction(self) -> Any:
        if self.tokens[:3] == ["{", "d", "}"] and self.tokens[3:5] == ["{", "d"]:
            name = self.tokens[5]
            del self.tokens[:7]
            here = float(self.values[name])
            at = self.body({name: here})
            return _slope(lambda x: at({name: x}), here)
        return self.argument() / self.argument()

    def least(self) -> float:
        self.take("_")
        name = self.raw()
        over = self.values[name]
        if isinstance(over, Between):
            at = self.body({name: (over.low + over.high) / 2})
            within = {"bounds": (over.low, over.high), "options": {"xatol": 1e-12}}
            found = minimize_scalar(lambda x: float(at({name: x})), method="bounded", **within)
            return float(found.fun)
        at = self.body({name: over})
        return float(minimize(lambda x: at({name: Vector(x)}).item(), over.rows[0], tol=1e-12).fun)

    def sum(self) -> Any:
        self.take("_")
        name, sign, *first = re.findall(rf"{_SIGN}|\w+", self.raw().strip("{}"))
        if sign not in {"=", r"\ge"} or len(first) != 1:
            raise LatexError(f"a sum over {name} {sign} {first}")
        start = int(first[0])
        last = start + _TERMS
        if self.peek() == "^":
            self.take()
            last = round(self.argument())
        at = self.body({name: start})
        value = at({name: start})
        for index in range(start + 1, last + 1):
            value = value + at({name: index})
        return value

    def integral(self) -> float:
        place = self.tokens.index("d")
        name, rest = self.tokens[place + 1], self.tokens[place + 2 :]
        body, self.tokens = self.tokens[:place], rest
        over = self.values["support"]
        return float(quad(lambda x: _Reader(body, {**self.values, name: x}).total(), over.low, over.high)[0])

    # --- names

    def named(self, name: str) -> Any:
        value = self.known(self.name(name))
        if self.peek() == "'":
            self.take()
            value = _derivative(value)
        if not callable(value):
            return value
        exponent = None
        if self.peek() == "^":  # s^2(x) is s(x)^2
            self.take()
            exponent = self.argument()
        if self.peek() != "(":
            return value
        found = value(*self.arguments())
        return found if exponent is None else found**exponent

    def name(self, name: str) -> str:
        """Return a name with all that belongs to it."""
        if name in {r"\nabla", r"\bar", r"\hat"} or (name == "d" and f"d {self.peek()}" in self.values):
            name += " " + self.take()
        if self.peek() == "_":
            self.take()
            name += "_" + self.raw()
        if self.peek() == "^" and self.tokens[1:2] == ["*"]:
            del self.tokens[:2]
            name += "^*"
        return name

    def known(self, name: str) -> Any:
        """Return what a name stands for."""
        if name not in self.values and name != "e":
            raise LatexError(f"{name!r} has no value")
        value = self.values.get(name, math.e)
        return value.compute(self.values) if isinstance(value, Of) else value

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


def _slope(function: Callable[[float], float], x: float) -> float:
    """Return a derivative, from four values beside x."""
    h = 1e-3 * max(abs(x), 1e-3)
    near, far = (function(x + k * h) - function(x - k * h) for k in (1, 2))
    return (8 * near - far) / (12 * h)


def _derivative(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: _slope(function, x)
