"""Reads uploaded pictures within limits of size and time; what clients claim is not trusted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.form import FORM, FormReader
from pipeline.daemon.web.records import aside
from pipeline.imaging import codec, image_size

KINDS = ("image/jpeg", "image/png", "image/bmp", "image/tiff", "image/webp")
# What the codec makes of the bytes counts, so it may as well go without a name.
UNNAMED = ("", "application/octet-stream", "image/x-portable-graymap", "image/x-portable-pixmap")
AT_ONCE = 4  # pictures of the largest size that may be in memory together
LINGER_S = 2.0  # so long a picture that is refused is still read, so that its sender reads why
PIECE_BYTES = 1 << 19  # of a form that are read together, in a thread
SMALL_BYTES = 1 << 18  # whose size in pixels is found at once, however odd the file
MOST_SERIAL = 200


@dataclass
class _HeldBytes:
    """Bytes that one picture, or all of them together, take."""

    taken: int = 0


class _ArrivingPicture:
    """A picture or a form as it arrives, in pieces of a size that no client chooses."""

    def __init__(self, form: FormReader | None) -> None:
        self._form = form
        self._pending = bytearray()
        self._pieces: list[bytes] = []

    async def add(self, chunk: bytes) -> HTTPException | None:
        """Take the next bytes; returns the reason why nothing more is taken."""
        self._pending += chunk
        try:
            if len(self._pending) >= PIECE_BYTES:
                await self._read()
        except HTTPException as refused:
            return _last(refused.status_code, refused.detail)
        return None

    async def file(self) -> bytes:
        """The picture once all has arrived; raises HTTPException where a form has no one file."""
        await self._read()
        return b"".join(self._pieces) if self._form is None else self._form.file()

    def drop(self) -> None:
        """Give the memory back."""
        self._form, self._pieces, self._pending = None, [], bytearray()

    async def _read(self) -> None:
        piece = bytes(self._pending)
        self._pending.clear()
        if self._form is None:
            self._pieces.append(piece)
        else:
            await aside(partial(self._form.feed, piece))


class Uploads:
    """Reads pictures. All of them together have room for `AT_ONCE` of the largest size.

    So clients that send slowly hold what they have sent, and no more than that room.
    """

    def __init__(self, settings: Http) -> None:
        self._settings = settings
        self._all = _HeldBytes()
        self._sending: Counter[str] = Counter()  # by the token's name

    @property
    def held_bytes(self) -> int:
        """Of all pictures that are being sent or wait for their verdict."""
        return self._all.taken

    @asynccontextmanager
    async def taken(self, request: Request) -> AsyncIterator[bytes]:
        """Yield a request's picture, as a file's bytes; its memory is reserved in the block.

        Raises:
            HTTPException: 400 the client went away, 408 it was too slow, 413 too large, 415 no
                picture's type, 422 no picture in it, 429 too many with one token, 503 too many at
                once. None was a trigger.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (*KINDS, *UNNAMED, FORM):
            raise _last(
                415,
                f'a picture\'s Content-Type is not "{kind}"; send {", ".join(KINDS)} or {FORM}, '
                "as: curl -H 'Content-Type: image/png' --data-binary @part.png",
            )
        received = _ArrivingPicture(
            FormReader(request.headers["content-type"]) if kind == FORM else None
        )
        room = _HeldBytes()
        try:
            with self._turn(request):
                data = await self._body(request, room, received)
            if not data:
                raise HTTPException(422, "the picture is empty (0 bytes)")
            if len(data) > SMALL_BYTES:
                await aside(partial(self._refuse_large, data))
            else:
                self._refuse_large(data)
            yield data
        finally:
            self._all.taken -= room.taken

    @contextmanager
    def _turn(self, request: Request) -> Iterator[None]:
        """A place among those that send with one token; the others are kept for other tokens."""
        token: str = getattr(request.state, "token", "")
        most = self._settings.most_uploads_per_token
        if self._sending[token] >= most:
            raise _last(
                429,
                f"{most} pictures are being sent with this token already "
                "(http.uploads_per_token in the line file); try again",
            )
        self._sending[token] += 1
        try:
            yield
        finally:
            self._sending[token] -= 1
            if not self._sending[token]:
                del self._sending[token]

    def _refuse_large(self, data: bytes) -> None:
        """Raise HTTPException for what would take too much memory once it is decoded."""
        width_px, height_px = image_size.size_px(data) or (0, 0)
        if width_px * height_px > self._settings.max_pixels:
            raise HTTPException(
                413,
                f"the picture has {width_px:,} x {height_px:,} pixels; at most "
                f"{self._settings.max_megapixels:g} million are taken (http.max_megapixels in the "
                "line file)",
            )

    async def _body(self, request: Request, room: _HeldBytes, received: _ArrivingPicture) -> bytes:
        limit_s = self._settings.upload_within_s
        why: HTTPException | None = None
        try:
            async with asyncio.timeout(limit_s) as patience:
                async for chunk in request.stream():
                    if why is not None:
                        continue
                    room.taken += len(chunk)
                    self._all.taken += len(chunk)
                    why = self._no_room(room) or await received.add(chunk)
                    if why is not None:
                        # Few clients look for an answer while they send: read on for a moment.
                        received.drop()
                        patience.reschedule(asyncio.get_running_loop().time() + LINGER_S)
                if why is None:
                    return await received.file()
        except TimeoutError:
            why = why or _last(408, f"the picture did not arrive within {limit_s:g} s")
        except ClientDisconnect:
            why = why or _last(400, "the client went away")
        assert why is not None
        raise why

    def _no_room(self, room: _HeldBytes) -> HTTPException | None:
        # Content-Length is not used: it may be missing or wrong.
        largest = self._settings.max_upload_bytes
        if room.taken > largest:
            return _last(
                413,
                f"the picture is larger than {self._settings.max_upload_mb:g} MB "
                "(http.max_upload_mb in the line file)",
            )
        if self._all.taken > AT_ONCE * largest:
            return _last(503, "too many pictures are being sent at once; try again")
        return None


def ending_of(data: bytes) -> str:
    """Ending of the picture's file name; `.bin` for an unknown format."""
    return codec.ending(data) or ".bin"


def serial_of(request: Request) -> str:
    """The part's serial from `?serial=` or the header X-Serial, "" without.

    Raises:
        HTTPException: 422, it is too long or has characters that cannot be read.
    """
    header = request.headers.get("x-serial", "").encode("latin-1").decode("utf-8", "replace")
    serial = request.query_params.get("serial", header).strip()
    if len(serial) > MOST_SERIAL or not serial.isprintable():
        raise HTTPException(
            422, f"a serial has at most {MOST_SERIAL} printable characters; this one has not"
        )
    return serial


def _last(status: int, why: str) -> HTTPException:
    """A refusal after which the connection ends, since the rest of the picture may still come."""
    headers = {"connection": "close"}
    if status in (429, 503):
        headers["retry-after"] = "1"
    return HTTPException(status, why, headers)
