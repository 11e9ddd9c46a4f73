"""One HTTP exchange after another with one server, each within a fixed time.

`requests` limits each read, so that a server which sends a byte now and then holds it
indefinitely. Here the connection is cut when the time for the whole exchange is over.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse

LONGEST_ANSWER = 65_536  # bytes of an answer's body that are read and ignored


class HttpConnection:
    """A connection that is kept between exchanges and made again when the server has closed it."""

    def __init__(
        self, host: str, port: int | None, context: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        """Nothing is sent yet.

        Args:
            host: name or address.
            port: None for the usual one.
            context: how to encrypt; None for plain HTTP.
            timeout_s: for each whole exchange, from connecting to the end of the answer.
        """
        self._timeout_s = timeout_s
        usual = 80 if context is None else 443
        self._connection = _Connection(host, port or usual, timeout=timeout_s)
        self._connection.context = context

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        """POST, and read the answer to its end; it may arrive twice.

        Raises:
            TimeoutError: there was no whole answer in time.
            OSError, HTTPException: no connection, or no HTTP.
        """
        kept = self._connection.sock is not None
        with self._cut_off() as over:
            try:
                try:
                    answer = self._once(path, body, headers)
                except (ConnectionError, HTTPException):
                    # A server may close a connection that it has kept, just as we use it.
                    if not kept or over.is_set():
                        raise
                    self.close()
                    answer = self._once(path, body, headers)
                if over.is_set():  # the cut looks like the end of the answer
                    raise TimeoutError
                return answer
            except (OSError, HTTPException) as error:
                self.close()
                if over.is_set():
                    raise TimeoutError(f"no whole answer in {self._timeout_s:g} s") from error
                raise

    def close(self) -> None:
        """Close the connection; the next exchange makes a new one."""
        self._connection.close()

    def _once(self, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        self._connection.request("POST", path, body, dict(headers))
        answer = self._connection.getresponse()
        answer.read(LONGEST_ANSWER)
        if not answer.isclosed():
            self.close()
        return answer

    @contextmanager
    def _cut_off(self) -> Iterator[threading.Event]:
        """Cut the connection if the block takes too long, and then set the event."""
        self._connection.over = over = threading.Event()

        def cut() -> None:
            over.set()
            self._connection.cut()

        timer = threading.Timer(self._timeout_s, cut)
        timer.daemon = True
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()


class _Connection(HTTPConnection):
    """HTTP with or without TLS, whose TCP connection another thread can cut at any moment."""

    context: ssl.SSLContext | None = None
    over = threading.Event()
    _handle: socket.socket | None = None

    def connect(self) -> None:
        tcp = socket.create_connection((self.host, self.port), self.timeout)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # TLS takes the socket over, and does not give it back before the handshake is done.
        self._handle = tcp.dup()
        self.sock = tcp
        try:
            if self.over.is_set():
                raise TimeoutError
            if self.context is not None:
                self.sock = self.context.wrap_socket(tcp, server_hostname=self.host)
        except BaseException:
            tcp.close()
            self.close()
            raise

    def cut(self) -> None:
        """End the connection, also while another thread reads from it or writes to it."""
        if (handle := self._handle) is not None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()
