"""Features of a recipe's images by its frozen backbones, computed once for all methods."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.imaging import Pixels
from pipeline.source_code import code_digest
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter
from pipeline.training.export import export, parity
from pipeline.training.features import extraction
from pipeline.training.features.backbones import Backbones
from pipeline.training.features.cache import FeatureCache, Recall, compute_again


@dataclass(frozen=True)
class BackboneFeatures:
    """Features of the training images.

    Attributes:
        values: float32 F,D: every training image as it is, then views.
        image_of: which image each row shows, int F.
        extra: views beyond those that all images get, int N.
        found: rows that the cache had.
    """

    values: Floats
    image_of: npt.NDArray[np.intp]
    extra: npt.NDArray[np.intp]
    found: int


class FeatureExtractor:
    """Features of prepared images, through one exported graph and one cache.

    Attributes:
        graph: ONNX, `image` to `features`.
        recall: keeps what else is computed, of features for instance.
    """

    def __init__(
        self,
        backbones: Backbones,
        augmenter: Augmenter,
        seed: int,
        sample: Pixels,
        graph: Path,
        cache: Path | None,
        watch: extraction.Watch,
        device: torch.device | None = None,
    ) -> None:
        """Write the graph, unless the cache has it.

        Args:
            backbones: what computes the features.
            augmenter: makes views of images.
            seed: of the views.
            sample: prepared images, uint8 n,H,W,C, on which graph and torch are compared.
            graph: where the graph goes.
            cache: a file that keeps features; None: none are kept.
            watch: follows the computing, as `extraction.extract` has it.
            device: a GPU to compute on instead of ONNX Runtime.

        Raises:
            TrainingError: the graph's features are not those of torch.
        """
        self.graph = graph
        self._augmenter, self._seed, self._watch = augmenter, seed, watch
        self._on_gpu = None if device is None else (backbones.features, device)
        self._cache = FeatureCache(cache) if cache else None
        self.recall: Recall = self._cache.recall if self._cache else compute_again
        key = _graph_key(backbones, sample.shape[1:])
        graph.write_bytes(self.recall(key, lambda: _exported(backbones.features, sample, graph)))

    def training(
        self, images: extraction.Images, views: int, extra: npt.NDArray[np.intp]
    ) -> BackboneFeatures:
        """Features of N training images, of `views` views of each, and of `extra` more, int N."""
        batches = extraction.plan(np.arange(len(images.index)), views, extra)
        values = self._of(images, batches)
        found = self._cache.found if self._cache else 0
        image_of = np.concatenate([batch.rows for batch in batches])
        return BackboneFeatures(values, image_of, extra, found)

    def as_they_are(self, images: extraction.Images, rows: npt.NDArray[np.intp]) -> Floats:
        """Features of prepared images without a view, float32 n,D."""
        return self._of(images, extraction.plan(rows, 0))

    def _of(self, images: extraction.Images, batches: Sequence[extraction.Batch]) -> Floats:
        return extraction.extract(
            self.graph,
            images,
            self._augmenter,
            batches,
            self._seed,
            self._cache,
            self._watch,
            self._on_gpu,
        )


def _exported(module: nn.Module, sample: Pixels, path: Path) -> bytes:
    export(module, sample[0], "image", ["features"], path)
    parity(module, path, sample)
    return path.read_bytes()


def _graph_key(backbones: Backbones, shape: tuple[int, ...]) -> str:
    """All that the graph depends on: the networks with their weights, the sizes, the code."""
    code = code_digest(__name__)
    packages = ("torch", "torchvision", "timm", "onnx", "onnxruntime")
    networks = [(spec.architecture, spec.scales) for spec in backbones.specs]
    facts = [networks, shape, code, *map(version, packages)]
    key = hashlib.sha256(repr(facts).encode())
    for name, tensor in backbones.features.state_dict().items():
        key.update(name.encode() + tensor.numpy().tobytes())
    return key.hexdigest()
