"""Days until the disk space is used up, at the recent rate of written frames."""

from __future__ import annotations

from collections import deque

from pipeline.daemon.runtime.clock import Clock

DAY_S = 86_400.0
BUCKET_S = 3600.0
MEANINGFUL_S = 600.0  # over a shorter time a rate means nothing


class Forecast:
    """Bytes written by the hour, over the last 24 hours or since the start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._buckets: deque[list[float]] = deque(maxlen=int(DAY_S / BUCKET_S))  # start_s, bytes

    def add(self, size: int) -> None:
        """Count a frame of `size` bytes, written now."""
        now_s = self._clock.monotonic_s()
        if self._buckets and now_s - self._buckets[-1][0] < BUCKET_S:
            self._buckets[-1][1] += size
        else:
            self._buckets.append([now_s, size])

    def days(self, room: int) -> float | None:
        """Days until `room` bytes are written at this rate.

        Returns:
            0 where there is no room; None in the first ten minutes, and where nothing was written.
        """
        if room <= 0:
            return 0.0
        now_s = self._clock.monotonic_s()
        over_s = min(now_s - self._started_s, DAY_S)
        written = sum(size for start_s, size in list(self._buckets) if now_s - start_s <= DAY_S)
        if over_s < MEANINGFUL_S or not written:
            return None
        return room * over_s / written / DAY_S
