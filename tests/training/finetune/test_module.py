"""One step of fine-tuning: losses, learning rates, clipping, batch norm, class shares."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.finetune.checkpoints import LAST
from pipeline.training.finetune.module import FineTuning
from pipeline.training.network import Network
from tests.training.finetune.conftest import TRAINER, examples, network, tune

pytestmark = pytest.mark.slow


def test_a_loss_that_is_not_a_number_names_the_batch_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FineTuning.logits

    def burst(self: FineTuning, net: Network, image: Tensor) -> Tensor:
        last = self.trainer.training and self.trainer.global_step == 4
        return whole(self, net, image) * (float("nan") if last else 1)

    monkeypatch.setattr(FineTuning, "logits", burst)
    with pytest.raises(TrainingError) as stopped:
        tune(tmp_path)
    said = str(stopped.value)
    kept = next(tmp_path.rglob(LAST))
    assert "became nan in epoch 2, batch 2; it held part-" in said
    assert "and 8 more" in said
    assert f"the last good checkpoint stays in {kept}" in said
    assert "trainer.precision to 32-true" in said


def test_a_loss_that_is_not_a_number_at_the_end_of_an_epoch_is_not_kept(tmp_path: Path) -> None:
    shown = examples()
    clean = network(shown)
    shown.targets[7] = np.nan
    with pytest.raises(TrainingError, match=r"in epoch 1, batch \d; .*none was kept yet"):
        tune(tmp_path, {"batch_size": 48}, examples=shown, network=clean)
    assert list(tmp_path.rglob(LAST)) == []


def running_means(net: Network) -> list[Tensor]:
    return [v.clone() for k, v in net.state_dict().items() if "running_mean" in k]


@pytest.mark.parametrize(("pretrained", "stay"), [(True, True), (False, False)])
def test_batch_norm_of_pretrained_weights_stays_as_it_is(
    pretrained: bool, stay: bool, tmp_path: Path
) -> None:
    given = network(examples())
    before = running_means(given)
    net, _ = tune(
        tmp_path, {"freeze_bn_below": 100}, network=given, pretrained=pretrained, held=None
    )
    after = running_means(net)
    assert all(torch.equal(a, b) == stay for a, b in zip(after, before, strict=True))


def test_gradients_are_clipped_where_one_kernel_updates_all_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where Lightning refuses to clip for a fused optimiser in mixed precision."""
    clipped: list[float] = []
    clip = torch.nn.utils.clip_grad_norm_

    def noted(parameters: Any, max_norm: float) -> Any:
        clipped.append(max_norm)
        return clip(parameters, max_norm)

    monkeypatch.setattr("pipeline.training.finetune.module.FineTuning.fuses", lambda self: True)
    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", noted)
    mixed = TRAINER.model_copy(update={"precision": "bf16-mixed"})
    _, tuned = tune(tmp_path, {"epochs": 1, "max_grad_norm": 0.25}, trainer=mixed)
    assert set(clipped) == {0.25}
    assert np.isfinite(tuned.history["loss"]).all()


def test_the_learning_rate_in_the_history_is_the_one_that_the_settings_name(
    tmp_path: Path,
) -> None:
    settings = {"epochs": 1, "lr": 2e-3, "warmup": 0.0, "layer_decay": 0.5, "batch_size": 16}
    _, tuned = tune(tmp_path, settings)
    cosine = [0.5 * (1 + np.cos(np.pi * step / 3)) for step in range(3)]
    assert tuned.history["lr"][0] == pytest.approx(2e-3 * np.mean(cosine), rel=1e-4)


def test_a_balanced_training_reports_the_shares_it_took_out(tmp_path: Path) -> None:
    _, plain = tune(tmp_path / "a", {"epochs": 1})
    _, balanced = tune(tmp_path / "b", {"epochs": 1, "balance": "logits"})
    assert plain.log_prior is None
    assert balanced.log_prior is not None
    np.testing.assert_allclose(np.exp(balanced.log_prior), [0.5, 0.5], atol=1e-6)


def test_wrong_labels_of_little_weight_teach_little(tmp_path: Path) -> None:
    right = examples()
    wrong = np.arange(len(right.names)) % 5 < 2
    targets = np.where(wrong[:, None], 1 - right.targets, right.targets)
    start = network(right)

    def losses(weight: float) -> float:
        weights = np.where(wrong, weight, 1.0).astype(np.float32)
        shown = replace(right, targets=targets, weights=weights / weights.mean())
        _, tuned = tune(tmp_path / f"{weight}", examples=shown, network=copy.deepcopy(start))
        return float(tuned.history["val_loss"].iloc[-1])

    assert losses(0.01) < losses(1.0)


def test_a_class_of_half_weight_has_half_the_share(tmp_path: Path) -> None:
    shown = examples()
    weights = np.where(shown.targets[:, 1] > 0, 0.5, 1.0).astype(np.float32)
    shown = replace(shown, weights=weights / weights.mean())
    _, balanced = tune(tmp_path, {"epochs": 1, "balance": "logits"}, examples=shown)
    assert balanced.log_prior is not None
    np.testing.assert_allclose(np.exp(balanced.log_prior), [2 / 3, 1 / 3], atol=1e-6)
