"""A network camera that sends JPEG after JPEG, from a real HTTP server."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, mjpeg
from pipeline.daemon.sources.mjpeg import Config
from pipeline.errors import DataError, SourceLost, UnreadableImage
from pipeline.imaging import codec
from tests.daemon.broker import certify
from tests.daemon.servers.mjpeg import Answer, Server
from tests.daemon.waiting import until

NOISE = np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)
PICTURES = [codec.encode_jpeg(NOISE // (i + 1)) for i in range(3)]


def config(server: Server, **settings: object) -> Config:
    url = f"http://127.0.0.1:{server.server_port}/video"
    return Config.model_validate({"type": "mjpeg", "url": url} | settings)


def frames(config: Config) -> Iterator[Frame]:
    return config.open(Clock()).frames(Heartbeat(Clock()))


def three(answer: Answer) -> None:
    answer.begin()
    for data in PICTURES:
        answer.part(data)


def test_pictures_come_as_the_camera_made_them() -> None:
    with Server(three) as server:
        found = list(islice(frames(config(server)), 3))
    assert [f.data for f in found] == PICTURES
    assert {(f.ending, f.serial, f.pixels is None) for f in found} == {(".jpg", "", True)}
    assert found[0].decoded().shape == (48, 64, 3)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(
    ("boundary", "mark"),
    [
        ("frame", "--frame"),
        ('"frame"', "--frame"),
        ("--frame", "--frame"),
        ("--frame", "----frame"),
        ("frame", "\r\n\r\n--frame"),
    ],
)
def test_cameras_that_disagree_about_boundaries_are_understood(
    boundary: str, mark: str, length: bool
) -> None:
    def stream(answer: Answer) -> None:
        answer.begin(boundary)
        for data in PICTURES:
            answer.part(data, mark=mark, length=length)
        answer.wfile.write(f"{mark}--\r\n".encode())

    with Server(stream) as server:
        it = frames(config(server))
        found = [f.decoded() for f in islice(it, 3)]
        with pytest.raises(SourceLost, match="has ended the stream"):
            next(it)
    for pixels, data in zip(found, PICTURES, strict=True):
        assert np.array_equal(pixels, codec.decode(data))


def test_a_picture_that_comes_in_pieces_is_whole() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        head = f"--frame\r\nContent-Length: {len(PICTURES[0])}\r\n\r\n".encode()
        for i, byte in enumerate(head + PICTURES[0]):
            answer.wfile.write(bytes([byte]))
            if i % 100 == 0:
                answer.wfile.flush()
        answer.hang()

    with Server(stream) as server:
        assert next(frames(config(server))).data == PICTURES[0]


def test_a_picture_is_not_held_back_until_the_next_one() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        answer.part(PICTURES[0])
        answer.hang()

    with Server(stream) as server:
        assert next(frames(config(server, read_timeout_s=20))).data == PICTURES[0]


def test_a_camera_that_trickles_is_lost_and_left() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        while True:
            answer.wfile.write(b"x")
            answer.wfile.flush()
            time.sleep(0.02)

    with Server(stream) as server:
        settings = config(server, read_timeout_s=0.3, connect_timeout_s=0.3)
        name = settings.camera_url().shown
        with pytest.raises(SourceLost, match=r"sent no picture for|sent no whole picture for"):
            next(frames(settings))
        until(lambda: name not in {t.name for t in threading.enumerate()}, "the thread's end")


def test_a_camera_that_hangs_is_lost_and_comes_back() -> None:
    times = itertools.count()

    def stream(answer: Answer) -> None:
        answer.begin()
        answer.part(PICTURES[0])
        if next(times) == 0:
            answer.hang()

    with Server(stream) as server:
        source = config(server).open(Clock())
        it = source.frames(Heartbeat(Clock()))
        next(it)
        hung_s = time.monotonic()
        with pytest.raises(
            SourceLost, match=r"/video (sent no picture for 1\.5 s|does not answer)"
        ):
            next(it)
        print(f"noticed after {time.monotonic() - hung_s:.2f} s")
        assert next(source.frames(Heartbeat(Clock()))).data == PICTURES[0]


def test_a_camera_that_never_finishes_a_picture_is_lost() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        answer.wfile.write(b"--frame\r\nContent-Length: 99999\r\n\r\n")
        while not answer.server.off.wait(0.05):
            answer.wfile.write(b"x")

    with Server(stream) as server:
        it = frames(config(server, read_timeout_s=0.2, connect_timeout_s=0.2))
        with pytest.raises(SourceLost, match=r"sent no picture for 0\.4 s"):
            next(it)


def test_a_camera_that_is_away_is_lost_without_a_word_about_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Config(type="mjpeg", url="http://qc:s3cret@127.0.0.1:9/video?pwd=s3cret")
    with pytest.raises(SourceLost) as lost:
        next(frames(settings))
    assert str(lost.value) == "http://127.0.0.1:9/video cannot be read: ConnectionError"
    assert "s3cret" not in f"{settings!r} {lost.value!r} {caplog.text}"


@pytest.mark.parametrize("claimed", [True, False])
def test_a_picture_that_is_too_large_ends_the_stream(claimed: bool) -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        answer.part(bytes(200_000), length=claimed)
        answer.hang()

    with Server(stream) as server, pytest.raises(SourceLost, match="bytes"):
        next(frames(config(server, largest_mb=0.1)))


def test_headers_without_an_end_end_the_stream() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        answer.wfile.write(b"--frame\r\nX: " + b"x" * 200_000)
        answer.hang()

    with Server(stream) as server, pytest.raises(SourceLost, match="bytes without an end"):
        next(frames(config(server)))


def test_a_part_that_is_not_a_picture_is_a_frame_that_cannot_be_decoded() -> None:
    def stream(answer: Answer) -> None:
        answer.begin()
        answer.part(b"camera busy")
        answer.part(PICTURES[0])

    with Server(stream) as server:
        bad, good = islice(frames(config(server)), 2)
    with pytest.raises(UnreadableImage):
        bad.decoded()
    assert good.data == PICTURES[0]


def test_an_address_that_gives_no_stream_is_named() -> None:
    def stream(answer: Answer) -> None:
        answer.send_response(200)
        answer.send_header("Content-Type", "text/html")
        answer.end_headers()
        answer.wfile.write(b"<html>Please log in")

    with Server(stream) as server, pytest.raises(SourceLost, match="answers text/html, not multi"):
        next(frames(config(server)))


def test_a_camera_that_asks_for_a_password_gets_it() -> None:
    def stream(answer: Answer) -> None:
        if answer.is_user("qc", "s3cret"):
            three(answer)
        else:
            answer.refuse(401, ("WWW-Authenticate", 'Basic realm="camera"'))

    with Server(stream) as server:
        address = f"http://qc:s3cret@127.0.0.1:{server.server_port}/video"
        assert next(frames(config(server, url=address))).data == PICTURES[0]
        with pytest.raises(SourceLost, match="answers 401 Unauthorized; check user and password"):
            next(frames(config(server, url=address.replace("s3cret", "wrong"))))


def test_a_password_is_not_sent_to_a_camera_that_wants_a_digest_of_it() -> None:
    def stream(answer: Answer) -> None:
        if 'username="qc"' in answer.headers.get("Authorization", ""):
            three(answer)
        else:
            answer.refuse(401, ("WWW-Authenticate", 'Digest realm="camera", nonce="1", qop="auth"'))

    with Server(stream) as server:
        address = f"http://qc:s3cret@127.0.0.1:{server.server_port}/video"
        assert next(frames(config(server, url=address))).data == PICTURES[0]
    sent = [r["Authorization"] for r in server.requests if "Authorization" in r]
    assert sent
    assert all(t.startswith("Digest ") and "s3cret" not in t for t in sent)


@pytest.mark.parametrize(
    ("camera_clock", "stamp", "at_least_s", "at_most_s"),
    [
        (True, lambda: time.time() - 100, 100, 130),
        (False, lambda: time.time() - 100, 0, 30),
        (True, lambda: time.time() + 100, 0, 0),
        (True, lambda: "yesterday", 0, 0),
        (True, lambda: "nan", 0, 0),
    ],
)
def test_the_cameras_clock_counts_where_it_is_right(
    camera_clock: bool, stamp: object, at_least_s: float, at_most_s: float
) -> None:
    assert callable(stamp)

    def stream(answer: Answer) -> None:
        answer.begin()
        answer.part(PICTURES[0], f"X-Timestamp: {stamp()}")

    clock = Clock()
    with Server(stream) as server:
        before_s = clock.monotonic_s()
        frame = next(config(server, camera_clock=camera_clock).open(clock).frames(Heartbeat(clock)))
    assert before_s - at_most_s <= frame.captured_s <= clock.monotonic_s() - at_least_s


@pytest.mark.slow
def test_https_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    certify(tmp_path, "DNS:localhost,IP:127.0.0.1")
    with Server(three, (tmp_path / "server.crt", tmp_path / "server.key")) as server:
        url = f"https://127.0.0.1:{server.server_port}/video"
        trusted = config(server, url=url, ca_file=tmp_path / "ca.crt")
        assert next(frames(trusted)).data == PICTURES[0]
        with pytest.raises(SourceLost, match=r"certificate that is not trusted; give .* ca_file"):
            next(frames(config(server, url=url)))


def test_certificates_that_are_not_there_are_named_when_the_line_is_opened(tmp_path: Path) -> None:
    settings = Config(type="mjpeg", url="https://camera/video", ca_file=tmp_path / "ca.crt")
    with pytest.raises(DataError, match=r"ca_file .*ca\.crt is not a file"):
        settings.open(Clock())


def test_a_stream_of_one_byte_reads_gives_the_same_parts() -> None:
    data = b"--frame\r\nContent-Type: image/png\r\n\r\nabc\r\n--frame\r\n\r\nde\r\n--frame--\r\n"
    rest = iter(data)
    stream = mjpeg.ByteStream(lambda: bytes(islice(rest, 1)), 100)
    found = [(h.get_content_type(), d) for h, d in mjpeg.parts(stream, b"frame")]
    assert found == [("image/png", b"abc"), ("text/plain", b"de")]
