"""Sessions of browsers: begun with a token, ended by time, by log out, or with the token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.daemon.web import sessions
from pipeline.daemon.web.sessions import LOOKING, WORKING, Sessions
from pipeline.daemon.web.tokens import Scope, Tokens

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


class Time:
    """A time of day that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def known(tokens: Tokens, time: Time) -> Sessions:
    return Sessions(tokens, tokens.path.with_name("sessions"), time)


def begun(known: Sessions, token: str) -> str:
    found = known.begin(token)
    assert found is not None
    return found[0]


def test_a_session_has_the_scopes_of_its_token(known: Sessions, tokens: Tokens) -> None:
    session = begun(known, tokens.new("anna", [Scope.READ, Scope.JUDGE]))
    bearer = known.bearer(session)
    assert bearer is not None
    assert bearer.name == "anna"
    assert bearer.scopes == {Scope.READ, Scope.JUDGE}


def test_an_unknown_token_begins_nothing(known: Sessions, tokens: Tokens) -> None:
    tokens.new("anna", [Scope.READ])
    assert known.begin("lineside_x") is None
    assert not tokens.path.with_name("sessions").exists()


@pytest.mark.parametrize(
    ("scopes", "lasts"), [([Scope.READ], LOOKING), ([Scope.READ, Scope.ACT], WORKING)]
)
def test_a_session_ends_with_its_time(
    known: Sessions, tokens: Tokens, time: Time, scopes: list[Scope], lasts: timedelta
) -> None:
    session = begun(known, tokens.new("anna", scopes))
    time.now = START + lasts - timedelta(seconds=1)
    assert known.bearer(session) is not None
    time.now = START + lasts
    assert known.bearer(session) is None


def test_a_session_ends_with_a_log_out(known: Sessions, tokens: Tokens, time: Time) -> None:
    session = begun(known, tokens.new("anna", [Scope.READ]))
    known.end(session)
    known.end("never begun")
    again = Sessions(tokens, tokens.path.with_name("sessions"), time)
    assert (known.bearer(session), again.bearer(session)) == (None, None)


def test_a_revoked_token_ends_its_sessions(known: Sessions, tokens: Tokens) -> None:
    session = begun(known, tokens.new("anna", [Scope.READ]))
    tokens.revoke("anna")
    assert known.bearer(session) is None


def test_sessions_outlive_a_restart_and_their_secrets_are_on_no_disk(
    known: Sessions, tokens: Tokens, time: Time
) -> None:
    secret = tokens.new("anna", [Scope.READ])
    session = begun(known, secret)
    file = tokens.path.with_name("sessions")
    again = Sessions(tokens, file, time)
    assert again.bearer(session) is not None
    assert session not in file.read_text()
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_of_too_many_sessions_the_oldest_give_way(
    known: Sessions, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    token = tokens.new("anna", [Scope.READ])
    first, second, third = (begun(known, token) for _ in range(3))
    found = [known.bearer(s) is not None for s in (first, second, third)]
    assert found == [False, True, True]


def test_where_nothing_can_be_written_a_session_still_begins(
    tokens: Tokens, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    token = tokens.new("anna", [Scope.READ])
    no_folder = tokens.path / "sessions"  # below a file
    known = Sessions(tokens, no_folder, time)
    assert known.bearer(begun(known, token)) is not None
    assert "has to log in again after a restart" in caplog.text


def test_a_damaged_file_of_sessions_is_left_aside(
    tokens: Tokens, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    file = tokens.path.with_name("sessions")
    file.write_text(f"{'0' * 64} {'1' * 64} yesterday\n")
    known = Sessions(tokens, file, time)
    assert "cannot be read" in caplog.text
    assert known.bearer(begun(known, tokens.new("anna", [Scope.READ]))) is not None
