"""Formulas are read as a reader reads them."""

import math

import pytest

from tests.latex import LatexError, Relation, evaluate, relations

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


@pytest.mark.parametrize("latex", [r"\sum x", "y + 1", r"x +", r"(x", r"\frac{x}", "x ? 2"])
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
