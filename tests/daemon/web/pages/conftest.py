"""Pages of a real station, asked for by a program and opened in a real browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import FixedModel, OpenedCamera, put_together
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.http import Http
from pipeline.daemon.settings.line import CameraSettings, Keep, Line
from pipeline.daemon.sources import replay
from pipeline.daemon.station import Station
from pipeline.daemon.web.server import Web
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from tests.browser import Browser, browser, console_errors
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Client, Reply, Served

__all__ = ["browser"]

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@dataclass
class ReplayedStation(Client):
    """A station that replays, and how to ask it."""

    station: Station
    web: Web
    stop: threading.Event
    thread: threading.Thread

    def end(self) -> None:
        self.stop.set()
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive()


AnyServed = Served | ReplayedStation


def page(served: Client, path: str, **headers: str) -> Reply:
    """An address as a browser asks for it."""
    return served.ask("GET", path, **{"accept": HTML} | headers)


def post(served: Client, path: str, fields: dict[str, str], **headers: str) -> Reply:
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


def logged_in(served: Client, token: str) -> str:
    """The cookie of a new session."""
    reply = post(served, "/login", {"token": token.removeprefix("Bearer "), "next": "/"})
    assert reply.status == 303, reply.body
    return cookie_of(reply)


@pytest.fixture
def judge(tokens: Tokens) -> str:
    """A token of a person who looks and judges."""
    return tokens.new("anna", [Scope.READ, Scope.JUDGE])


# What a browser writes of a part that came without a readable picture: the address answers 404.
NO_PICTURE = re.compile(r"/records/[^/ ]+/picture\S* .*404 \(Not Found\)")


def open_page(browser: Browser, served: AnyServed, path: str = "/") -> None:
    """Open a page; the console is silent, but for a picture that is asked for and not there."""
    browser.get("about:blank")  # the page of a test before may still be trying
    console_errors(browser)
    browser.get(f"{served.web.address}{path}")
    assert [error for error in console_errors(browser) if not NO_PICTURE.search(error)] == []


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


def click(browser: Browser, css: str) -> None:
    """Click an element as a person does: where it is, in view."""
    found: Any = browser
    found.find_element("css selector", css).click()


def keys(browser: Browser, *pressed: str) -> None:
    """Press keys wherever the focus is."""
    found: Any = browser
    for key in pressed:
        found.switch_to.active_element.send_keys(key)


def serious_faults(browser: Browser) -> list[str]:
    """What axe-core finds on the page that keeps people out: its serious and critical rules."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    browser.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text("utf-8"))
    driver: Any = browser
    found = driver.execute_async_script(
        "const done = arguments[0];"
        "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }).then(done, (e) => done(String(e)))"
    )
    assert isinstance(found, dict), found
    assert found["passes"]
    return [
        f"{fault['id']}: {node['html'][:200]} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


class Replayed(Protocol):
    """Starts a station that replays `parts` again and again and keeps frames."""

    def __call__(self, rate_hz: float = 5, **http: Any) -> ReplayedStation: ...


@pytest.fixture
def replayed(line: Line, sealed_bundle: Bundle, tmp_path: Path) -> Iterator[Replayed]:
    with ExitStack() as stack:

        def start(rate_hz: float = 5, **http: Any) -> ReplayedStation:
            clock = Clock()
            ledger = stack.enter_context(closing(Ledger(line.ledger, "west-1")))
            source = replay.Config(
                type="replay", path=tmp_path / "parts", rate_hz=rate_hz, loop=True
            )
            settings = CameraSettings.model_construct(name="top", source=source, trigger=None)
            kept = line.model_copy(update={"keep": Keep(folder=tmp_path / "kept")})
            model = FixedModel(Inspector(sealed_bundle, 1), "cells/3", clock.now())
            opened = [OpenedCamera(settings, source.open(clock), None)]
            station = put_together(kept, opened, model, ledger, clock)
            given = {"port": 0, "open_on_loopback": "tokens" not in http} | http
            web = stack.enter_context(closing(Web(Http(**given), station, tmp_path / "kept")))
            station.add_workers(web)
            stop = threading.Event()
            thread = threading.Thread(target=station.run, args=(stop,), daemon=True)
            thread.start()
            served = ReplayedStation(web.port, station, web, stop, thread)
            stack.callback(served.end)
            return served

        yield start
