"""Pages of a real station, asked for by a program and opened in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from pipeline.daemon.web.tokens import Scope, Tokens
from tests.browser import Browser, browser, console_errors
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Reply, Served

__all__ = ["browser"]

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


def page(served: Served, path: str, **headers: str) -> Reply:
    """An address as a browser asks for it."""
    return served.ask("GET", path, **{"accept": HTML} | headers)


def post(served: Served, path: str, fields: dict[str, str], **headers: str) -> Reply:
    """A form as a page of the station sends it."""
    own = {
        "accept": HTML,
        "content_type": "application/x-www-form-urlencoded",
        "origin": f"http://127.0.0.1:{served.port}",
    }
    return served.ask("POST", path, urlencode(fields), **own | headers)


def cookie_of(reply: Reply) -> str:
    """What a browser sends back of a `Set-Cookie`."""
    return reply.headers["set-cookie"].partition(";")[0]


def logged_in(served: Served, token: str) -> str:
    """The cookie of a new session."""
    reply = post(served, "/login", {"token": token.removeprefix("Bearer "), "next": "/"})
    assert reply.status == 303, reply.body
    return cookie_of(reply)


@pytest.fixture
def judge(tokens: Tokens) -> str:
    """A token of a person who looks and judges."""
    return tokens.new("anna", [Scope.READ, Scope.JUDGE])


def open_page(browser: Browser, served: Served, path: str = "/") -> None:
    """Open a page; the console is silent."""
    console_errors(browser)
    browser.get(f"{served.web.address}{path}")
    assert console_errors(browser) == []


def text(browser: Browser, css: str) -> str:
    """What people read in the first element that fits, "" where there is none."""
    found = browser.execute_script(
        "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", css
    )
    return str(found).replace("\u00a0", " ").strip()


def wait_for(browser: Browser, css: str, wanted: str) -> None:
    """Return once an element reads as wanted."""
    until(lambda: wanted in text(browser, css), f"{css} reading {wanted!r}")


@contextmanager
def seen_at(browser: Browser, width: int, height: int, scheme: str) -> Iterator[None]:
    """A screen of that size in pixels, dark or light."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def send_keys(browser: Browser, css: str, keys: str) -> None:
    """Type into an element as a person does."""
    found: Any = browser
    found.find_element("css selector", css).send_keys(keys)
