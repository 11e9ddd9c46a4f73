"""Calibrated probabilities: one temperature, fitted on groups that training has not seen.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. It changes no ranking of two
classes and no likeliest class, only its confidence.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from pipeline.training import Floats
from pipeline.training.head_modules import Head, MeanHead

DOUBT = (
    2.0  # not one of each class: of many classes with few parts that is too much (BENCHMARKS.md)
)
RANGE = (0.05, 5000.0)  # discriminants of few images are that sure


def temperature(logits: Floats, targets: Floats, log_prior: Floats | None = None) -> float:
    """The temperature, by which logits are to be divided.

    Targets are drawn a little towards the other classes, as far as so few parts can show: each
    class is mixed with `DOUBT` parts of all classes evenly, for two classes as in Platt,
    Probabilities for Support Vector Machines, 1999. Twenty parts without a mistake do not make the
    network certain.

    Args:
        logits: float32 N,K of parts that the network was not trained on.
        targets: float32 N,K; rows sum to 1.
        log_prior: log share of each class, K, where training took it out of the logits.

    Returns:
        That with the least log loss, within `RANGE`; above 1 where the network was too sure.
    """
    k = targets.shape[1]
    counts = targets.sum(axis=0, dtype=np.float64)[:, None]
    drawn = targets @ ((DOUBT / k + counts * np.eye(k)) / (counts + DOUBT))
    prior = 0.0 if log_prior is None else log_prior

    def log_loss(log_temperature: float) -> float:
        chances = log_softmax(logits / np.exp(log_temperature) + prior, axis=1)
        return -float((drawn * chances).sum(axis=1).mean())

    found = minimize_scalar(log_loss, bounds=tuple(np.log(RANGE)), method="bounded")
    return float(np.exp(found.x))


def cool(head: Head, temperature: float) -> None:
    """Build the temperature into a head's last layer, `logits = ... @ weight + bias`."""
    parts = list(head.kernels) if isinstance(head, MeanHead) else []
    with torch.no_grad():
        for tensor in (head.weight, head.bias, *(part.weight for part in parts)):
            assert isinstance(tensor, torch.Tensor)
            tensor.div_(temperature)
