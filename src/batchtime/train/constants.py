"""Compute the constants of the bound where that can be done: softmax regression with a ridge penalty."""

import math

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from batchtime.errors import check
from batchtime.laws.quantity import Array
from batchtime.runs.provenance import provenance
from batchtime.runs.records import ConstantsRecord
from batchtime.runs.spec import Workload
from batchtime.train.models import SoftmaxRegression
from batchtime.train.workloads import build


def softmax_constants(workload: Workload) -> ConstantsRecord:
    """Compute smoothness, curvature, gradient noise, distance, start and minimum of a ridge-penalised softmax loss.

    The Hessian of the cross entropy in the scores is diag(p) - p p^T, at most I / 2 (Böhning 1992), so the loss has
    smoothness at most (largest eigenvalue of E a a^T) / 2 + ridge, and curvature at least ridge. A row of the gradient
    in the scores, p - e_y, has squared length less than 2, so the gradient noise is less than 2 E |a|^2 everywhere;
    how large it is at the start and at the minimum is given beside it.

    Args:
        workload: One with the model `softmax`.

    Raises:
        ParameterError: If the workload has another model.
        DatasetError: If its data set cannot be had.
    """
    check(workload.model == "softmax", name="model", value=workload.model, allowed="softmax")
    task = build(workload)
    features, labels = task.train.inputs.double(), task.train.targets
    ridge, shape = SoftmaxRegression.RIDGE, (10, features.shape[1])
    moments = features.T @ features / len(features)

    def loss_and_gradient(flat: Array) -> tuple[float, Array]:
        weights = torch.from_numpy(flat.reshape(shape))
        scores = features @ weights.T
        loss = functional.cross_entropy(scores, labels) + ridge / 2 * weights.square().sum()
        gradient = _score_gradients(scores, labels).T @ features / len(features) + ridge * weights
        return float(loss), gradient.numpy().ravel()

    start = np.zeros(math.prod(shape))
    least = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    minimum = torch.from_numpy(least.x.reshape(shape))
    squares = features.square().sum(dim=1)

    def noise(weights: Tensor) -> float:
        rows = _score_gradients(features @ weights.T, labels)
        mean = rows.T @ features / len(features)
        return float((rows.square().sum(dim=1) * squares).mean() - mean.square().sum())

    values = {
        "smoothness": float(torch.linalg.eigvalsh(moments)[-1]) / 2 + ridge,
        "curvature": ridge,
        "noise_variance": 2 * float(squares.mean()),
        "noise_variance_at_start": noise(torch.zeros(shape, dtype=torch.float64)),
        "noise_variance_at_minimum": noise(minimum),
        "distance": float(minimum.norm()),
        "minimum": float(least.fun),
        "start": math.log(shape[0]) - float(least.fun),
        "gradient_at_minimum": float(np.linalg.norm(least.jac)),
    }
    origin = provenance(threads=torch.get_num_threads(), examples_sha256=task.examples_sha256)
    return ConstantsRecord(name=workload.name, values=values, provenance=origin)


def _score_gradients(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each example's cross entropy in its scores, p - e_y, shape (n, classes)."""
    return scores.softmax(dim=1) - functional.one_hot(labels, scores.shape[1])
