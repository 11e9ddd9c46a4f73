"""The methods of training: a head on frozen features, the whole network, or the better of both."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.inference.predictor import softmax
from pipeline.training import architectures, extraction, finetune, probe
from pipeline.training.architectures import Backbone
from pipeline.training.augmentation import oversampling
from pipeline.training.calibration import cool, temperature
from pipeline.training.export import export, join
from pipeline.training.extraction import Floats
from pipeline.training.feature_cache import FeatureCache
from pipeline.training.finetune import Examples
from pipeline.training.material import Material
from pipeline.training.network import Features, LinearHead, Network, Together
from pipeline.training.settings import Settings
from pipeline.training.tracking import Tracker

OUTPUTS = ("logits", "embedding")


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
    for seen in config.networks:
        height, width = (round(side * min(seen.scales)) for side in size_px)
        architectures.require_size(architectures.find(seen.architecture), (height, width))
        backbone = architectures.build(seen.architecture, seen.weights, config.seed)
        backbones.append(backbone)
        parts.append(Features(backbone, size_px, seen.scales))
    features = parts[0] if len(parts) == 1 else Together(parts)
    pretrained, n = config.weights != "none", len(material.images)
    if tunes(config) and not config.finetune.freezes_batch_norm(n, pretrained=pretrained):
        finetune.settle_batch_norm(parts[0], material.images, n)
    return Eyes(backbones, features)


@dataclass(frozen=True)
class Frozen:
    """Features of the frozen networks.

    Attributes:
        graph: ONNX, `image` to `features`.
        values: float32 F,D: every training image as it is, then views.
        image_of: which image each row shows, int F.
        extra: views beyond those that all images get, int N.
        found: rows that the cache had.
    """

    graph: Path
    values: Floats
    image_of: npt.NDArray[np.intp]
    extra: npt.NDArray[np.intp]
    found: int


class Extraction:
    """Features of prepared images, through one exported graph and one cache."""

    def __init__(
        self,
        config: Settings,
        material: Material,
        seen: Eyes,
        graph: Path,
        cache: Path | None,
        watch: extraction.Watch,
    ) -> None:
        self._config, self._its, self.graph = config, material, graph
        # A machine that fine-tunes on a GPU does not make it wait for frozen features.
        gpu = tunes(config) and torch.cuda.is_available()
        self._on_gpu = seen.features if gpu and finetune.on_gpu(config.trainer) else None
        self._cache = FeatureCache(cache) if cache else None
        self._watch = watch

    def training(self) -> Frozen:
        """Of the training images and their views."""
        labels = self._its.images.index["label"].tolist()
        extra = oversampling.extra_views(labels, self._config.views, self._its.wish)
        batches = extraction.plan(np.arange(len(self._its.images)), self._config.views, extra)
        values = self._of(self._its.images, batches)
        found = self._cache.found if self._cache else 0
        image_of = np.concatenate([batch.rows for batch in batches])
        return Frozen(self.graph, values, image_of, extra, found)

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


@dataclass(frozen=True)
class Trained:
    """A trained network and what is to be said of it.

    Attributes:
        network: calibrated, where there were parts to do it on.
        history: one row an epoch; columns epoch, loss and more.
        unseen: probabilities N,K of the training images by heads that never saw their group.
        lines, facts: for people and for report.json.
    """

    method: Literal["probe", "finetune"]
    network: Network
    history: pd.DataFrame
    unseen: Floats | None
    lines: list[str]
    facts: dict[str, Any]


def tunes(config: Settings) -> bool:
    """Does the method fine-tune here?"""
    wanted = config.method == "auto" and finetune.on_gpu(config.trainer)
    return wanted or config.method == "finetune"


def train(
    config: Settings,
    its: Material,
    seen: Eyes,
    extracted: Extraction,
    frozen: Frozen,
    work: Path,
    tracker: Tracker,
) -> Trained:
    """Train by the method asked for.

    Raises:
        TrainingError: it cannot go on; the message says why and what to do.
    """
    if config.method == "finetune":
        return _tuned(config, its, seen, frozen, work, tracker)
    trained = _probed(config, its, seen, frozen, tracker)
    if config.method == "probe":
        return trained
    if its.held is None or not tunes(config):
        why = "no validation parts could compare" if tunes(config) else "there is no GPU"
        trained.lines.append(f"method auto: the probe, since {why}")
        return trained
    tuned = _tuned(config, its, seen, frozen, work, tracker)
    logits = probe.judge(trained.network.head, extracted.as_they_are(its.held.rows))
    losses = {
        "probe": its.held.figures(logits).log_loss,
        "finetune": float(tuned.facts["val_log_loss"]),
    }
    better = tuned if losses["finetune"] < losses["probe"] else trained
    better.facts["val_log_losses"] = losses
    better.lines.append(
        f"method auto: {better.method}; log loss on validation parts: probe "
        f"{losses['probe']:.4f}, finetune {losses['finetune']:.4f}"
    )
    return better


def _probed(
    config: Settings, its: Material, seen: Eyes, frozen: Frozen, tracker: Tracker
) -> Trained:
    folds = its.index["fold"].to_numpy()
    n_folds = int(folds.max()) + 1
    facts: dict[str, Any] = {}
    lines, unseen, l2 = [], None, None
    targets = its.targets[frozen.image_of]
    with finetune.alone():
        if config.distill is not None:
            lines.append("no out-of-fold scores: the teacher has seen every training part")
        elif not n_folds:
            lines.append("no out-of-fold scores: ingest made no folds")
        else:
            found = probe.out_of_fold(
                frozen.values,
                frozen.image_of,
                its.targets,
                folds,
                config.head,
                config.seed,
                its.index["group"].tolist(),
                its.images.kin,
            )
            l2 = found.l2
            factor = temperature(found.logits, its.labels)
            unseen = softmax((found.logits / factor).astype(np.float32))
            facts = {"l2": l2, "oof_log_loss": found.log_loss[l2], "temperature": factor}
            chosen = f", l2 {l2:g} of {len(found.log_loss)}" if len(found.log_loss) > 1 else ""
            lines.append(f"{n_folds} folds out of fold{chosen}, temperature {factor:.2f}")
        head, losses = probe.fit(
            frozen.values, targets, config.head, config.seed, l2, tracker.logger("probe")
        )
    if facts:
        cool(head, facts["temperature"])
        tracker.log_metrics(facts, step=len(losses))
    return Trained(
        method="probe",
        network=Network(seen.features, head),
        history=pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}),
        unseen=unseen,
        lines=lines,
        facts={"n_features": int(frozen.values.shape[1]), **facts},
    )


def _tuned(
    config: Settings, its: Material, seen: Eyes, frozen: Frozen, work: Path, tracker: Tracker
) -> Trained:
    with finetune.alone():
        targets = its.targets[frozen.image_of]
        head = finetune.linear_head(frozen.values, targets, config.head, config.seed)
    finetune.hand_over(head, work)
    network, tuned = tune(config, its, seen, head, work, tracker)
    lines = [
        f"fine-tuned {len(tuned.history)} epochs, after epoch {tuned.epoch} the weights were best"
        if its.held is not None
        else f"fine-tuned {tuned.epoch} epochs; no validation parts: the last epoch is taken"
    ]
    facts: dict[str, Any] = {"n_features": int(frozen.values.shape[1]), "epoch": tuned.epoch}
    if tuned.figures is not None and tuned.start is not None and its.held is not None:
        logits = finetune.answers(network, its.held, config.trainer, config.finetune.batch_size)
        tiles = probe.worst_tiles(its.held.ids, softmax(logits), its.taxonomy)
        factor = temperature(logits[tiles], its.held.labels[tiles])
        cool(network.head, factor)
        best = its.held.figures(logits / np.float32(factor))
        lines.append(
            f"validation log loss {tuned.start.log_loss:.4f} at the start, "
            f"{best.log_loss:.4f} at best with temperature {factor:.2f}; "
            f"accuracy {best.accuracy:.1%}, AUROC {best.auroc:.4f}"
        )
        facts |= {"val_log_loss": best.log_loss, "val_accuracy": best.accuracy}
        facts |= {"start_val_log_loss": tuned.start.log_loss, "temperature": factor}
    lines.append("no out-of-fold scores: evaluate chooses limits on validation parts alone")
    return Trained("finetune", network, tuned.history, None, lines, facts)


def tune(
    config: Settings, its: Material, seen: Eyes, head: LinearHead, work: Path, tracker: Tracker
) -> tuple[Network, finetune.Tuned]:
    """Fine-tune from a head on; every process of a training calls it."""
    assert isinstance(seen.features, Features)
    index = its.images.index
    examples = Examples(
        images=its.images,
        names=extraction.names_of(index).tolist(),
        targets=its.targets,
        extra=oversampling.extra_views(index["label"].tolist(), 0, its.wish),
        augmenter=its.augmenter,
    )
    network = Network(copy.deepcopy(seen.features), head)
    tuned = finetune.fit(
        network,
        examples,
        its.held,
        config.finetune,
        config.trainer,
        config.seed,
        work=work,
        pretrained=config.weights != "none",
        logger=tracker.logger("finetune") or None,
        callbacks=tracker.callbacks(),
    )
    return network, tuned


def write_graph(trained: Trained, its: Material, frozen: Frozen, folder: Path, path: Path) -> None:
    """Export to ONNX; the probe's head is joined to the graph that its features came from.

    Args:
        trained: the network.
        its, frozen: give an example of an image and of features.
        folder: for what is passing.
        path: where the graph goes.
    """
    if trained.method == "finetune":
        export(trained.network, its.stored[0], "image", OUTPUTS, path)
        return
    tail = folder / "head.onnx"
    export(trained.network.head, frozen.values[0], "features", OUTPUTS, tail)
    join(frozen.graph, tail, OUTPUTS, path)
    tail.unlink()
