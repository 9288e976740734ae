"""Updates along curves that the cells allow, drawn for the advice."""

import math

import numpy as np
from scipy.special import ndtri

from batchtime.fit.curve import CurveFit, log_middle
from batchtime.fit.seconds import interpolation
from batchtime.laws.quantity import Array

LEAST_MISFIT = 0.03
"""Of means about a curve, in log N, however well it fits those seen."""
KNOTS = 12


def log_updates_of(found: CurveFit, uniforms: Array, batch_sizes: Array, learning_rates: Array) -> Array:
    """Return (D, C) log mean updates at pairs (C,), from uniform numbers (D, 16).

    Four numbers move the parameters, twelve are the heights of a misfit that is smooth in eta / M.
    """
    law = found.law
    normal = ndtri(uniforms)
    root = np.linalg.cholesky(np.array(found.covariance))
    most = math.log(1 / (1.0001 * max(one.tau for one in found.cells)))
    parameters = log_middle(law) + normal[:, :4] @ root.T
    parameters[:, 2] = np.minimum(parameters[:, 2], most)
    tau = learning_rates / batch_sizes
    with np.errstate(all="ignore"):
        left = 1 - tau * np.exp(parameters[:, 2:3])
        alpha = np.exp(parameters[:, 1:2])
        noise = alpha * tau / left if law.form == "pole" else -alpha * np.exp(-parameters[:, 2:3]) * np.log(left)
        lift = 1 + np.exp(parameters[:, 3:4]) * (learning_rates / law.largest_learning_rate) ** 2
        value = np.log(lift * (np.exp(parameters[:, 0:1]) + noise) / learning_rates)
    logs = np.log(tau)
    hats = interpolation(np.linspace(logs.min(), logs.max() + 1e-9, KNOTS), logs)
    value = value + math.hypot(found.misfit, LEAST_MISFIT) * normal[:, 4:16] @ hats.T
    return np.asarray(np.where(left > 0, value, np.inf))
