"""Fine-tuning: the whole network, trained from the probe's linear head on (LP-FT).

Owns its settings, its batches, the Lightning module, checkpoints that resume exactly, and how
several processes share the work. May call the rest of `training` and what that may call.
"""

from pipeline.training.finetune.batches import Examples
from pipeline.training.finetune.fitting import Tuned, answers, fit, forget
from pipeline.training.finetune.layers import settle_batch_norm
from pipeline.training.finetune.ranks import alone, announce_failure, hand_over, is_leader, receive
from pipeline.training.finetune.settings import Finetune, TrainerSettings, cuda, on_gpu
from pipeline.training.finetune.start import linear_head
from pipeline.training.finetune.validation import Figures, HeldOut

__all__ = [
    "Examples",
    "Figures",
    "Finetune",
    "HeldOut",
    "TrainerSettings",
    "Tuned",
    "alone",
    "announce_failure",
    "answers",
    "cuda",
    "fit",
    "forget",
    "hand_over",
    "is_leader",
    "linear_head",
    "on_gpu",
    "receive",
    "settle_batch_norm",
]
