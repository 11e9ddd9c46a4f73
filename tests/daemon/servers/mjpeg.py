"""A camera that sends JPEG after JPEG over HTTP, with the habits that real ones have."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Stream = Callable[["Answer"], None]


class Answer(BaseHTTPRequestHandler):
    """One connection, given to the test's function."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        try:
            self.server.stream(self)
        except OSError:  # the station has left
            return

    def begin(self, boundary: str = "frame") -> None:
        """Say that a stream of pictures follows."""
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={boundary}")
        self.end_headers()

    def part(self, data: bytes, *headers: str, mark: str = "--frame", length: bool = True) -> None:
        """Send one picture."""
        lines = [mark, "Content-Type: image/jpeg", *headers]
        lines += [f"Content-Length: {len(data)}"] if length else []
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data + b"\r\n")

    def refuse(self, status: int, *headers: tuple[str, str]) -> None:
        """Send an answer without a body."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def is_user(self, user: str, password: str) -> bool:
        """Does the request come with this name and password (Basic)?"""
        wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def hang(self) -> None:
        """Send nothing more until the camera is switched off."""
        self.server.off.wait(30)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The camera, on a port of the system's choice if none is given.

    Attributes:
        requests: the headers of each request.
        off: set when it is switched off.
    """

    daemon_threads = True

    def __init__(
        self, stream: Stream, certificate: tuple[Path, Path] | None = None, port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.stream = stream
        self.requests: list[dict[str, str]] = []
        self.off = threading.Event()
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.off.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us is no error of ours."""
