"""One fine-tuning from start to end: it resumes, and its errors name the remedy."""

from __future__ import annotations

import gc
import logging
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import Logger
from safetensors.torch import load_file

from pipeline.errors import TrainingError
from pipeline.training import Floats
from pipeline.training.finetune import checkpoints
from pipeline.training.finetune.batches import Batches, Examples, steps_per_epoch
from pipeline.training.finetune.checkpoints import Checkpoints, State
from pipeline.training.finetune.epoch_log import EpochLog
from pipeline.training.finetune.module import FineTuning, NotFinite, taken_out
from pipeline.training.finetune.ranks import is_leader
from pipeline.training.finetune.settings import Finetune, TrainerSettings, cuda, on_gpu
from pipeline.training.finetune.validation import Figures, HeldOut
from pipeline.training.network import Features, Network


@dataclass(frozen=True)
class Tuned:
    """Result of a fine-tuning.

    Attributes:
        history: one row an epoch: epoch, loss, lr, images_per_s and, with validation images,
            val_loss, val_accuracy, val_auroc.
        epoch: whose weights are the best; 0: those it started from.
        start, figures: of the starting weights and of the best, with validation images.
        resumed_after: epochs that an earlier, killed run had finished.
        log_prior: log share of each class, K, where `balance` took it out of the logits.
    """

    history: pd.DataFrame
    epoch: int
    start: Figures | None
    figures: Figures | None
    resumed_after: int
    log_prior: Floats | None


def fit(
    network: Network,
    examples: Examples,
    held: HeldOut | None,
    config: Finetune,
    trainer: TrainerSettings,
    seed: int,
    *,
    work: Path,
    pretrained: bool,
    logger: Logger | None = None,
) -> Tuned:
    """Train a network, which takes on the best weights found; in the leading process only.

    Args:
        network: with a `LinearHead` to start from.
        examples: training images.
        held: validation images, which choose the epoch; None: the last one is taken.
        config, seed: of the training.
        trainer: where to compute.
        work: a folder that outlasts the process; checkpoints are kept there.
        pretrained: the backbone's weights are worth keeping, so batch norm may be frozen.
        logger: gets the figures of each epoch.

    Raises:
        TrainingError: a loss that is not finite, too little memory, settings that Lightning
            refuses; checkpoints stay.
    """
    precision = trainer.resolved_precision()
    name = checkpoints.key(network, examples, held, config, seed, precision)
    folder = work / name
    checkpoints.clear(work, keep=name)
    folder.mkdir(parents=True, exist_ok=True)
    state = checkpoints.find(folder)
    resumed_after = 0 if state is None else state.epoch
    leads = is_leader()
    if state is not None and leads:
        print(f"  resuming after epoch {state.epoch} of {config.epochs}", flush=True)
    weighted = examples.targets.astype(np.float64) * examples.weights[:, None]
    prior = weighted.repeat(1 + examples.extra, axis=0).sum(axis=0)
    prior /= prior.sum()
    if state is None or not state.is_over(config):
        fixed_norm = config.freezes_batch_norm(len(examples.names), pretrained=pretrained)
        shape = examples.images.stack(np.arange(1)).shape[1:]
        if config.balance != "none":
            # Where the loss takes the classes' shares out of the logits, so must the start.
            with torch.no_grad():
                network.head.bias -= torch.from_numpy(np.log(np.maximum(prior, 1e-6))).float()
        module = FineTuning(
            network,
            config,
            seed,
            names=examples.names,
            prior=prior.astype(np.float32),
            held=held,
            steps=config.epochs
            * steps_per_epoch(examples.extra, config.batch_size, examples.n_tiles),
            shape=shape,
            freeze_batch_norm=fixed_norm,
            pooling=examples.pooling,
            n_tiles=examples.n_tiles,
        )
        state = _train(module, examples, held, config, trainer, seed, folder, state, logger)
    if leads:  # and may have removed the file before another process looks
        network.load_state_dict(load_file(checkpoints.best_weights(folder, state)))
    rows = pd.DataFrame(state.rows)
    best = None
    if held is not None:
        best = Figures(**state.start)
        if state.best_epoch:
            row = state.rows[state.best_epoch - 1]
            best = Figures(row["val_loss"], row["val_accuracy"], row["val_auroc"])
    return Tuned(
        history=rows,
        epoch=state.best_epoch,
        start=Figures(**state.start) if state.start else None,
        figures=best,
        resumed_after=resumed_after,
        log_prior=taken_out(prior.astype(np.float32), config),
    )


def answers(network: Network, held: HeldOut, trainer: TrainerSettings, batch_size: int) -> Floats:
    """Logits float32 N,K of validation images, computed where training computes."""
    device = cuda(trainer) or torch.device("cpu")
    network.to(device).eval()
    logits = []
    with torch.inference_mode():
        for start in range(0, len(held.rows), batch_size):
            images = held.images.stack(held.rows[start : start + batch_size])
            logits.append(network(torch.from_numpy(images).to(device))[0].cpu().numpy())
    network.to("cpu")
    return np.concatenate(logits)


def forget(work: Path) -> None:
    """Remove checkpoints: their training has ended and its result is written."""
    shutil.rmtree(work, ignore_errors=True)


def _train(
    module: FineTuning,
    examples: Examples,
    held: HeldOut | None,
    config: Finetune,
    settings: TrainerSettings,
    seed: int,
    folder: Path,
    state: State | None,
    logger: Logger | None,
) -> State:
    gpu = on_gpu(settings)
    kept = Checkpoints(folder, config)
    data = Batches(examples, held, config.batch_size, seed, workers=settings.workers(), pinned=gpu)
    terminal = sys.stderr.isatty()
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    too_large: tuple[torch.device, int] | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trainer = pl.Trainer(
                **settings.for_lightning(),
                max_epochs=config.epochs,
                gradient_clip_val=config.max_grad_norm or None,
                logger=logger or False,
                callbacks=[kept, *([] if terminal else [EpochLog(config.epochs)])],
                log_every_n_steps=1,
                enable_progress_bar=terminal,
                enable_model_summary=False,
                # The starting weights are judged too: training need not make them better.
                num_sanity_val_steps=-1 if held is not None and state is None else 0,
                use_distributed_sampler=False,
                deterministic=not gpu,
                benchmark=gpu,
            )
        except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
            raise TrainingError(f"trainer in train.yaml: {error}") from error
        try:
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=None if state is None else folder / checkpoints.LAST,
                weights_only=True,
            )
        except NotFinite as error:
            raise TrainingError(f"{error}; {_remedy(folder)}") from error
        except SystemExit as ended:
            if isinstance(ended.__context__, KeyboardInterrupt):  # which Lightning turns into it
                raise KeyboardInterrupt from None
            raise
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            # The trial comes later: error, trainer and optimiser hold what fills the memory.
            too_large = trainer.strategy.root_device, trainer.world_size
            module.trainer = None
            del trainer
    if too_large:
        raise _too_large(module.to(too_large[0]), examples, config, settings, too_large[1])
    return kept.state


def _remedy(folder: Path) -> str:
    there = folder / checkpoints.LAST
    kept = f"the last good checkpoint stays in {there}" if there.is_file() else "none was kept yet"
    return (
        f"{kept}. Lower finetune.lr and finetune.head_lr in train.yaml, or set trainer.precision "
        "to 32-true; look at these images too"
    )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in text or "can't allocate memory" in text
    )


def _too_large(
    module: FineTuning,
    examples: Examples,
    config: Finetune,
    settings: TrainerSettings,
    world: int,
) -> TrainingError:
    """The error that names the batch size that would fit, found by trying halves."""
    device = module.device
    n = -(-config.batch_size // world)
    while (n := n // 2) >= 1:
        module.zero_grad()
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if _fits(module, examples, settings, n):
            remedy = f"{n * world} would fit: set finetune.batch_size to it in train.yaml"
            break
    else:
        remedy = "not even one image fits: choose a smaller architecture or prepared images"
    return TrainingError(
        f"out of memory with finetune.batch_size {config.batch_size} on {device}; {remedy}"
    )


def _fits(module: FineTuning, examples: Examples, settings: TrainerSettings, n: int) -> bool:
    rows = np.resize(np.arange(len(examples.names)), n)
    assert isinstance(module.network.features, Features)
    module.network.features.share = 1.0  # the last and largest of progressive sizes
    mixed = settings.resolved_precision().removesuffix("-mixed")
    dtype = {"bf16": torch.bfloat16, "16": torch.float16}.get(mixed)
    try:
        image = torch.from_numpy(examples.images.stack(rows)).to(module.device)
        with torch.autocast(module.device.type, dtype=dtype, enabled=dtype is not None):
            torch.autograd.backward(module.logits(module.network, image).sum())
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        return False
    return True
