"""`lineside token`: shown once, listed, revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import ConfigError
from tests.daemon.web.conftest import tokens

__all__ = ["tokens"]


@pytest.fixture
def line_file(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(
        "station: w\nrecipe: r\nmodel: {cache: c}\nledger: l\n"
        f"source: {{type: replay, path: p}}\nhttp:\n  tokens: {tmp_path / 'tokens'}\n"
    )
    return path


def test_the_command_shows_a_token_once_and_lists_and_revokes_it(
    line_file: Path, tokens: Tokens
) -> None:
    run, file = CliRunner(), str(line_file)
    made = run.invoke(app, ["token", "new", file, "desk", "--scope", "act", "--scope", "read"])
    secret = made.stdout.strip()
    assert (made.exit_code, tokens.bearer(secret)) == (0, tokens.all()[0])
    assert run.invoke(app, ["token", "list", file]).stdout == "desk  act, read\n"
    revoked = run.invoke(app, ["token", "revoke", file, "desk"])
    assert (revoked.exit_code, tokens.all()) == (0, ())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["new", "desk", "--scope", "red"], 'scope "red" unknown; did you mean "read"'),
        (["revoke", "desk"], 'no token "desk"; there is none'),
    ],
)
def test_the_command_names_what_is_wrong(
    line_file: Path, tokens: Tokens, asked: list[str], said: str
) -> None:
    tokens.new("plc", [Scope.ACT])
    tokens.revoke("plc")
    result = CliRunner().invoke(app, ["token", asked[0], str(line_file), *asked[1:]])
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_a_line_without_a_file_of_tokens_is_asked_to_name_one(line_file: Path) -> None:
    text = line_file.read_text()
    line_file.write_text(text[: text.index("http:")])
    result = CliRunner().invoke(app, ["token", "list", str(line_file)])
    assert "names no file of tokens" in str(result.exception)
