"""One fine-tuning: repeatable, exactly resumed, and clear about why it cannot go on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.finetune import TrainerSettings
from pipeline.training.finetune.checkpoints import LAST
from pipeline.training.finetune.module import FineTuning
from pipeline.training.network import Network
from tests.training.finetune.conftest import TRAINER, Tiny, examples, held_out, network, tune


class Crash(Exception):
    """As if the process had been killed."""


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next training stops after so many steps."""
    whole = FineTuning.on_train_batch_end

    def stop(self: FineTuning, *args: Any) -> None:
        whole(self, *args)
        if self.trainer.global_step == step:
            raise Crash

    monkeypatch.setattr(FineTuning, "on_train_batch_end", stop)


def crashed(work: Path, step: int, settings: dict[str, Any] | None = None, **given: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        crash_at(step, patch)
        with pytest.raises(Crash):
            tune(work, settings, **given)


def same(a: Network, b: Network) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_training_makes_the_starting_network_better(tmp_path: Path) -> None:
    _, tuned = tune(tmp_path, {"epochs": 5})
    assert tuned.start is not None
    assert tuned.figures is not None
    assert tuned.epoch > 0
    assert tuned.figures.log_loss < tuned.start.log_loss


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path: Path) -> None:
    seeds = enumerate((3, 3, 4))
    nets = [tune(tmp_path / str(i), seed=seed, held=None)[0] for i, seed in seeds]
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


@pytest.mark.parametrize(
    ("step", "settings", "given"),
    [
        (5, {"mixup": 0.4, "cutmix": 0.4}, {"held": None}),
        (7, {"balance": "logits", "progressive": (0.5, 1.0), "channels_last": False}, {}),
    ],
)
def test_a_training_that_was_cut_off_goes_on_to_the_very_same_weights(
    step: int,
    settings: dict[str, Any],
    given: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, undisturbed = tune(tmp_path / "whole", settings, **given)
    crashed(tmp_path / "work", step, settings, **given)
    resumed, tuned = tune(tmp_path / "work", settings, **given)
    assert f"resuming after epoch {step // 3} of 3" in capsys.readouterr().out
    assert tuned.resumed_after == step // 3
    assert same(whole, resumed)
    pd.testing.assert_frame_equal(
        tuned.history.drop(columns="images_per_s"),
        undisturbed.history.drop(columns="images_per_s"),
        check_exact=True,
    )


def test_processes_that_load_images_change_nothing_and_resume_as_exactly(tmp_path: Path) -> None:
    loading = TrainerSettings(accelerator="cpu", num_workers=2)
    crashed(tmp_path / "work", 5, trainer=loading, held=None)
    resumed, tuned = tune(tmp_path / "work", trainer=loading, held=None)
    assert tuned.resumed_after == 1
    assert same(resumed, tune(tmp_path / "whole", held=None)[0])


def test_a_training_cut_off_before_its_first_checkpoint_starts_afresh(tmp_path: Path) -> None:
    crashed(tmp_path / "work", 2, held=None)
    resumed, tuned = tune(tmp_path / "work", held=None)
    assert tuned.resumed_after == 0
    assert same(resumed, tune(tmp_path / "whole", held=None)[0])


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed(tmp_path / "work", 5)
    file = next((tmp_path / "work").rglob(LAST))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    _, tuned = tune(tmp_path / "work")
    assert tuned.resumed_after == 0
    assert "cannot be read" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_passed_over_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed(tmp_path / "work", 5)
    torch.save({"callbacks": {}}, next((tmp_path / "work").rglob(LAST)))
    assert tune(tmp_path / "work")[1].resumed_after == 0
    assert "cannot be read" in capsys.readouterr().err


def test_other_settings_start_afresh_and_clear_what_the_former_left(tmp_path: Path) -> None:
    crashed(tmp_path, 5)
    former = {p.name for p in tmp_path.iterdir()}
    assert tune(tmp_path, {"lr": 2e-3})[1].resumed_after == 0
    assert {p.name for p in tmp_path.iterdir()}.isdisjoint(former)


def test_one_changed_pixel_starts_afresh(tmp_path: Path) -> None:
    crashed(tmp_path, 5)
    changed = examples()
    changed.images.pixels[0, 0, 0, 0] ^= 1  # type: ignore[attr-defined]
    assert tune(tmp_path, examples=changed, network=network(examples()))[1].resumed_after == 0


def test_a_finished_training_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = tune(tmp_path)
    crash_at(1, monkeypatch)
    again, tuned = tune(tmp_path)
    assert tuned.resumed_after == 3
    assert same(first, again)


def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path) -> None:
    net, tuned = tune(tmp_path, {"epochs": 6})
    held = held_out()
    with torch.inference_mode():
        logits = net.eval()(torch.from_numpy(held.images.stack(held.rows)))[0]
    best = tuned.history["val_loss"].min()
    assert int(tuned.history["val_loss"].to_numpy().argmin()) == tuned.epoch - 1
    assert held.figures(logits.numpy()).log_loss == pytest.approx(best, rel=1e-5)


def test_weights_that_only_get_worse_are_not_taken(tmp_path: Path) -> None:
    given = network(examples())
    before = {k: v.clone() for k, v in given.state_dict().items()}
    net, tuned = tune(tmp_path, {"lr": 0.5, "head_lr": 5.0, "epochs": 2}, network=given)
    assert tuned.epoch == 0
    assert tuned.figures == tuned.start
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_without_a_better_epoch_for_a_while_it_ends(tmp_path: Path) -> None:
    settings = {"lr": 0.5, "head_lr": 5.0, "epochs": 9, "patience": 2}
    assert len(tune(tmp_path, settings)[1].history) == 2


def test_without_validation_images_the_last_epoch_is_taken(tmp_path: Path) -> None:
    _, tuned = tune(tmp_path, {"patience": 1}, held=None)
    assert (tuned.epoch, tuned.figures) == (3, None)
    assert tuned.history.columns.tolist() == ["epoch", "loss", "lr", "images_per_s"]


def test_a_loss_that_is_no_number_names_the_batch_and_keeps_the_last_good_checkpoint(
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


def test_a_loss_that_is_no_number_at_the_end_of_an_epoch_is_not_kept(tmp_path: Path) -> None:
    shown = examples()
    clean = network(shown)
    shown.targets[7] = np.nan
    with pytest.raises(TrainingError, match=r"in epoch 1, batch \d; .*none was kept yet"):
        tune(tmp_path, {"batch_size": 48}, examples=shown, network=clean)
    assert list(tmp_path.rglob(LAST)) == []


@pytest.mark.parametrize(("limit", "advice"), [(5, "4 would fit"), (0, "not even one image fits")])
def test_too_little_memory_names_the_batch_size_that_would_fit(
    limit: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FineTuning.logits

    def narrow(self: FineTuning, net: Network, image: Tensor) -> Tensor:
        if net is self.network and len(image) > limit:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 bytes")
        return whole(self, net, image)

    monkeypatch.setattr(FineTuning, "logits", narrow)
    # Seconds each in a process that has imported all this, and here there is memory enough.
    monkeypatch.setattr("gc.collect", lambda: 0)
    with pytest.raises(TrainingError, match=rf"out of memory.*batch_size 16 on cpu; {advice}"):
        tune(tmp_path)


def test_a_trainer_that_lightning_does_not_know_is_one_clear_error(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match=r"trainer in train.yaml: .*abacus"):
        tune(tmp_path, trainer=TrainerSettings(accelerator="abacus"))


def test_ctrl_c_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(self: FineTuning, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FineTuning, "on_train_batch_end", press)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning stops listening


def test_a_logger_gets_the_figures_of_each_epoch(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path / "logs"))
    _, tuned = tune(tmp_path / "work", logger=logger)
    written = pd.read_csv(next((tmp_path / "logs").rglob("metrics.csv")))
    names = {"loss", "lr", "images_per_s", "val_loss", "val_accuracy", "val_auroc"}
    assert names <= set(written.columns)
    told = written["val_loss"].dropna().iloc[-1]
    assert told == pytest.approx(tuned.history["val_loss"][2], rel=1e-5)


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


def test_progressive_sizes_grow_over_the_epochs(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watched(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.levels[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-1]))

    given = network(examples(), Watched)
    seen.clear()
    tune(tmp_path, {"progressive": (0.5, 0.75, 1.0)}, network=given, held=None)
    assert seen[-9:] == [8, 8, 8, 12, 12, 12, 16, 16, 16]


def test_gradients_are_clipped_where_one_kernel_updates_all_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where Lightning refuses to clip for a fused optimiser in mixed precision."""
    clipped: list[float] = []
    clip = torch.nn.utils.clip_grad_norm_

    def noted(parameters: Any, max_norm: float) -> Any:
        clipped.append(max_norm)
        return clip(parameters, max_norm)

    monkeypatch.setattr("pipeline.training.finetune.module.FineTuning._fuses", lambda self: True)
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


def test_a_balanced_training_says_which_shares_it_took_out(tmp_path: Path) -> None:
    _, plain = tune(tmp_path / "a", {"epochs": 1})
    _, balanced = tune(tmp_path / "b", {"epochs": 1, "balance": "logits"})
    assert plain.log_prior is None
    assert balanced.log_prior is not None
    np.testing.assert_allclose(np.exp(balanced.log_prior), [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_strategies_that_keep_the_result_in_another_process_are_refused(strategy: str) -> None:
    with pytest.raises(ValidationError, match="use ddp"):
        TrainerSettings(strategy=strategy)
