"""A token becomes a session of the browser, and no other site can begin, use or end one."""

from __future__ import annotations

import pytest

from pipeline.daemon.web.tokens import Tokens
from tests.browser import Browser
from tests.daemon.web.conftest import Serve
from tests.daemon.web.pages.conftest import (
    cookie_of,
    logged_in,
    open_page,
    page,
    post,
    seen_at,
    send_keys,
    serious_faults,
    text,
    wait_for,
)


def test_a_token_becomes_a_session_whose_cookie_no_script_and_no_other_site_gets(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    reply = post(served, "/login", {"token": reader.removeprefix("Bearer "), "next": "/?a=1"})
    assert (reply.status, reply.headers["location"]) == (303, "/?a=1")
    cookie, *flags = reply.headers["set-cookie"].split("; ")
    assert cookie.startswith("lineside-west-1=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(flags)
    assert page(served, "/", cookie=cookie).status == 200


def test_a_wrong_token_begins_no_session(
    serve: Serve, tokens: Tokens, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(tokens=tokens.path)
    reply = post(served, "/login", {"token": "lineside_wrong", "next": "/"})
    assert (reply.status, "set-cookie" in reply.headers) == (401, False)
    assert b"opens nothing here" in reply.body
    assert "lineside_wrong" not in caplog.text


def test_without_tokens_the_login_page_names_the_command_that_makes_one(serve: Serve) -> None:
    served = serve(open_on_loopback=False)
    assert b"lineside token new" in page(served, "/login").body
    assert b"lineside token new" in post(served, "/login", {"token": "x"}).body


def test_on_an_open_loopback_nobody_has_to_log_in(serve: Serve) -> None:
    served = serve()
    assert page(served, "/").status == 200
    assert page(served, "/login?next=/records").headers["location"] == "/records"


def test_a_session_of_another_station_closes_no_open_loopback(serve: Serve) -> None:
    served = serve()
    assert page(served, "/", cookie="lineside-west-1=of-another-port").status == 200
    assert served.ask("GET", "/status", cookie="lineside-west-1=x").status == 200


def test_who_is_logged_in_is_led_on_from_the_login_page(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    """So a link from an e-mail works, with which a browser leaves out a strict cookie."""
    served = serve(tokens=tokens.path)
    reply = page(served, "/login?next=%2Frecords%2F1", cookie=logged_in(served, reader))
    assert (reply.status, reply.headers["location"]) == (303, "/records/1")


def test_a_session_ends_with_a_log_out(serve: Serve, tokens: Tokens, reader: str) -> None:
    served = serve(tokens=tokens.path)
    cookie = logged_in(served, reader)
    reply = post(served, "/logout", {}, cookie=cookie)
    assert (reply.status, reply.headers["location"]) == (303, "/login")
    assert cookie_of(reply) == 'lineside-west-1=""'
    assert page(served, "/", cookie=cookie).status == 401


def test_a_session_opens_the_addresses_of_programs_too(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    cookie = logged_in(served, reader)
    assert served.ask("GET", "/status", cookie=cookie).status == 200
    assert served.ask("GET", "/status", cookie=cookie, authorization="Bearer x").status == 401
    assert served.ask("GET", "/status", cookie="lineside-west-1=x").status == 401


def test_a_session_acts_from_the_stations_own_pages_only(
    serve: Serve, tokens: Tokens, actor: str
) -> None:
    served = serve(tokens=tokens.path)
    cookie = logged_in(served, actor)
    own = f"http://127.0.0.1:{served.port}"
    refused = [
        served.send(200, cookie=cookie),
        served.send(200, cookie=cookie, origin="http://evil.example"),
        served.send(200, cookie=cookie, sec_fetch_site="cross-site"),
    ]
    assert [reply.status for reply in refused] == [403] * 3
    assert served.station.ledger.account().triggers == 0
    assert served.send(200, cookie=cookie, origin=own).status == 200


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_no_other_site_begins_or_ends_a_session(
    serve: Serve, tokens: Tokens, reader: str, path: str
) -> None:
    served = serve(tokens=tokens.path)
    fields, cookie = {"token": reader.removeprefix("Bearer ")}, logged_in(served, reader)
    for origin in ("http://evil.example", "null"):
        assert post(served, path, fields, cookie=cookie, origin=origin).status == 403
    kind = "application/x-www-form-urlencoded"
    unnamed = served.ask("POST", path, "token=x", accept="text/html", content_type=kind)
    assert (unnamed.status, "set-cookie" in unnamed.headers) == (403, False)
    assert page(served, "/", cookie=cookie).status == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("token=" + "x" * 10_000, "application/x-www-form-urlencoded", 413),
        ("&".join("a=1" for _ in range(50)), "application/x-www-form-urlencoded", 422),
        ('{"token": "x"}', "application/json", 415),
        ("\x00\xff", "application/x-www-form-urlencoded", 401),
    ],
)
def test_what_is_not_a_login_form_is_refused(
    serve: Serve, tokens: Tokens, reader: str, body: str, kind: str, status: int
) -> None:
    served = serve(tokens=tokens.path)
    own = f"http://127.0.0.1:{served.port}"
    reply = served.ask("POST", "/login", body, accept="text/html", content_type=kind, origin=own)
    assert (reply.status, "set-cookie" in reply.headers) == (status, False)


def test_a_language_is_chosen_by_a_link_and_remembered(serve: Serve) -> None:
    served = serve()
    reply = page(served, "/language?to=de&next=%2F")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert 'lang="de"' in page(served, "/", cookie=cookie_of(reply)).body.decode()
    assert "set-cookie" not in page(served, "/language?to=xx").headers


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/login", "/nowhere"])
def test_the_login_page_and_that_of_an_error_keep_nobody_out(
    browser: Browser, serve: Serve, tokens: Tokens, reader: str, path: str, scheme: str
) -> None:
    served = serve(tokens=tokens.path)
    with seen_at(browser, 390, 844, scheme):
        browser.get(f"{served.web.address}{path}")
        assert serious_faults(browser) == []


@pytest.mark.slow
def test_a_person_logs_in_and_out_in_a_browser(
    browser: Browser, serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    browser.get(f"{served.web.address}/?from=mail")
    wait_for(browser, "h1", "Log in")
    wait_for(browser, "label", "Token")
    send_keys(browser, "#token", reader.removeprefix("Bearer ") + "\n")
    wait_for(browser, ".state", "Inspecting")
    assert browser.execute_script("return location.search") == "?from=mail"
    assert browser.execute_script("return document.cookie") == ""
    browser.execute_script("document.querySelector('.bar form button').click()")
    wait_for(browser, "h1", "Log in")
    open_page(browser, served, "/login")
    assert text(browser, "nav") == ""
