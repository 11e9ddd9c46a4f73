"""The Lightning module: one step, the running mean of the weights, and their validation."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torchvision.transforms import v2

from pipeline.errors import TrainingError
from pipeline.training import Floats
from pipeline.training.finetune import layers
from pipeline.training.finetune.settings import Finetune
from pipeline.training.finetune.validation import Figures, HeldOut
from pipeline.training.network import Features, Network
from pipeline.training.tile_pooling import TilePooling, by_part

Batch = tuple[Tensor, Tensor, Tensor, int]
# Steps between looks at the loss: each look waits until a GPU has done all it was given.
LOOK_EVERY = {"cuda": 16, "mps": 16}


class FineTuning(pl.LightningModule):
    """Backbone and linear head together.

    Lightning's own EMA callback keeps its mean to itself between validations; here it is a module
    (`averaged`), so that it lies in the checkpoint and on the device like any other.

    Attributes:
        averaged: the network with the running mean of the weights: validated and exported.
        figures: of the last validation.
    """

    _log_prior: Tensor
    _weights: Tensor

    def __init__(
        self,
        network: Network,
        config: Finetune,
        seed: int,
        *,
        names: Sequence[str],
        prior: Floats,
        held: HeldOut | None,
        steps: int,
        shape: tuple[int, int, int],
        freeze_batch_norm: bool,
        pooling: TilePooling | None = None,
        n_tiles: int = 1,
    ) -> None:
        """Copy a network to train.

        Args:
            network: with a `LinearHead`.
            config, seed: of the training; the seed for what is random in a step.
            names: of the training images, for messages.
            prior: share of each class among the training images, K.
            held: validation images.
            steps: of the whole training.
            shape: of an image, H,W,C.
            freeze_batch_norm: keep batch norm as it is.
            pooling: of the tiles of a part: the loss is that of parts, and pictures are not mixed.
            n_tiles: of a part.
        """
        super().__init__()
        self.network = copy.deepcopy(network)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)
        assert isinstance(self.network.features, Features)
        self._above = layers.depths(self.network.features, shape)
        layers.prepare(self.network, self._above, freeze_batch_norm=freeze_batch_norm)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False).eval()
        if config.compile:
            self.network.features.compile()
        self.figures: Figures | None = None
        self._config, self._seed, self._names, self._held = config, seed, names, held
        self._prior, self._steps = prior, steps
        log_prior = torch.from_numpy(np.log(np.maximum(prior, 1e-6)))
        self.register_buffer("_log_prior", log_prior.float(), persistent=False)
        weights = 1 / (len(prior) * np.maximum(prior, 1e-6))
        self.register_buffer("_weights", torch.from_numpy(weights).float(), persistent=False)
        mixes = ((config.mixup, v2.MixUp), (config.cutmix, v2.CutMix)) if pooling is None else ()
        self._pooling, self._n_tiles = copy.deepcopy(pooling), n_tiles
        self._mixes = [mix(alpha=alpha) for alpha, mix in mixes if alpha > 0]
        self._unseen: list[tuple[Tensor, Tensor, int]] = []
        self._rates: list[float] = []
        self._outputs: list[tuple[Tensor, Tensor]] = []
        self._since, self._shown = 0.0, 0

    def logits(self, network: Network, image: Tensor) -> Tensor:
        """uint8 N,H,W,C to float32 N,K; the head in full precision, whatever the rest has."""
        features = network.features(image)
        with torch.autocast(self.device.type, enabled=False):
            found: Tensor = network.head(features.float())[0]
        return found

    def on_train_start(self) -> None:
        """Find the numbers that have a running mean, now that they lie on the device."""
        mean, live = (
            [t for t in m.state_dict().values() if t.is_floating_point()]
            for m in (self.averaged, self.network)
        )
        self._pair = mean, live

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Make what is random in a step depend on nothing but its number."""
        if index == 0:
            self._since, self._shown = time.perf_counter(), 0
            self._rates.clear()
        here = self.trainer.global_step * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed((self._seed * 1_000_003 + here) % 2**63)
        spans = self._config.progressive
        span = self.trainer.current_epoch * len(spans) // self._config.epochs
        self.network.features.share = spans[min(span, len(spans) - 1)]

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of this process's share, so that the mean over processes is the batch's mean."""
        image, target, rows, total = batch
        if self._mixes:
            mix = self._mixes[int(torch.randint(len(self._mixes), ()))]
            pixels, target = mix(image.permute(0, 3, 1, 2).float(), target)
            image = pixels.permute(0, 2, 3, 1)
        logits = self.logits(self.network, image)
        of_parts = total
        if self._pooling is not None:
            logits, _ = self._pooling(by_part(logits.float(), self._n_tiles))
            target, of_parts = target[:: self._n_tiles], total // self._n_tiles
        if self._config.balance == "logits":
            logits = logits + self._log_prior
        weight = target.sum(dim=1)
        losses = cross_entropy(
            logits,
            target / weight[:, None],
            weight=self._weights if self._config.balance == "weights" else None,
            label_smoothing=self._config.label_smoothing,
            reduction="none",
        )
        loss = (losses * weight).sum() * self.trainer.world_size / of_parts
        self._unseen.append((loss.detach(), rows, index))
        if len(self._unseen) >= LOOK_EVERY.get(self.device.type, 1):
            self._look_at_losses()
        self._shown += total
        self._rates.append(self._config.lr * self._share(self.trainer.global_step))
        self.log(
            "loss",
            loss.detach(),
            on_step=False,
            on_epoch=True,
            batch_size=total,
            sync_dist=True,
            prog_bar=True,
        )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        """Move the running mean towards the new weights."""
        step = self.trainer.global_step
        # At first over few steps only, lest the mean lag behind a short training.
        decay = min(self._config.ema, (1 + step) / (10 + step)) if self._config.ema else 0.0
        average: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(*self._pair, step)
        if self.trainer.is_last_batch:
            self._look_at_losses()
            self._since = time.perf_counter() - self._since

    def _look_at_losses(self) -> None:
        unseen, self._unseen = self._unseen, []
        if not unseen:
            return
        values = torch.stack([loss for loss, _, _ in unseen]).tolist()
        for value, (_, rows, index) in zip(values, unseen, strict=True):
            if not math.isfinite(value):
                shown = [self._names[int(row)] for row in rows[:8]]
                more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
                raise NotFinite(
                    f"the loss became {value} in epoch {self.trainer.current_epoch + 1}, batch "
                    f"{index + 1}; it held {', '.join(shown)}{more}"
                )

    def on_train_epoch_end(self) -> None:
        """Log the coarsest level's mean rate, and how fast it went without the validation."""
        self.log("lr", sum(self._rates) / len(self._rates))
        self.log("images_per_s", self._shown / self._since)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Judge images as they are by the running mean of the weights."""
        image, which = batch
        self._outputs.append((self.logits(self.averaged, image), which))

    def on_validation_epoch_end(self) -> None:
        """Put the answers of all processes together."""
        assert self._held is not None
        logits, which = (torch.cat(parts) for parts in zip(*self._outputs, strict=True))
        self._outputs.clear()
        logits, which = self.all_gather((logits.float(), which))
        answers = np.empty((len(self._held.rows), logits.shape[-1]), np.float32)
        answers[which.flatten().cpu().numpy()] = logits.flatten(0, -2).cpu().numpy()
        prior = taken_out(self._prior, self._config)
        self.figures = self._held.figures(answers, prior, self._pooling)
        self.log("val_loss", self.figures.log_loss, prog_bar=True)
        self.log("val_accuracy", self.figures.accuracy)
        self.log("val_auroc", self.figures.auroc)

    def fuses(self) -> bool:
        """One kernel for all weights; where losses are scaled Lightning cannot clip with it."""
        return self.device.type == "cuda" and self.trainer.precision != "16-mixed"

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm; Lightning refuses to for a fused optimiser, also where nothing scales."""
        if not gradient_clip_val:
            return
        if self.fuses():
            trained = [p for p in self.network.parameters() if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(trained, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """AdamW, a rate for each level, a short rise and a cosine."""
        optimizer = torch.optim.AdamW(
            layers.groups(self.network, self._above, self._config), fused=self.fuses()
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _share(self, step: int) -> float:
        """Of the full learning rate."""
        # Not the trainer's own estimate, which starts loading before a checkpoint is loaded.
        steps = self._steps
        rise = round(self._config.warmup * steps)
        if step < rise:
            return (step + 1) / (rise + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def taken_out(prior: Floats, config: Finetune) -> Floats | None:
    """Log share of each class, K, where training takes it out of the logits."""
    if config.balance == "none":
        return None
    logs: Floats = np.log(np.maximum(prior, 1e-6))
    return logs


class NotFinite(TrainingError):
    """The loss is not finite any more."""
