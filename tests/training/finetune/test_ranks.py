"""Several processes, one training: who leads, and how the others get their start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training.finetune import ranks
from pipeline.training.head_modules import LinearHead

HEAD = LinearHead(torch.eye(3), torch.zeros(3), torch.ones(3, 2), torch.tensor([1.0, 2.0]))


@pytest.fixture(autouse=True)
def _launched_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ranks.RUN, raising=False)
    for name, value in {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_PORT": "29500",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_only_the_first_process_leads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks.is_leader()
    monkeypatch.setenv(name, "1")
    assert not ranks.is_leader()


def test_the_others_get_the_leaders_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks.hand_over(HEAD, tmp_path)
    monkeypatch.setenv("RANK", "1")
    received = ranks.receive(tmp_path)
    assert all(torch.equal(v, received.state_dict()[k]) for k, v in HEAD.state_dict().items())


def test_the_others_do_not_wait_for_a_leader_that_failed(tmp_path: Path) -> None:
    ranks.announce_failure(tmp_path)
    with pytest.raises(TrainingError, match="the first process stopped"):
        ranks.receive(tmp_path)


def test_a_file_of_another_run_is_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks.hand_over(HEAD, tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    ranks.announce_failure(tmp_path)
    with pytest.raises(TrainingError):
        ranks.receive(tmp_path)


def test_processes_that_lightning_starts_find_the_run_in_their_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "MASTER_PORT"):
        monkeypatch.delenv(name)
    ranks.hand_over(HEAD, tmp_path)
    monkeypatch.setenv("MASTER_PORT", "4711")
    assert torch.equal(ranks.receive(tmp_path).bias, HEAD.bias)


def test_work_of_its_own_hides_the_others_for_a_while() -> None:
    with ranks.alone():
        assert "WORLD_SIZE" not in os.environ
    assert os.environ["WORLD_SIZE"] == "2"


def test_a_single_process_leaves_no_mark_of_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    ranks.announce_failure(tmp_path)
    assert list(tmp_path.iterdir()) == []
