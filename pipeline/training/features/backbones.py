"""What frozen networks see: they are built, and their features computed once for all methods."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from pipeline.imaging import Pixels
from pipeline.source_code import code_digest
from pipeline.training import architectures, finetune
from pipeline.training.architectures import Backbone
from pipeline.training.augmentation import oversampling
from pipeline.training.export import export, parity
from pipeline.training.features import extraction
from pipeline.training.features.cache import FeatureCache
from pipeline.training.features.extraction import Floats
from pipeline.training.heads.nystroem import Recall, forget
from pipeline.training.network import Features, Together
from pipeline.training.settings import Settings
from pipeline.training.training_data import Material


def tunes(config: Settings) -> bool:
    """Does the method fine-tune here?"""
    wanted = config.method == "auto" and finetune.on_gpu(config.trainer)
    return wanted or config.method == "finetune"


@dataclass(frozen=True)
class Eyes:
    """The networks that see, and the one module of all their features."""

    backbones: list[Backbone]
    features: Features | Together

    @property
    def names(self) -> str:
        """Which networks."""
        return " + ".join(b.architecture.name for b in self.backbones)

    @property
    def weights(self) -> str:
        """Where their weights come from."""
        return " + ".join(dict.fromkeys(b.weights for b in self.backbones))


def eyes(config: Settings, material: Material) -> Eyes:
    """Build the networks.

    Raises:
        TrainingError: no such architecture or weights, or images too small for it.
    """
    size_px = material.stored.spec.shape[:2]
    backbones, parts = [], []
    shares = config.finetune.progressive if tunes(config) else (1.0,)
    for seen in config.networks:
        smallest = min(seen.scales) * min(shares)
        height, width = (round(side * smallest) for side in size_px)
        architectures.require_size(architectures.find(seen.architecture), (height, width))
        backbone = architectures.build(seen.architecture, seen.weights, config.seed)
        backbones.append(backbone)
        parts.append(Features(backbone, size_px, seen.scales))
    features = parts[0] if len(parts) == 1 else Together(parts)
    pretrained, n = config.weights != "none", len(material.images)
    if tunes(config) and not config.finetune.freezes_batch_norm(n, pretrained=pretrained):
        finetune.settle_batch_norm(parts[0], material.images, n, finetune.cuda(config.trainer))
    return Eyes(backbones, features)


@dataclass(frozen=True)
class Frozen:
    """Features of the frozen networks.

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


def _exported(module: nn.Module, sample: Pixels, path: Path) -> bytes:
    export(module, sample[0], "image", ["features"], path)
    parity(module, path, sample)
    return path.read_bytes()


def _graph_key(config: Settings, its: Material, seen: Eyes) -> str:
    """All that the graph depends on: the networks with their weights, the sizes, the code."""
    code = code_digest(*(f"pipeline.training.{n}" for n in ("network", "export", "architectures")))
    packages = ("torch", "torchvision", "timm", "onnx", "onnxruntime")
    networks = [(eye.architecture, eye.scales) for eye in config.networks]
    facts = [networks, its.stored.spec.shape, code, *map(version, packages)]
    key = hashlib.sha256(repr(facts).encode())
    for name, tensor in seen.features.state_dict().items():
        key.update(name.encode() + tensor.numpy().tobytes())
    return key.hexdigest()


class Extraction:
    """Features of prepared images, through one exported graph and one cache.

    Attributes:
        graph: ONNX, `image` to `features`.
        recall: keeps what else is computed, of features for instance.
    """

    def __init__(
        self,
        config: Settings,
        material: Material,
        seen: Eyes,
        graph: Path,
        cache: Path | None,
        watch: extraction.Watch,
    ) -> None:
        """Write the graph, unless the cache has it.

        Raises:
            TrainingError: it does not say what torch says.
        """
        self._config, self._its, self.graph = config, material, graph
        # A machine that fine-tunes on a GPU does not make it wait for frozen features.
        device = finetune.cuda(config.trainer) if tunes(config) else None
        self._on_gpu = None if device is None else (seen.features, device)
        self._cache = FeatureCache(cache) if cache else None
        self.recall: Recall = self._cache.recall if self._cache else forget
        self._watch = watch
        key, sample = _graph_key(config, material, seen), material.sample()
        graph.write_bytes(self.recall(key, lambda: _exported(seen.features, sample, graph)))

    def training(self) -> Frozen:
        """Of the training images and their views."""
        labels = self._its.images.index["label"].tolist()
        extra = oversampling.extra_views(labels, self._config.views, self._its.wish)
        batches = extraction.plan(np.arange(len(self._its.images)), self._config.views, extra)
        values = self._of(self._its.images, batches)
        found = self._cache.found if self._cache else 0
        image_of = np.concatenate([batch.rows for batch in batches])
        return Frozen(values, image_of, extra, found)

    def as_they_are(self, rows: npt.NDArray[np.intp]) -> Floats:
        """Of prepared images of any split, float32 n,D."""
        return self._of(self._its.stored, extraction.plan(rows, 0))

    def _of(self, images: extraction.Images, batches: list[extraction.Batch]) -> Floats:
        return extraction.extract(
            self.graph,
            images,
            self._its.augmenter,
            batches,
            self._config.seed,
            self._cache,
            self._watch,
            self._on_gpu,
        )
