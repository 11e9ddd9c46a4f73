"""Pictures as clients send them: their types, forms, sizes and serials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import numpy as np
import pytest

from pipeline.daemon.web import upload
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Serve, connected

PNG = {"content_type": "image/png"}
HEAD = b"POST /inspect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
FLOOD = b"\r\n--a" * 2_000_000
FILE = b'--b\r\nContent-Disposition: form-data; name=i; filename="a.png"\r\n\r\n\x89PNG\r\n'


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(10_000)


def test_a_picture_that_is_too_large_is_refused_whatever_its_length_claims(serve: Serve) -> None:
    served = serve(max_upload_mb=0.1)
    honest = served.ask("POST", "/inspect", bytes(100_001), **PNG)
    chunked = served.ask("POST", "/inspect", iter([bytes(60_000), bytes(60_000)]), **PNG)
    assert (honest.status, chunked.status) == (413, 413)
    assert "larger than 0.1 MB (http.max_upload_mb" in chunked.detail
    assert served.station.ledger.account().triggers == 0
    assert served.send().status == 200


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(serve: Serve) -> None:
    served = serve(max_megapixels=0.01)
    large = codec.encode_png(np.zeros((100, 101, 3), np.uint8))
    reply = served.ask("POST", "/inspect", large, **PNG)
    assert reply.status == 413
    assert reply.detail == (
        "the picture has 101 x 100 pixels; at most 0.01 million are taken (http.max_megapixels in "
        "the line file)"
    )
    assert served.station.ledger.account().triggers == 0
    assert not served.web.service.uploads.held_bytes
    assert served.send().status == 200


def test_a_size_hidden_in_a_packed_or_padded_file_is_found(serve: Serve) -> None:
    served = serve(max_megapixels=0.01)
    plain = codec.encode_jpeg(np.zeros((100, 101, 3), np.uint8))
    segment = b"\xff\xe5" + (65_535).to_bytes(2) + bytes(65_533)
    kind = {"Content-Type": "application/octet-stream"}
    for hidden in (b"P4\n800 800\n" + bytes(80_000), plain[:2] + segment * 17 + plain[2:]):
        assert served.ask("POST", "/inspect", hidden, **kind).status == 413
    assert served.station.ledger.account().triggers == 0


def test_a_client_that_sends_without_end_is_cut_off(serve: Serve, impatient: None) -> None:
    served = serve(max_upload_mb=0.1)
    with (
        closing(HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT_S)) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.request("POST", "/inspect", endless(), {"Content-Type": "image/png"})
    until(lambda: not served.web.service.uploads.held_bytes)


def test_a_picture_that_does_not_arrive_in_time_is_refused(serve: Serve) -> None:
    served = serve(upload_within_s=0.3)
    with connected(served) as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b"\x89PNG")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.3 s" in answer
    assert served.station.ledger.account().triggers == 0


def test_all_pictures_together_have_room_for_a_few_of_the_largest(serve: Serve) -> None:
    served = serve(max_upload_mb=0.01)
    part = HEAD + b"Content-Length: 10000\r\n\r\n" + bytes(9_999)
    with ExitStack() as stack:
        for _ in range(upload.AT_ONCE):
            stack.enter_context(connected(served)).sendall(part)
        until(lambda: served.web.service.uploads.held_bytes == upload.AT_ONCE * 9_999)
        reply = served.send()
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    until(lambda: not served.web.service.uploads.held_bytes)
    assert served.send().status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/gif"])
def test_a_type_that_is_not_a_picture_is_refused_with_those_that_are(
    serve: Serve, kind: str
) -> None:
    reply = serve().send(content_type=kind)
    assert reply.status == 415
    assert f'is not "{kind}"; send image/jpeg, image/png' in reply.detail


def test_an_empty_picture_opens_no_record(serve: Serve) -> None:
    served = serve()
    reply = served.ask("POST", "/inspect", b"", **PNG)
    assert (reply.status, reply.detail) == (422, "the picture is empty (0 bytes)")
    assert served.station.ledger.account().triggers == 0


def test_a_picture_in_a_form_is_taken_byte_by_byte(serve: Serve) -> None:
    picture_in_form = (
        b"--b0\r\ncontent-disposition: form-data; name=note\r\n\r\nhello\r\n"
        b'--b0\r\nContent-Disposition: form-data; name="image"; filename="part.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + codec.encode_png(picture(50)) + b"\r\n--b0--\r\n"
    )
    served = serve()
    reply = served.ask(
        *("POST", "/inspect?serial=7", picture_in_form),
        content_type="multipart/form-data; boundary=b0",
    )
    assert (reply.status, reply.json["verdict"], reply.json["serial"]) == (200, "FAIL", "7")


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("multipart/form-data", FILE + b"--b--", "names no boundary"),
        ("multipart/form-data; boundary=b", FILE, "cut off"),
        ("multipart/form-data; boundary=b", FILE + FILE + b"--b--", "has 2 files"),
    ],
)
def test_a_form_without_exactly_one_file_opens_no_record(
    serve: Serve, kind: str, body: bytes, reason: str
) -> None:
    served = serve()
    reply = served.ask("POST", "/inspect", body, content_type=kind)
    assert reply.status == 422
    assert reason in reply.detail
    assert served.station.ledger.account().triggers == 0


def test_a_form_of_empty_parts_is_refused_once_its_first_bytes_are_here(
    serve: Serve, impatient: None
) -> None:
    served = serve()
    head = HEAD.replace(b"image/png", b"multipart/form-data; boundary=a")
    with connected(served) as client:
        client.sendall(head + b"Content-Length: 30000000\r\n\r\n")
        client.sendall(b"--a" + FLOOD[: 2 * upload.PIECE_BYTES])
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b"not a form that can be read" in answer
    assert not served.web.service.uploads.held_bytes
    assert served.send().status == 200


def test_a_large_form_is_read_in_pieces_and_taken_byte_by_byte(serve: Serve) -> None:
    served = serve()
    note = b"--b\r\nContent-Disposition: form-data; name=n\r\n\r\n" + bytes(2_000_000) + b"\r\n"
    form = note + FILE[: FILE.index(b"\x89")] + codec.encode_png(picture(50)) + b"\r\n--b--\r\n"
    reply = served.ask("POST", "/inspect", form, content_type="multipart/form-data; boundary=b")
    assert (reply.status, reply.json["verdict"]) == (200, "FAIL")


def test_one_token_cannot_take_the_places_of_others(serve: Serve, tokens: Tokens) -> None:
    plc, desk = (f"Bearer {tokens.new(name, [Scope.ACT])}" for name in ("plc", "desk"))
    served = serve(tokens=tokens.path, uploads_per_token=2)
    slow = HEAD + b"Authorization: %b\r\nContent-Length: 9\r\n\r\n" % plc.encode()
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(served)).sendall(slow + bytes(8))
        until(lambda: served.web.service.uploads.held_bytes == 16)
        refused = served.send(authorization=plc)
        other = served.send(authorization=desk)
    assert (refused.status, refused.headers["retry-after"], other.status) == (429, "1", 200)
    assert "2 pictures are being sent with this token" in refused.detail
    until(lambda: not served.web.service.uploads.held_bytes)
    assert served.send(authorization=plc).status == 200


@pytest.mark.parametrize("serial", ["%07", "a" * 201])
def test_a_serial_that_is_too_long_or_not_printable_is_refused(serve: Serve, serial: str) -> None:
    served = serve()
    reply = served.send(200, f"/inspect?serial={serial}")
    assert (reply.status, "a serial has at most 200" in reply.detail) == (422, True)
    assert served.station.ledger.account().triggers == 0
