"""JPEG is decoded strictly: what its decoder would only warn of is refused."""

from __future__ import annotations

import io
import random
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.adapters import elpv
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels, codec, jpeg

KINDS: dict[str, dict[str, Any]] = {
    "grey": {"mode": "L"},
    "colour": {},
    "colour at full resolution": {"subsampling": 0},
    "progressive": {"progressive": True},
    "with restart markers": {"restart_marker_rows": 1},
    "with tables of its own": {"optimize": True},
}
END = b"\xff\xd9"


@pytest.fixture(scope="module")
def cell() -> Image.Image:
    """A quarter of a real cell, 150 x 150 px: three shifted crops of it are its colours."""
    config = elpv.Config(type="elpv")
    grey = codec.read(elpv.root(config) / elpv.read(config)[0].path)[:, :, 0]
    return Image.fromarray(np.stack([grey[50:200, x : x + 150] for x in (50, 60, 70)], axis=2))


def saved(image: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def scan_of(data: bytes) -> int:
    """Where the first scan's coded data begins."""
    at = data.index(b"\xff\xda") + 2
    return at + int.from_bytes(data[at : at + 2])


def by_opencv(data: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_opencv(cell: Image.Image, kind: str) -> None:
    data = saved(cell, **KINDS[kind])
    assert (codec.decode(data) == by_opencv(data)).all()
    assert jpeg.decode(data) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_that_was_cut_off_is_refused_though_the_end_marker_follows(
    cell: Image.Image, kind: str
) -> None:
    data = saved(cell, **KINDS[kind])
    start = scan_of(data)
    for at in range(start + 1, len(data) - 3, (len(data) - start) // 100):
        with pytest.raises(UnreadableImage, match=r"cannot be decoded.*(damaged|cut off|scan)"):
            codec.decode(data[:at] + END)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_the_last_block_are_refused(cell: Image.Image, kind: str) -> None:
    data = saved(cell, **KINDS[kind])
    with pytest.raises(UnreadableImage, match="extraneous bytes before marker 0xd9"):
        codec.decode(data[:-2] + b"what is this" + END)


@pytest.mark.parametrize("lost", ["the marker", "all between two markers"])
def test_a_restart_marker_that_is_missing_is_refused(cell: Image.Image, lost: str) -> None:
    data = saved(cell, restart_marker_rows=1)
    first, second = data.index(b"\xff\xd0"), data.index(b"\xff\xd1")
    end = first + 2 if lost == "the marker" else second
    with pytest.raises(UnreadableImage, match=r"damaged \(.*\); copy or send it again"):
        codec.decode(data[:first] + data[end:])


@pytest.mark.parametrize("kind", KINDS)
def test_most_pictures_that_flipped_bits_spoil_are_refused(cell: Image.Image, kind: str) -> None:
    data, rng = saved(cell, **KINDS[kind]), random.Random(7)
    clean, start, spoilt, refused = codec.decode(data).astype(int), scan_of(data), 0, 0
    for _ in range(200):
        hurt = bytearray(data)
        for _ in range(3):
            hurt[rng.randrange(start, len(data) - 2)] ^= 1 << rng.randrange(8)
        seen = cv2.imdecode(np.frombuffer(hurt, np.uint8), cv2.IMREAD_COLOR_RGB)
        if seen is None or np.abs(seen.astype(int) - clean).mean() < 1:
            continue
        spoilt += 1
        try:
            codec.decode(bytes(hurt))
        except UnreadableImage:
            refused += 1
    assert spoilt > 50
    assert refused > 0.4 * spoilt  # tables without unused codes: 45 %; else 71 to 86 %


@pytest.mark.parametrize("n_scans", range(1, 10))
def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused(
    cell: Image.Image, n_scans: int
) -> None:
    data = saved(cell, progressive=True)
    ends = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    tables = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xc4"]
    cut = ends[n_scans]
    cut = max((at for at in tables if ends[n_scans - 1] < at < cut), default=cut)
    with pytest.raises(UnreadableImage, match="a scan is missing; copy or send it again"):
        codec.decode(data[:cut] + END)


def test_a_jpeg_without_its_huffman_tables_is_decoded_with_the_standards(
    cell: Image.Image,
) -> None:
    data = saved(cell)
    bare, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        bare += b"" if data[at + 1] == 0xC4 else data[at:end]
        at = end
    assert len(bare + data[at:]) < len(data)
    assert (codec.decode(bare + data[at:]) == codec.decode(data)).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_only_a_picture_that_may_be_turned_is_left_to_opencv(
    cell: Image.Image, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(cell, exif=exif)
    assert (jpeg.decode(data) is None) == (orientation != 1)
    assert (codec.decode(data) == by_opencv(data)).all()


@pytest.mark.parametrize(
    "options", [{"mode": "CMYK"}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\x01\x12"}]
)
def test_what_is_left_to_opencv_is_checked_as_strictly(
    cell: Image.Image, options: dict[str, Any]
) -> None:
    data = saved(cell, **options)
    assert jpeg.decode(data) is None
    assert (codec.decode(data) == by_opencv(data)).all()
    middle = (scan_of(data) + len(data)) // 2
    with pytest.raises(UnreadableImage, match="damaged"):
        codec.decode(data[:middle] + END)


def test_the_size_is_found_behind_more_than_a_megabyte_of_segments(cell: Image.Image) -> None:
    data = saved(cell)
    segment = b"\xff\xe5" + (65_535).to_bytes(2) + bytes(65_533)
    assert jpeg.size_px(data[:2] + segment * 17 + data[2:]) == (150, 150)


def test_a_header_that_is_cut_off_has_no_size(cell: Image.Image) -> None:
    data = saved(cell)
    assert jpeg.size_px(data[: data.index(b"\xff\xda")]) is None
