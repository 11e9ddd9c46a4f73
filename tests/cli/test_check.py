"""`lineside check` says what a line would do, and no password."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli import app

LINE = """
station: west-1
recipe: cells
model: {cache: models}
source: {type: rtsp, url: "rtsp://user:geheim@10.0.0.5/stream"}
ledger: ledger.sqlite
sinks:
  - {type: jsonl, folder: records}
"""


def test_check_tells_of_cameras_and_sinks_without_their_passwords(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE)
    done = CliRunner().invoke(app, ["check", str(file)])
    assert done.exit_code == 0, done.output
    assert "geheim" not in done.output
    assert "rtsp://10.0.0.5/..." in done.output
    assert "jsonl (" in done.output
