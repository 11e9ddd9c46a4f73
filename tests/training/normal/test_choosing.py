"""The choice between scorers: out of fold, and by more than noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.training.normal import choosing
from pipeline.training.normal.choosing import Scored, Scorer
from pipeline.training.normal.patches import DescribedImages, PatchComponents
from tests.training.normal.conftest import noise


def described(n: int, odd: int, strength: float) -> DescribedImages:
    """Images of 16 patches; the last `odd` of them have a patch that lies far away."""
    patches = noise(n, (16, 4)).astype(np.float16)
    patches[n - odd :, 3] += np.float16(strength)
    components = PatchComponents(np.eye(4, dtype=np.float32), np.zeros(4, np.float32), np.ones(4))
    return DescribedImages([(0, 0)], [components], [patches], noise(n, (10,), seed=1))


def test_what_is_odd_in_one_place_is_found_by_the_memory_alone() -> None:
    found = described(60, 20, 8.0)
    good = np.arange(60) < 40
    distances = choosing.out_of_fold(found, good, np.arange(60) % 4, memory=64, pool=400, seed=0)
    best = choosing.ranked(list(choosing.candidates(distances, good, ~good, "auto")), 20, 40)[0]
    assert best.scorer.kind != "subspace"
    assert best.auroc > 0.95
    alone = list(choosing.candidates(distances, good, ~good, "subspace"))
    assert {s.scorer.kind for s in alone} == {"subspace"}
    assert max(s.auroc for s in alone) < 0.8


def test_an_image_is_judged_by_memories_that_have_not_seen_its_fold() -> None:
    """All images of a fold share a patch that no other has: it must look odd."""
    found = described(40, 0, 0.0)
    found.patches[0][:10, 5] += np.float16(9)
    folds = np.repeat(np.arange(4), 10)
    distances = choosing.out_of_fold(found, np.ones(40, bool), folds, memory=100, pool=1000, seed=0)
    farthest = distances.memory[0, 0.0, 0.0]
    assert farthest[:10].min() > farthest[10:].max()


def test_scores_of_good_parts_have_mean_zero_and_deviation_one() -> None:
    found = described(60, 20, 8.0)
    good = np.arange(60) < 40
    distances = choosing.out_of_fold(found, good, np.arange(60) % 4, memory=32, pool=400, seed=0)
    for scored in choosing.candidates(distances, good, ~good, "both"):
        assert scored.scores[good].mean() == pytest.approx(0, abs=1e-9)
        assert scored.scores[good].std() == pytest.approx(1)
        near = distances.memory[scored.scorer.pair, scored.scorer.whitening, scored.scorer.share]
        whole = distances.subspace[scored.scorer.components]
        again = scored.weights[0] * near + scored.weights[1] * whole + scored.offset
        np.testing.assert_allclose(again, scored.scores)


def scored(kind: choosing.Kind, auroc: float) -> Scored:
    return Scored(Scorer(kind, 0, 0.0, 0.0, 16), np.empty(0), (1.0, 1.0), 0.0, auroc)


def test_of_two_as_good_as_each_other_the_mean_of_both_scorers_is_taken() -> None:
    close = [scored("memory", 0.91), scored("both", 0.90)]
    assert choosing.ranked(close, 50, 50)[0].scorer.kind == "both"
    apart = [scored("memory", 0.99), scored("both", 0.80)]
    assert choosing.ranked(apart, 50, 50)[0].scorer.kind == "memory"


def test_the_standard_error_is_what_repeated_draws_show() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(80) < 30
    found = [roc_auc_score(truth, rng.standard_normal(80) + truth) for _ in range(1500)]
    said = choosing.standard_error(float(np.mean(found)), 30, 50)
    assert said == pytest.approx(np.std(found), rel=0.15)


def test_a_scorer_is_named_in_words() -> None:
    assert Scorer("both", 0, 1.0, 0.02, 64).name == (
        "memory of whitened fine patches, the farthest 2% of places + subspace of 64 components"
    )
    assert Scorer("subspace", 1, 0.0, 1.0, 16).name == "subspace of 16 components"
