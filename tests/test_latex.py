"""Formulas are read as a reader reads them."""

import math

import numpy as np
import pytest

from tests.latex import Between, LatexError, Of, Relation, Vector, evaluate, relations

VALUES = {"x": 3.0, r"\eta": 0.5, "M": 8.0, "M_0": 2.0, r"n_\infty": 10.0, "N": lambda m: 100 / m, r"\alpha": 7.0}


@pytest.mark.parametrize(
    ("latex", "value"),
    [
        (r"\frac12 x^2", 4.5),
        (r"\frac x{1 - M_0 / M}", 4.0),
        (r"1 - \eta x / 2", 0.25),
        (r"2 \ln (1 + x) \eta", math.log(4)),
        (r"- \frac{\ln \frac1x}{2}", math.log(3) / 2),
        (r"\max { 1, x }".replace("{", r"\{").replace("}", r"\}"), 3.0),
        (r"N(2 M) + |1 - x| \, \sqrt{x + 1}".replace(r"\,", ""), 6.25 + 4),
        (r"(1 - \eta)^{- 2}", 4.0),
        (r"n_\infty + \frac\alpha M", 10.875),
        (r"\sqrt\eta \sqrt\eta", 0.5),
    ],
)
def test_an_expression_has_the_value_that_it_has_on_paper(latex: str, value: float) -> None:
    assert evaluate(latex, VALUES) == pytest.approx(value)


OUTCOMES = VALUES | {
    "x": Vector([3.0, 4.0]),
    "G": Vector([[1.0, 0.0], [3.0, 2.0]]),  # one of two, with equal chances
    "y": Vector([0.0, 0.0]),
    "g": np.array([1.0, 3.0]),
    "f": lambda x: x.dot(x),
    r"\nabla f": lambda x: 2 * x,
    "h": lambda t: t**3,
    "t": 2.0,
    "p": math.sin,
    r"\xi_i": Of(lambda names: 10.0 * names["i"]),
    "support": Between(0, math.pi),
    "z": Between(-2, 5),
}


@pytest.mark.parametrize(
    ("latex", "value"),
    [
        (r"\| x \|^2", 25.0),
        (r"\langle x, 2 x - x \rangle / 5", 5.0),
        (r"\mathbb E \| G \|^2 - \| \mathbb E_t G \|^2", 7 - 5),
        (r"2 \mathbb E \langle G, x \rangle + 1", 2 * (3 + 17) / 2 + 1),
        (r"\langle \nabla f(x), x \rangle", 50.0),
        (r"\min_y \Big[ \langle x, y \rangle + \frac12 \| y \|^2 \Big]".replace(r"\Big", ""), -12.5),
        (r"\min_z (z - 1) (z - 1) + 4", 4.0),
        (r"\frac12 \sum_{i=1}^3 \xi_i \eta", 15.0),
        (r"\sum_{k \ge 1} \frac{1}{2^k}", 1.0),
        (r"h^2(t) + h'(t)", 64 + 12.0),
        (r"\frac{d}{d t} t^2 t", 12.0),
        (r"\int \frac{p'(u)^2}{1} \, d u".replace(r"\,", ""), math.pi / 2),
        (r"P ( g > 2 )", 0.5),
        (r"\operatorname{sd} (g)", 1.0),
        (r"e^{- 1}", math.exp(-1)),
    ],
)
def test_vectors_means_and_what_runs_over_a_name_have_their_values(latex: str, value: float) -> None:
    assert np.asarray(evaluate(latex, OUTCOMES)).item() == pytest.approx(value)


def test_outcomes_count_by_their_chances() -> None:
    weighed = OUTCOMES | {"weights": np.array([3.0, 1.0])}
    assert evaluate(r"\mathbb E \, g".replace(r"\,", ""), weighed) == pytest.approx(1.5)
    assert evaluate(r"\mathbb E G", weighed).rows == pytest.approx(np.array([[1.5, 0.5]]))


@pytest.mark.parametrize("latex", [r"\sum x", "y + 1", r"x +", r"(x", r"\frac{x}", "x ? 2", "N + 1", r"\| x \|"])
def test_what_is_not_understood_is_refused(latex: str) -> None:
    with pytest.raises(LatexError):
        evaluate(latex, VALUES)


def test_a_display_is_cut_into_its_relations() -> None:
    text = r"\begin{gathered} N(M) = \frac{a}{b} \\ \le 2 \, c , \quad \text{as} \; d = (e, f) = \dots \end{gathered}"
    assert relations(text) == [
        Relation(left="N(M)", sign="=", right=r"\frac{a}{b}"),
        Relation(left=r"\frac{a}{b}", sign=r"\le", right="2   c"),
        Relation(left="d", sign="=", right="(e, f)"),
    ]


def test_a_line_goes_on_where_a_sign_or_an_open_bracket_says_so() -> None:
    text = r"""\begin{aligned} a \le {} & b ( c \\ & - d ) \\ & + e + \dots \quad ( m \ge \frac52 ) , \\
    x \propto M^p \Rightarrow P ( y > 1 ) \to 0 \end{aligned}"""
    assert relations(text) == [
        Relation(left="a", sign=r"\le", right="b ( c - d ) + e"),
        Relation(left="m", sign=r"\ge", right=r"\frac52"),
        Relation(left="x", sign=r"\propto", right="M^p"),
        Relation(left="P ( y > 1 )", sign=r"\to", right="0"),
    ]
