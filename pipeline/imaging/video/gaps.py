"""Pictures that are missing from a file, by the times of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.imaging.video.damage import Log

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.stream import VideoStream

GAP = "a picture is missing, by the times of the others"
_REORDERED = 16  # pictures at most between decoding and showing, in H.264 and H.265


class Read(NamedTuple):
    """A packet and FFmpeg's log of reading it.

    Attributes:
        gap: number of the packet from which on a picture that is missing may be referred to,
            set at the first such packet; -1 where none is missing.
    """

    number: int
    packet: Packet[Any]
    log: Log
    gap: int = -1


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Read]:
    import av

    demuxed, number = container.demux(stream), 0
    while True:
        with av.logging.Capture() as log:
            packet = next(demuxed, None)
        if packet is None:
            return
        yield Read(number, packet, log)
        number += 1


def with_gaps(reads: Iterator[Read]) -> Iterator[Read]:
    """Look for missing pictures so far ahead that no picture that refers to one is decoded yet.

    A picture may be decoded before others that are shown earlier and refer to it; only the times of
    those behind them show then that it is missing.
    """
    window: deque[Read] = deque(maxlen=4 * _REORDERED + 1)
    waiting: deque[Read] = deque()
    reported = -1  # the time before the last gap
    for read in reads:
        window.append(read)
        waiting.append(read)
        if len(waiting) > 2 * _REORDERED:
            reported, gap = _gap(window, waiting[0], reported, ended=False)
            yield waiting.popleft()._replace(gap=gap)
    while waiting:
        reported, gap = _gap(window, waiting[0], reported, ended=True)
        yield waiting.popleft()._replace(gap=gap)


def _gap(window: deque[Read], read: Read, reported: int, *, ended: bool) -> tuple[int, int]:
    """Is this the first packet that may refer to a picture missing from the window?

    Returns:
        The time before the gap (`reported` where there is none that is new), and the number of the
        first packet that is spoilt; -1 where there is none.
    """
    shown = sorted((pts, r.number, r.packet.duration) for r in window if (pts := _shown(r)) >= 0)
    at = _shown(read)
    if at < 0 or len(shown) < 3:
        return reported, -1
    usual = median(b[0] - a[0] for a, b in pairwise(shown))
    # At either end of the window those between two may only be outside of it.
    first, last = window[0].number, window[-1].number
    low = first + _REORDERED if first else 0
    high = last if ended else last - _REORDERED
    for (before, n, duration), (after, m, _) in pairwise(shown):
        each = duration or usual
        inside = low <= min(n, m) and max(n, m) <= high
        if before <= reported or after - before <= 1.5 * each or not inside:
            continue
        # How many pictures, at most, are decoded after one that is shown later.
        depth = max(sum(n > k and pts < late for pts, n, _ in shown) for late, k, _ in shown)
        reach = depth + 1 if depth else 0
        missing = before + each
        if at < missing - each * reach or _is_before_a_key(window, read, missing):
            continue
        # What is shown after a key picture may be decoded after it and refer to it only, or not.
        closed = read.packet.is_keyframe and at > before and not _has_leading(window, read)
        return before, read.number - (closed or not reach)
    return reported, -1


def _is_before_a_key(window: deque[Read], read: Read, missing: float) -> bool:
    """Does a key picture come between this packet and a missing picture, in order of decoding?"""
    later = (r for r in window if r.number > read.number and r.packet.is_keyframe)
    return any(0 <= _shown(r) < missing for r in later)


def _has_leading(window: deque[Read], key: Read) -> bool:
    """Are pictures decoded after this key picture that are shown before it?"""
    return any(r.number > key.number and 0 <= _shown(r) < _shown(key) for r in window)


def _shown(read: Read) -> int:
    """When its picture is shown, from the start of the video in units of its own; -1: unknown."""
    return -1 if read.packet.pts is None else read.packet.pts
