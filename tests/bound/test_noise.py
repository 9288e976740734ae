"""Equations of the page "The noise of a batch", executed: exactly, over all batches of a small set of examples."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations, product

import pytest
import sympy

from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import without_replacement

Vector = tuple[Fraction, Fraction]
GRADIENTS: list[Vector] = [(Fraction(a), Fraction(b)) for a, b in ((3, -1), (0, 2), (-5, 4), (1, 1), (7, 0))]


def mean(vectors: Iterable[Vector]) -> Vector:
    """Return the mean of some vectors."""
    found = list(vectors)
    return (sum((v[0] for v in found), Fraction(0)) / len(found), sum((v[1] for v in found), Fraction(0)) / len(found))


def square(vector: Vector, centre: Vector = (Fraction(0), Fraction(0))) -> Fraction:
    """Return the squared distance of a vector from a point."""
    return (vector[0] - centre[0]) ** 2 + (vector[1] - centre[1]) ** 2


def mean_square(vectors: Iterable[Vector], centre: Vector) -> Fraction:
    """Return the mean squared distance of some vectors from a point."""
    found = [square(vector, centre) for vector in vectors]
    return sum(found, Fraction(0)) / len(found)


FULL = mean(GRADIENTS)
VARIANCE = mean_square(GRADIENTS, FULL)
ORIGIN = (Fraction(0), Fraction(0))


def batches(size: int) -> list[Vector]:
    """Return the gradient of every batch that can be drawn with replacement, each equally likely."""
    return [mean(batch) for batch in product(GRADIENTS, repeat=size)]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_unbiased(size: int) -> None:
    assert mean(batches(size)) == FULL


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_batch_noise(size: int) -> None:
    assert mean_square(batches(size), FULL) == VARIANCE / size


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_second_moment(size: int) -> None:
    assert mean_square(batches(size), ORIGIN) == square(FULL) + VARIANCE / size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_without_replacement(size: int) -> None:
    n = len(GRADIENTS)
    drawn = [mean(batch) for batch in combinations(GRADIENTS, size)]
    assert mean(drawn) == FULL
    assert mean_square(drawn, FULL) == VARIANCE / size * Fraction(n - size, n - 1)


def test_without_replacement_law() -> None:
    n_inf, alpha, m, n = sympy.symbols("n_inf alpha M n", positive=True)
    finite = n_inf + alpha / m * (n - m) / (n - 1)
    assert sympy.simplify(finite - ((n_inf - alpha / (n - 1)) + alpha * n / (n - 1) / m)) == 0
    law = without_replacement(InverseLaw(n_inf=100, alpha=3000), 1000)
    for size in (1, 10, 1000):
        assert law.updates(size) == pytest.approx(100 + 3000 / size * (1000 - size) / 999)
    assert law.updates(1000) == pytest.approx(100)  # the whole set: no noise is left
