"""What a training gives, and the one ONNX graph that it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipeline.datasets.scores import Consulted
from pipeline.training import Floats
from pipeline.training.export import export, join, parity
from pipeline.training.features.backbone_features import FeatureExtractor
from pipeline.training.head_modules import Head
from pipeline.training.heads import out_of_fold
from pipeline.training.heads.fitting import HeadChoice
from pipeline.training.network import Network
from pipeline.training.tile_pooling import PooledHead, TilePooling
from pipeline.training.training_data import TrainingData

OUTPUTS = ("logits", "embedding")
POOLED = ("logits", "contributions", "embedding")


@dataclass(frozen=True)
class Trained:
    """A trained network, and what reports show of it.

    Attributes:
        network: calibrated, where there were parts to do it on.
        history: one row an epoch; columns epoch, loss and more.
        out_of_fold: probabilities N,K of the training images by probes that never saw their group,
            also where fine-tuning was better; None where there are none. Where tiles are pooled,
            those of the P parts, P,K.
        lines, facts: for people and for report.json.
        fold_heads: probabilities n,M,K of the M validation images by probes of the n folds, before
            any pooling; None where there are none.
        consulted: what was chosen by parts that it did not learn from.
        pooling: of the tiles of a part; None: the worst one decides.
        choice: the probe's head, where out-of-fold scores chose it.
        alone: the best head with one kernel or none, where they chose it.
    """

    method: Literal["probe", "finetune"]
    network: Network
    history: pd.DataFrame
    out_of_fold: Floats | None
    lines: list[str]
    facts: dict[str, Any]
    consulted: Consulted = field(default_factory=Consulted)
    pooling: TilePooling | None = None
    choice: HeadChoice | None = None
    alone: HeadChoice | None = None
    fold_heads: Floats | None = None


def write_fold_heads(trained: Trained, data: TrainingData, path: Path) -> None:
    """Write scores of validation parts by the heads that gave the out-of-fold scores, if any."""
    if trained.fold_heads is not None and trained.pooling is None:
        held = data.stored.index["sample_id"].iloc[data.stored.validation].to_numpy()
        out_of_fold.write(path, held, trained.fold_heads, data.taxonomy)


def write_graph(
    trained: Trained, data: TrainingData, extractor: FeatureExtractor, folder: Path, path: Path
) -> float:
    """Export to ONNX; the probe's head is joined to the graph that its features came from.

    Args:
        trained: the network.
        data, extractor: give examples of images and of features.
        folder: for what is passing.
        path: where the graph goes.

    Returns:
        By how much it differs from torch on real images, relative to the outputs' own size. Of the
        probe's graph the part before the head was compared when it was made.

    Raises:
        TrainingError: by more than `export.PARITY`.
    """
    sample, n_tiles, whole = data.sample(), 1, trained.method == "finetune"
    last: Network | Head | PooledHead = trained.network if whole else trained.network.head
    outputs: tuple[str, ...] = OUTPUTS
    of_parts: tuple[str, ...] = ()
    if trained.pooling is not None:
        n_tiles, outputs, of_parts = data.unmarked_tiles, POOLED, POOLED[:2]
        last = PooledHead(last, trained.pooling, n_tiles)
    if whole:
        export(last, sample[0], "image", outputs, path, n_tiles, of_parts)
        return parity(last, path, sample)
    values, tail = extractor.as_they_are(data.stored, data.samples), folder / "head.onnx"
    export(last, values[0], "features", outputs, tail, n_tiles, of_parts)
    join(extractor.graph, tail, outputs, path)
    tail.unlink()
    return parity(last, path, sample, values)
