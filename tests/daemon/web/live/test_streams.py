"""Open pages get what is new; a slow one gets the whole state again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from pipeline.daemon.web.live import streams
from pipeline.daemon.web.tokens import Tokens
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Serve, Served


class Events:
    """The events of one open stream."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def next(self, kind: str = "") -> tuple[str, dict[str, Any]]:
        """The next event, of a kind where one is wanted."""
        while True:
            event = self._answer.readline().decode().strip().removeprefix("event: ")
            data = json.loads(self._answer.readline().decode().removeprefix("data: "))
            assert self._answer.readline() == b"\n"
            if kind in ("", event):
                return event, data


@contextmanager
def opened(served: Served, **headers: str) -> Iterator[Events]:
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", "/events", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        yield Events(answer)


def test_a_page_gets_the_whole_state_first_and_then_each_part(serve: Serve) -> None:
    served = serve()
    served.send(50, x_serial="before")
    with opened(served) as events:
        kind, first = events.next()
        served.send(200, x_serial="SN-7")
        _, news = events.next("parts")
    assert (kind, first["state"], first["model"]) == ("snapshot", "inspecting", "cells/3")
    assert [(p["serial"], p["verdict"]) for p in first["doubtful"]] == [("before", "FAIL")]
    assert [(p["serial"], p["verdict"]) for p in news["parts"]] == [("SN-7", "PASS")]
    assert news["day"]["verdicts"]["PASS"] == 1


def test_the_state_comes_every_second_as_a_sign_of_life(serve: Serve) -> None:
    served = serve()
    with opened(served) as events:
        events.next("snapshot")
        for _ in range(10):
            served.ask("POST", "/inspect", b"no picture", content_type="image/png")
        until(lambda: events.next("state")[1]["state"] == "degraded")


def test_parts_that_come_fast_are_sent_together(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAUSE_S", 5.0)
    served = serve()
    with opened(served) as events:
        events.next("snapshot")
        for number in range(3):
            served.send(200, x_serial=str(number))
        found = [p["serial"] for _ in range(2) for p in events.next("parts")[1]["parts"]]
    assert found == ["0", "1", "2"]


def test_all_pages_get_the_same_and_a_closed_one_is_forgotten(serve: Serve) -> None:
    served = serve()
    open_pages = served.web.service.streams
    with opened(served) as first:
        with opened(served) as second:
            first.next("snapshot")
            second.next("snapshot")
            served.send(200, x_serial="a")
            assert first.next("parts")[1]["parts"] == second.next("parts")[1]["parts"]
            assert open_pages.open == 2
        until(lambda: open_pages.open == 1)
        served.send(200, x_serial="b")
        assert first.next("parts")[1]["parts"][0]["serial"] == "b"
    until(lambda: open_pages.open == 0)


def test_a_page_that_does_not_read_is_given_the_whole_state_later(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEHIND", 2)
    monkeypatch.setattr(streams, "PAUSE_S", 0.0)
    page = streams.OpenPage()
    for number in range(5):
        page.add(str(number).encode())
    assert (page.behind, len(page.texts)) == (True, 1)


def test_too_many_pages_are_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 1)
    served = serve()
    with opened(served) as events:
        events.next("snapshot")
        refused = served.ask("GET", "/events")
        assert (refused.status, refused.detail) == (503, "1 pages are open already")
        assert served.send().status == 200


def test_fifty_open_pages_lose_no_part_and_the_account_balances(serve: Serve) -> None:
    served = serve()
    with ExitStack() as stack:
        pages = [stack.enter_context(opened(served)) for _ in range(50)]
        for page in pages:
            page.next("snapshot")
        for number in range(40):
            served.send(50 if number % 2 else 200, x_serial=str(number))
        for page in pages:
            seen = set[str]()
            while len(seen) < 40:
                seen |= {part["serial"] for part in page.next("parts")[1]["parts"]}
    account = served.station.ledger.account()
    assert (account.triggers, account.balances) == (40, True)


def test_a_stream_needs_a_token_that_reads(serve: Serve, tokens: Tokens, actor: str) -> None:
    served = serve(tokens=tokens.path)
    assert served.ask("GET", "/events").status == 401
    assert served.ask("GET", "/events", authorization=actor).status == 403


def test_a_stream_ends_with_its_token(serve: Serve, tokens: Tokens, reader: str) -> None:
    served = serve(tokens=tokens.path)
    with opened(served, authorization=reader) as events:
        events.next("snapshot")
        tokens.revoke("desk")
        until(lambda: served.web.service.streams.open == 0)
    assert served.ask("GET", "/events", authorization=reader).status == 401


def test_an_open_stream_does_not_hold_up_a_shutdown(serve: Serve) -> None:
    served = serve()
    with opened(served) as events:
        events.next("snapshot")
        served.end()
