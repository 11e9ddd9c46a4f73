"""Every auto is resolved before Lightning sees it."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from pipeline.training.finetune import Finetune, TrainerSettings, on_gpu


@pytest.mark.parametrize(("cores", "expected"), [(1, 0), (2, 0), (4, 3), (64, 16)])
def test_images_are_loaded_beside_the_training_where_there_are_cores(
    cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert TrainerSettings().workers() == expected
    assert TrainerSettings(num_workers=5).workers() == 5


def test_what_is_not_auto_goes_to_lightning_as_it_is() -> None:
    given = {"accelerator": "cpu", "devices": 2, "num_nodes": 3, "strategy": "ddp"}
    settings = TrainerSettings.model_validate({**given, "precision": "bf16-mixed"})
    assert settings.for_lightning() == {**given, "precision": "bf16-mixed"}


def test_torchrun_gives_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    asked = TrainerSettings(accelerator="cpu").for_lightning()
    assert (asked["devices"], asked["num_nodes"]) == (4, 2)


def test_a_cpu_computes_in_full_precision() -> None:
    settings = TrainerSettings(accelerator="cpu")
    assert not on_gpu(settings)
    assert settings.resolved_precision() == "32-true"


def test_sizes_that_do_not_end_at_the_full_one_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"must end with 1\.0"):
        Finetune(progressive=(0.5, 0.75))
