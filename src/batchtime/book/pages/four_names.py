"""One law in four forms, each fitted to the same batch means in its own parameters and turned into n_inf and alpha.

Symbols: M batch size, N updates, E = N M examples, n training examples, M_0 the least batch size of the runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import elementwise, leastsq

from batchtime.errors import FitError
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation
from batchtime.laws.quantity import Array, number_text
from batchtime.laws.updates import InverseLaw


def trade_off(updates: Array, examples: Array, s_min: float, e_min: float) -> Array:
    """Return (S / S_min - 1) (E / E_min - 1), which is 1 on the trade-off of McCandlish et al. (2018)."""
    return (updates / s_min - 1) * (examples / e_min - 1)


def updates_on_trade_off(m: Array, s_min: float, e_min: float) -> Array:
    """Return the updates S at which the trade-off is 1, solved numerically at each batch size."""
    least = np.maximum(s_min, e_min / m)

    def excess(log_over: Array, size: Array, start: Array) -> Array:
        updates = start * np.exp(log_over)
        return trade_off(updates, updates * size, s_min, e_min) - 1

    # at the larger arm itself the product is 0, at three times that it is at least 4
    bracket = (np.zeros_like(m), np.full_like(m, math.log(3)))
    return np.asarray(least * np.exp(elementwise.find_root(excess, bracket, args=(m, least)).x))


def efficiency(m: Array, m_0: float, phi: float) -> Array:
    """Return (phi + M_0) / (phi + M): progress of an example at M over that at M_0, in goodput (Qiao et al. 2021)."""
    return np.asarray((phi + m_0) / (phi + m))


def updates_by_efficiency(m: Array, m_0: float, phi: float, n_0: float) -> Array:
    """Return the updates at M if n_0 are needed at M_0 and each example is worth its efficiency."""
    return np.asarray(n_0 * m_0 / m / efficiency(m, m_0, phi))


def updates_by_epochs(m: Array, n: float, intercept: float, slope: float) -> Array:
    """Return the updates of epochs that are linear in M, intercept + slope M, over n training examples."""
    return np.asarray((intercept + slope * m) * n / m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of the law, fitted.

    Args:
        name: Whose form it is.
        formula: In its own symbols.
        parameters: Its own parameters, fitted.
        law: The same as n_inf and alpha.
        squares: Sum of squared log errors of the batch means.
        updates: Mean updates (K,) by this form at the batch sizes of the runs.
    """

    name: str
    formula: str
    parameters: dict[str, float]
    law: InverseLaw
    squares: float
    updates: Array


def four_names(observations: Sequence[Observation], n_examples: int) -> tuple[Form, ...]:
    """Fit the law in each of its four forms to the mean updates of each batch size, by least squared log errors.

    Args:
        observations: Runs at two or more batch sizes.
        n_examples: Training examples, an epoch.

    Raises:
        FitError: If fewer than two batch sizes have a mean, or the means show only one of the two arms.
    """
    seen = [one for one in mean_updates(observations) if one.mean is not None]
    if len(seen) < 2:
        raise FitError(f"{len(seen)} batch sizes have a mean; a law of two parameters needs two: add batch sizes")
    m = np.array([one.batch_size for one in seen])
    means = np.array([one.mean for one in seen], dtype=np.float64)
    m_0, n = float(m[0]), float(n_examples)

    def form(
        name: str,
        formula: str,
        updates: Callable[..., Array],
        start: dict[str, float],
        law: Callable[[float, float], InverseLaw],
    ) -> Form:
        def errors(logs: Array) -> Array:
            return np.asarray(np.log(updates(m, *np.exp(np.clip(logs, -300, 300))) / means))

        logs, *_, state = leastsq(
            errors, np.log(list(start.values())), full_output=True, xtol=1e-14, ftol=1e-15, maxfev=2000
        )
        first, second = (float(value) for value in np.exp(logs))
        if state == 5 or not 1e-9 < m_0 * law(first, second).n_inf / max(law(first, second).alpha, 1e-300) < 1e9:
            raise FitError("the means show only one of the law's two arms; add batch sizes further apart")
        return Form(
            name=name,
            formula=formula,
            parameters=dict(zip(start, (first, second), strict=True)),
            law=law(first, second),
            squares=float(np.sum(errors(logs) ** 2)),
            updates=updates(m, first, second),
        )

    flat, steep = float(means.min()) / 2, float(means[0] * m_0) / 2
    return (
        form(
            "inverse law",
            "N = n_inf + alpha / M",
            lambda m, n_inf, alpha: InverseLaw(n_inf=n_inf, alpha=alpha).updates(m),
            {"n_inf": flat, "alpha": steep},
            lambda n_inf, alpha: InverseLaw(n_inf=n_inf, alpha=alpha),
        ),
        form(
            "trade-off",
            "(S / S_min - 1) (E / E_min - 1) = 1",
            updates_on_trade_off,
            {"S_min": flat, "E_min": steep},
            lambda s_min, e_min: InverseLaw(n_inf=s_min, alpha=e_min),
        ),
        form(
            "goodput",
            "efficiency = (phi + M_0) / (phi + M)",
            lambda m, phi, n_0: updates_by_efficiency(m, m_0, phi, n_0),
            {"phi": float(np.median(m)), "N(M_0)": float(means[0])},
            lambda phi, n_0: InverseLaw(n_inf=n_0 * m_0 / (phi + m_0), alpha=phi * n_0 * m_0 / (phi + m_0)),
        ),
        form(
            "epochs",
            "epochs = intercept + slope M",
            lambda m, intercept, slope: updates_by_epochs(m, n, intercept, slope),
            {"intercept": steep / n, "slope": flat / n},
            lambda intercept, slope: InverseLaw(n_inf=slope * n, alpha=intercept * n),
        ),
    )


def largest_difference(forms: Sequence[Form]) -> float:
    """Return by which share the forms differ at most from the first, at any batch size."""
    return max(float(np.abs(form.updates / forms[0].updates - 1).max()) for form in forms)


def forms_frame(forms: Sequence[Form]) -> pd.DataFrame:
    """Return the forms of the law with their own parameters, and what these are as n_inf and alpha."""
    return pd.DataFrame(
        {
            "form": form.name,
            "formula": form.formula,
            "parameters": ", ".join(f"{name} = {number_text(value, 6)}" for name, value in form.parameters.items()),
            "as_n_inf": form.law.n_inf,
            "as_alpha": form.law.alpha,
            "largest_difference": float(np.abs(form.updates / forms[0].updates - 1).max()),
        }
        for form in forms
    )
