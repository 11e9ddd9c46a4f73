"""The one graph that a training becomes; that of the probe: tests/stages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.inference.predictor import session
from pipeline.training import architectures
from pipeline.training.head_modules import LinearHead
from pipeline.training.network import Features, Network
from pipeline.training.tile_pooling import PooledHead, TilePooling
from pipeline.training.trained import Trained, write_graph

pytestmark = pytest.mark.slow

SIZE_PX, N_TILES, WIDTH = (40, 40), 4, 3 * (6 + 16 + 120)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SIZE_PX, 1), dtype=np.uint8)


def tuned(pooling: TilePooling | None) -> Trained:
    rng = torch.Generator().manual_seed(0)
    shapes = ((WIDTH, 4), (4,), (4, 2), (2,))
    head = LinearHead(*(torch.randn(shape, generator=rng) / WIDTH**0.5 for shape in shapes))
    features = Features(architectures.build("lenet5", "none", seed=0), SIZE_PX, (1.0,))
    network = Network(features, head).eval()
    return Trained("finetune", network, pd.DataFrame(), None, [], {}, pooling=pooling)


@pytest.mark.parametrize("k", [None, 0, 2])
def test_a_fine_tuned_graph_gives_what_torch_gives(k: int | None, tmp_path: Path) -> None:
    pooling = None if k is None else TilePooling(k, (True, False), 1.3)
    trained, path = tuned(pooling), tmp_path / "model.onnx"
    data: Any = SimpleNamespace(sample=lambda: IMAGES, unmarked_tiles=N_TILES)
    extractor: Any = None  # of features, which fine-tuning does not export
    assert write_graph(trained, data, extractor, tmp_path, path) < 1e-4
    graph, given = session(path), torch.from_numpy(IMAGES)
    names = [output.name for output in graph.get_outputs()]
    with torch.inference_mode():
        if pooling is None:
            assert names == ["logits", "embedding"]
            expected = trained.network(given)
        else:
            assert names == ["logits", "contributions", "embedding"]
            expected = PooledHead(trained.network, pooling, N_TILES)(given)
            assert len(expected[0]) == 2
    for got, wanted in zip(graph.run(None, {"image": IMAGES}), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)
