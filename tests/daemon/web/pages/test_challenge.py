"""The page Challenge, as people use it."""

from __future__ import annotations

import pytest

from tests.browser import Browser
from tests.daemon.waiting import until
from tests.daemon.web.challenge.test_api import RULES, start, taken_up
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import (
    click,
    open_page,
    page,
    post,
    seen_at,
    send_keys,
    serious_faults,
    text,
    wait_for,
)


def test_a_station_without_challenge_runs_shows_that_it_has_none(serve: Serve) -> None:
    reply = page(serve(), "/challenge")
    assert (reply.status, b"no challenge runs" in reply.body) == (200, True)


def test_a_second_start_shows_who_was_first(serve: Serve) -> None:
    served = serve(challenge=RULES)
    start(served)
    reply = post(served, "/challenge", {"by": "ben"})
    assert (reply.status, b"of anna is open" in reply.body) == (409, True)


def test_the_page_speaks_german(serve: Serve) -> None:
    reply = page(serve(challenge=RULES), "/challenge", accept_language="de")
    assert "Lauf beginnen" in reply.body.decode()


@pytest.mark.slow
def test_a_person_starts_a_run_and_sees_its_protocol(serve: Serve, browser: Browser) -> None:
    served = serve(challenge=RULES)
    open_page(browser, served, "/challenge")
    assert serious_faults(browser) == []
    send_keys(browser, "#by", "A. Weber")
    click(browser, "form.stack button")
    wait_for(browser, "h1", "Challenge run 1: open")
    taken_up(served)
    served.send(50, x_serial="RR-1")
    served.send(200, x_serial="G-1")
    until(lambda: served.ask("GET", "/api/v1/challenge/1").json["passed"], "a run that passed")
    wait_for(browser, "h1", "Challenge run 1: passed")
    assert "A. Weber" in text(browser, "main")
    assert serious_faults(browser) == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_page_is_as_wide_as_the_screen(
    serve: Serve, browser: Browser, width: int, height: int
) -> None:
    served = serve(challenge=RULES)
    start(served)
    with seen_at(browser, width, height, "light"):
        for path in ("/challenge", "/challenge/1"):
            open_page(browser, served, path)
            wide = "return document.documentElement.scrollWidth"
            assert int(str(browser.execute_script(wide))) <= width
