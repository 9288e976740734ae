"""Promises of the four forms: each, fitted in its own parameters, is the inverse law to rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtime.book.pages.four_names import efficiency, four_names, largest_difference, trade_off, updates_on_trade_off
from batchtime.errors import FitError
from batchtime.fit.measurements import Observation
from batchtime.laws.updates import InverseLaw

SIZES = np.array([2, 4, 8, 16, 32, 64, 128, 256], dtype=np.float64)


def runs(law: InverseLaw, spread: float = 0.1) -> list[Observation]:
    """Return five runs at each batch size around a law."""
    random = np.random.default_rng(0)
    values = [(m, law.updates(float(m)) * float(np.exp(spread * random.standard_normal()))) for m in [*SIZES] * 5]
    return [Observation(batch_size=m, lower=n, upper=n) for m, n in values]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.floats(1, 1e5), st.floats(3, 100))
def test_the_four_forms_are_one_law_to_rounding(n_inf: float, critical: float) -> None:
    forms = four_names(runs(InverseLaw(n_inf=n_inf, alpha=n_inf * critical)), 60_000)
    assert [form.name for form in forms] == ["inverse law", "trade-off", "goodput", "epochs"]
    assert largest_difference(forms) < 1e-6
    for form in forms:
        assert form.law.n_inf == pytest.approx(forms[0].law.n_inf, rel=1e-5)
        assert form.law.alpha == pytest.approx(forms[0].law.alpha, rel=1e-5)
        assert form.squares == pytest.approx(forms[0].squares, rel=1e-9)


def test_each_form_has_the_parameters_of_its_own_source() -> None:
    # n_inf 100 and alpha 1600: phi = 16, N(2) = 900, and over 1000 examples 1.6 + 0.1 M epochs.
    forms = four_names(runs(InverseLaw(n_inf=100, alpha=1600), spread=0.0), 1000)
    expected = [(100, 1600), (100, 1600), (16, 900), (1.6, 0.1)]
    assert [tuple(form.parameters.values()) for form in forms] == [pytest.approx(pair, rel=1e-6) for pair in expected]


def test_the_law_lies_on_the_trade_off_and_the_efficiency_is_a_quotient_of_examples() -> None:
    law = InverseLaw(n_inf=100, alpha=1600)
    updates = law.updates(SIZES)
    assert trade_off(updates, updates * SIZES, 100, 1600) == pytest.approx(np.ones(len(SIZES)))
    assert updates_on_trade_off(SIZES, 100, 1600) == pytest.approx(updates, rel=1e-9)
    assert efficiency(SIZES, 2, 16) == pytest.approx(law.examples(2.0) / law.examples(SIZES))


def test_one_arm_or_one_batch_size_is_refused() -> None:
    with pytest.raises(FitError, match="1 batch sizes have a mean"):
        four_names([Observation(batch_size=2, lower=9, upper=9), Observation(batch_size=2, lower=8, upper=8)], 100)
    with pytest.raises(FitError, match="only one of the law's two arms"):
        four_names([Observation(batch_size=m, lower=9 * m, upper=9 * m) for m in (2, 4, 8)], 100)
