"""The source, the sink and the line file that the README shows work as they stand there."""

from __future__ import annotations

import http.server
import json
import re
import socket
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import config
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.clock import Clock
from pipeline.daemon.line import Line
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sinks import SinkDown
from pipeline.errors import SourceLost
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.imports import ROOT

README = (ROOT / "README.md").read_text("utf-8")
JPEG = codec.encode_png(picture(50))  # a camera's file, whatever it says of itself


def block(language: str, holding: str) -> str:
    """The fenced block of a language that holds some text."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(next(b for b in blocks if holding in b))


def plugin(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The README's example as the plugin that it would be in its folder."""
    module = ModuleType(f"pipeline.daemon.{package}.{name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # pydantic looks types up there
    exec(compile(block("python", f'Literal["{name}"]'), f"{name}.py", "exec"), module.__dict__)
    return module


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


def test_the_source_gives_pictures(
    camera: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = plugin("sources", "still", monkeypatch)
    clock = Clock()
    settings = still.Config(type="still", url=f"http://127.0.0.1:{camera.server_port}/")
    frame = next(settings.open(clock).frames(Pulse(clock)))
    assert frame.decoded().shape == (20, 24, 3)


def test_the_source_says_when_its_camera_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    still = plugin("sources", "still", monkeypatch)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    source = still.Config(type="still", url=url).open(Clock())
    with pytest.raises(SourceLost, match="does not answer"):
        next(source.frames(Pulse(Clock())))


RECORD = Record("0199-a", "west-1", "2026-11-22T12:00:00+00:00", "part-1", Verdict.FAIL, "dent")


def test_the_sink_tells_its_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = plugin("sinks", "lines", monkeypatch)
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


def test_the_sink_says_when_its_collector_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = plugin("sinks", "lines", monkeypatch)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    sink = lines.Config(type="lines", host="127.0.0.1", port=port).open("west-1", Clock())
    with pytest.raises(SinkDown):
        sink.deliver([RECORD])
