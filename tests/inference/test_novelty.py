"""How unlike training a picture is, by its distance to the nearest example."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import (
    EXAMPLES,
    MANIFEST,
    NOVELTY,
    Bundle,
    NoveltyLimit,
    open_bundle,
    seal,
)
from pipeline.contracts.records import Verdict
from pipeline.errors import BundleError
from pipeline.files import write_model
from pipeline.inference.inspector import Inspector
from pipeline.inference.novelty import Novelty, limit_of
from tests.daemon.conftest import picture


def test_distance_is_that_to_the_nearest_example() -> None:
    novelty = Novelty(np.array([[0, 0], [3, 4]], np.float32), limit=1.0)
    distances = novelty.distance(np.array([[0, 1], [3, 4], [6, 8]], np.float32))
    assert distances == pytest.approx([1, 0, 5])


def test_long_embeddings_that_are_close_are_distinguished() -> None:
    far = np.array([[1e4, 1e4]], np.float32)
    near = far + np.array([[0.01, 0]], np.float32)
    assert Novelty(far, 1.0).distance(near) == pytest.approx([0.0098], abs=1e-3)


def test_only_what_lies_beyond_the_limit_is_complained_of() -> None:
    novelty = Novelty(np.zeros((1, 2), np.float32), limit=1.0)
    assert novelty.reason(1.0) is None
    assert novelty.reason(1.5) == "unlike anything in training: distance 1.50, limit 1.00"
    assert Novelty(np.zeros((1, 2), np.float32), limit=None).reason(1e9) is None


def test_about_the_share_of_further_parts_exceeds_the_limit() -> None:
    rng = np.random.default_rng(0)
    exceeded = []
    for _ in range(200):
        limit = limit_of(rng.gamma(4, size=400), 0.05)
        exceeded.append((rng.gamma(4, size=400) > limit).mean())
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.004)


def test_with_few_parts_the_limit_is_the_largest_distance() -> None:
    assert limit_of(np.array([1.0, 3.0, 2.0]), 0.005) == 3.0


def with_examples(bundle: Bundle, folder: Path, limit: float | None, width: int = 2) -> Bundle:
    """A copy of a bundle whose only example lies far from everything by `limit`'s measure."""
    shutil.copytree(bundle.folder, folder)
    (folder / MANIFEST).unlink()
    np.save(folder / EXAMPLES, np.full((1, width), 100, np.float16))
    write_model(folder / NOVELTY, NoveltyLimit(limit=limit, n_chosen_on=10))
    seal(folder)
    return open_bundle(folder)


def width_of(bundle: Bundle) -> int:
    return len(Inspector(bundle, threads=1).inspect(picture(200)).embedding)


def test_a_good_part_unlike_training_goes_to_review(sealed_bundle: Bundle, tmp_path: Path) -> None:
    n = width_of(sealed_bundle)
    strange = Inspector(with_examples(sealed_bundle, tmp_path / "b", 0.1, n), threads=1)
    seen = strange.inspect(picture(200))
    assert seen.decision.verdict is Verdict.REVIEW
    assert seen.decision.reason.startswith("unlike anything in training: distance ")
    assert seen.novelty is not None
    assert seen.novelty > 0.1


def test_without_a_limit_nothing_is_complained_of(sealed_bundle: Bundle, tmp_path: Path) -> None:
    n = width_of(sealed_bundle)
    measured = Inspector(with_examples(sealed_bundle, tmp_path / "b", None, n), threads=1)
    seen = measured.inspect(picture(200))
    assert (seen.decision.verdict, seen.image_reason) == (Verdict.PASS, None)
    assert seen.novelty is not None


def test_a_bundle_without_examples_goes_on_working(sealed_bundle: Bundle) -> None:
    assert Inspector(sealed_bundle, threads=1).inspect(picture(200)).novelty is None


def test_examples_of_another_network_are_refused(sealed_bundle: Bundle, tmp_path: Path) -> None:
    odd = Inspector(with_examples(sealed_bundle, tmp_path / "b", 0.1, 99), threads=1)
    with pytest.raises(BundleError, match="99 numbers"):
        odd.inspect(picture(200))


def test_examples_without_their_limit_are_half_a_bundle(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    bundle = with_examples(sealed_bundle, tmp_path / "b", 0.1)
    (bundle.folder / MANIFEST).unlink()
    (bundle.folder / NOVELTY).unlink()
    seal(bundle.folder)
    with pytest.raises(BundleError, match=r"has no familiarity\.json"):
        open_bundle(bundle.folder)


def test_a_table_with_python_objects_is_refused(sealed_bundle: Bundle, tmp_path: Path) -> None:
    bundle = with_examples(sealed_bundle, tmp_path / "b", 0.1)
    (bundle.folder / MANIFEST).unlink()
    np.save(bundle.folder / EXAMPLES, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    seal(bundle.folder)
    with pytest.raises(BundleError, match="cannot be read"):
        Inspector(open_bundle(bundle.folder), threads=1)
