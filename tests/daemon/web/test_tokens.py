"""Tokens, and the command that makes them."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import ConfigError


def test_the_file_has_the_hash_and_not_the_token(tokens: Tokens) -> None:
    secret = tokens.new("plc", [Scope.ACT])
    text = tokens.path.read_text()
    assert secret not in text
    assert secret.removeprefix("lineside_") not in text
    assert len(secret) >= 43  # 256 bits in base64


def test_the_file_is_for_its_owner_only_whatever_the_umask(tokens: Tokens) -> None:
    former = os.umask(0)
    try:
        tokens.new("plc", [Scope.ACT])
    finally:
        os.umask(former)
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_that_root_makes_is_the_stations_own(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 61234, 61235)
    tokens = Tokens(folder / "tokens")
    for name in ("first", "second"):
        tokens.new(name, [Scope.READ])
        status = tokens.path.stat()
        assert (status.st_uid, status.st_gid) == (61234, 61235)
        assert stat.S_IMODE(status.st_mode) == 0o600


def test_a_token_bears_its_name_and_scopes(tokens: Tokens) -> None:
    both, acting = tokens.new("desk", [Scope.READ, Scope.ACT]), tokens.new("plc", [Scope.ACT])
    known = tokens.bearer(both)
    assert known is not None
    assert (known.name, set(known.scopes)) == ("desk", {Scope.READ, Scope.ACT})
    assert tokens.bearer(acting) == tokens.all()[1]


def test_no_two_tokens_are_the_same(tokens: Tokens) -> None:
    assert tokens.new("a", [Scope.ACT]) != tokens.new("b", [Scope.ACT])


@pytest.mark.slow
def test_what_several_programs_change_at_the_same_moment_is_all_kept(tokens: Tokens) -> None:
    for n in range(40):
        tokens.new(f"old-{n}", [Scope.READ])
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as many:
        made = [many.submit(make_and_revoke, tokens.path, n) for n in range(40)]
        assert all(secret.result() for secret in made)
    assert {token.name for token in tokens.all()} == {f"new-{n}" for n in range(40)}
    assert all(tokens.bearer(secret.result()) for secret in made)


def make_and_revoke(path: Path, n: int) -> str:
    """What one program does."""
    tokens = Tokens(path)
    secret = tokens.new(f"new-{n}", [Scope.ACT])
    tokens.revoke(f"old-{n}")
    return secret


def test_a_folder_that_cannot_be_locked_is_named(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    tokens.new("plc", [Scope.ACT])
    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(ConfigError, match=r"tokens cannot be changed \(No locks available\)"):
        tokens.revoke("plc")
    assert len(tokens.all()) == 1


def test_a_hash_from_the_file_opens_nothing(tokens: Tokens) -> None:
    tokens.new("plc", [Scope.ACT])
    (token,) = tokens.all()
    assert tokens.bearer(token.sha256) is None


@pytest.mark.parametrize(
    ("name", "said"), [("plc", 'a token "plc" already'), ("a b", "not a name")]
)
def test_a_name_is_given_once_and_is_one_word(tokens: Tokens, name: str, said: str) -> None:
    tokens.new("plc", [Scope.ACT])
    with pytest.raises(ConfigError, match=said):
        tokens.new(name, [Scope.ACT])
    assert len(tokens.all()) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plc act", r"tokens:2 is not a token"),
        ("plc act 12ab", r"tokens:2 is not a token"),
        (f"plc act {'0' * 64} more", r"tokens:2 is not a token"),
        (f"plc acts {'0' * 64}", r'tokens:2 scope "acts" unknown; did you mean "act"'),
    ],
)
def test_a_damaged_line_is_named_and_opens_nothing(tokens: Tokens, line: str, said: str) -> None:
    secret = tokens.new("plc", [Scope.ACT])
    good = tokens.path.read_text().splitlines()[1]
    tokens.path.write_text(f"{good}\n{line}\n")
    with pytest.raises(ConfigError, match=said):
        tokens.all()
    assert tokens.bearer(secret) is None
