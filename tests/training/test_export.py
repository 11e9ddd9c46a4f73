"""From torch to ONNX, with the proof that both compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.imaging import Pixels
from pipeline.inference.predictor import session
from pipeline.training.export import export, join, parity


class Means(nn.Module):
    """The mean of each channel, uint8 N,H,W,C to float32 N,C."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, image: Tensor) -> Tensor:
        return image.float().mean((1, 2)) * self.factor


@pytest.fixture
def images() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), np.uint8)


@pytest.fixture
def graph(tmp_path: Path, images: Pixels) -> Path:
    path = tmp_path / "means.onnx"
    export(Means(), images[0], "image", ["features"], path)
    return path


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_graph_takes_any_number_of_images(graph: Path, images: Pixels, n: int) -> None:
    (features,) = session(graph).run(["features"], {"image": images[:n]})
    np.testing.assert_allclose(features, images[:n].mean((1, 2)), rtol=1e-5)


def test_the_same_network_is_within_parity(graph: Path, images: Pixels) -> None:
    assert parity(Means(), graph, images) < 1e-6


def test_another_network_than_the_graph_is_refused(graph: Path, images: Pixels) -> None:
    with pytest.raises(TrainingError, match=r"differs from torch by .*; nothing was written"):
        parity(Means(1.5), graph, images)


def test_a_head_is_joined_to_the_graph_of_its_features(
    graph: Path, tmp_path: Path, images: Pixels
) -> None:
    head, tail, whole = nn.Linear(3, 2), tmp_path / "head.onnx", tmp_path / "whole.onnx"
    values = images.mean((1, 2)).astype(np.float32)
    export(head, values[0], "features", ["logits"], tail)
    join(graph, tail, ["logits"], whole)
    assert parity(head, whole, images, values) < 1e-4
