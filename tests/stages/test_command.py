"""What every stage's command does with progress and with a user's mistakes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.plugins import Strict
from pipeline.stages import Report, progress, run_stage


class Config(Strict):
    """A stage without settings of its own."""

    seed: int = 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/cells").mkdir(parents=True)
    (tmp_path / "conf/cells/ingest.yaml").write_text("seed: 1\n")
    (tmp_path / "conf/cells/train.yaml").write_text("seed: 2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ends(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and message of a stage that fails with `error` half-way."""

    def run(config: Config, source: Path, out: Path) -> Report:
        (out / "half.txt").write_text("half")
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_stage("train", Config, run, ["train", "cells"])
    assert not list(Path("data").rglob("half.txt"))
    return stopped.value.code, capsys.readouterr().err


def test_a_missing_input_names_the_stages_to_run_before(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", "data/cells/x.npy")
    assert ends(gone, capsys) == (
        2,
        "error: data/cells/x.npy is missing; run `dvc repro`, which runs the stages before it\n",
    )


def test_a_full_disk_is_reported_in_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert ends(full, capsys) == (
        2,
        "error: No space left on device: data/cells/train; the former output stays\n",
    )


def test_ctrl_c_ends_in_silence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(KeyboardInterrupt(), capsys) == (130, "")


def test_a_report_is_printed_line_by_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: Config, source: Path, out: Path) -> Report:
        return Report([f"seed {config.seed}", f"reads {source}"])

    run_stage("train", Config, run, ["train", "cells"])
    assert capsys.readouterr().out.startswith("  seed 2\n  reads data/cells\ntrain cells: ")
    assert (project / "data/cells/train").is_dir()


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticks: Iterator[float] = iter([0.0, 4.0, 11.0, 15.0, 22.0])
    assert list(progress("abcd", "reading", 4, clock=lambda: next(ticks))) == list("abcd")
    assert capsys.readouterr().out == (
        "  reading: 2 of 4, 0.2/s, 11 s left\n  reading: 4 of 4, 0.2/s, 0 s left\n"
    )
