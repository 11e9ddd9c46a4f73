"""Progress of fine-tuning in lines, where there is no terminal for a bar."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.training.finetune.epoch_log import LINE_EVERY_S, EpochLog, line


def test_an_epoch_is_one_line_with_what_was_validated() -> None:
    row = {"epoch": 2, "loss": 0.5, "images_per_s": 12.34}
    validated = row | {"val_loss": 0.25, "val_accuracy": 0.875, "val_auroc": 0.9}
    assert line(row, 8) == "epoch 2 of 8: loss 0.500, 12.3 images/s"
    assert line(validated, 8) == (
        "epoch 2 of 8: loss 0.500, validation loss 0.250, accuracy 87.5%, AUROC 0.900, "
        "12.3 images/s"
    )


def test_a_line_now_and_then_gives_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    log = EpochLog(3, clock=lambda: now)
    trainer = cast(
        Any,
        SimpleNamespace(
            is_global_zero=True, estimated_stepping_batches=30, global_step=1, current_epoch=0
        ),
    )
    log.on_train_start(trainer, cast(Any, None))
    now = LINE_EVERY_S - 1
    log.on_train_batch_end(trainer, cast(Any, None), None, (None, None, None, 8), 0)
    assert capsys.readouterr().out == ""
    now, trainer.global_step = LINE_EVERY_S, 2
    log.on_train_batch_end(trainer, cast(Any, None), None, (None, None, None, 8), 1)
    shown = capsys.readouterr().out
    assert shown.startswith("  fine-tuning: epoch 1 of 3, ")
    assert f"{16 / LINE_EVERY_S:.1f} images/s, {28 * LINE_EVERY_S / 2:.0f} s left" in shown
