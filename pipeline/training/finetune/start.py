"""The head that fine-tuning starts from.

A random head would tear up good features in its first steps; one fitted on them first does not
(LP-FT; Kumar et al., ICLR 2022).
"""

from __future__ import annotations

import torch

from pipeline.training import Floats
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads.logistic import logistic
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.settings import HeadSettings, each


def linear_head(
    features: Floats,
    targets: Floats,
    config: HeadSettings,
    seed: int,
    weights: Floats | None = None,
) -> LinearHead:
    """Logistic regression on the principal components of frozen features.

    Args:
        features: float32 N,D.
        targets: float32 N,K.
        config: `max_epochs` and the first of `components` and `l2`.
        seed: of the components.
        weights: how much each image counts in the loss, float32 N; None: all alike.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    principal = Principal.of(features, each(config.components)[0], seed)
    wanted, strength = torch.from_numpy(targets), each(config.l2)[:1]
    emphasis = None if weights is None else torch.from_numpy(weights / weights.mean())[:, None]
    model = logistic(principal.x, wanted, strength, config.max_epochs, emphasis=emphasis)
    # The components' scale makes for huge weights, which AdamW's fixed steps would not move.
    unit = float(principal.x.square().mean().sqrt().clamp_min(1e-12))
    weight = model.weight[0].detach().T.contiguous() * unit
    projection, shift = principal.projection / unit, principal.shift / unit
    return LinearHead(projection, shift, weight, model.bias[0].detach().clone())
