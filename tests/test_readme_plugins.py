"""The source, the sink and the line file that the README shows work as they stand there."""

from __future__ import annotations

import http.server
import importlib
import json
import re
import socket
import socketserver
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import config
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import assembled
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sinks import SinkDown
from pipeline.errors import SourceLost
from pipeline.imaging import codec
from tests.daemon.conftest import keep, picture
from tests.imports import ROOT

README = (ROOT / "README.md").read_text("utf-8")
LONGEST_S = 30
JPEG = codec.encode_png(picture(50))  # a camera's file, whatever it says of itself


def block(language: str, holding: str) -> str:
    """The fenced block of a language that holds some text."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(next(b for b in blocks if holding in b))


AddPlugin = Callable[[str, str], ModuleType]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddPlugin]:
    """Write one of the README's examples into its one file, in a folder of its kind; import it."""
    added: list[tuple[ModuleType, str]] = []

    def add(package: str, name: str) -> ModuleType:
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(block("python", f'Literal["{name}"]'))
        home = importlib.import_module(f"pipeline.daemon.{package}")
        monkeypatch.setattr(home, "__path__", [*home.__path__, str(folder)])
        added.append((home, name))
        return importlib.import_module(f"{home.__name__}.{name}")

    yield add
    for home, name in added:
        del sys.modules[f"{home.__name__}.{name}"]
        delattr(home, name)


def test_the_line_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(block("yaml", "station: west-1"))
    line = config.load(file, Line)
    assert [c.name for c in line.all_cameras] == ["top"]
    assert [s.type for s in line.sinks] == ["jsonl", "mqtt", "webhook"]


class Camera(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(JPEG)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def camera() -> Iterator[http.server.HTTPServer]:
    with http.server.HTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_source_gives_pictures(camera: http.server.HTTPServer, plugin: AddPlugin) -> None:
    still = plugin("sources", "still")
    clock = Clock()
    settings = still.Config(type="still", url=f"http://127.0.0.1:{camera.server_port}/")
    frame = next(settings.open(clock).frames(Heartbeat(clock)))
    assert frame.decoded().shape == (20, 24, 3)


def test_the_source_says_when_its_camera_is_away(plugin: AddPlugin) -> None:
    still = plugin("sources", "still")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    source = still.Config(type="still", url=url).open(Clock())
    with pytest.raises(SourceLost, match="does not answer"):
        next(source.frames(Heartbeat(Clock())))


RECORD = Record("0199-a", "west-1", "2026-11-22T12:00:00+00:00", "part-1", Verdict.FAIL, "dent")


def test_the_sink_tells_its_collector(plugin: AddPlugin) -> None:
    lines = plugin("sinks", "lines")
    heard: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def collect() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as whole:
                heard.append(whole.read())

        collector = threading.Thread(target=collect)
        collector.start()
        port = server.getsockname()[1]
        sink = lines.Config(type="lines", host="127.0.0.1", port=port).open("west-1", Clock())
        sink.deliver([RECORD])
        collector.join(10)
    assert [json.loads(line)["id"] for line in heard[0].splitlines()] == ["0199-a"]


def test_the_sink_says_when_its_collector_is_away(plugin: AddPlugin) -> None:
    lines = plugin("sinks", "lines")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    sink = lines.Config(type="lines", host="127.0.0.1", port=port).open("west-1", Clock())
    with pytest.raises(SinkDown):
        sink.deliver([RECORD])


class Collector(socketserver.TCPServer):
    """Takes lines, whole, and says so when the first came."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.came = threading.Event()
        super().__init__(("127.0.0.1", 0), Batch)


class Batch(socketserver.StreamRequestHandler):
    server: Collector

    def handle(self) -> None:
        self.server.lines += self.rfile
        self.server.came.set()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_line_file_puts_the_source_and_the_sink_to_work_that_are_one_file_each(
    camera: http.server.HTTPServer,
    collector: Collector,
    plugin: AddPlugin,
    sealed_bundle: Bundle,
    tmp_path: Path,
) -> None:
    plugin("sources", "still")
    plugin("sinks", "lines")
    keep(sealed_bundle, tmp_path / "models")  # it starts with these: its registry is away
    file = tmp_path / "line.yaml"
    file.write_text(
        "station: west-1\nrecipe: cells\nthreads: 1\n"
        f"model: {{registry: 'sqlite:///{tmp_path}/none.db', cache: {tmp_path / 'models'}}}\n"
        f"ledger: {tmp_path / 'ledger.sqlite'}\n"
        f"source: {{type: still, url: 'http://127.0.0.1:{camera.server_port}/'}}\n"
        f"sinks: [{{type: lines, host: 127.0.0.1, port: {collector.server_address[1]}}}]\n"
    )
    never = threading.Timer(LONGEST_S, collector.came.set)
    never.start()
    with assembled(config.load(file, Line)) as station:
        station.run(collector.came)
        closed = [record.id for record in station.ledger.records()]
    never.cancel()
    told = [json.loads(line) for line in collector.lines]
    assert [record["id"] for record in told] == closed
    assert {(record["verdict"], record["part_class"]) for record in told} == {("FAIL", "defective")}
