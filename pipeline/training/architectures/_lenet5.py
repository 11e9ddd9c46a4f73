"""The modules of LeNet-5, apart from its entry, which is listed without torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """Float N,3,H,W with H and W of at least 32 to logits N,10."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(3, 6, 5)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.pool = nn.AvgPool2d(2)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, 10)

    def maps(self, x: Tensor) -> list[Tensor]:
        """C1, C3 and C5."""
        c1 = torch.tanh(self.c1(x))
        c3 = torch.tanh(self.c3(self.pool(c1)))
        return [c1, c3, torch.tanh(self.c5(self.pool(c3)))]

    def forward(self, x: Tensor) -> Tensor:
        """The digits' logits."""
        logits: Tensor = self.output(torch.tanh(self.f6(self.maps(x)[-1].mean((2, 3)))))
        return logits
