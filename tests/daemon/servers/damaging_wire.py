"""A bad cable between an RTSP client and a server on loopback: it loses or flips video packets."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import Literal

from tests.daemon.servers.relay import Relay

SEED, FLIPS = 7, 12
HEADERS_BYTES = 30  # RTP's and the payload's own, which are left as they are
SMALLEST_BYTES = 60


class DamagingWire(Relay):
    """Passes on RTSP over TCP; a share of the video's packets is dropped, or has flipped bits.

    Attributes:
        port: where it listens.
        damaged: packets so far that were dropped or flipped.
    """

    def __init__(self, to_port: int, how: Literal["drop", "flip"], share: float) -> None:
        self.damaged = 0
        self._how, self._share = how, share
        self._random = random.Random(SEED)
        super().__init__(to_port)

    def to_client(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the server sends, with the damage."""
        with suppress(OSError, EOFError), server.makefile("rb") as stream:
            while first := stream.read(1):
                if first == b"$":  # interleaved: channel, length, packet
                    head = _exactly(stream.read(3), 3)
                    size = int.from_bytes(head[1:])
                    body = self._damage(_exactly(stream.read(size), size), is_video=head[0] == 0)
                    if body:
                        client.sendall(first + head + body)
                    continue
                answer = first
                while not answer.endswith(b"\r\n\r\n"):
                    answer += stream.readline() or b"\r\n\r\n"
                lengths = [
                    int(line.split(b":")[1])
                    for line in answer.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ]
                client.sendall(answer + stream.read(sum(lengths)))
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _damage(self, body: bytes, *, is_video: bool) -> bytes:
        hurt = is_video and len(body) > SMALLEST_BYTES and self._random.random() < self._share
        if not hurt:
            return body
        self.damaged += 1
        if self._how == "drop":
            return b""
        flipped = bytearray(body)
        for _ in range(FLIPS):
            at = self._random.randrange(HEADERS_BYTES, len(body))
            flipped[at] ^= 1 << self._random.randrange(8)
        return bytes(flipped)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EOFError
    return data
