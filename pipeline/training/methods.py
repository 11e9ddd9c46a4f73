"""The methods of training: a head on backbone features, the whole network, or the better one.

`backbones_of` and `train` take a recipe's settings apart; each method gets only its own.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.datasets.scores import Consulted
from pipeline.inference.predictor import softmax
from pipeline.training import Floats, finetune
from pipeline.training.augmentation import oversampling
from pipeline.training.features import backbones as backbone_room
from pipeline.training.features import extraction
from pipeline.training.features.backbone_features import BackboneFeatures, FeatureExtractor
from pipeline.training.features.backbones import Backbones
from pipeline.training.finetune import Examples
from pipeline.training.head_modules import Head, LinearHead
from pipeline.training.heads import fitting, logistic, out_of_fold
from pipeline.training.heads.calibration import cool, temperature
from pipeline.training.heads.search import by_fold_heads, search
from pipeline.training.heads.settings import HeadSettings
from pipeline.training.network import Features, Network
from pipeline.training.pooling.probe import UnmarkedTiles, fixed, pooling_losses
from pipeline.training.pooling.selection import WORST
from pipeline.training.settings import Settings
from pipeline.training.tile_pooling import TilePooling
from pipeline.training.tracking import Tracker
from pipeline.training.trained import Trained
from pipeline.training.training_data import TrainingData


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
            of = features.image_of
            head = finetune.linear_head(
                *(features.values, data.targets[of], config.head, config.seed, data.weights[of])
            )
        finetune.hand_over(head, work)
        network, tuned = tune(
            *(data, backbones, head, config.finetune, config.trainer, config.seed),
            pretrained=config.pretrained,
            work=work,
            tracker=tracker,
            pooling=config.pooling,
        )
        n_features, batch_size = features.values.shape[1], config.finetune.batch_size
        pooling = fixed(config.pooling, data.unmarked_tiles, data.taxonomy.passing)
        return _described(network, tuned, data, n_features, config.trainer, batch_size, pooling)

    if config.method == "finetune":
        return tuned_network()
    probed, logits = _probed(
        *(data, backbones, extractor, features, config.head, config.seed, tracker),
        distilled=config.distill is not None,
    )
    if config.pooling != WORST and data.unmarked_tiles > 1:
        probed, logits = _pooled(config, data, extractor, features, probed, logits)
        tracker.log_metrics(pooling_losses(probed.facts["pooling"]))
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
        "probe": data.held.figures(logits, pooling=probed.pooling).log_loss,
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
    facts, lines = dict[str, Any](), list[str]()
    probabilities = found = logits = fold_heads = None
    consulted = Consulted(set_aside=data.set_aside)
    with finetune.alone():
        if distilled:
            lines.append("no out-of-fold scores: the teacher has seen every training part")
        elif not n_folds:
            lines.append("no out-of-fold scores: ingest made no folds")
        else:
            groups = data.index["group"].tolist()
            of_parts = out_of_fold.Folds(
                *(features.values, features.image_of, data.targets, folds, config, seed),
                *(groups, data.images.parents, extractor.recall, data.weights),
            )
            found = search(of_parts, data.taxonomy.passing)
        choice = found.choice if found else None
        targets = data.targets[features.image_of]
        head, losses = fitting.fit(
            *(features.values, targets, config, seed, choice),
            *(tracker.logger("probe"), extractor.recall, data.weights[features.image_of]),
        )
        if found is not None:
            factor = _temperature(found.logits, data.index["sample_id"].to_numpy(), data)
            probabilities = softmax((found.logits / factor).astype(np.float32))
            held = extractor.as_they_are(data.stored, data.stored.validation)
            fold_heads = by_fold_heads(of_parts, found.choice, held, factor)
            facts = {"oof_log_loss": found.log_loss, "temperature": factor}
            chose = ("head", "temperature") if found.compared > 1 else ("temperature",)
            consulted = replace(consulted, by_out_of_fold=chose)
            lines.append(f"{n_folds} folds out of fold, temperature {factor:.2f}")
            lines += found.lines()
        elif data.held is not None:
            logits = logistic.logits_of(head, extractor.as_they_are(data.stored, data.held.rows))
            facts["temperature"] = _temperature(logits, data.held.ids, data, data.held.targets)
            consulted = replace(consulted, by_validation=("temperature",))
            lines.append(f"temperature {facts['temperature']:.2f} by validation parts")
    if facts:
        cool(head, facts["temperature"])
        tracker.log_metrics(facts, step=len(losses))
    if found is not None:
        facts["head"] = found.facts()
        tracker.log_params(found.params())
    trained = Trained(
        method="probe",
        network=Network(backbones.features, head),
        history=pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses}),
        out_of_fold=probabilities,
        lines=lines,
        facts={"n_features": int(features.values.shape[1]), **facts},
        consulted=consulted,
        choice=choice,
        alone=found.alone if found else None,
        fold_heads=fold_heads,
    )
    return trained, logits


def _pooled(
    config: Settings,
    data: TrainingData,
    extractor: FeatureExtractor,
    features: BackboneFeatures,
    probed: Trained,
    logits: Floats | None,
) -> tuple[Trained, Floats | None]:
    """The probe trained through the pooling of its tiles, where that is better out of fold.

    Also its logits on validation images, where these made a temperature.
    """
    parts = UnmarkedTiles(
        *(features, data.targets, data.weights, data.index["fold"].to_numpy()),
        *(data.unmarked_tiles, data.taxonomy),
    )

    def head_of(rows: npt.NDArray[np.intp]) -> Head:
        targets = data.targets[features.image_of[rows]]
        return fitting.fit(
            *(features.values[rows], targets, config.head, config.seed, probed.alone),
            recall=extractor.recall,
            weights=data.weights[features.image_of[rows]],
        )[0]

    with finetune.alone():
        choice = parts.choose(config.pooling, head_of, probed.out_of_fold)
        probed.lines.extend(choice.lines)
        probed.facts["pooling"] = choice.facts
        if choice.name == WORST:
            return probed, logits
        pooling = TilePooling(choice.k, data.taxonomy.passing)
        everything = np.arange(len(features.values))
        head, _ = parts.fit(head_of(everything), pooling)
        probabilities, logits = None, None
        if len(choice.logits):
            pooling, probabilities = parts.calibrated(choice)
            chose = ("pooling", *probed.consulted.by_out_of_fold)
            probed = replace(probed, consulted=replace(probed.consulted, by_out_of_fold=chose))
        elif data.held is not None:
            logits = logistic.logits_of(head, extractor.as_they_are(data.stored, data.held.rows))
            rows, found = data.held.of_parts(logits, pooling)
            pooling.temperature.fill_(temperature(found, data.held.targets[rows]))
    probed.facts["temperature"] = float(pooling.temperature)
    network = Network(probed.network.features, head)
    return replace(probed, network=network, out_of_fold=probabilities, pooling=pooling), logits


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
    pooling: TilePooling | None,
) -> Trained:
    """A fine-tuned network, calibrated on validation parts where there are any."""
    facts: dict[str, Any] = {"n_features": n_features, "epoch": tuned.epoch}
    if tuned.figures is None or tuned.start is None or data.held is None:
        lines = [f"fine-tuned {tuned.epoch} epochs; no validation parts: the last epoch is taken"]
        lines.append("neither calibrated nor judged before evaluate: there is nothing to do it on")
        return Trained("finetune", network, tuned.history, None, lines, facts, pooling=pooling)
    best, held = tuned.figures, data.held
    rows, logits = held.of_parts(finetune.answers(network, held, trainer, batch_size), pooling)
    factor = temperature(logits, held.targets[rows], tuned.log_prior)
    if pooling is None:
        cool(network.head, factor)
    else:
        pooling.temperature.fill_(factor)
        facts["pooling"] = {"name": pooling.name}
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
    return Trained("finetune", network, tuned.history, None, lines, facts, chose, pooling)


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
    pooling: str = WORST,
) -> tuple[Network, finetune.Tuned]:
    """Fine-tune from a head on; every process of a training calls it.

    Where tiles are not marked, the loss goes through the pooling that the setting `pooling` names.
    """
    assert isinstance(backbones.features, Features)
    index = data.images.index
    examples = Examples(
        images=data.images,
        names=extraction.names_of(index).tolist(),
        targets=data.targets,
        weights=data.weights,
        extra=oversampling.extra_views(index["label"].tolist(), 0, data.oversample),
        augmenter=data.augmenter,
        pooling=fixed(pooling, data.unmarked_tiles, data.taxonomy.passing),
        n_tiles=data.unmarked_tiles,
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
