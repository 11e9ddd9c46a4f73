"""The worker that serves HTTP, and its limits on slow clients."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.settings.http import Http
from pipeline.daemon.station import Station
from pipeline.daemon.web.app import StationApi, app_of
from pipeline.daemon.web.pending import PendingVerdicts
from pipeline.daemon.web.records import KeptRecords
from pipeline.daemon.web.tokens import Tokens
from pipeline.errors import ConfigError

HEAD_WITHIN_S = 5.0  # a request's first lines; with TLS also the handshake before them
READ_WITHIN_S = 60.0  # an answer: 36 MB (12 MP, uncompressed) at 5 Mbit/s
KEEP_ALIVE_S = 5
END_WITHIN_S = 0.5  # answers under way at the end; the station waits 2 s for its workers
# Connections beside those that may wait for verdicts. What is at work is counted by request (`app`,
# `guard`), not by connection: idle connections must not keep out a request for the station's
# health, which would then have it restarted.
SPARE = 128
BACKLOG = 64
MOST_HEAD_BYTES = 16_384  # of a request's first line and headers
MOST_SHORT_CHUNKS = 1_024  # of a body in chunks, beyond one a kilobyte


class Web:
    """The web service as one of the station's workers. It listens from the moment it is made.

    Attributes:
        service: what it serves.
        listener: its socket.
        port: where it listens, also if any port was asked for.
        address: the same as `http://127.0.0.1:8711`.
    """

    name = "web service"
    status = None

    def __init__(
        self,
        settings: Http,
        station: Station,
        frames: Path | None,
        listener: socket.socket | None = None,
        shifts: Sequence[str] = ("00:00",),
        challenge: Challenge | None = None,
    ) -> None:
        """Check everything that can be wrong and take the port.

        Args:
            settings: of the line file.
            station: what is served.
            frames: folder of the kept frames, None where none are kept.
            listener: listens at the address already; None: take the port.
            shifts: when shifts begin, as `06:00`, in local time.
            challenge: rules of challenge runs; None for none.

        Raises:
            ConfigError: the port is taken, the certificate or the tokens cannot be used.
        """
        if settings.tokens is not None:
            Tokens(settings.tokens).check()
        self._waiting = PendingVerdicts()
        archive = KeptRecords(station.ledger.path, station.ledger.station, frames)
        self.service = StationApi(settings, station, archive, self._waiting, shifts, challenge)
        self._config = uvicorn.Config(
            app_of(self.service, settings),
            http=partial(ClientConnection, most_open=settings.connections + SPARE),  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # every port scanner would be worth a warning
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        try:
            self._config.load()
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"http.tls_cert {settings.tls_cert} and http.tls_key {settings.tls_key} cannot be "
                f"used ({error}); give a PEM certificate and its key, readable for this user"
            ) from error
        self.listener = listener or _listening(settings)
        self.port: int = self.listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"{settings.scheme}://{host}:{self.port}"

    @property
    def idle(self) -> bool:
        """Is no verdict on its way to a client?"""
        return self._waiting.idle

    def run(self, heartbeat: Heartbeat) -> None:
        """Serve until asked to end."""
        # A copy, since uvicorn closes what it is given: a successor of this worker needs it, too,
        # and meanwhile the system lets clients wait.
        with self.listener.dup() as copy:
            Server(self._config, heartbeat, self._waiting).run([copy])

    def close(self) -> None:
        """Give the port back."""
        self.listener.close()


class Server(uvicorn.Server):
    """uvicorn's server, which beats the heartbeat and stops at its request."""

    def __init__(
        self, config: uvicorn.Config, heartbeat: Heartbeat, waiting: PendingVerdicts
    ) -> None:
        super().__init__(config)
        self._heartbeat = heartbeat
        self._waiting = waiting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        if self.config.is_ssl:
            # uvicorn has no setting for it, and asyncio's own patience is a minute. Who is in the
            # handshake is not among the connections yet.
            loop: Any = asyncio.get_running_loop()
            loop.create_server = partial(loop.create_server, ssl_handshake_timeout=HEAD_WITHIN_S)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self._heartbeat.beat()
        now_s = self._heartbeat.clock.monotonic_s()
        for connection in self._connections:
            connection.look(now_s)
        return await super().on_tick(counter) or self._heartbeat.stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer those who wait for a verdict, then end."""
        self._waiting.dismiss()
        asyncio.get_running_loop().call_later(END_WITHIN_S, self._cut_off)
        await super().shutdown(sockets)
        self._cut_off()

    def _cut_off(self) -> None:
        """End connections whose clients have not taken their answers."""
        for connection in self._connections:
            connection.transport.abort()

    @property
    def _connections(self) -> list[ClientConnection]:
        return [c for c in self.server_state.connections if isinstance(c, ClientConnection)]


class ChunkLimit(h11.Connection):
    """h11's reader of requests, which refuses a body in a great number of tiny chunks.

    Each chunk takes 7 microseconds of the event loop, so that ten clients who send single bytes as
    chunks would leave no time for anybody else.
    """

    _allowed = float(MOST_SHORT_CHUNKS)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Read on; raises h11.RemoteProtocolError, which uvicorn answers with HTTP 400."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._allowed = MOST_SHORT_CHUNKS
        elif isinstance(event, h11.Data):
            self._allowed += len(event.data) / 1000 - event.chunk_start
            if self._allowed < 0:
                raise h11.RemoteProtocolError("too many short chunks")
        return event


class ClientConnection(H11Protocol):
    """uvicorn's connection, closed where a client sends no request or reads no answer.

    uvicorn itself lets both stay indefinitely, and a few of them would keep all others out.
    """

    _silent_since_s: float | None = None
    _unread_since_s: float | None = None
    _served_s: float  # when it came, or its last answer was written

    def __init__(self, *args: Any, most_open: int, **named: Any) -> None:
        super().__init__(*args, **named)
        self._most_open = most_open
        self.conn = ChunkLimit(h11.SERVER, MOST_HEAD_BYTES)

    def connection_made(self, transport: object) -> None:
        """Accept a client; where there are too many, a connection that waits is closed."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._served_s = self.loop.time()
        here = [c for c in self.connections if isinstance(c, ClientConnection)]
        if len(here) > self._most_open:
            leaves = self._least(here)
            self.connections.discard(leaves)  # abort does so too, but not at once
            leaves.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; without an answer where the client has had one already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """An answer is written."""
        self._served_s = self.loop.time()
        super().on_response_complete()

    def _least(self, here: list[ClientConnection]) -> ClientConnection:
        """The connection that was idle for longest, else unread for longest, else this one."""
        others = [c for c in here if c is not self]
        idle = [c for c in others if c.conn.their_state is h11.IDLE or c._expects_request]
        unread = [c for c in others if c.transport.get_write_buffer_size()]
        return min(idle or unread or [self], key=lambda c: c._served_s)

    def look(self, now_s: float) -> None:
        """End the connection if the client keeps it waiting; called often."""
        if not self._expects_request:
            self._silent_since_s = None
        elif self._silent_since_s is None:
            self._silent_since_s = now_s
        if not self.transport.get_write_buffer_size():
            self._unread_since_s = None
        elif self._unread_since_s is None:
            self._unread_since_s = now_s
        late = _over(self._silent_since_s, now_s, HEAD_WITHIN_S)
        if late or _over(self._unread_since_s, now_s, READ_WITHIN_S):
            self.transport.abort()

    @property
    def _expects_request(self) -> bool:
        """Is nothing done for the client before it sends a request, or the rest of one?

        Between two requests uvicorn's own timer runs, until the first byte of the second. The rest
        of a picture that was refused, which is not read, is not a sign of life either.
        """
        if self.conn.their_state is h11.IDLE:
            return self.timeout_keep_alive_task is None
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE


def _over(since_s: float | None, now_s: float, limit_s: float) -> bool:
    return since_s is not None and now_s - since_s > limit_s


def _listening(settings: Http) -> socket.socket:
    """A socket at the address, taken before anything runs: a taken port is an error at once."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"http: {settings.host} port {settings.port} cannot be listened at "
            f"({error.strerror or error}); choose another `port`, or end who has it"
        ) from error
    # Connections inherit it. asyncio sets it only where the socket names its protocol, as this one
    # does not; without it a verdict waits 40 ms for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
