"""Passwords and keys, from where they may stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.daemon.net.secret import read_secret
from pipeline.errors import ConfigError

WHAT = "the password for broker plant:1883"


def test_a_secret_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINE_PASSWORD", " s3cret ")
    assert read_secret(WHAT, "LINE_PASSWORD", None) == " s3cret "


@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
def test_a_secret_may_stand_in_a_file_with_or_without_a_line_end(
    tmp_path: Path, line_end: str
) -> None:
    (tmp_path / "secret").write_bytes(b" s3cr\xc3\xa9t " + line_end.encode())
    assert read_secret(WHAT, None, tmp_path / "secret") == " s3crét "


def test_no_secret_is_asked_for_where_none_is_named() -> None:
    assert read_secret(WHAT, None, None) is None


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named_with_whose_it_is(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("LINE_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("LINE_PASSWORD", value)
    with pytest.raises(
        ConfigError, match=f"^{WHAT}: the environment variable LINE_PASSWORD is not set"
    ):
        read_secret(WHAT, "LINE_PASSWORD", None)


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigError, match=r"secret is empty; write the secret into it$"):
        read_secret(WHAT, None, tmp_path / "secret")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere cannot be read: No such file"):
        read_secret(WHAT, None, tmp_path / "nowhere")


def test_a_file_that_is_not_text_is_named_without_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s3cr\xe9t")
    with pytest.raises(ConfigError, match=r"secret is not UTF-8 text$") as refused:
        read_secret(WHAT, None, tmp_path / "secret")
    assert "s3cr" not in str(refused.value)
