"""The page Records and the page of one record."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from pipeline.daemon.web.records import KeptRecords
from pipeline.errors import LedgerError
from pipeline.ledger.queries import SearchResult
from pipeline.ledger.review.reviews import opened
from pipeline.ledger.upkeep.archiving import archive
from tests.browser import Browser
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Reply, Serve
from tests.daemon.web.pages.conftest import (
    Replayed,
    click,
    open_page,
    page,
    seen_at,
    serious_faults,
    text,
    wait_for,
)
from tests.daemon.web.pages.test_live import INSIDE, LOADED, SCREENS


def names(reply: Reply) -> list[str]:
    found = re.findall(r'<span class="name">(.*?)</span>', reply.body.decode())
    return [" ".join(unescape(name).split()) for name in found]


def test_records_are_found_by_a_filter_and_the_page_keeps_it(serve: Serve) -> None:
    served = serve()
    for serial, brightness in (("a", 50), ("b", 200), ("c<b>", 50)):
        served.send(brightness, x_serial=serial)
    reply = page(served, "/records?verdict=FAIL&reason=SCRAP")
    assert names(reply) == ["defective c<b>", "defective a"]
    body = reply.body.decode()
    assert '<option value="FAIL" selected>' in body
    assert 'name="reason" value="SCRAP"' in body
    assert 'href="/api/v1/export.csv?verdict=FAIL&amp;reason=SCRAP"' in body
    assert names(page(served, "/records?serial=b")) == ["good b"]


def test_older_records_are_one_link_away(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.daemon.web.pages.records.ON_A_PAGE", 2)
    served = serve()
    for number in range(3):
        served.send(50, x_serial=str(number))
    first = page(served, "/records?verdict=FAIL")
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first.body.decode())
    assert names(first) == ["defective 2", "defective 1"]
    rest = page(served, unescape(older))
    assert names(rest) == ["defective 0"]
    assert b'rel="next"' not in rest.body


def test_the_page_names_the_months_that_are_archived_and_shows_a_record_of_them(
    serve: Serve,
) -> None:
    served = serve()
    identity = served.send(200, x_serial="a").json["id"]
    assert b"are archived" not in page(served, "/records").body
    ledger, now = served.station.ledger, datetime.now(UTC)
    archive(ledger.path, ledger.station, now + timedelta(days=40))
    found = page(served, "/records")
    assert names(found) == []
    assert f"Records up to {now:%Y-%m} are archived" in found.body.decode()
    assert served.ask("GET", "/api/v1/records").json["archived_to"] == f"{now:%Y-%m}"
    assert "good" in page(served, f"/records/{identity}").body.decode()


def test_a_filter_that_finds_nothing_or_cannot_be_read_is_named(serve: Serve) -> None:
    served = serve()
    assert b"No record fits." in page(served, "/records?class=crack").body
    wrong = page(served, "/records?since=soon")
    assert (wrong.status, b"is not a time" in wrong.body) == (422, True)
    assert page(served, "/records?before=nowhere").status == 422


def test_a_search_whose_time_is_up_names_how_far_it_came(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "2026-11-28T06:00:00.000000+00:00"
    found = SearchResult([], f"{at}~0", at)
    monkeypatch.setattr(KeptRecords, "search", lambda *_: found)
    body = page(serve(), "/records?class=crack").body.decode()
    local = datetime.fromisoformat(at).astimezone()
    assert f"Searched back to {local:%Y-%m-%d %H:%M:%S}" in body
    assert ">Search on</a>" in body


def test_a_program_still_gets_json_at_the_same_address(serve: Serve) -> None:
    served = serve()
    sent = served.send(50, x_serial="a").json
    assert served.ask("GET", f"/records/{sent['id']}").json == sent
    assert served.ask("GET", "/records?serial=a").json == [sent]


def test_the_page_of_a_record_has_scores_timing_and_reviews(serve: Serve) -> None:
    served = serve()
    sent = served.send(128, x_serial="SN-7").json
    ledger = served.station.ledger
    with opened(ledger.path, ledger.station) as reviews:
        reviews.add(sent["id"], "good", "A. Weber", "dust", datetime(2026, 11, 28, tzinfo=UTC))
        reviews.withdraw(sent["id"], "A. Weber", datetime(2026, 11, 28, tzinfo=UTC))
    body = page(served, f"/records/{sent['id']}").body.decode()
    named = ("REVIEW", "SN-7", "defective", "cells/3", "network", "A. Weber", "dust", "withdrawn")
    for wanted in named:
        assert wanted in body
    assert "between pass limit" in body


def test_an_unknown_record_is_a_page_that_names_it(serve: Serve) -> None:
    reply = page(serve(), "/records/unknown", accept_language="de")
    assert (reply.status, "Nicht gefunden" in reply.body.decode()) == (404, True)


@pytest.mark.parametrize(
    ("error", "status", "named"),
    [
        (LedgerError("ledger.sqlite: disk full"), 503, b"disk full"),
        (LedgerError("it has ledger format 9, requests need 5"), 503, b"ledger format 9"),
        (TimeoutError(), 504, b"does not answer"),
    ],
)
def test_what_the_station_cannot_answer_is_a_page(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, named: bytes
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(KeptRecords, "search", fail)
    reply = page(serve(), "/records")
    assert (reply.status, named in reply.body) == (status, True)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_both_pages_fit_the_screen_and_keep_nobody_out(
    browser: Browser, serve: Serve, width: int, height: int, scheme: str
) -> None:
    served = serve("top", "side")
    for brightness in (200, 128, 50):
        sent = served.send(brightness, "/inspect/top", x_serial="2026-11-28/4711" * 3).json
    with seen_at(browser, width, height, scheme):
        for path in ("/records?verdict=FAIL", f"/records/{sent['id']}"):
            open_page(browser, served, path)
            until(lambda: browser.execute_script(LOADED, "main img"), "a picture")
            page_px, window_px = browser.execute_script(INSIDE)
            assert page_px <= window_px
            assert serious_faults(browser) == []


@pytest.mark.slow
def test_a_person_finds_a_fail_its_heat_map_and_a_picture_that_was_removed(
    browser: Browser, replayed: Replayed
) -> None:
    served = replayed()
    until(lambda: served.station.recorder.triggers > 4, "some parts")
    open_page(browser, served, "/records")
    browser.execute_script("document.querySelector('#verdict').value = 'FAIL'")
    click(browser, ".filter .primary")
    wait_for(browser, ".cards .FAIL", "b_bad.png")
    click(browser, ".cards .FAIL a")
    wait_for(browser, "h1", "b_bad.png")
    click(browser, "#heat")
    wait_for(browser, "#heat-note", "where the score comes from, by cells/3")
    until(lambda: browser.execute_script(LOADED, "#picture"), "the heat map")
    served.stop.set()


@pytest.mark.slow
def test_a_picture_that_retention_removed_is_named_instead_of_shown(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    gone = served.send(200).json["id"]
    served.send(200)
    browser.get(f"{served.web.address}/records/{gone}")
    wait_for(browser, "#no-picture", "The picture is not kept, or no longer.")
    assert browser.execute_script("return document.querySelector('#heat').disabled") is True
    assert text(browser, ".word") == "PASS"
