"""A training that was cut off goes on to the weights it would have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from pipeline.training.finetune import TrainerSettings
from pipeline.training.finetune.checkpoints import LAST
from pipeline.training.finetune.module import FineTuning
from tests.training.finetune.conftest import examples, network, tune
from tests.training.finetune.test_fitting import same

pytestmark = pytest.mark.slow


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


def test_a_file_that_is_not_a_checkpoint_is_passed_over_too(
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
