"""The page Review: the queue is worked off by keyboard, by one person or two."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.daemon.web.pages.texts import read_texts
from pipeline.daemon.web.review.queue import ReviewQueue
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import LedgerError
from pipeline.ledger.database import connected
from pipeline.ledger.queries import reviews_of
from tests.browser import Browser, console_errors
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import (
    click,
    keys,
    logged_in,
    open_page,
    page,
    seen_at,
    send_keys,
    serious_faults,
    text,
    wait_for,
)
from tests.daemon.web.pages.test_live import INSIDE, LOADED, SCREENS
from tests.daemon.web.review.conftest import ReviewStation, Waiting, people, waiting

__all__ = ["people", "waiting"]

SERIALS = [f"SN-{n}" for n in range(1, 6)]


def answers(station: ReviewStation, identity: str) -> list[tuple[str, str, str]]:
    """Who found what of a part, and why, in the ledger."""
    ledger = station.served.station.ledger
    with connected(ledger.path, "tests") as db:
        found = reviews_of(db, identity)
    return [(r["reviewer"], r["part_class"], r["comment"]) for r in found]


def log_in(browser: Browser, station: ReviewStation, token: str) -> None:
    """Log in with the keyboard, as a person does, and go on to the review."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    console_errors(browser)  # of the tests before
    browser.get(f"{station.served.web.address}/login?next=/review")
    send_keys(browser, "#token", f"{token}\n")
    until(lambda: path_of(browser) == "/review", "the page Review")


def path_of(browser: Browser) -> str:
    return urlsplit(str(browser.execute_script("return location.href"))).path


def shows(browser: Browser, serial: str) -> None:
    """Return once a part is shown with its picture."""
    wait_for(browser, "#serial", serial)
    until(lambda: browser.execute_script(LOADED, "#picture"), f"the picture of {serial}")


def hidden(browser: Browser, css: str) -> bool:
    return bool(browser.execute_script("return document.querySelector(arguments[0]).hidden", css))


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Browser]:
    """The browser, which forgets afterwards what a page has kept and who has logged in."""
    yield browser
    browser.execute_script("try { localStorage.clear(); sessionStorage.clear(); } catch {}")
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})


def test_the_page_needs_a_token_that_judges_and_one_that_reads(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    only = tokens.new("only-judge", [Scope.JUDGE])
    both = tokens.new("anna", [Scope.READ, Scope.JUDGE])
    for token, status in ((reader, 403), (only, 403), (both, 200)):
        reply = page(served, "/review", cookie=logged_in(served, token))
        assert reply.status == status
    assert b"<strong>anna</strong>" in reply.body
    assert page(served, "/review").status == 401


def test_on_an_open_loopback_the_page_names_the_reviewer_as_not_logged_in(serve: Serve) -> None:
    body = page(serve(), "/review").body
    assert b"<strong>not logged in</strong>" in body


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_scripts_find_their_words_in_each_language(serve: Serve, language: str) -> None:
    body = page(serve(), "/review", accept_language=language).body.decode()
    found = re.search(r'data-words="([^"]+)"', body)
    assert found is not None
    words = json.loads(unescape(found[1]))
    assets = Path("pipeline/daemon/web/pages/assets")
    scripts = (assets / "review.js").read_text() + (assets / "disagreements.js").read_text()
    assert set(re.findall(r"\bwords\.(\w+)", scripts)) <= set(words)
    assert words["fewest"] == read_texts()[language]("review.script.fewest")
    assert words["FAIL"] == read_texts()[language]("verdict.FAIL")


@pytest.mark.slow
def test_the_queue_is_worked_off_by_keyboard_alone_and_the_ledger_has_the_answers(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting(enough=2)
    ids = {serial: station.part(serial) for serial in SERIALS}
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    assert "REVIEW defective" in text(browser, "#verdict")
    keys(browser, "1")
    shows(browser, "SN-2")
    keys(browser, "c")
    keys(browser, "dust\n")
    keys(browser, "2")
    shows(browser, "SN-3")
    assert text(browser, "#last") == "SN-2: defective"
    keys(browser, "s")
    shows(browser, "SN-4")
    keys(browser, "1", "u")
    shows(browser, "SN-4")
    keys(browser, "2")
    shows(browser, "SN-5")
    keys(browser, "1")
    wait_for(browser, "#no-picture", "Nothing waits at the moment.")
    wait_for(browser, "#skipped", "1 skipped.")
    until(lambda: len(answers(station, ids["SN-5"])) == 1, "the last answer")
    assert {serial: answers(station, ids[serial]) for serial in SERIALS} == {
        "SN-1": [("anna", "good", "")],
        "SN-2": [("anna", "defective", "dust")],
        "SN-3": [],
        "SN-4": [("anna", "good", ""), ("anna", "", ""), ("anna", "defective", "")],
        "SN-5": [("anna", "good", "")],
    }
    click(browser, "#again")
    shows(browser, "SN-3")
    assert [e for e in console_errors(browser) if "Security" in e or "Trusted" in e] == []


@pytest.mark.slow
def test_an_answer_that_is_taken_back_before_it_was_given_is_asked_again_with_its_comment(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting()
    station.part("SN-1")
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    keys(browser, "c")
    keys(browser, "a scratch\n")
    keys(browser, "1")
    wait_for(browser, "#no-picture", "Nothing waits")
    keys(browser, "u")
    shows(browser, "SN-1")
    assert browser.execute_script("return document.querySelector('#comment').value") == "a scratch"
    assert text(browser, "#last") == "SN-1: answer withdrawn"


@pytest.mark.slow
def test_two_reviewers_in_two_sessions_never_see_the_same_part(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting()
    ids = {f"SN-{n:02}": station.part(f"SN-{n:02}") for n in range(20)}
    driver: Any = browser
    # Two names of one machine, of which each has its own cookies.
    windows = {"anna": driver.current_window_handle}
    log_in(browser, station, station.anna)
    driver.switch_to.new_window("tab")
    windows["kim"] = driver.current_window_handle
    browser.get(f"http://localhost:{station.served.port}/login?next=/review")
    send_keys(browser, "#token", f"{station.kim}\n")
    until(lambda: path_of(browser) == "/review", "the page Review")
    seen: dict[str, list[str]] = {"anna": [], "kim": []}
    for _ in range(5):
        for person, window in windows.items():
            driver.switch_to.window(window)
            shows(browser, "SN-")
            seen[person].append(text(browser, "#serial"))
            keys(browser, "1")
            until(lambda: text(browser, "#serial") != seen[person][-1], "the next part")  # noqa: B023
    driver.close()
    driver.switch_to.window(windows["anna"])
    assert len({*seen["anna"], *seen["kim"]}) == 10
    for person, serials in seen.items():
        for serial in serials:
            until(lambda: bool(answers(station, ids[serial])), f"the answer for {serial}")  # noqa: B023
            assert answers(station, ids[serial]) == [(person, "good", "")]


@pytest.mark.slow
def test_people_who_disagree_are_listed_and_a_third_one_decides_from_there(
    fresh: Browser, waiting: Waiting, tokens: Tokens
) -> None:
    browser, station = fresh, waiting(second_share=1)
    identity = station.part("SN-1")
    for token, part_class in ((station.anna, "good"), (station.kim, "defective")):
        station.post(f"/parts/{identity}/answer", {"class": part_class}, token)
    log_in(browser, station, tokens.new("olga", [Scope.READ, Scope.JUDGE]))
    wait_for(browser, "#disagreements", "1")
    open_page(browser, station.served, "/review/disagreements")
    wait_for(browser, "#list", "anna: good · kim: defective")
    assert serious_faults(browser) == []
    click(browser, "#list a")
    shows(browser, "SN-1")
    assert text(browser, "#others") == "anna: good · kim: defective"
    keys(browser, "1")
    until(lambda: len(answers(station, identity)) == 3, "the decision")
    assert station.get("/disagreements").json["all"] == 0


@pytest.mark.slow
def test_a_second_person_who_reviews_blind_sees_neither_verdict_nor_first_answer(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting(second_share=1)
    identity = station.part("SN-1")
    station.post(f"/parts/{identity}/answer", {"class": "good"}, station.kim)
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    assert text(browser, "#others") == ""
    keys(browser, "b")
    until(lambda: text(browser, "#verdict") == "", "no verdict")
    shows(browser, "SN-1")
    body = text(browser, "#part")
    assert [word for word in ("REVIEW", "defective", "as it is", "kim") if word in body] == []
    keys(browser, "2")
    until(lambda: len(answers(station, identity)) == 2, "the second answer")
    assert answers(station, identity)[1] == ("anna", "defective", "")


@pytest.mark.slow
def test_a_session_that_ends_in_the_middle_loses_nothing_that_was_typed(
    fresh: Browser, waiting: Waiting, tokens: Tokens
) -> None:
    browser, station = fresh, waiting()
    ids = [station.part(serial) for serial in ("SN-1", "SN-2")]
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    keys(browser, "c")
    keys(browser, "dust\n")
    keys(browser, "1")
    wait_for(browser, "#connection", "Your session has ended.")
    wait_for(browser, "#unsent", "1 not sent yet.")
    keys(browser, "c")
    keys(browser, "half a comm\n")
    click(browser, "#connection a")
    send_keys(browser, "#token", f"{station.anna}\n")
    until(lambda: answers(station, ids[0]) == [("anna", "good", "dust")], "the kept answer")
    shows(browser, "SN-2")
    typed = browser.execute_script("return document.querySelector('#comment').value")
    assert typed == "half a comm"


@pytest.mark.slow
def test_what_one_person_has_not_sent_is_not_sent_in_the_name_of_another(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting()
    ids = [station.part(serial) for serial in ("SN-1", "SN-2")]
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    keys(browser, "1")
    wait_for(browser, "#unsent", "1 not sent yet.")
    log_in(browser, station, station.kim)
    wait_for(browser, "#unsent", "Answers of anna are not sent yet")
    assert answers(station, ids[0]) == []
    log_in(browser, station, station.anna)
    until(lambda: answers(station, ids[0]) == [("anna", "good", "")], "the answer of Anna")


@pytest.mark.slow
def test_a_station_that_cannot_write_gets_the_answers_when_it_can_again(
    fresh: Browser, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, station = fresh, waiting()
    ids = [station.part(serial) for serial in ("SN-1", "SN-2")]
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")

    def fail(*_: object) -> None:
        raise LedgerError("ledger.sqlite has ledger format 9, reviews need 7")

    with monkeypatch.context() as broken:
        broken.setattr(ReviewQueue, "answer", fail)
        keys(browser, "1")
        shows(browser, "SN-2")
        wait_for(browser, "#connection", "has ledger format 9, reviews need 7")
    until(lambda: answers(station, ids[0]) == [("anna", "good", "")], "the answer")
    until(lambda: hidden(browser, "#connection"), "the message is gone")


@pytest.mark.slow
def test_a_class_that_the_model_lost_meanwhile_is_asked_again_with_the_classes_it_has(
    fresh: Browser, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, station = fresh, waiting()
    identity = station.part("SN-1")
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    names = {"good": Disposition.PASS, "scratch": Disposition.SCRAP}
    swapped = Taxonomy(classes=tuple(PartClass(name=n, disposition=d) for n, d in names.items()))
    monkeypatch.setattr(ReviewQueue, "taxonomy", lambda self: swapped)
    keys(browser, "c")
    keys(browser, "deep\n")
    keys(browser, "2")
    wait_for(browser, "#refusal", 'class "defective" is not in the taxonomy')
    wait_for(browser, "#classes", "scratch")
    shows(browser, "SN-1")
    assert browser.execute_script("return document.querySelector('#comment').value") == "deep"
    keys(browser, "2")
    until(lambda: answers(station, identity) == [("anna", "scratch", "deep")], "the answer")


@pytest.mark.slow
def test_a_part_that_is_gone_is_named_and_the_next_one_comes(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting()
    station.part("SN-1")
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    browser.get(f"{station.served.web.address}/review?part=unknown")
    wait_for(browser, "#refusal", "no closed record unknown")
    shows(browser, "SN-1")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_page_fits_the_screen_and_keeps_nobody_out(
    fresh: Browser, waiting: Waiting, width: int, height: int, scheme: str
) -> None:
    browser, station = fresh, waiting(second_share=1, enough=3)
    for n in range(3):
        station.part("2026-11-28/4711-" * 2 + str(n))
    log_in(browser, station, station.anna)
    with seen_at(browser, width, height, scheme):
        open_page(browser, station.served, "/review")
        shows(browser, "4711")
        wait_for(browser, "#helps", "would help most")
        page_px, window_px = browser.execute_script(INSIDE)
        assert page_px <= window_px
        assert serious_faults(browser) == []
        heights = browser.execute_script(
            "return [...document.querySelectorAll('#review button')].filter((b) => b.offsetHeight)"
            ".map((b) => b.offsetHeight)"
        )
        assert min(heights) >= 48


@pytest.mark.slow
def test_keys_can_be_switched_off_and_a_held_key_answers_one_part(
    fresh: Browser, waiting: Waiting
) -> None:
    browser, station = fresh, waiting()
    ids = [station.part(serial) for serial in ("SN-1", "SN-2", "SN-3")]
    log_in(browser, station, station.anna)
    shows(browser, "SN-1")
    click(browser, "#keys")
    keys(browser, "1")
    assert text(browser, "#serial") == "SN-1"
    click(browser, "#keys")
    for repeated in (False, True, True):
        browser.execute_script(
            "document.body.dispatchEvent(new KeyboardEvent('keydown',"
            " { key: '1', repeat: arguments[0], bubbles: true }))",
            repeated,
        )
    until(lambda: len(answers(station, ids[0])) == 1, "the answer")
    assert text(browser, "#serial") == "SN-2"
    click(browser, "#classes button:last-child")
    shows(browser, "SN-3")
    until(lambda: answers(station, ids[1]) == [("anna", "defective", "")], "the second answer")
