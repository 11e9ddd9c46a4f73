"""The head that fine-tuning starts from.

A random head would tear up good features in its first steps; one fitted on them first does not
(LP-FT; Kumar et al., ICLR 2022).
"""

from __future__ import annotations

import torch

from pipeline.training import Floats
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads import logistic
from pipeline.training.heads.nystroem import components


def linear_head(
    features: Floats, targets: Floats, config: logistic.HeadSettings, seed: int
) -> LinearHead:
    """Logistic regression on the principal components of frozen features.

    Args:
        features: float32 N,D.
        targets: float32 N,K.
        config: `components`, `l2` and `max_epochs` of the probe's head.
        seed: of the components.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    projection, shift = components(features, config, seed)
    embedding = torch.from_numpy(features) @ projection + shift
    wanted = torch.from_numpy(targets)
    model = logistic.logistic(embedding, wanted, config.strengths[:1], config.max_epochs)
    # The kernel's scale makes for huge weights, which AdamW's steps of fixed size would not move.
    unit = float(embedding.square().mean().sqrt().clamp_min(1e-12))
    weight = model.weight[0].detach().T.contiguous() * unit
    return LinearHead(projection / unit, shift / unit, weight, model.bias[0].detach().clone())
