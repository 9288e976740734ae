"""Equations of the page "What is assumed", executed."""

import numpy as np
import pytest
import sympy
import torch

from batchtime.theory.margins import CASE, MARGINS
from batchtime.train.datasets import Examples
from tests.bound.drawn import batch_gradient, one_update, squared_error


def examples() -> Examples:
    """Return eight examples of linear regression."""
    generator = torch.Generator().manual_seed(0)
    return Examples(
        inputs=torch.randn(8, 3, dtype=torch.float64, generator=generator),
        targets=torch.randn(8, dtype=torch.float64, generator=generator),
    )


def test_update() -> None:
    # The book's own training loop takes this step, on a batch that is given.
    data, before = examples(), np.array([0.3, -1.0, 2.0])
    inputs, targets = data.inputs.numpy(), data.targets.numpy()
    after = before - 0.3 * batch_gradient(inputs, targets, before)
    assert one_update(inputs, targets, before, 0.3) == pytest.approx(after, rel=0, abs=1e-15)


def test_batch_gradient() -> None:
    # The gradient of a batch's mean loss is the mean of its examples' gradients.
    data = examples()
    weights = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    each = squared_error(data.inputs @ weights, data.targets)
    gradients = [torch.autograd.grad(loss, weights, retain_graph=True)[0] for loss in each]
    (batch,) = torch.autograd.grad(each.mean(), weights)
    assert torch.allclose(batch, torch.stack(gradients).mean(dim=0), rtol=0, atol=1e-15)


def test_smooth() -> None:
    tight, loose = MARGINS["smooth"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.1


def test_bounded_noise() -> None:
    tight, loose = MARGINS["bounded-noise"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1, abs=0.02)
    assert loose.holds
    assert loose.used == pytest.approx(1 / 3, abs=0.02)  # the mean of u^2 over 0 to 1


def test_convex() -> None:
    tight, loose = MARGINS["convex"](CASE)
    assert tight.holds
    assert tight.used > 0.999
    assert loose.holds
    assert loose.used == pytest.approx(0.5)


def test_pl() -> None:
    tight, loose = MARGINS["pl"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used < 0.05


def test_strongly_convex() -> None:
    tight, loose = MARGINS["strongly-convex"](CASE)
    assert tight.holds
    assert tight.used == pytest.approx(1)
    assert loose.holds
    assert loose.used == pytest.approx(CASE.constants.curvature / CASE.constants.smoothness)


def test_strongly_convex_pl() -> None:
    # Along the gradient, y = x - s grad f: the lower parabola is least at s = 1 / mu, |grad f|^2 / (2 mu) further down.
    s, mu, slope = sympy.symbols("s mu slope", positive=True)
    parabola = -s * slope**2 + mu / 2 * s**2 * slope**2
    (least,) = sympy.solve(sympy.diff(parabola, s), s)
    assert least == 1 / mu
    assert sympy.simplify(parabola.subs(s, least) + slope**2 / (2 * mu)) == 0
