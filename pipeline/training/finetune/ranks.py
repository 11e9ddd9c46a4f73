"""Several processes, one training: the first prepares, the others wait for it and join in.

torchrun, Slurm or Lightning start the same command several times. Only the leader computes
features and writes results; it hands its starting head over in a file of the work folder. The
file's name distinguishes this run from an earlier one that was killed.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file, save_file

from pipeline.errors import TrainingError
from pipeline.files import put_in_place
from pipeline.training.head_modules import LinearHead

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
# Set by the leader for the processes that Lightning starts for it.
RUN = "LINESIDE_RUN"
LAUNCH = (
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"),
    *("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
)
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "SLURM_NTASKS")
LOOK_EVERY_S = 0.2


def is_leader() -> bool:
    """Is this process the first of those that train together, or alone?"""
    return all(int(os.environ.get(name, 0)) == 0 for name in RANKS)


@contextmanager
def alone() -> Iterator[None]:
    """The leader's own work: Lightning must not wait for the others."""
    names = [*RANKS, *LAUNCH, *SIZES]
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _token() -> str:
    """The same in all processes of one run, and in no other run."""
    if RUN in os.environ:
        return os.environ[RUN]
    known = {name: os.environ[name] for name in LAUNCH if name in os.environ}
    if not known:
        os.environ[RUN] = uuid.uuid4().hex
        return os.environ[RUN]
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        known["parent"] = str(os.getppid())  # torchrun's own process: its port is often the same
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def hand_over(head: LinearHead, work: Path) -> None:
    """Give the starting head to the other processes."""
    work.mkdir(parents=True, exist_ok=True)
    for former in work.glob("*.start"):
        former.unlink()
    partial = work / ".start.partial"
    save_file({k: v.contiguous() for k, v in head.state_dict().items()}, partial)
    put_in_place(partial, work / f"{_token()}.start")


def announce_failure(work: Path) -> None:
    """Notify the other processes, if there are any, that there will be no training."""
    if any(int(os.environ.get(name, 1)) > 1 for name in SIZES):
        work.mkdir(parents=True, exist_ok=True)
        (work / f"{_token()}.failed").touch()


def receive(work: Path) -> LinearHead:
    """Wait for the leader's starting head.

    Raises:
        TrainingError: the leader has failed; its own error gives the reason.
    """
    start, failed = work / f"{_token()}.start", work / f"{_token()}.failed"
    while not start.is_file():
        if failed.is_file():
            raise TrainingError("the first process stopped; see its message")
        time.sleep(LOOK_EVERY_S)
    return LinearHead(**load_file(start))
