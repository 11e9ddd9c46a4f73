"""Probabilities that mean what they say: one temperature, fitted on groups training has not seen.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. It changes no ranking of two
classes and no likeliest class, only how sure the network says it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn

RANGE = (0.05, 20.0)


def temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.intp]) -> float:
    """The number that logits are to be divided by.

    Args:
        logits: float32 N,K of parts that the network was not trained on.
        labels: int N, the true classes.

    Returns:
        That with the least log loss, within `RANGE`; above 1 where the network was too sure.
    """

    def log_loss(log_temperature: float) -> float:
        chances = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(chances[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(log_loss, bounds=tuple(np.log(RANGE)), method="bounded")
    return float(np.exp(found.x))


def cool(head: nn.Module, temperature: float) -> None:
    """Build the temperature into a head's last layer, `logits = ... @ weight + bias`."""
    with torch.no_grad():
        for tensor in (head.weight, head.bias):
            assert isinstance(tensor, torch.Tensor)
            tensor.div_(temperature)
