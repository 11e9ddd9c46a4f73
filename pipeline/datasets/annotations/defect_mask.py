"""Defect masks of an image: one file, several that are joined, or run lengths in a table.

A `Sample` names its mask as the path of a file, as paths with a line break between, or as `rle:`
with pairs of first pixel (from 1) and length, counted down the columns, as Kaggle's competitions
write them (`EncodedPixels`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import decode_mask

RUNS = "rle:"


def joined(paths: Sequence[str]) -> str:
    """What a sample with these files of masks has as `mask`."""
    return "\n".join(paths)


def files(mask: str) -> list[str]:
    """The paths of the files that a mask is in; none for run lengths or without a mask."""
    return [] if not mask or mask.startswith(RUNS) else mask.split("\n")


def runs(given: Sequence[str], where: str) -> str:
    """What a sample has as `mask` whose defects are given as run lengths.

    Args:
        given: one text a defect.
        where: what the message calls the place it was read from.

    Raises:
        DataError: a text is not pairs of whole numbers, from 1.
    """
    for text in given:
        numbers = text.split()
        if len(numbers) % 2 or not all(n.isascii() and n.isdigit() and int(n) for n in numbers):
            raise DataError(
                f"{where} has run lengths {text[:40]!r}; expected pairs of first pixel (from 1) "
                "and length, such as 29102 12 29346 24"
            )
    return RUNS + " ".join(given)


def decoded(mask: str, contents: Sequence[bytes], size_px: tuple[int, int], name: str) -> Pixels:
    """The pixels of a mask.

    Args:
        mask: as the sample has it.
        contents: the bytes of each of its `files`.
        size_px: width and height of the image, which run lengths are counted in.
        name: what the message calls the image.

    Returns:
        uint8 H,W, 255 where one of the masks is set and 0 where the part is sound.

    Raises:
        UnreadableImage: a file cannot be decoded, or does not fit the image.
    """
    width, height = size_px
    if mask.startswith(RUNS):
        return _drawn(mask.removeprefix(RUNS), width, height, name)
    result = np.zeros((height, width), np.uint8)
    for path, content in zip(files(mask), contents, strict=True):
        pixels = decode_mask(content, path)
        if pixels.shape != result.shape:
            raise UnreadableImage(
                f"{name} has {width}x{height} pixels, its mask {path} "
                f"{pixels.shape[1]}x{pixels.shape[0]}; draw the mask again"
            )
        result |= pixels
    return result


def digest(mask: str, contents: Sequence[bytes]) -> str:
    """SHA-256 of the files of a mask, or of its run lengths; "" without a mask."""
    if not mask:
        return ""
    return hashlib.sha256(b"".join(contents) if files(mask) else mask.encode()).hexdigest()


def _drawn(text: str, width: int, height: int, name: str) -> Pixels:
    flat = np.zeros(width * height, np.uint8)
    numbers = list(map(int, text.split()))
    for first, length in zip(numbers[::2], numbers[1::2], strict=True):
        if first - 1 + length > flat.size:
            raise UnreadableImage(
                f"{name} has {width}x{height} pixels, its run length {first} {length} ends "
                "beyond; were the masks drawn in a picture of another size?"
            )
        flat[first - 1 : first - 1 + length] = 255
    return np.ascontiguousarray(flat.reshape(width, height).T)
