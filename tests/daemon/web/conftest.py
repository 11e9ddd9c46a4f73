"""A real station behind a real web service on a free port of loopback."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, Protocol

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import FixedModel, OpenedCamera, put_together
from pipeline.daemon.inspection import worker
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.settings.http import Http
from pipeline.daemon.settings.line import CameraSettings, Line, Overload
from pipeline.daemon.sources import Answer, Frame, Source
from pipeline.daemon.station import Station
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.daemon.web import server, upload
from pipeline.daemon.web.server import Web
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.imaging import Pixels, codec
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.ledger.ledger import Ledger
from tests.daemon.conftest import picture, station_of

TIMEOUT_S = 30


class Sent(Source):
    """Is sent its pictures; with `deaf` set it takes them and yields none.

    Attributes:
        asked: somebody waits for a verdict that will not come.
    """

    connected = True

    def __init__(self) -> None:
        self.deaf = False
        self.asked = threading.Event()
        self._frames: queue.Queue[Frame] = queue.Queue()

    def submit(self, data: bytes, ending: str, serial: str, answer: Answer | None) -> None:
        if self.deaf:
            self.asked.set()
            return
        clock = Clock()
        frame = Frame(clock.now(), clock.monotonic_s(), serial, None, "", data, ending, answer)
        self._frames.put(frame)

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        while not heartbeat.stopping:
            heartbeat.beat()
            try:
                yield self._frames.get(timeout=0.05)
            except queue.Empty:
                continue


class Fired(Trigger):
    """Is fired."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Call] = queue.Queue()

    def fire(self, serial: str, answer: Answer | None) -> None:
        clock = Clock()
        self._calls.put(Call(clock.now(), clock.monotonic_s(), serial, answer))

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        while not heartbeat.stopping:
            heartbeat.beat()
            try:
                yield self._calls.get(timeout=0.05)
            except queue.Empty:
                continue


class Held(Inspector):
    """Judges when it is let go."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, 1)
        self.let_go = threading.Event()
        self.at_work = threading.Event()

    def inspect(self, rgb: Pixels) -> Inspection:
        self.at_work.set()
        self.let_go.wait(TIMEOUT_S)
        return super().inspect(rgb)


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        detail: str = self.json["detail"]
        return detail


@dataclass
class Client:
    """Asks a station at a port of loopback."""

    port: int
    context: ssl.SSLContext | None = field(default=None, kw_only=True)

    def ask(
        self, method: str, path: str, body: Any = None, host: str = "127.0.0.1", **headers: str
    ) -> Reply:
        """One request on a connection of its own; `x_serial="7"` sends the header X-Serial."""
        connection: HTTPConnection
        if self.context is not None:
            connection = HTTPSConnection(host, self.port, timeout=TIMEOUT_S, context=self.context)
        else:
            connection = HTTPConnection(host, self.port, timeout=TIMEOUT_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(connection):
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            named = {k.lower(): v for k, v in answer.getheaders()}
            return Reply(answer.status, named, answer.read())

    def send(self, brightness: int = 200, path: str = "/inspect", /, **headers: str) -> Reply:
        """Send an even grey picture."""
        data = codec.encode_png(picture(brightness))
        return self.ask("POST", path, data, **{"content_type": "image/png"} | headers)


@dataclass
class Served(Client):
    """A station at work, and how to ask it."""

    station: Station
    web: Web
    stop: threading.Event
    thread: threading.Thread
    source: Sent

    def end(self) -> None:
        self.stop.set()
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive()


class Serve(Protocol):
    """Starts a station of one camera that is sent its pictures, or several by name."""

    def __call__(
        self,
        *cameras: str,
        trigger: Trigger | None = None,
        inspector: Inspector | None = None,
        overload: Overload | None = None,
        frames: Path | None = None,
        challenge: Challenge | None = None,
        **http: Any,
    ) -> Served: ...


@pytest.fixture
def serve(line: Line, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    # An inspection that waits for a part sees only so often that it is to end.
    monkeypatch.setattr(worker, "BEAT_EVERY_S", 0.02)
    with ExitStack() as stack:

        def start(
            *cameras: str,
            trigger: Trigger | None = None,
            inspector: Inspector | None = None,
            overload: Overload | None = None,
            frames: Path | None = None,
            challenge: Challenge | None = None,
            **http: Any,
        ) -> Served:
            clock = Clock()
            ledger = stack.enter_context(closing(Ledger(line.ledger, "west-1")))
            rules = None if trigger is None else TriggerConfig(type="fired", wait_ms=100)
            source = Sent()
            assert line.source is not None
            opened = [
                OpenedCamera(
                    CameraSettings.model_construct(name=name, source=line.source, trigger=rules),
                    source if i == 0 else Sent(),
                    trigger,
                )
                for i, name in enumerate(cameras or ("camera",))
            ]
            model = FixedModel(inspector or Inspector(sealed_bundle, 1), "cells/3", clock.now())
            settled = line.model_copy(
                update={"overload": overload or Overload(), "challenge": challenge}
            )
            station = put_together(settled, opened, model, ledger, clock)
            settings = Http(**{"port": 0, "open_on_loopback": "tokens" not in http} | http)
            web = stack.enter_context(closing(Web(settings, station, frames, challenge=challenge)))
            station.add_workers(web)
            stop = threading.Event()
            thread = threading.Thread(target=station.run, args=(stop,), daemon=True)
            thread.start()
            served = Served(web.port, station, web, stop, thread, source)
            stack.callback(served.end)
            return served

        yield start


@pytest.fixture
def station(line: Line, sealed_bundle: Bundle) -> Iterator[Station]:
    """A station that does not run."""
    with closing(Ledger(line.ledger, "west-1")) as ledger:
        yield station_of(line, Sent(), Inspector(sealed_bundle, 1), ledger)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """A file of tokens that is still to be made; `reader` and `actor` each add one."""
    return Tokens(tmp_path / "tokens")


@pytest.fixture
def reader(tokens: Tokens) -> str:
    return f"Bearer {tokens.new('desk', [Scope.READ])}"


@pytest.fixture
def actor(tokens: Tokens) -> str:
    return f"Bearer {tokens.new('plc', [Scope.ACT])}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's patience, as short as a test's."""
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.3)
    monkeypatch.setattr(server, "READ_WITHIN_S", 0.3)
    monkeypatch.setattr(upload, "LINGER_S", 0.2)


def connected(served: Served) -> socket.socket:
    """A client that has not asked for anything yet."""
    return socket.create_connection(("127.0.0.1", served.port), TIMEOUT_S)
