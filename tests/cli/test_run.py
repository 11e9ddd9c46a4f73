"""`lineside check` and `lineside run`: one message for a mistake, and no password."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import cli
from pipeline.cli import app
from tests.test_cli import LINE, Run, lineside

__all__ = ["lineside"]

WITH_PASSWORDS = """
station: west-1
recipe: cells
model: {cache: models}
source: {type: rtsp, url: "rtsp://user:geheim@10.0.0.5/stream"}
ledger: ledger.sqlite
sinks:
  - {type: jsonl, folder: records}
  - {type: webhook, name: hook, url: "http://plant:8080/geheim/hook?key=geheim&geheim"}
"""


def test_check_names_cameras_and_sinks_without_their_passwords(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(WITH_PASSWORDS)
    done = CliRunner().invoke(app, ["check", str(file)])
    assert done.exit_code == 0, done.output
    assert "geheim" not in done.output
    assert "rtsp://***@10.0.0.5/..." in done.output
    assert "http://plant:8080/..." in done.output
    assert "jsonl (" in done.output


def test_check_reports_what_the_line_would_do_and_touches_nothing(
    lineside: Run, tmp_path: Path
) -> None:
    (tmp_path / "line.yaml").write_text(LINE)
    code, said, _ = lineside("check", "line.yaml")
    assert code == 0
    assert "models:/cells@champion from http://***@127.0.0.1:9" in said
    assert "replay (path nowhere" in said
    assert [p.name for p in tmp_path.iterdir()] == ["line.yaml"]


def test_check_warns_of_a_live_camera_with_a_queue_and_no_takt(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(WITH_PASSWORDS)
    warned = CliRunner().invoke(app, ["check", str(file)])
    assert warned.exit_code == 0
    assert "`overload.takt_ms` is not set" in warned.stderr
    file.write_text(f"{WITH_PASSWORDS}overload: {{takt_ms: 500}}\n")
    assert "takt_ms" not in CliRunner().invoke(app, ["check", str(file)]).stderr


def test_check_of_a_wrong_line_ends_with_file_and_line(lineside: Run, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE.replace("ledger:", "leger:"))
    code, said, complaint = lineside("check", "line.yaml")
    assert (code, said) == (2, "")
    assert complaint.startswith("error: line.yaml")
    assert 'line.yaml:9 key "leger" unknown; did you mean "ledger"?' in complaint
    assert "Traceback" not in complaint


def test_run_with_a_missing_folder_ends_with_one_message(lineside: Run, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE)
    code, _, complaint = lineside("run", "line.yaml")
    assert code == 2
    assert "source.path nowhere is not a folder" in complaint
    assert [p.name for p in tmp_path.iterdir()] == ["line.yaml"]


def test_another_system_than_linux_is_named_in_the_first_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: Lineside runs on Linux, this is darwin\n"
