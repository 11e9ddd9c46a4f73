"""A real HTTP server on loopback that is sent records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Answers as it is set to, and remembers what it was sent."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.status = 204
        self.answer_headers: dict[str, str] = {}
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.close_after_each = False
        self.over = threading.Event()  # set: what trickles ends
        self.trickle = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=t0ken"


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver at work, at a port of its own where none is given."""
    server = Receiver(port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
        if self.server.trickle:
            self._trickle()
            return
        self.send_response(self.server.status)
        for name, value in self.server.answer_headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()
        if self.server.close_after_each:
            self.close_connection = True  # without notice

    def _trickle(self) -> None:
        start = {
            "header": b"HTTP/1.1 200 OK\r\nx-slow: ",
            "body": b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
        }[self.server.trickle]
        self.close_connection = True
        try:
            self.wfile.write(start)
            while not self.server.over.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            self.server.over.set()  # the client has gone

    def log_message(self, *_: object) -> None:
        pass
