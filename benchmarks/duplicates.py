"""`python -m benchmarks.duplicates`: near-duplicates among 100,000 synthetic thumbnails.

Every picture shows the same round part under its own light and surface, so that all look alike;
one in twenty is an earlier one again with sensor noise. Time and memory of the search are its own,
those of drawing and fingerprinting are printed apart.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from pipeline.datasets.checks.duplicates import clusters, near_duplicates
from pipeline.imaging import Pixels
from pipeline.imaging.fingerprint import LENGTH, SIDE_PX, fingerprint

N = 100_000
COPY_EVERY = 20


def draw(rng: np.random.Generator) -> Pixels:
    """A ring with a surface of its own, uint8 64 x 64 RGB."""
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    ring = 60 * np.cos(12 * np.hypot(x, y))
    grey = 128 + ring
    # Coarse differs more than fine: 12 directions then hold as much of the spread as in real cells.
    for cells, depth in ((4, 16), (8, 8), (16, 4)):
        patch = np.ones((SIDE_PX // cells, SIDE_PX // cells))
        grey += np.kron(rng.normal(0, depth, (cells, cells)), patch)
    grey = np.clip(grey, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def peak_mib() -> float:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the figures."""
    rng = np.random.default_rng(0)
    vectors = np.empty((N, LENGTH), np.float32)
    planted = {}
    spent = 0.0
    drawn: dict[int, Pixels] = {}
    for row in range(N):
        if row % COPY_EVERY == COPY_EVERY - 1:
            planted[row] = row - COPY_EVERY // 2
            noise = rng.integers(-3, 4, drawn[planted[row]].shape[:2])[:, :, None]
            picture = np.clip(drawn.pop(planted[row]) + noise, 0, 255).astype(np.uint8)
        else:
            picture = draw(rng)
            if row % COPY_EVERY == COPY_EVERY - 1 - COPY_EVERY // 2:
                drawn[row] = picture
        started = time.perf_counter()
        vectors[row] = fingerprint(picture)
        spent += time.perf_counter() - started
    before = peak_mib()
    started = time.perf_counter()
    pairs = near_duplicates(vectors)
    names = clusters(N, pairs)
    searched = time.perf_counter() - started
    found = sum(names[a] == names[b] for a, b in planted.items())
    print(f"fingerprints: {N:,} of {SIDE_PX} px in {spent:.1f} s, {vectors.nbytes / 2**20:.0f} MiB")
    print(f"search: {searched:.1f} s, process peak {peak_mib():.0f} MiB ({before:.0f} before it)")
    print(f"{found:,} of {len(planted):,} planted copies found, {len(pairs) - found:,} other pairs")


if __name__ == "__main__":
    main()
