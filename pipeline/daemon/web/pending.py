"""Hands verdicts from the inspection thread to the clients that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.contracts.records import Record


class NoVerdict(Exception):
    """The record could not be opened, or the station stops."""


class PendingVerdict:
    """One client's verdict. Made and awaited in the event loop's thread.

    Attributes:
        answered: has the station answered? The client may not have it yet.
    """

    def __init__(self) -> None:
        self.answered = False
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Record | None] = self._loop.create_future()

    def answer(self, record: Record | None) -> None:
        """Give the record once it is closed, or None if there is none; from any thread."""
        self.answered = True
        with suppress(RuntimeError):  # the service has ended, and its client with it
            self._loop.call_soon_threadsafe(self._settle, record)

    async def record(self, within_s: float) -> Record:
        """Wait for the closed record.

        Raises:
            NoVerdict: there will be none.
            TimeoutError: there was none within `within_s`.
        """
        record = await asyncio.wait_for(self._future, within_s)
        if record is None:
            raise NoVerdict
        return record

    def _settle(self, record: Record | None) -> None:
        if not self._future.done():
            self._future.set_result(record)


class PendingVerdicts:
    """All clients that wait for a verdict."""

    def __init__(self) -> None:
        self._clients: set[PendingVerdict] = set()

    @property
    def idle(self) -> bool:
        """Is no verdict on its way to a client? From any thread.

        A client that waits for a part which is not inspected any more does not delay a shutdown.
        """
        return not any(client.answered for client in tuple(self._clients))

    @contextmanager
    def expected(self) -> Iterator[PendingVerdict]:
        """A verdict that a client waits for while the block runs."""
        client = PendingVerdict()
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)

    def dismiss(self) -> None:
        """Notify all clients that still wait that there will be no verdict."""
        for client in tuple(self._clients):
            client.answer(None)
