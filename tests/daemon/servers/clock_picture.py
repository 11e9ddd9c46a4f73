"""Pictures that show when they were made, so that what was received can be compared with it."""

from __future__ import annotations

import math

WIDTH, HEIGHT, BLOCK = 512, 128, 16
BITS, PERIOD_PX, STEP_MS = 32, 64, 20
_WAVE = bytes(round(128 + 90 * math.sin(2 * math.pi * x / PERIOD_PX)) for x in range(PERIOD_PX))
_WAVES = _WAVE * (WIDTH // PERIOD_PX + 1)


def picture(now_ms: int) -> bytes:
    """Grey, one byte a pixel: the time in 32 black or white blocks, below it a wave that moves."""
    bits = b"".join((b"\xff" if now_ms >> i & 1 else b"\x00") * BLOCK for i in range(BITS))
    shift = now_ms // STEP_MS % PERIOD_PX
    return bits * BLOCK + _WAVES[shift : shift + WIDTH] * (HEIGHT - BLOCK)
