"""Reads the one file of a multipart form, with a limit on all that a client could send many of."""

from __future__ import annotations

import re

from fastapi import HTTPException
from multipart import MultipartError, ParserLimitReached, PushMultipartParser

FORM = "multipart/form-data"
MOST_PARTS = 16
MOST_HEADERS = 8  # of one part; browsers write two
MOST_HEADER_BYTES = 4096  # one line

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)


class FormReader:
    """Reads a form (RFC 7578) piece by piece and keeps its only file.

    The time of a piece depends on its length alone: what has more parts or longer headers than any
    honest form is refused at the first that is too many, before the rest is looked at.
    """

    def __init__(self, content_type: str) -> None:
        """Take the boundary from the request's Content-Type.

        Raises:
            HTTPException: 422, there is none.
        """
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise HTTPException(
                422,
                f"the form's Content-Type names no boundary; send {FORM}; boundary=...",
                {"connection": "close"},  # the form itself is not read
            )
        self._parser = PushMultipartParser(
            (found[1] or found[2]).encode("latin-1"),
            max_header_size=MOST_HEADER_BYTES,
            max_header_count=MOST_HEADERS,
            max_segment_count=MOST_PARTS,
            header_charset="latin-1",
        )
        self._files = 0
        self._in_file = False
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Read the next bytes.

        Raises:
            HTTPException: 413 too many parts or headers, 422 it is not a form.
        """
        if not data:
            return  # to the parser it would be the end
        try:
            for event in self._parser.parse(data):
                if event is None:
                    self._in_file = False
                elif isinstance(event, bytes | bytearray):
                    if self._in_file and self._files == 1:
                        self._pieces.append(bytes(event))
                elif event.filename is not None:
                    self._in_file = True
                    self._files += 1
        except ParserLimitReached:
            raise HTTPException(
                413,
                f"the form has more than {MOST_PARTS} parts, {MOST_HEADERS} headers in a part or "
                f"{MOST_HEADER_BYTES:,} bytes in a header; send one file, as: "
                "curl -F image=@part.png",
            ) from None
        except MultipartError as error:
            raise HTTPException(422, f"this is not a form that can be read: {error}") from None

    def file(self) -> bytes:
        """The form's only file, once all of it is read.

        Raises:
            HTTPException: 422, there is none or more than one, or the form is cut off.
        """
        try:
            self._parser.close()
        except MultipartError:
            raise HTTPException(422, "the form is cut off: its last boundary is missing") from None
        if self._files != 1:
            raise HTTPException(
                422, f"the form has {self._files} files; send one, as: curl -F image=@part.png"
            )
        return b"".join(self._pieces)
