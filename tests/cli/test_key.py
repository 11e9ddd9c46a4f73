"""`lineside key`: keys that sign decisions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.cli.key import PASSWORD


def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lineside", "key", *arguments])
    code: Any = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    said = capsys.readouterr()
    return int(code), said.out.strip(), said.err


def test_a_new_key_shows_its_public_key_now_and_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "weber.pem")
    code, public, said = called(monkeypatch, capsys, "new", path)
    assert code == 0
    assert public.startswith("ed25519:")
    assert "keep it to yourself" in said
    assert called(monkeypatch, capsys, "show", path)[1] == public
    code, _, said = called(monkeypatch, capsys, "new", path)
    assert code == 2
    assert "is there already and stays" in said


def test_a_password_comes_from_the_environment_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "weber.pem"
    code, _, said = called(monkeypatch, capsys, "new", str(path), "--password")
    assert code == 2
    assert f"set {PASSWORD}" in said
    assert not path.exists()
    monkeypatch.setenv(PASSWORD, "secret")
    _, public, _ = called(monkeypatch, capsys, "new", str(path), "--password")
    assert b"ENCRYPTED" in path.read_bytes()
    assert called(monkeypatch, capsys, "show", str(path))[1] == public
