"""Limits on archives: a few bytes may unpack to any number of them."""

from __future__ import annotations

from typing import Any

from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging import codec

KINDS = ("zip", "tar", "libarchive")  # as fsspec names them
# Pictures hardly shrink; blank masks that were not compressed before shrink a thousandfold.
LARGEST_RATIO = 200
SMALL_BYTES = 64 * 10**6  # a member, below which its ratio does not matter
SMALL_TOTAL_BYTES = 4 * 10**9  # the same for all members together
BYTES_A_PIXEL = 8  # at most, in a file without compression: four channels of 16 bits


def check(place: Any) -> None:
    """Refuse an archive that unpacks to far more than it holds.

    Args:
        place: a UPath in the archive, connected.

    Raises:
        DataError: it does.
    """
    total = sum(entry["size"] or 0 for entry in place.fs.find("", detail=True).values())
    held = _held_bytes(place.fs)
    if held and total > SMALL_TOTAL_BYTES and total > LARGEST_RATIO * held:
        raise DataError(
            f"{place} has {held / 1e6:,.1f} MB and claims to unpack to {total / 1e9:,.1f} GB, over "
            f"{LARGEST_RATIO} times as much; if that is right, unpack it to a folder and name that"
        )


def check_member(place: Any) -> None:
    """Refuse a member that takes more memory than any image here.

    Raises:
        FileNotFoundError: there is no such member.
        UnreadableImage: it is larger than the largest image (OPENCV_IO_MAX_IMAGE_PIXELS
            of `BYTES_A_PIXEL` each) uncompressed, or over `SMALL_BYTES` and packed tighter than
            pictures are.
    """
    entry = place.fs.info(place.path)
    size, packed = entry["size"] or 0, entry.get("compress_size")
    limit = BYTES_A_PIXEL * codec.most_pixels()
    if size > limit:
        raise UnreadableImage(
            f"{place} unpacks to {size:,} bytes, more than {limit:,} ({BYTES_A_PIXEL} for each of "
            "OPENCV_IO_MAX_IMAGE_PIXELS); if that is right, unpack it to a folder"
        )
    if packed and size > SMALL_BYTES and size > LARGEST_RATIO * packed:
        raise UnreadableImage(
            f"{place} unpacks from {packed:,} to {size:,} bytes, over {LARGEST_RATIO} times as "
            "much; if that is right, unpack it to a folder"
        )


def _held_bytes(fs: Any) -> int:
    """Size of the archive itself; 0 where its store does not report it."""
    try:
        return int(fs.of.fs.size(fs.of.path) or 0)
    except (AttributeError, TypeError, OSError):
        return 0
