"""The network that is exported: uint8 pixels in, logits and embedding out, nothing left outside.

Normalisation is part of the graph, so the line hands over plain pixels and cannot get it wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.training.architectures import Backbone
from pipeline.training.head_modules import Head


class Features(nn.Module):
    """Mean, maximum and standard deviation of every feature map, at every scale."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, size_px: tuple[int, int], scales: Sequence[float]):
        """Wrap a backbone.

        Args:
            backbone: the network, frozen.
            size_px: (height, width) of prepared images.
            scales: sizes at which the image is seen, as shares of `size_px`.
        """
        super().__init__()
        self._backbone = backbone.module
        self._maps = backbone.architecture.maps
        self._size_px = size_px
        self._scales = tuple(scales)
        self.share = 1.0  # of the size; fine-tuning may begin with smaller images
        self.register_buffer("mean", torch.tensor(backbone.architecture.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.architecture.std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """uint8 N,H,W,C (or float, of the same range) to float32 N,D."""
        return pooled(self.every_map(image))

    def every_map(self, image: Tensor) -> Iterator[Tensor]:
        """The feature maps of uint8 N,H,W,C at every scale, scale by scale, from fine to coarse."""
        x = self._normalised(image)
        for scale in self._scales:
            yield from self._maps_at(x, scale)

    def maps(self, image: Tensor) -> list[Tensor]:
        """The feature maps of uint8 N,H,W,C at the first scale, from fine to coarse."""
        return self._maps_at(self._normalised(image), self._scales[0])

    def _normalised(self, image: Tensor) -> Tensor:
        x = image.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
        return (x - self.mean) / self.std

    def _maps_at(self, x: Tensor, scale: float) -> list[Tensor]:
        height, width = self._size_px
        size = (round(height * scale * self.share), round(width * scale * self.share))
        if size != self._size_px:
            x = interpolate(x, size, mode="bilinear", align_corners=False)
        return self._maps(self._backbone, x)


def pooled(maps: Iterable[Tensor]) -> Tensor:
    """Mean, maximum and standard deviation of every channel of maps N,C,H,W: float32 N,D."""
    found: list[Tensor] = []
    for m in maps:
        if m.dtype != torch.float32:  # mixed precision: not enough digits to pool with
            m = m.float()
        mean, variance = _moments(m)
        found += [mean, m.amax((2, 3)), variance.clamp_min(1e-12).sqrt()]
    return torch.cat(found, 1)


def _moments(m: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every map of float32 N,C,H,W, each N,C."""
    if torch.onnx.is_in_onnx_export():  # var_mean would become dozens of operators at the line
        mean = m.mean((2, 3), keepdim=True)
        return mean.flatten(1), (m - mean).square().mean((2, 3))
    variance, mean = torch.var_mean(m, (2, 3), correction=0)
    return mean, variance


class Together(nn.Module):
    """Features of several networks, one behind the other."""

    def __init__(self, parts: Sequence[Features]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 N,H,W,C to float32 N,D."""
        return torch.cat([part(image) for part in self.parts], 1)

    def every_map(self, image: Tensor) -> Iterator[Tensor]:
        """The feature maps of uint8 N,H,W,C of every network, at its every scale."""
        for part in self.parts:
            assert isinstance(part, Features)
            yield from part.every_map(image)


class Network(nn.Module):
    """Features and head: what the bundle holds."""

    def __init__(self, features: Features | Together, head: Head) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 N,H,W,C to logits float32 N,K and embedding float32 N,P."""
        logits, embedding = self.head(self.features(image))
        return logits, embedding
