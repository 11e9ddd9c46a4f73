"""Record ids: UUID version 7 (RFC 9562), globally unique and in the order they were made."""

from __future__ import annotations

import random
import secrets
import uuid
from datetime import datetime

TICKS_PER_MS = 1 << 12


class Ids:
    """Makes ids that grow even when the clock is set back."""

    def __init__(self, after: str = "") -> None:
        """Go on after the last id that is known, if there is one."""
        # To be unlike those of other stations; the operating system need not be asked each time.
        self._chance = random.Random(secrets.randbits(256))
        self._last = _ticks(uuid.UUID(after)) if after else 0

    def make(self, at: datetime) -> str:
        """An id for an event at `at`, greater than every id before it."""
        # 48 bits of milliseconds and 12 bits below them: RFC 9562, section 6.2, method 3.
        ticks = int(at.timestamp() * 1000 * TICKS_PER_MS)
        self._last = ticks = max(ticks, self._last + 1)
        ms, fraction = divmod(ticks, TICKS_PER_MS)
        chance = self._chance.getrandbits(62)
        number = (ms << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | chance
        return str(uuid.UUID(int=number))


def _ticks(known: uuid.UUID) -> int:
    return (known.int >> 80) * TICKS_PER_MS + ((known.int >> 64) & (TICKS_PER_MS - 1))
