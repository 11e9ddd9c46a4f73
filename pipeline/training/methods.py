"""The methods of training: a head on backbone features, the whole network, or the better one.

`backbones_of` and `train` take a recipe's settings apart; each method gets only its own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.datasets.scores import Consulted
from pipeline.inference.predictor import softmax
from pipeline.training import Floats, finetune
from pipeline.training.augmentation import oversampling
from pipeline.training.export import export, join, parity
from pipeline.training.features import backbones as backbone_room
from pipeline.training.features import extraction
from pipeline.training.features.backbone_features import BackboneFeatures, FeatureExtractor
from pipeline.training.features.backbones import Backbones
from pipeline.training.finetune import Examples
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads import logistic, out_of_fold
from pipeline.training.heads.calibration import cool, temperature
from pipeline.training.heads.logistic import HeadSettings
from pipeline.training.network import Features, Network
from pipeline.training.settings import Settings
from pipeline.training.tracking import Tracker
from pipeline.training.training_data import TrainingData

OUTPUTS = ("logits", "embedding")


@dataclass(frozen=True)
class Trained:
    """A trained network, and what reports show of it.

    Attributes:
        network: calibrated, where there were parts to do it on.
        history: one row an epoch; columns epoch, loss and more.
        out_of_fold: probabilities N,K of the training images by probes that never saw their group,
            also where fine-tuning was better; None where there are none.
        lines, facts: for people and for report.json.
        consulted: what was chosen by parts that it did not learn from.
    """

    method: Literal["probe", "finetune"]
    network: Network
    history: pd.DataFrame
    out_of_fold: Floats | None
    lines: list[str]
    facts: dict[str, Any]
    consulted: Consulted = field(default_factory=Consulted)


def backbones_of(config: Settings, data: TrainingData) -> Backbones:
    """Build the networks that a recipe asks for, ready for its method.

    Raises:
        TrainingError: no such architecture or weights, or images too small for it.
    """
    smallest = min(config.finetune.progressive) if config.fine_tunes else 1.0
    size_px = data.stored.spec.shape[:2]
    built = backbone_room.build(config.networks, size_px, config.seed, smallest)
    n = len(data.images)
    freezes = config.finetune.freezes_batch_norm(n, pretrained=config.pretrained)
    if config.fine_tunes and not freezes:
        assert isinstance(built.features, Features), "one network is fine-tuned"
        finetune.settle_batch_norm(built.features, data.images, n, finetune.cuda(config.trainer))
    return built


def features_of(data: TrainingData, extractor: FeatureExtractor, views: int) -> BackboneFeatures:
    """Features of the training images, of `views` views of each and of extra ones of some."""
    labels = data.images.index["label"].tolist()
    extra = oversampling.extra_views(labels, views, data.oversample)
    return extractor.training(data.images, views, extra)


def train(
    config: Settings,
    data: TrainingData,
    backbones: Backbones,
    extractor: FeatureExtractor,
    features: BackboneFeatures,
    work: Path,
    tracker: Tracker,
) -> Trained:
    """Train by the method asked for.

    Raises:
        TrainingError: it cannot go on; the message gives reason and remedy.
    """

    def tuned_network() -> Trained:
        with finetune.alone():
            targets = data.targets[features.image_of]
            head = finetune.linear_head(features.values, targets, config.head, config.seed)
        finetune.hand_over(head, work)
        network, tuned = tune(
            *(data, backbones, head, config.finetune, config.trainer, config.seed),
            pretrained=config.pretrained,
            work=work,
            tracker=tracker,
        )
        n_features, batch_size = features.values.shape[1], config.finetune.batch_size
        return _described(network, tuned, data, n_features, config.trainer, batch_size)

    if config.method == "finetune":
        return tuned_network()
    probed, logits = _probed(
        *(data, backbones, extractor, features, config.head, config.seed, tracker),
        distilled=config.distill is not None,
    )
    if config.method == "probe":
        return probed
    if data.held is None or not config.fine_tunes:
        why = "no validation parts could compare" if config.fine_tunes else "there is no GPU"
        probed.lines.append(f"method auto: the probe, since {why}")
        return probed
    if logits is None:
        logits = logistic.logits_of(
            probed.network.head, extractor.as_they_are(data.stored, data.held.rows)
        )
    tuned = tuned_network()
    # Without temperatures that were fitted on these very parts.
    losses = {
        "probe": data.held.figures(logits).log_loss,
        "finetune": float(tuned.facts["val_log_loss"]),
    }
    better = probed
    if losses["finetune"] < losses["probe"]:
        better = replace(tuned, out_of_fold=probed.out_of_fold)
    chose = ("method", *better.consulted.by_validation)
    better = replace(better, consulted=replace(better.consulted, by_validation=chose))
    better.facts["val_log_losses"] = losses
    better.lines.append(
        f"method auto: {better.method}; log loss on validation parts: probe "
        f"{losses['probe']:.4f}, finetune {losses['finetune']:.4f}, the latter at its best epoch"
    )
    return better


def _probed(
    data: TrainingData,
    backbones: Backbones,
    extractor: FeatureExtractor,
    features: BackboneFeatures,
    config: HeadSettings,
    seed: int,
    tracker: Tracker,
    *,
    distilled: bool,
) -> tuple[Trained, Floats | None]:
    """Fit a head; also its logits on validation parts before these made its temperature.

    A `distilled` one has no out-of-fold scores, since its teacher has learned from every fold.
    """
    folds = data.index["fold"].to_numpy()
    n_folds = int(folds.max()) + 1
    facts: dict[str, Any] = {}
    lines: list[str] = []
    probabilities = found = logits = None
    consulted = Consulted(set_aside=data.set_aside)
    with finetune.alone():
        if distilled:
            lines.append("no out-of-fold scores: the teacher has seen every training part")
        elif not n_folds:
            lines.append("no out-of-fold scores: ingest made no folds")
        else:
            found = out_of_fold.out_of_fold(
                features.values,
                features.image_of,
                data.targets,
                folds,
                config,
                seed,
                data.index["group"].tolist(),
                data.images.parents,
                extractor.recall,
            )
        head, losses = logistic.fit(
            features.values,
            data.targets[features.image_of],
            config,
            seed,
            found.l2 if found else None,
            tracker.logger("probe"),
            extractor.recall,
        )
        if found is not None:
            factor = _temperature(found.logits, data.index["sample_id"].to_numpy(), data)
            probabilities = softmax((found.logits / factor).astype(np.float32))
            facts = {"l2": found.l2, "oof_log_loss": found.log_loss[found.l2]}
            facts["temperature"] = factor
            several = len(found.log_loss) > 1
            chosen = f", l2 {found.l2:g} of {len(found.log_loss)}" * several
            chose = ("regularisation", "temperature") if several else ("temperature",)
            consulted = replace(consulted, by_out_of_fold=chose)
            lines.append(f"{n_folds} folds out of fold{chosen}, temperature {factor:.2f}")
        elif data.held is not None:
            logits = logistic.logits_of(head, extractor.as_they_are(data.stored, data.held.rows))
            facts["temperature"] = _temperature(logits, data.held.ids, data, data.held.targets)
            consulted = replace(consulted, by_validation=("temperature",))
            lines.append(f"temperature {facts['temperature']:.2f} by validation parts")
    if facts:
        cool(head, facts["temperature"])
        tracker.log_metrics(facts, step=len(losses))
    trained = Trained(
        method="probe",
        network=Network(backbones.features, head),
        history=pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}),
        out_of_fold=probabilities,
        lines=lines,
        facts={"n_features": int(features.values.shape[1]), **facts},
        consulted=consulted,
    )
    return trained, logits


def _temperature(
    logits: Floats,
    ids: npt.NDArray[Any],
    data: TrainingData,
    targets: Floats | None = None,
    log_prior: Floats | None = None,
) -> float:
    """Of logits N,K; of several tiles the worst speaks for the part, as at the station."""
    wanted = data.part_targets if targets is None else targets
    tiles = out_of_fold.worst_tiles(ids, softmax(logits), data.taxonomy)
    return temperature(logits[tiles], wanted[tiles], log_prior)


def _described(
    network: Network,
    tuned: finetune.Tuned,
    data: TrainingData,
    n_features: int,
    trainer: finetune.TrainerSettings,
    batch_size: int,
) -> Trained:
    """A fine-tuned network, calibrated on validation parts where there are any."""
    facts: dict[str, Any] = {"n_features": n_features, "epoch": tuned.epoch}
    if tuned.figures is None or tuned.start is None or data.held is None:
        lines = [f"fine-tuned {tuned.epoch} epochs; no validation parts: the last epoch is taken"]
        lines.append("neither calibrated nor judged before evaluate: there is nothing to do it on")
        return Trained("finetune", network, tuned.history, None, lines, facts)
    best, held = tuned.figures, data.held
    logits = finetune.answers(network, held, trainer, batch_size)
    factor = _temperature(logits, held.ids, data, held.targets, tuned.log_prior)
    cool(network.head, factor)
    facts |= {"val_log_loss": best.log_loss, "val_accuracy": best.accuracy}
    facts |= {"start_val_log_loss": tuned.start.log_loss, "temperature": factor}
    lines = [
        f"fine-tuned {len(tuned.history)} epochs, after epoch {tuned.epoch} the weights were best",
        f"validation log loss {tuned.start.log_loss:.4f} at the start, {best.log_loss:.4f} at "
        f"best; accuracy {best.accuracy:.1%}, AUROC {best.auroc:.4f}; temperature {factor:.2f}",
        "no out-of-fold scores: evaluate chooses limits on validation parts alone",
        f"{len(data.set_aside)} validation parts are set aside for the limits"
        if data.set_aside
        else "too few validation parts to set some aside: the limits are chosen by the same ones",
    ]
    chose = Consulted(("epoch", "temperature"), set_aside=data.set_aside)
    return Trained("finetune", network, tuned.history, None, lines, facts, chose)


def tune(
    data: TrainingData,
    backbones: Backbones,
    head: LinearHead,
    config: finetune.Finetune,
    trainer: finetune.TrainerSettings,
    seed: int,
    *,
    pretrained: bool,
    work: Path,
    tracker: Tracker,
) -> tuple[Network, finetune.Tuned]:
    """Fine-tune from a head on; every process of a training calls it."""
    assert isinstance(backbones.features, Features)
    index = data.images.index
    examples = Examples(
        images=data.images,
        names=extraction.names_of(index).tolist(),
        targets=data.targets,
        extra=oversampling.extra_views(index["label"].tolist(), 0, data.oversample),
        augmenter=data.augmenter,
    )
    network = Network(copy.deepcopy(backbones.features), head)
    tuned = finetune.fit(
        network,
        examples,
        data.held,
        config,
        trainer,
        seed,
        work=work,
        pretrained=pretrained,
        logger=tracker.logger("finetune") or None,
    )
    return network, tuned


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
    sample = data.sample()
    if trained.method == "finetune":
        export(trained.network, sample[0], "image", OUTPUTS, path)
        return parity(trained.network, path, sample)
    values, tail, head = (
        extractor.as_they_are(data.stored, data.samples),
        folder / "head.onnx",
        trained.network.head,
    )
    export(head, values[0], "features", OUTPUTS, tail)
    join(extractor.graph, tail, OUTPUTS, path)
    tail.unlink()
    return parity(head, path, sample, values)
