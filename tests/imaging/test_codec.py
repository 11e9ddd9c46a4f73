"""Bytes to RGB: colour order, depth, and pictures that are cut off or claim what is not so."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from pipeline.datasets.adapters import elpv
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import SUFFIXES, decode, encode_jpeg, encode_png, looks_drawn, read


def encode(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], suffix: str = ".png") -> bytes:
    """Encode with plain OpenCV, so in BGR order."""
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.fixture
def picture() -> Pixels:
    """A smooth RGB picture without symmetry."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    return np.stack([ramp, 255 - ramp, ramp // 2], axis=2)


@pytest.fixture(scope="module")
def cell() -> Image.Image:
    """A corner of a real cell, 40 x 30 px: three shifted crops of it are its colours."""
    config = elpv.Config(type="elpv")
    grey = read(elpv.root(config) / elpv.read(config)[0].path)[:, :, 0]
    return Image.fromarray(np.stack([grey[100:130, x : x + 40] for x in (100, 110, 120)], axis=2))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode with Pillow, which writes what OpenCV does not."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_red_png_is_red() -> None:
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[:, :, 2] = 255
    rgb = decode(encode(bgr))
    assert rgb.shape == (4, 6, 3)
    assert (rgb == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".tiff", ".webp", ".ppm"])
def test_colours_are_in_order_in_every_format(suffix: str) -> None:
    bgr = np.full((16, 16, 3), (200, 100, 20), np.uint8)
    assert np.abs(decode(encode(bgr, suffix)).astype(int) - (20, 100, 200)).max() <= 4


def test_a_grey_image_has_three_equal_channels() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (decode(encode(grey)) == grey[:, :, None]).all()


def test_more_than_eight_bits_are_refused_since_no_scale_suits_every_camera() -> None:
    twelve_bit = np.array([[0, 0x00FF, 0x0FFF]], np.uint16)
    with pytest.raises(UnreadableImage, match=r"16 bits a channel; set `raw` \(bit_depth, black"):
        decode(encode(twelve_bit))


def test_alpha_is_dropped_and_the_colour_below_it_kept() -> None:
    bgra = np.zeros((2, 2, 4), np.uint8)
    bgra[:, :, 2] = 255
    assert (decode(encode(bgra)) == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["P", "1", "L", "RGB"])
def test_palettes_bits_and_grey_become_their_colours(
    cell: Image.Image, kind: str, mode: str
) -> None:
    image = cell.convert(mode)
    assert (decode(saved(image, kind)) == np.asarray(image.convert("RGB"))).all()


def test_a_palette_with_a_transparent_colour_becomes_its_colours(cell: Image.Image) -> None:
    image = cell.quantize(16)
    assert (decode(saved(image, "PNG", transparency=3)) == np.asarray(image.convert("RGB"))).all()


def test_grey_with_alpha_is_its_grey(cell: Image.Image) -> None:
    grey, alpha, _ = cell.split()
    image = Image.merge("LA", (grey, alpha))
    assert (decode(saved(image, "PNG")) == np.asarray(grey)[:, :, None]).all()


def test_colour_with_alpha_is_its_colour(cell: Image.Image) -> None:
    image = cell.copy()
    image.putalpha(cell.split()[0])
    assert (decode(saved(image, "PNG")) == np.asarray(cell)).all()
    assert (decode(saved(image, "WEBP", lossless=True, exact=True)) == np.asarray(cell)).all()


def test_a_jpeg_for_print_in_cmyk_has_the_colours_that_it_shows(cell: Image.Image) -> None:
    data = saved(cell.convert("CMYK"), "JPEG")
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data) - shown).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_taken_with_a_turned_camera_is_upright(
    cell: Image.Image, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(cell, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (decode(data) == np.asarray(upright)).all()


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_of_several_pages_or_frames_it_is_the_first(cell: Image.Image, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(cell, kind, save_all=True, append_images=[ImageOps.invert(cell)], **options)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 2
    assert (decode(data) == np.asarray(cell)).all()


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "SGI"])
def test_formats_that_no_ending_here_stands_for_are_refused(cell: Image.Image, kind: str) -> None:
    with pytest.raises(UnreadableImage, match="does not begin as JPEG, PNG, BMP, TIFF, WebP or"):
        decode(saved(cell, kind))


def test_an_empty_file_is_named() -> None:
    with pytest.raises(UnreadableImage, match=r"^part-1 is empty \(0 bytes\)$"):
        decode(b"", "part-1")


def test_something_else_than_an_image_names_it_and_its_size() -> None:
    with pytest.raises(UnreadableImage, match=r"part-1 cannot be decoded \(12 bytes\)"):
        decode(b"not an image", "part-1")


WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("PPM", {}),
]


@pytest.mark.parametrize(("kind", "options"), WHOLE)
def test_a_file_that_is_cut_off_is_refused_wherever_the_cut_is(
    cell: Image.Image, kind: str, options: dict[str, Any]
) -> None:
    whole = saved(cell, kind, **options)
    decode(whole)
    for n_bytes in range(1, len(whole)):
        with pytest.raises(UnreadableImage, match="cannot be decoded"):
            decode(whole[:n_bytes])


@pytest.mark.parametrize(("kind", "options"), WHOLE[:3])
@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_a_jpeg_or_png_of_full_length_but_half_written_is_refused(
    cell: Image.Image, kind: str, options: dict[str, Any], filling: bytes
) -> None:
    whole = saved(cell, kind, **options)
    for n_bytes in range(1, len(whole) - 1):
        with pytest.raises(UnreadableImage, match="cannot be decoded"):
            decode(whole[:n_bytes] + filling * (len(whole) - n_bytes))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(cell: Image.Image) -> None:
    whole = saved(cell, "JPEG")
    thumbnail = saved(cell.resize((8, 6)), "JPEG")
    segment = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    nested = whole[:2] + segment + whole[2:]
    assert (decode(nested) == decode(whole)).all()
    with pytest.raises(UnreadableImage, match="cut off, its end is missing; copy it again"):
        decode(nested[:-2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_a_camera_adds_behind_the_end_does_no_harm(cell: Image.Image, kind: str) -> None:
    whole = saved(cell, kind)
    assert (decode(whole + b"serial 0815" + bytes(16)) == decode(whole)).all()


def test_a_long_run_of_filling_is_passed_in_no_time() -> None:
    with pytest.raises(UnreadableImage, match="cut off"):
        decode(b"\xff\xd8" + b"\xff" * 5_000_000 + b"\0")


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encode(noise))
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableImage, match="damaged, a checksum is wrong; copy it again"):
        decode(bytes(data))


def test_a_png_comes_back_as_it_was(picture: Pixels) -> None:
    assert (decode(encode_png(picture)) == picture).all()


def test_a_grey_png_comes_back_as_it_was(picture: Pixels) -> None:
    grey = picture[:, :, :1].copy()
    assert (decode(encode_png(grey)) == grey).all()


def test_reading_a_file_is_decoding_its_bytes(tmp_path: Path, picture: Pixels) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(picture))
    assert (read(tmp_path / "a.png") == picture).all()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"gone\.png cannot be read: No such file"):
        read(tmp_path / "gone.png")


def test_every_known_ending_is_one_that_opencv_reads(tmp_path: Path) -> None:
    grey = np.full((8, 8), 77, np.uint8)
    colour = np.full((8, 8, 3), 77, np.uint8)
    for suffix in SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(encode(grey if suffix == ".pgm" else colour, suffix))
        assert abs(int(read(tmp_path / f"a{suffix}")[4, 4, 0]) - 77) <= 2


def test_jpeg_keeps_red_red() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200
    again = decode(encode_jpeg(red))
    assert np.abs(again.astype(int) - red).max() <= 4


def resized(data: bytes, at: int, layout: str, size_px: int) -> bytes:
    """A file whose header claims another width and height (of 16 or 32 bits, at this place)."""
    n_bytes, order = int(layout[0]), "little" if layout[1] == "<" else "big"
    field = size_px.to_bytes(n_bytes, order)  # type: ignore[arg-type]
    return data[:at] + field * 2 + data[at + 2 * n_bytes :]


def png_that_claims(size_px: int) -> bytes:
    """A small file that is a whole black picture of one bit a pixel."""
    return saved(Image.new("1", (size_px, size_px)), "PNG")


def test_a_size_that_the_header_merely_claims_is_refused(cell: Image.Image) -> None:
    jpeg, ppm = saved(cell, "JPEG"), saved(cell, "PPM")
    for data in (
        resized(jpeg, jpeg.index(b"\xff\xc0") + 5, "2>", 60_000),
        resized(saved(cell, "BMP"), 18, "4<", 60_000),
        ppm.replace(b"40 30", b"60000 60000", 1),
    ):
        with pytest.raises(UnreadableImage, match="more than OPENCV_IO_MAX_IMAGE_PIXELS"):
            decode(data, "bomb")


MEASURED = """
import sys
from pathlib import Path
from pipeline.errors import UnreadableImage
from pipeline.imaging import codec

def peak_mib():  # not getrusage's, which begins with the peak of the process that started this one
    status = Path("/proc/self/status")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024

before = peak_mib()
try:
    data = Path(sys.argv[2]).read_bytes()
    print("decoded", getattr(getattr(codec, sys.argv[1])(data, sys.argv[2]), "shape", ""))
except UnreadableImage as error:
    print(error)
print(peak_mib() - before)
"""


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is asked of /proc")


def measured(function: str, path: Path, **environment: str) -> tuple[str, int]:
    """What a function of the codec says in a process of its own, and how many MiB that took."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    argv = [sys.executable, "-c", MEASURED, function, str(path)]
    done = subprocess.run(
        argv, env=clean | environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    said, taken_mib = done.stdout.splitlines()
    return said, int(taken_mib)


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("function", ["decode", "decode_mask", "is_blank"])
def test_an_image_beyond_the_limit_is_refused_before_it_takes_memory(
    tmp_path: Path, function: str
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(17_000))
    said, taken_mib = measured(function, tmp_path / "bomb.png")
    assert "bomb.png claims 17,000 x 17,000 pixels, more than OPENCV_IO_MAX_IMAGE_PIXELS" in said
    assert taken_mib < 20


@pytest.mark.slow
@LINUX
def test_the_limit_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_that_claims(4000))
    said, taken_mib = measured("decode", tmp_path / "large.png")
    assert said == "decoded (4000, 4000, 3)"
    assert taken_mib > 40
    limit = {"OPENCV_IO_MAX_IMAGE_PIXELS": "1000000"}
    said, taken_mib = measured("decode", tmp_path / "large.png", **limit)
    assert said.endswith("(1000000); if it has them, set that environment variable higher")
    assert taken_mib < 20


@pytest.mark.slow
@LINUX
def test_a_png_that_claims_a_chunk_of_gigabytes_is_refused_before_it_takes_memory(
    tmp_path: Path, cell: Image.Image
) -> None:
    whole = saved(cell, "PNG")
    length = whole.index(b"IDAT") - 4
    lying = whole[:length] + b"\x3f\xff\xff\xff" + whole[length + 4 :]
    (tmp_path / "bomb.png").write_bytes(lying)
    said, taken_mib = measured("decode", tmp_path / "bomb.png")
    assert "cut off, its end is missing" in said
    assert taken_mib < 20


@pytest.mark.slow
@LINUX
def test_a_damaged_file_makes_no_noise_of_opencvs_own(tmp_path: Path, cell: Image.Image) -> None:
    (tmp_path / "cut.tiff").write_bytes(saved(cell, "TIFF")[:-100])
    said, _ = measured("decode", tmp_path / "cut.tiff")  # which looks at standard error
    assert "cut.tiff cannot be decoded" in said


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    os.mkfifo(path)
    # Who opens it all the same finds it empty, so that this test ends.
    threading.Thread(target=path.write_bytes, args=(b"",), daemon=True).start()
    with pytest.raises(UnreadableImage, match=r"x\.png is a pipe or device, not a file; rename or"):
        read(path)
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="is a directory, not a file"):
        read(tmp_path)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("x.png")
    with pytest.raises(
        UnreadableImage, match=r"x\.png cannot be read: Too many levels of symbolic"
    ):
        read(tmp_path / "x.png")


def test_a_file_beyond_what_opencv_takes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "x.tiff").open("wb") as handle:
        handle.truncate(2**31)  # a hole: it takes no space
    with pytest.raises(UnreadableImage, match=r"2,147,483,648 bytes; no image here has over 2 GiB"):
        read(tmp_path / "x.tiff")


def test_a_mask_looks_drawn_in_every_format_and_a_photo_does_not() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[20:40, 10:50] = 255
    classes = np.repeat(np.arange(8, dtype=np.uint8) * 30, 512).reshape(64, 64, 1)
    assert all(map(looks_drawn, (encode_png(mask), encode_jpeg(mask, 90), encode_png(classes))))
    assert not any(map(looks_drawn, (encode_png(noise), encode_jpeg(noise))))
