"""Near-duplicate pairs are all found, clusters follow from them, look-alikes stay apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.datasets.adapters import elpv
from pipeline.datasets.checks.duplicates import NEAR, Vectors, clusters, near_duplicates
from pipeline.imaging.codec import decode, encode_png, read
from pipeline.imaging.fingerprint import fingerprint

SHARED = Path(__file__).parents[4] / "shared/data"


def scattered(n: int, length: int = 40, spread: float = 0.05, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(0, spread, (n, length)).astype(np.float32)


def by_hand(vectors: Vectors, threshold: float) -> set[tuple[int, int]]:
    return {
        (i, j)
        for i in range(len(vectors))
        for j in range(i + 1, len(vectors))
        if np.linalg.norm(vectors[i] - vectors[j]) <= threshold
    }


@pytest.mark.parametrize("threshold", [0.3, 0.4, 0.45])
def test_the_pairs_are_those_of_comparing_all_with_all(threshold: float) -> None:
    vectors = scattered(200)
    found = near_duplicates(vectors, threshold)
    assert {(i, j) for i, j, _ in found} == by_hand(vectors, threshold)
    assert threshold < 0.35 or found


def test_a_pair_has_its_distance() -> None:
    vectors = np.array([[0, 0], [3, 4], [40, 0]], np.float32)
    assert near_duplicates(vectors, 6) == [(0, 1, 5.0)]


def test_a_pair_exactly_at_the_threshold_is_near() -> None:
    vectors = np.array([[0, 0], [3, 4], [40, 0]], np.float32)
    assert near_duplicates(vectors, 5.0) == [(0, 1, 5.0)]


def test_exact_copies_are_paired_with_the_first() -> None:
    vectors = scattered(3)[[2, 0, 1, 0, 2, 0]]
    assert near_duplicates(vectors, 0.01) == [(0, 4, 0.0), (1, 3, 0.0), (1, 5, 0.0)]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_have_no_pair(n: int) -> None:
    assert near_duplicates(scattered(n), 1.0) == []


def test_the_same_fingerprints_give_the_same_pairs() -> None:
    assert near_duplicates(scattered(300), 0.4) == near_duplicates(scattered(300), 0.4)


def test_many_shots_of_an_idle_line_make_one_cluster_and_few_pairs() -> None:
    idle = scattered(2000, spread=0.0005)
    found = near_duplicates(np.concatenate([idle, idle[:1] + 1]).astype(np.float32), 0.05)
    assert len(found) == 1999
    assert set(clusters(2001, found)) == {0, 2000}


def test_a_crowd_too_wide_for_one_stand_in_is_still_one_cluster() -> None:
    line = np.zeros((3000, 4), np.float32)
    line[:, 0] = np.linspace(0, 0.3, 3000)
    found = near_duplicates(line, 0.05)
    assert set(clusters(3000, found)) == {0}
    assert len(found) < 4000


def test_a_chain_of_pairs_is_one_cluster() -> None:
    assert clusters(6, [(1, 3, 0.1), (3, 4, 0.1), (2, 5, 0.0)]) == [0, 1, 2, 1, 1, 2]


def test_without_pairs_each_image_is_alone() -> None:
    assert clusters(3, []) == [0, 1, 2]


def test_no_images_have_no_clusters() -> None:
    assert clusters(0, []) == []


def test_a_solar_cell_is_found_again_and_its_look_alikes_are_not() -> None:
    pytest.importorskip("elpv_dataset")
    config = elpv.Config(type="elpv")
    shots = [read(elpv.root(config) / s.path) for s in elpv.read(config)[::20]]
    small = [cv2.resize(s, (200, 200), interpolation=cv2.INTER_AREA) for s in shots]
    again = [decode(encode_png(np.asarray(s, np.uint8))) for s in small]
    found = near_duplicates(np.stack([fingerprint(s) for s in [*shots, *again]]))
    n = len(shots)
    assert {(i, j) for i, j, _ in found} == {(i, i + n) for i in range(n)}


@pytest.mark.skipif(not (SHARED / "casting").is_dir(), reason="../shared/data/casting is absent")
def test_the_castings_on_both_sides_of_the_given_split_are_found() -> None:
    paths = sorted((SHARED / "casting").rglob("*.jpeg"))
    vectors = np.stack([fingerprint(read(path)) for path in paths])
    side = [path.relative_to(SHARED / "casting").parts[0] for path in paths]
    identical = [(i, j) for i, j, _ in near_duplicates(vectors, 1e-6)]
    found = near_duplicates(vectors, NEAR)
    crossing = [(i, j) for i, j, _ in found if side[i] != side[j]]
    assert len({(i, j) for i, j in identical if side[i] != side[j]}) == 64
    assert len(crossing) > 64
    sizes = Counter(clusters(len(paths), found)).values()
    assert max(sizes) <= 3


@pytest.mark.skipif(not (SHARED / "x-sdd").is_dir(), reason="../shared/data/x-sdd is absent")
def test_only_the_nine_copied_steel_strips_are_near_duplicates() -> None:
    paths = sorted(p for p in (SHARED / "x-sdd").rglob("*") if p.is_file())
    found = near_duplicates(np.stack([fingerprint(read(path)) for path in paths]))
    assert [distance for _, _, distance in found] == [0.0] * 9
