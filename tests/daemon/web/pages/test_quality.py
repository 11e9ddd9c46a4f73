"""The page Quality: the chart, its limits, and a table for who does not see it."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.ledger.quality.events import add_event
from tests.browser import Browser, console_errors
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Serve, Served
from tests.daemon.web.pages.conftest import (
    click,
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
from tests.daemon.web.pages.test_live import INSIDE, SCREENS
from tests.daemon.web.quality.conftest import FAILS, fill, hours_ago

DRAWN = "return document.querySelectorAll('figure[data-drawn] canvas').length"
FIGURES = 6  # with that of the novelty, which is there once it was sampled


def period(hours: int = 24) -> dict[str, str]:
    """The last hours, as the form sends them."""
    ends = {"since": hours_ago(hours), "until": hours_ago(0)}
    return {n: f"{at.astimezone():%Y-%m-%dT%H:%M}" for n, at in ends.items()} | {"per": "hour"}


def shown(served: Served, path: str = "/quality", **headers: str) -> str:
    return page(served, path, **headers).body.decode()


def test_without_parts_the_page_reports_it_instead_of_an_empty_chart(serve: Serve) -> None:
    body = shown(serve())
    assert "Not enough parts for limits yet: 0 of 1000, in 0 of 20" in body
    assert body.count("There is no part in this period yet.") == FIGURES - 1
    assert "<figure" not in body


def test_few_parts_are_shown_and_how_many_lack(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS[:5])
    body = shown(served)
    assert "Not enough parts for limits yet: 500 of 1000, in 5 of 20" in body
    assert body.count("<figure") == FIGURES
    assert "Noch nicht genug Teile für Grenzen: 500 von 1000" in shown(served, accept_language="de")


def test_limits_that_nobody_has_set_are_trial_limits(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    body = shown(served)
    assert "Trial limits from what is shown." in body
    assert "None, for nobody has frozen limits yet." in body
    assert '"upper"' not in body
    assert "Upper limit" in body


def test_a_person_freezes_limits_with_the_form(serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    reply = post(served, "/quality", period() | {"name": "A. Weber", "comment": "<lamp>"})
    assert (reply.status, reply.headers["location"]) == (303, "/quality?per=hour")
    body = shown(served)
    assert "Limits frozen by A. Weber" in body
    assert "from 2400 parts" in body
    assert "&lt;lamp&gt;" in body


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": ""}, "name the person who answers for the limits"),
        ({"name": "A", **period(5)}, "limits need 20"),
        ({"name": "A", "size": "many"}, "is not a number of parts"),
    ],
)
def test_limits_that_are_refused_are_explained_on_the_page(
    serve: Serve, fields: dict[str, str], why: str
) -> None:
    served = serve()
    fill(served.station.ledger, FAILS * 2)
    reply = post(served, "/quality", period() | fields)
    assert (reply.status, why in reply.body.decode()) == (422, True)


def test_a_session_that_may_only_read_sees_the_page_and_freezes_nothing(
    serve: Serve, tokens: Tokens
) -> None:
    secrets = {s: tokens.new(f"desk-{s}", [Scope.READ, s]) for s in (Scope.JUDGE, Scope.ACT)}
    served = serve(tokens=tokens.path)
    fill(served.station.ledger, FAILS * 2)
    cookies = {scope: logged_in(served, secret) for scope, secret in secrets.items()}
    body = shown(served, cookie=cookies[Scope.JUDGE])
    assert "A token with scope act may freeze limits." in body
    assert 'id="freeze"' not in body
    assert post(served, "/quality", period(), cookie=cookies[Scope.JUDGE]).status == 403
    given = period() | {"name": "somebody else"}
    assert post(served, "/quality", given, cookie=cookies[Scope.ACT]).status == 303
    assert "Limits frozen by desk-act" in shown(served, cookie=cookies[Scope.ACT])


def test_signals_stand_on_the_page_in_its_language(serve: Serve) -> None:
    served = serve()
    ledger = served.station.ledger
    fill(ledger, FAILS * 2)
    at = hours_ago(1).isoformat()
    data = {
        "camera": "",
        "per": "hour",
        "size": 0,
        "since": at,
        "share": 0.12,
        "fails": 12,
        "parts": 100,
        "test": 1,
    }
    add_event(ledger, hours_ago(0), "quality signal", "detail", data, "a")
    assert "12.00 % (12/100): a point beyond the limits" in shown(served)
    assert "ein Punkt außerhalb der Grenzen" in shown(served, accept_language="de")
    assert f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M}" in shown(served)


def test_a_period_that_cannot_be_shown_is_explained(serve: Serve) -> None:
    reply = page(serve(), "/quality?since=soon")
    assert (reply.status, b"is not a time" in reply.body) == (422, True)


@pytest.mark.slow
def test_a_person_reads_the_chart_and_freezes_its_limits(browser: Browser, serve: Serve) -> None:
    served = serve()
    fill(served.station.ledger, [*FAILS, *FAILS, 12])
    open_page(browser, served, "/quality")
    until(lambda: browser.execute_script(DRAWN) == FIGURES, "all charts")
    assert "Trial limits" in text(browser, "#limits")
    send_keys(browser, "#name", "A. Weber")
    click(browser, "#freeze")
    wait_for(browser, "#limits", "Limits frozen by A. Weber")
    until(lambda: browser.execute_script(DRAWN) == FIGURES, "all charts")
    policy = [line for line in console_errors(browser) if "Security" in line or "Trusted" in line]
    assert policy == []


@pytest.mark.slow
def test_the_values_of_the_chart_are_a_table_for_who_does_not_see_it(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    fill(served.station.ledger, [*FAILS, *FAILS, 12])
    open_page(browser, served, "/quality")
    click(browser, "summary")
    wait_for(browser, "details[open] tbody tr", "12.00 %")
    assert "1" in text(browser, "details[open] tbody tr td:last-child")  # the test that signals


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_page_fits_the_screen_and_keeps_nobody_out(
    browser: Browser, serve: Serve, width: int, height: int, scheme: str
) -> None:
    served = serve("top", "side")
    fill(served.station.ledger, [*FAILS, *FAILS, 12], camera="top")
    post(served, "/quality", period() | {"name": "A. Weber", "comment": "after the new lamp"})
    with seen_at(browser, width, height, scheme):
        open_page(browser, served, "/quality")
        until(lambda: browser.execute_script(DRAWN) == FIGURES, "all charts")
        browser.execute_script(
            "for (const d of document.querySelectorAll('details')) d.open = true"
        )
        page_px, window_px = browser.execute_script(INSIDE)
        assert page_px <= window_px
        assert serious_faults(browser) == []
