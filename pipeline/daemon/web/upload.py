"""Reads uploaded pictures within limits of size and time; what clients claim is not trusted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import partial

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from pipeline.daemon.settings.http import Http
from pipeline.daemon.web.records import aside
from pipeline.imaging import codec, image_size

KINDS = ("image/jpeg", "image/png", "image/bmp", "image/tiff", "image/webp")
FORM = "multipart/form-data"
# What the codec makes of the bytes counts, so it may as well go without a name.
UNNAMED = ("", "application/octet-stream", "image/x-portable-graymap", "image/x-portable-pixmap")
AT_ONCE = 4  # pictures of the largest size that may be in memory together
LINGER_S = 2.0  # so long a picture that is refused is still read, so that its sender reads why
MOST_HEADER_BYTES = 8192
SMALL_BYTES = 1 << 18  # whose size in pixels is found at once, however odd the file
MOST_SERIAL = 200

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)


@dataclass
class _HeldBytes:
    """Bytes that one picture, or all of them together, take."""

    taken: int = 0


class Uploads:
    """Reads pictures. All of them together have room for `AT_ONCE` of the largest size.

    So clients that send slowly hold what they have sent, and no more than that room.
    """

    def __init__(self, settings: Http) -> None:
        self._settings = settings
        self._all = _HeldBytes()

    @property
    def held_bytes(self) -> int:
        """Of all pictures that are being sent or wait for their verdict."""
        return self._all.taken

    @asynccontextmanager
    async def taken(self, request: Request) -> AsyncIterator[bytes]:
        """Yield a request's picture, as a file's bytes; its memory is reserved in the block.

        Raises:
            HTTPException: 400 the client went away, 408 it was too slow, 413 too large, 415 no
                picture's type, 422 no picture in it, 503 too many at once. None was a trigger.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (*KINDS, *UNNAMED, FORM):
            raise _last(
                415,
                f'a picture\'s Content-Type is not "{kind}"; send {", ".join(KINDS)} or {FORM}, '
                "as: curl -H 'Content-Type: image/png' --data-binary @part.png",
            )
        room = _HeldBytes()
        try:
            data = await self._body(request, room)
            if kind == FORM:
                data = from_form(data, request.headers["content-type"])
            if not data:
                raise HTTPException(422, "the picture is empty (0 bytes)")
            if len(data) > SMALL_BYTES:
                await aside(partial(self._refuse_large, data))
            else:
                self._refuse_large(data)
            yield data
        finally:
            self._all.taken -= room.taken

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

    async def _body(self, request: Request, room: _HeldBytes) -> bytes:
        limit_s, chunks = self._settings.upload_within_s, list[bytes]()
        why: HTTPException | None = None
        try:
            async with asyncio.timeout(limit_s) as patience:
                async for chunk in request.stream():
                    if why is not None:
                        continue
                    chunks.append(chunk)
                    room.taken += len(chunk)
                    self._all.taken += len(chunk)
                    if (why := self._no_room(room)) is not None:
                        # Few clients look for an answer while they send: read on for a moment.
                        chunks.clear()
                        patience.reschedule(asyncio.get_running_loop().time() + LINGER_S)
        except TimeoutError:
            why = why or _last(408, f"the picture did not arrive within {limit_s:g} s")
        except ClientDisconnect:
            why = why or _last(400, "the client went away")
        if why is not None:
            raise why
        return b"".join(chunks)

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


def from_form(body: bytes, content_type: str) -> bytes:
    """The only file of a form (RFC 7578: parts between boundary lines, each with a header).

    Raises:
        HTTPException: 422, there is none or more than one, or it is not a form.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise HTTPException(422, "the form's Content-Type names no boundary")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
    pieces = (b"\r\n" + body).split(delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise HTTPException(422, "the form is cut off: its last boundary is missing")
    files = [file for piece in pieces[1:-1] if (file := _file(piece)) is not None]
    if len(files) != 1:
        raise HTTPException(
            422, f"the form has {len(files)} files; send one, as: curl -F image=@part.png"
        )
    return files[0]


def _file(piece: bytes) -> bytes | None:
    """A form's part if it is a file; what stands on the boundary's own line does not count."""
    head, _, data = piece.partition(b"\r\n\r\n")
    if len(head) > MOST_HEADER_BYTES:
        return None
    header = HeaderParser().parsestr(head.partition(b"\r\n")[2].decode("latin-1"))
    return None if header.get_filename() is None else data


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
    if status == 503:
        headers["retry-after"] = "1"
    return HTTPException(status, why, headers)
