"""The torch modules of the trained heads: features in, logits and embedding out.

Apart from `network`, so that what is cached of a head does not depend on the architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn


class LinearHead(nn.Module):
    """Multinomial logistic regression: `logits = e @ weight + bias`.

    The embedding `e = features @ projection + shift` holds standardisation and principal
    components in one matrix.

    Weight and bias are parameters, which fine-tuning trains together with the backbone.
    """

    projection: Tensor
    shift: Tensor

    def __init__(self, projection: Tensor, shift: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Shapes: projection D,P; shift P; weight P,K; bias K; all float32."""
        super().__init__()
        self.register_buffer("projection", projection)
        self.register_buffer("shift", shift)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 N,D to logits N,K and embedding N,P."""
        embedding = features @ self.projection + self.shift
        return embedding @ self.weight + self.bias, embedding


class MeanHead(nn.Module):
    """The mean of one or more heads' logits, so the geometric mean of their probabilities.

    All see one embedding, `e = features @ projection + shift`: linear heads together as
    `e @ weight + bias`, each kernel as `(exp(-|scale e - landmarks|^2) - 1) @ its weight` beside
    (Nystroem; Williams and Seeger, NIPS 2000).
    """

    projection: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        projection: Tensor,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor,
        kernels: Sequence[KernelPart],
    ) -> None:
        """Shapes: projection D,P; shift P; weight P,K; bias K; all float32."""
        super().__init__()
        self.register_buffer("projection", projection)
        self.register_buffer("shift", shift)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.kernels = nn.ModuleList(kernels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 N,D to logits N,K and embedding N,P."""
        embedding = features @ self.projection + self.shift
        logits = embedding @ self.weight + self.bias
        for part in self.kernels:
            logits = logits + part(embedding)
        return logits, embedding


class KernelPart(nn.Module):
    """What one kernel adds to the logits of a `MeanHead`."""

    scale: Tensor
    landmarks: Tensor
    weight: Tensor

    def __init__(self, scale: Tensor, landmarks: Tensor, weight: Tensor) -> None:
        """Shapes: scale one number; landmarks M,P or fewer components; weight M,K; all float32."""
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("landmarks", landmarks)
        self.register_buffer("weight", weight)

    def forward(self, embedding: Tensor) -> Tensor:
        """Float32 N,P to N,K."""
        return self.compared(embedding) @ self.weight

    def compared(self, embedding: Tensor) -> Tensor:
        """Kernel values less 1, float32 N,P to N,M."""
        seen = embedding[:, : self.landmarks.shape[1]] * self.scale
        half = _distance(seen, self.landmarks) / 2
        # exp(-d) - 1, with the digits that a wide kernel's values near 1 have lost.
        return -(torch.tanh(half) * (1 + torch.exp(-2 * half)))


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(-|a_i - b_j|^2), N,P and M,P to N,M."""
    return torch.exp(-_distance(a, b))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    distance = (a * a).sum(1, keepdim=True) + (b * b).sum(1) - 2 * a @ b.T
    return distance.clamp_min(0)


Head: TypeAlias = LinearHead | MeanHead
