"""Equations of the page "One step down", executed."""

import pytest
import sympy

from batchtime.theory.margins import CASE, MARGINS


def test_expand() -> None:
    tight, loose = MARGINS["expand"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.95  # in the run where it is tightest


def test_descent() -> None:
    tight, loose = MARGINS["descent"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1, abs=0.01)
    assert loose.holds
    assert loose.used < 0.9
    # The right side is that of `expand` with the second moment of the batch gradient in it.
    eta, smoothness, slope2, noise = sympy.symbols("eta L slope2 noise", positive=True)
    expanded = -eta * slope2 + smoothness * eta**2 / 2 * (slope2 + noise)
    lemma = -eta * (1 - eta * smoothness / 2) * slope2 + smoothness * eta**2 / 2 * noise
    assert sympy.expand(expanded - lemma) == 0


def test_progress() -> None:
    eta, smoothness, sigma2, m = sympy.symbols("eta L sigma2 M", positive=True)
    floor = smoothness * eta * sigma2 / ((2 - eta * smoothness) * m)
    change = -eta * (1 - eta * smoothness / 2) * floor + smoothness * eta**2 * sigma2 / (2 * m)
    assert sympy.simplify(change) == 0
