"""Forms as clients and attackers write them."""

from __future__ import annotations

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from pipeline.daemon.web.form import MOST_HEADER_BYTES, MOST_HEADERS, MOST_PARTS, FormReader

KIND = 'multipart/form-data; boundary="b0"'
FILE = b'--b0\r\nContent-Disposition: form-data; name="i"; filename="a.png"\r\n\r\n'
FIELD = b'--b0\r\nContent-Disposition: form-data; name="n"\r\n\r\nhello\r\n'
END = b"\r\n--b0--\r\n"


def read(body: bytes, kind: str = KIND, piece_bytes: int = 1 << 16) -> bytes:
    """The file of a form that comes in pieces."""
    form = FormReader(kind)
    for start in range(0, len(body), piece_bytes):
        form.feed(body[start : start + piece_bytes])
    return form.file()


@pytest.mark.parametrize("tail", [b"\r", b"\n", b"\r\n", b"\r\n--", b"\r\n\r\n", b"--b0", b""])
@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 16])
def test_a_file_keeps_all_its_bytes_whatever_the_pieces(tail: bytes, piece_bytes: int) -> None:
    data = b"\x89PNG\r\n\x1a\n" + tail
    assert read(FIELD + FILE + data + END, piece_bytes=piece_bytes) == data


@pytest.mark.parametrize(
    "name",
    [b'"Bild \xfc.png"', b"a.png", b'"a.png"; size=3', b'""', b'"a\\"b.png"'],
    ids=["not UTF-8", "no quotes", "more after it", "empty", "a quote in it"],
)
def test_a_file_is_taken_whatever_its_name(name: bytes) -> None:
    body = b"--b0\r\nContent-Disposition: form-data; name=i; filename=" + name + b"\r\n\r\nx"
    assert read(body + END) == b"x"


@pytest.mark.parametrize("boundary", ["----=_Part_1_2.3", "b:/?()", "a b"])
def test_a_boundary_may_have_any_character_of_its_standard(boundary: str) -> None:
    quoted = f'"{boundary}"' if " " in boundary else boundary
    body = (FILE + b"x" + END).replace(b"b0", boundary.encode())
    assert read(body, f"multipart/form-data; boundary={quoted}; charset=utf-8") == b"x"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (FILE, "cut off"),
        (FILE + b"x\r\n--b0", "cut off"),
        (b"", "cut off"),
        (bytes(50), "cut off"),
        (FILE + b"x\r\n" + FILE + b"x" + END, "has 2 files"),
        (FIELD[:-2] + END, "has 0 files"),
        (b"--b0--\r\n", "has 0 files"),
        (b"--b0\r\n\r\nx" + END, "Missing Content-Disposition"),
        (FILE.replace(b"form-data", b"attachment") + END, "not a form"),
        (FILE.replace(b"\r\n", b"\n") + END, "not a form"),
    ],
)
def test_what_is_not_a_form_with_one_file_is_refused_with_the_reason(
    body: bytes, reason: str
) -> None:
    with pytest.raises(HTTPException, match=reason) as refused:
        read(body)
    assert refused.value.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"--b0" + b"\r\n--b0" * 2_000_000 + b"--",
        FIELD * (MOST_PARTS + 1),
        FILE[:-2] + b"X: y\r\n" * MOST_HEADERS,
        FILE[:-2] + b"X: " + b"y" * MOST_HEADER_BYTES + b"\r\n",
        FILE[:-2] + b"X" * 10_000_000,
        FILE[:-2] + b" y\r\n" * 1_000_000,
    ],
    ids=[
        "empty parts",
        "parts",
        "headers",
        "a long header",
        "an endless header",
        "a folded header",
    ],
)
def test_a_flood_is_refused_within_its_first_bytes(body: bytes) -> None:
    form, read_bytes = FormReader(KIND), 0
    with pytest.raises(HTTPException) as refused:  # noqa: PT012 - how far it got is the point
        while read_bytes < len(body):
            read_bytes += 1 << 16
            form.feed(body[read_bytes - (1 << 16) : read_bytes])
    assert refused.value.status_code in (413, 422)
    assert read_bytes <= 1 << 16


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary=""'])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(HTTPException, match="names no boundary"):
        FormReader(kind)


@given(st.lists(st.sampled_from([FILE, FIELD, END, b"\r\n--b0", b"\r", b"x", b"--"]), max_size=12))
def test_any_body_is_either_one_file_or_refused(pieces: list[bytes]) -> None:
    status = 200
    try:
        read(b"".join(pieces), piece_bytes=5)
    except HTTPException as refused:
        status = refused.status_code
    assert status in (200, 413, 422)
