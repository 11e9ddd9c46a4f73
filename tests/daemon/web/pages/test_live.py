"""The page Live in a browser: parts as they come, a picture, a heat map, a lost connection."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.web.live import streams
from pipeline.daemon.web.tokens import Tokens
from tests.browser import Browser, console_errors
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Serve, connected
from tests.daemon.web.pages.conftest import (
    Replayed,
    click,
    keys,
    open_page,
    page,
    seen_at,
    send_keys,
    serious_faults,
    text,
    wait_for,
)

SCREENS = [(1280, 800), (390, 844)]
LOADED = (
    "const i = document.querySelector(arguments[0]); return !!i && !i.hidden && i.naturalWidth > 0"
)
INSIDE = "return [document.documentElement.scrollWidth, window.innerWidth]"


def test_the_page_has_the_words_of_its_language_for_every_verdict_and_state(serve: Serve) -> None:
    body = page(serve(), "/", accept_language="de").body.decode()
    found = re.search(r'data-words="([^"]+)"', body)
    assert found is not None
    words = json.loads(unescape(found[1]))
    assert set(words) == {*Verdict, "inspecting", "degraded", "idle"}
    assert (words["FAIL"], words["idle"]) == ("n. i. O.", "Prüft nicht")


@pytest.mark.slow
def test_the_page_follows_a_replay_and_shows_the_picture_and_heat_map_of_a_fail(
    browser: Browser, replayed: Replayed
) -> None:
    served = replayed()
    open_page(browser, served)
    wait_for(browser, "#word", "Inspecting")
    wait_for(browser, "#doubtful .FAIL [data-field=serial]", "b_bad.png")
    wait_for(browser, "#shift-FAIL", "2")
    until(lambda: browser.execute_script(LOADED, "#doubtful .FAIL img"), "a small picture")
    assert text(browser, "#model") == "cells/3"
    click(browser, "#doubtful .FAIL a")
    wait_for(browser, "#verdict", "FAIL")
    assert (text(browser, "#class"), text(browser, "#serial")) == ("defective", "b_bad.png")
    until(lambda: browser.execute_script(LOADED, "#picture"), "the picture")
    click(browser, "#heat")
    wait_for(browser, "#heat-note", "where the score comes from, by cells/3")
    source = browser.execute_script("return document.querySelector('#picture').src")
    assert source.endswith("/heat")
    until(lambda: browser.execute_script(LOADED, "#picture"), "the heat map")
    assert text(browser, "#verdict") == "FAIL"  # it stays, though parts go on coming
    click(browser, "#follow")
    until(lambda: text(browser, "#serial") != "b_bad.png", "the next part")
    policy = [line for line in console_errors(browser) if "Security" in line or "Trusted" in line]
    assert policy == []


@pytest.mark.slow
def test_a_person_reaches_every_part_and_the_heat_map_by_keyboard_alone(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    served.send(50, x_serial="bad")
    served.send(200, x_serial="good")
    open_page(browser, served)
    wait_for(browser, "#serial", "good")
    keys(browser, "\ue004", "\ue007")  # Tab, Enter: skip to the content
    seen = list[str]()
    for _ in range(12):
        keys(browser, "\ue004")
        seen.append(browser.execute_script("return document.activeElement.innerText.trim()"))
        if "FAIL" in seen[-1]:
            keys(browser, "\ue007")
            break
    assert seen[:2] == ["Record", "Heat map"]
    wait_for(browser, "#serial", "bad")


@pytest.mark.slow
def test_a_page_that_lost_the_stream_reports_it_and_comes_back(
    browser: Browser, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    open_page(browser, served)
    wait_for(browser, "#word", "Inspecting")
    assert text(browser, "#connection") == ""
    with monkeypatch.context() as silent:
        silent.setattr(streams, "STATE_EVERY_S", TIMEOUT_S)
        silent.setattr(streams, "MOST", 0)
        wait_for(browser, "#connection", "No connection to the station. What you see is of ")
        served.send(50, x_serial="meanwhile")
    wait_for(browser, "#serial", "meanwhile")
    until(lambda: text(browser, "#connection") == "", "the end of the message")


@pytest.mark.slow
def test_a_page_whose_session_has_ended_leads_to_the_login_page(
    browser: Browser, serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    browser.get(f"{served.web.address}/login")
    send_keys(browser, "#token", reader.removeprefix("Bearer ") + "\n")
    wait_for(browser, "#word", "Inspecting")
    tokens.revoke("desk")
    wait_for(browser, "#connection", "Your session has ended.")
    click(browser, "#connection a")
    wait_for(browser, "label", "Token")


@pytest.mark.slow
def test_a_device_whose_clock_is_wrong_reads_the_stations_time(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    fast = "const now = Date.now; Date.now = () => now() + 3600e3;"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": fast})
    try:
        open_page(browser, served)
        wait_for(browser, "#clock", "The clock of this device is wrong")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    open_page(browser, served)
    wait_for(browser, "#word", "Inspecting")
    assert text(browser, "#clock") == ""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_page_fits_the_screen_and_keeps_nobody_out(
    browser: Browser, serve: Serve, width: int, height: int, scheme: str
) -> None:
    served = serve()
    for brightness in (200, 50, 128):
        served.send(brightness, x_serial="A rather long serial number 2026-11-28/4711")
    served.ask("POST", "/inspect", b"no picture", content_type="image/png")
    with seen_at(browser, width, height, scheme):
        open_page(browser, served)
        wait_for(browser, "#word", "Inspecting")
        wait_for(browser, "#strip .NOT_INSPECTED", "")
        until(lambda: browser.execute_script(LOADED, "#doubtful .FAIL img"), "a small picture")
        page_px, window_px = browser.execute_script(INSIDE)
        assert page_px <= window_px
        assert serious_faults(browser) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_whole_page_is_seen_on_a_panel_without_scrolling(
    browser: Browser, serve: Serve, language: str
) -> None:
    served = serve()
    for brightness in (200, 50, 128) * 4:
        served.send(brightness, x_serial="SN-2026-4711")
    with seen_at(browser, 1280, 800, "light"):
        open_page(browser, served, f"/language?to={language}&next=/")
        until(lambda: browser.execute_script(LOADED, "#doubtful .FAIL img"), "a small picture")
        height_px = browser.execute_script("return document.documentElement.scrollHeight")
    browser.get(f"{served.web.address}/language?to=en&next=/login")
    assert height_px <= 800


@pytest.mark.slow
def test_the_policy_refuses_what_comes_from_elsewhere(browser: Browser, serve: Serve) -> None:
    """So the absence of violations means something: the browser reports them here."""
    served = serve()
    open_page(browser, served)
    browser.execute_script("new Image().src = 'http://localhost:1/a.png'")
    browser.execute_script("document.body.setAttribute('style', 'color: red')")

    def reported() -> bool:
        found.extend(line for line in console_errors(browser) if "Content Security" in line)
        return len(found) >= 2

    found = list[str]()
    until(reported, "a report of both")
    with pytest.raises(Exception, match="TrustedScript"):
        browser.execute_script("document.body.setAttribute('onclick', 'alert(1)')")
    # Until it is written down, too: the next test in this browser reads the same console.
    until(lambda: any("TrustedScript" in line for line in console_errors(browser)), "a report")


def test_a_stream_that_nobody_reads_is_cut_off(serve: Serve, impatient: None) -> None:
    served = serve()
    with connected(served) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until(lambda: served.web.service.streams.open == 1)
    until(lambda: served.web.service.streams.open == 0)
