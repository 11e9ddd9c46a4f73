"""Thousands of damaged files: pixels or UnreadableImage, never a crash, a hang or another error.

A decoder written in C can take the process with it, so a process of its own decodes, one file at a
time, and is asked for an answer: the file at fault is the one that got none.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets.adapters import elpv
from pipeline.errors import UnreadableImage
from pipeline.imaging.codec import decode, read

LARGEST_PX = 2**20
LARGEST_MIB = 64  # three times what such an image takes as RGBA, 16 bits a channel, and as RGB
DEADLINE_S = 30.0  # a safety net: the slowest of two million files took 0.4 s on a busy machine

# Name of each seed: Pillow's format, mode and how it is saved.
SEEDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg with restarts": ("JPEG", "RGB", {"restart_marker_blocks": 4}),
    "jpeg grey": ("JPEG", "L", {}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png alpha": ("PNG", "RGBA", {}),
    "png palette": ("PNG", "P", {}),
    "png bits": ("PNG", "1", {}),
    "bmp": ("BMP", "RGB", {}),
    "bmp palette": ("BMP", "P", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff packbits": ("TIFF", "L", {"compression": "packbits"}),
    "tiff fax": ("TIFF", "1", {"compression": "group4"}),
    "webp": ("WEBP", "RGB", {}),
    "webp lossless": ("WEBP", "RGBA", {"lossless": True}),
    "ppm": ("PPM", "RGB", {}),
    "pgm": ("PPM", "L", {}),
    "pbm": ("PPM", "1", {}),
}


@cache
def seed(name: str) -> bytes:
    """A corner of a real cell, 40 x 30 px: three shifted crops of it are its colours."""
    config = elpv.Config(type="elpv")
    cell = read(elpv.root(config) / elpv.read(config)[0].path)[:, :, 0]
    crops = [cell[100:130, x : x + 40] for x in (100, 110, 120)]
    kind, mode, options = SEEDS[name]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(crops, axis=2)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Flip:
    """One bit changed."""

    at: int
    bit: int

    def apply(self, data: bytes) -> bytes:
        changed = bytearray(data)
        changed[self.at % len(data)] ^= 1 << self.bit
        return bytes(changed)


@dataclass(frozen=True)
class Edit:
    """Some bytes taken out, others put in: an overwrite, a cut, a gap or an insertion."""

    at: int
    removed: int
    put: bytes

    def apply(self, data: bytes) -> bytes:
        at = self.at % len(data)
        return data[:at] + self.put + data[at + self.removed :]


@dataclass(frozen=True)
class Splice:
    """The head of one file on the tail of another."""

    at: int
    other: str
    other_at: int

    def apply(self, data: bytes) -> bytes:
        tail = seed(self.other)
        return data[: self.at % len(data)] + tail[self.other_at % len(tail) :]


def overwrite(at: int, put: bytes) -> Edit:
    return Edit(at, len(put), put)


def mended(data: bytes) -> bytes:
    """A PNG with every checksum made right again, so that what is behind them is reached."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        out += data[at:end] + zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(out + data[at:])


# Half of the places lie where headers do.
PLACES = st.integers(0, 63) | st.integers(0, 9999)
FIELDS = [b"\0\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"]
FIELDS += [b"\xff\xff\xff\x7f", b"\0\0\0\x01", b"\x01\0\0\0", b"\0\x01\0\0", b"\0\0\x04\0"]
MUTATIONS = st.one_of(
    st.builds(Flip, PLACES, st.integers(0, 7)),
    st.builds(overwrite, PLACES, st.binary(min_size=1, max_size=8)),
    st.builds(overwrite, PLACES, st.sampled_from(FIELDS)),
    st.builds(Edit, PLACES, st.integers(0, 30), st.binary(max_size=20)),
    st.builds(Edit, PLACES, st.just(10**6), st.just(b"")),
    st.builds(Splice, PLACES, st.sampled_from(sorted(SEEDS)), PLACES),
)


def peak_mib() -> int:
    """The most memory that this process has held so far; 0 where the system is not Linux.

    Not getrusage's, which begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) // 1024


def outcome(data: bytes) -> str:
    """Decode twice, the second time into memory that is not fresh; what came of it, in words."""
    before_mib = peak_mib()
    try:
        first = decode(data)
    except UnreadableImage:
        first = None
    if (taken_mib := peak_mib() - before_mib) > LARGEST_MIB:
        return f"WRONG: it took {taken_mib} MiB"
    if first is None:
        return "refused"
    if first.dtype != np.uint8 or first.ndim != 3 or first.shape[2] != 3:
        return f"WRONG: {first.dtype} of shape {first.shape}"
    if not 0 < first.size <= 3 * LARGEST_PX:
        return f"WRONG: {first.shape} is no sane size"
    for value in (165, 90):
        np.full(first.shape, value, np.uint8)
    if not np.array_equal(first, decode(data)):
        return "WRONG: decoded again, it has other pixels"
    return f"decoded {hashlib.sha256(first.tobytes()).hexdigest()}"


def die(_: bytes) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def hang(_: bytes) -> str:
    threading.Event().wait()
    return "never"


def answer(pipe: Connection, judge: Callable[[bytes], str]) -> None:
    """The process apart: a file in, what came of it out."""
    while data := pipe.recv_bytes():
        try:
            said = judge(data)
        except Exception as error:  # reported as a failure, with the file
            said = f"WRONG: {type(error).__name__}: {error}"
        pipe.send(said)


class Apart:
    """A process that decodes, started anew after a crash or a hang; call it with a file."""

    def __init__(self, judge: Callable[[bytes], str], deadline_s: float = DEADLINE_S) -> None:
        self._judge, self._deadline_s = judge, deadline_s
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=answer, args=(theirs, self._judge), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, data: bytes) -> str:
        """What came of one file; one that is not decoded twice alike or refused says WRONG."""
        if not data:
            return "refused"
        try:
            self._pipe.send_bytes(data)
            if self._pipe.poll(self._deadline_s):
                return str(self._pipe.recv())
            said = "WRONG: no answer"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            said = f"WRONG: the process ended with {self._process.exitcode}"
        self.close()
        self._start()
        return said

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST_PX))
        decoder = Apart(outcome)
        yield decoder
        decoder.close()


def test_every_seed_is_decoded_and_alike_in_both_processes(apart: Apart) -> None:
    for name in SEEDS:
        assert apart(seed(name)) == outcome(seed(name))
        assert apart(seed(name)).startswith("decoded ")


@pytest.mark.slow
@settings(
    max_examples=2000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    mutations=st.lists(MUTATIONS, min_size=1, max_size=4),
    mend=st.booleans(),
)
def test_a_mutated_file_is_decoded_or_refused_and_twice_the_same(
    apart: Apart, name: str, mutations: list[Flip | Edit | Splice], mend: bool
) -> None:
    data = seed(name)
    for mutation in mutations:
        data = mutation.apply(data) or b"\0"
    if mend and data.startswith(b"\x89PNG"):
        data = mended(data)
    said = apart(data)
    event(said.split()[0])
    assert not said.startswith("WRONG"), f"{said}, on {data.hex()}"


def test_a_png_that_claims_a_chunk_of_gigabytes_takes_no_memory(apart: Apart) -> None:
    whole = seed("png")
    data = whole.index(b"IDAT") - 4
    assert apart(whole[:data] + b"\x3f\xff\xff\xff" + whole[data + 4 :]) == "refused"


@pytest.mark.parametrize(("judge", "said"), [(die, "the process ended with -9"), (hang, "no")])
def test_a_crash_and_a_hang_are_reported_and_the_next_file_is_tried(
    judge: Callable[[bytes], str], said: str
) -> None:
    broken = Apart(judge, deadline_s=0.1 if judge is hang else DEADLINE_S)
    for _ in range(2):
        assert f"WRONG: {said}" in broken(b"x")
    broken.close()
