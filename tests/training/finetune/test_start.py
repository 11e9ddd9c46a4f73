"""The starting head: logistic regression, in a scale that the optimiser can work with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training.finetune import linear_head
from pipeline.training.heads.settings import HeadSettings
from tests.training.finetune.conftest import one_hot

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
LABELS = np.arange(200) % 2
VALUES = (50 + 9 * RNG.standard_normal((200, 6)) + 20 * LABELS[:, None]).astype(np.float32)
CONFIG = HeadSettings(components=4, l2=0.01, max_epochs=5)


def test_the_head_knows_the_classes_before_anything_is_tuned() -> None:
    logits, embedding = linear_head(VALUES, one_hot(LABELS), CONFIG, seed=0)(
        torch.from_numpy(VALUES)
    )
    assert (logits.argmax(1).numpy() == LABELS).mean() > 0.95
    assert embedding.shape == (200, 4)


def test_its_embedding_has_numbers_about_one() -> None:
    head = linear_head(VALUES, one_hot(LABELS), CONFIG, seed=0)
    embedding = head(torch.from_numpy(VALUES))[1]
    assert float(embedding.detach().square().mean()) == pytest.approx(1, rel=1e-3)


def test_weight_and_bias_alone_are_trained() -> None:
    head = linear_head(VALUES, one_hot(LABELS), CONFIG, seed=0)
    assert {name for name, _ in head.named_parameters()} == {"weight", "bias"}


def test_features_that_are_not_numbers_stop_the_training() -> None:
    broken = VALUES.copy()
    broken[3, 0] = np.inf
    with pytest.raises(TrainingError, match=r"features of 1 image\(s\) are not finite"):
        linear_head(broken, one_hot(LABELS), CONFIG, seed=0)
