"""Server-sent events: what is new on the station, to each page that is open.

One text is made for all pages, at most ten times a second however fast parts come, and only while
a page is open. A page that reads too slowly gets the whole state again instead of all that it has
missed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from pipeline.daemon.web.access import AGAIN, TokenCheck
from pipeline.daemon.web.live.feed import LiveFeed
from pipeline.daemon.web.records import aside
from pipeline.daemon.web.tokens import Scope
from pipeline.errors import LedgerError

MOST = 64  # pages at once
PAUSE_S = 0.1  # between two texts
STATE_EVERY_S = 1.0
BEHIND = 20  # texts that a page may leave unread
# A proxy must neither collect nor change them.
HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}

log = logging.getLogger(__name__)


class OpenPage:
    """One open page."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.behind = False
        self.something = asyncio.Event()

    def add(self, text: bytes) -> None:
        if len(self.texts) >= BEHIND:
            self.texts.clear()
            self.behind = True
        self.texts.append(text)
        self.something.set()


class Streams:
    """The streams of all open pages; all but `on_part` belongs to the event loop's thread."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._pages: set[OpenPage] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = False  # is a text on its way already?
        self._last_s = 0.0
        self._ticking: asyncio.Task[None] | None = None
        feed.on_part = self.on_part

    @property
    def open(self) -> int:
        """Number of pages that are open."""
        return len(self._pages)

    def on_part(self) -> None:
        """A record was closed; from any thread."""
        loop = self._loop
        if loop is None or self._due or not self._pages:
            return
        self._due = True
        try:
            loop.call_soon_threadsafe(self._arrange)
        except RuntimeError:  # the service has ended, or is begun again
            self._due = False

    def add_to(self, app: FastAPI, door: TokenCheck) -> None:
        """Add the route, which needs scope `read`, at the beginning and for as long as it lasts."""

        async def answer(request: Request) -> Response:
            door.ask(request, Scope.READ)
            return await self._answer(request, door)

        # Not described: it has no end, and what it holds is for the pages.
        app.get("/events", include_in_schema=False)(answer)

    async def _answer(self, request: Request, door: TokenCheck) -> Response:
        """A stream of events: `snapshot`, then `parts` and `state`; raises HTTPException 503."""
        if len(self._pages) >= MOST:
            raise HTTPException(503, f"{MOST} pages are open already", AGAIN)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._due, self._ticking = loop, False, None
            self._pages.clear()
        return StreamingResponse(
            self._events(request, door), headers=HEADERS, media_type="text/event-stream"
        )

    async def _events(self, request: Request, door: TokenCheck) -> AsyncIterator[bytes]:
        page = OpenPage()
        if not self._pages:
            self._feed.news()  # what came before is in the snapshot
        self._pages.add(page)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        try:
            yield await self._snapshot()
            now_s = asyncio.get_running_loop().time
            checked_s = now_s()
            while True:
                await page.something.wait()
                page.something.clear()
                if now_s() - checked_s >= STATE_EVERY_S:
                    checked_s = now_s()
                    if not _still_allowed(door, request):
                        return
                if page.behind:
                    page.behind = False
                    page.texts.clear()
                    yield await self._snapshot()
                texts, page.texts = page.texts, []
                if texts:
                    yield b"".join(texts)
        finally:
            self._pages.discard(page)

    async def _snapshot(self) -> bytes:
        try:
            return _event("snapshot", await aside(self._feed.snapshot))
        except (LedgerError, TimeoutError) as error:
            return _event("fault", {"why": str(error) or "the station's disk does not answer"})

    def _arrange(self) -> None:
        """Have a text sent as soon as the pause after the last one is over."""
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._last_s + PAUSE_S), self._send_parts)

    def _send_parts(self) -> None:
        self._due = False
        self._last_s = asyncio.get_running_loop().time()
        self._send(_event("parts", self._feed.news()))

    def _send(self, text: bytes) -> None:
        for page in self._pages:
            page.add(text)

    async def _tick(self) -> None:
        """Send the state once a second, which is also a sign of life, while a page is open."""
        while self._pages:
            await asyncio.sleep(STATE_EVERY_S)
            try:
                state = await aside(self._feed.current_state)
            except (LedgerError, TimeoutError) as error:
                self._send(_event("fault", {"why": str(error) or "the disk does not answer"}))
            except Exception:  # the pages notice that nothing comes
                log.exception("the state of the station cannot be shown")
            else:
                self._send(_event("state", state))


def _still_allowed(door: TokenCheck, request: Request) -> bool:
    """Has the token, or the session, not ended since the page was opened?"""
    try:
        door.ask(request, Scope.READ)
    except HTTPException:
        return False
    return True


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode(
        "utf-8", "replace"
    )
