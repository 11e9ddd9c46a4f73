"""The plugins and the line file that the docs show work as they stand there."""

from __future__ import annotations

import http.server
import importlib
import json
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline import config
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import assembled
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sinks import SinkDown
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.errors import DataError, SourceLost
from pipeline.imaging import codec
from tests.daemon.conftest import keep, picture
from tests.imports import ROOT

PLUGINS, STATION = (ROOT / "docs" / name for name in ("plugins.md", "station.md"))
LONGEST_S = 30
JPEG = codec.encode_png(picture(50))  # a camera's file, whatever its ending


def block(page: Path, language: str, holding: str) -> str:
    """The fenced block of a language that holds some text."""
    blocks = re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    found: str = next(b for b in blocks if holding in b)
    return found


AddPlugin = Callable[[str, str], ModuleType]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddPlugin]:
    """Write one of the page's examples into its one file, in a folder of its kind; import it."""
    added: list[tuple[ModuleType, str]] = []

    def add(package: str, name: str) -> ModuleType:
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(block(PLUGINS, "python", f'Literal["{name}"]'))
        home = importlib.import_module(f"pipeline.{package}")
        monkeypatch.setattr(home, "__path__", [*home.__path__, str(folder)])
        added.append((home, name))
        return importlib.import_module(f"{home.__name__}.{name}")

    yield add
    for home, name in added:
        del sys.modules[f"{home.__name__}.{name}"]
        delattr(home, name)


def test_the_line_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(block(STATION, "yaml", "station: west-1"))
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
    still = plugin("daemon.sources", "still")
    clock = Clock()
    settings = still.Config(type="still", url=f"http://127.0.0.1:{camera.server_port}/")
    frame = next(settings.open(clock).frames(Heartbeat(clock)))
    assert frame.decoded().shape == (20, 24, 3)


def test_the_source_is_lost_when_its_camera_is_away(plugin: AddPlugin) -> None:
    still = plugin("daemon.sources", "still")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    source = still.Config(type="still", url=url).open(Clock())
    with pytest.raises(SourceLost, match="does not answer"):
        next(source.frames(Heartbeat(Clock())))


def test_the_test_that_the_page_shows_passes(plugin: AddPlugin) -> None:
    plugin("daemon.sources", "still")
    shown: dict[str, Any] = {}
    exec(block(PLUGINS, "python", "FakeClock"), shown)
    (test,) = (function for name, function in shown.items() if name.startswith("test_"))
    test()


def test_the_trigger_calls_for_each_datagram(plugin: AddPlugin) -> None:
    datagram = plugin("daemon.triggers", "datagram")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as plc:
        plc.bind(("127.0.0.1", 0))
        port = plc.getsockname()[1]
    clock = Clock()
    calls = datagram.Config(type="datagram", port=port).open(clock).calls(Heartbeat(clock))
    serials: list[str] = []
    listening = threading.Thread(target=lambda: serials.append(next(calls).serial))
    listening.start()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as plc:
        for _ in range(LONGEST_S * 10):
            plc.sendto(b"A-17", ("127.0.0.1", port))
            listening.join(0.1)
            if not listening.is_alive():
                break
    calls.close()
    assert serials == ["A-17"]


def test_the_trigger_ends_when_it_is_asked_to(plugin: AddPlugin) -> None:
    datagram = plugin("daemon.triggers", "datagram")
    heartbeat = Heartbeat(Clock())
    heartbeat.stop()
    trigger = datagram.Config(type="datagram", port=50_000).open(heartbeat.clock)
    assert list(trigger.calls(heartbeat)) == []


def test_the_adapter_reads_classes_and_parts_from_names(plugin: AddPlugin, tmp_path: Path) -> None:
    prefix = plugin("datasets.adapters", "prefix")
    for name in ("good_P0001.png", "scratch_P0002.png"):
        (tmp_path / name).write_bytes(JPEG)
    settings = ADAPTERS.configure({"type": "prefix", "root": str(tmp_path)})
    samples = prefix.read(settings)
    assert [(s.path, s.label, s.group) for s in samples] == [
        ("good_P0001.png", "good", "P0001"),
        ("scratch_P0002.png", "scratch", "P0002"),
    ]
    assert adapter(settings).root(settings) == tmp_path


def test_the_adapter_names_a_folder_without_images(plugin: AddPlugin, tmp_path: Path) -> None:
    prefix = plugin("datasets.adapters", "prefix")
    with pytest.raises(DataError, match="has no image such as"):
        prefix.read(prefix.Config(type="prefix", root=tmp_path))


RECORD = Record("0199-a", "west-1", "2026-11-22T12:00:00+00:00", "part-1", Verdict.FAIL, "dent")


def test_the_sink_delivers_to_its_collector(plugin: AddPlugin) -> None:
    lines = plugin("daemon.sinks", "lines")
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


def test_the_sink_is_down_when_its_collector_is_away(plugin: AddPlugin) -> None:
    lines = plugin("daemon.sinks", "lines")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    sink = lines.Config(type="lines", host="127.0.0.1", port=port).open("west-1", Clock())
    with pytest.raises(SinkDown):
        sink.deliver([RECORD])


class Collector(socketserver.TCPServer):
    """Takes lines, whole, and sets `came` with the first."""

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
    plugin("daemon.sources", "still")
    plugin("daemon.sinks", "lines")
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
    delivered = [json.loads(line) for line in collector.lines]
    assert [record["id"] for record in delivered] == closed
    assert {(r["verdict"], r["part_class"]) for r in delivered} == {("FAIL", "defective")}
