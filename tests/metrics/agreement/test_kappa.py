"""Kappas against published examples, another program's, and what their intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.metrics.agreement.kappa import (
    Concordance,
    Ints,
    Kappa,
    cohen,
    fleiss,
    fleiss_of_counts,
    with_interval,
)
from tests.metrics.agreement.published import AIAG, BEARINGS, read

# Fleiss, Psychological Bulletin 76, 1971; the ten subjects, fourteen raters and five categories by
# which his formula is taught.
TEN_SUBJECTS = [
    *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
    *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
]


def test_fleiss_kappa_is_that_of_the_textbook_example() -> None:
    found = fleiss_of_counts(np.array(TEN_SUBJECTS))
    assert found.observed == pytest.approx(0.378, abs=5e-4)
    assert found.chance == pytest.approx(0.213, abs=5e-4)
    assert found.kappa == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(("pair", "published"), [("AB", 0.86), ("AC", 0.78), ("BC", 0.79)])
def test_cohens_kappa_of_two_appraisers_is_that_of_the_aiag(pair: str, published: float) -> None:
    _, answers = read(AIAG, "A", "B", "C")
    codes = {one.name: one.codes for one in answers}
    assert cohen(codes[pair[0]], codes[pair[1]]).kappa == pytest.approx(published, abs=5e-3)


@pytest.mark.parametrize(("name", "published"), [("A", 0.88), ("B", 0.92), ("C", 0.77)])
def test_cohens_kappa_to_the_reference_is_that_of_the_aiag(name: str, published: float) -> None:
    reference, answers = read(AIAG, "A", "B", "C")
    codes = {one.name: one.codes for one in answers}[name]
    against = np.repeat(reference[:, None], 3, axis=1)
    assert cohen(codes, against).kappa == pytest.approx(published, abs=5e-3)


def test_fleiss_kappa_within_and_between_appraisers_is_that_of_another_program() -> None:
    _, answers = read(BEARINGS, "EG", "BL", "MH")
    within = [fleiss(one.codes).kappa for one in answers]
    assert within == pytest.approx([0.905462184873949, 0.91, 0.543918918918919])
    together = np.hstack([one.codes for one in answers])
    assert fleiss(together).kappa == pytest.approx(0.641666666666666)


def test_cohens_kappa_of_three_categories_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 3, (40, 2))
    b = np.where(rng.random((40, 2)) < 0.7, a, rng.integers(0, 3, (40, 2)))
    assert cohen(a, b).kappa == pytest.approx(cohen_kappa_score(a.ravel(), b.ravel()))


def test_answers_that_are_all_the_same_one_have_no_kappa() -> None:
    same = np.ones((20, 3), np.intp)
    assert np.isnan(cohen(same, same).kappa)
    assert with_interval(lambda rows: fleiss(same[rows]), 20) == Kappa(None)


def test_one_answer_a_part_has_no_fleiss_kappa() -> None:
    assert np.isnan(fleiss(np.ones((20, 1), np.intp)).kappa)


def test_full_agreement_on_few_parts_does_not_prove_a_kappa_of_one() -> None:
    def alike(n: int) -> Kappa:
        codes = np.repeat(np.arange(n)[:, None] % 2, 3, axis=1)
        return with_interval(lambda rows: fleiss(codes[rows]), n)

    few, many = alike(10), alike(100)
    assert few.value == many.value == few.high == 1
    assert few.low is not None
    assert many.low is not None
    # 10 of 10 agree: the exact bound on the share that does not is 1 - 0.025^(1/10).
    assert few.low == pytest.approx(1 - 2 * (1 - 0.025**0.1))
    assert few.low < 0.75 < many.low


def test_an_interval_is_the_same_at_every_call() -> None:
    _, answers = read(AIAG, "A", "B", "C")

    def concordance(rows: Ints) -> Concordance:
        return cohen(answers[0].codes[rows], answers[2].codes[rows])

    assert with_interval(concordance, 50) == with_interval(concordance, 50)


def test_answering_a_part_more_often_narrows_no_interval_as_parts_would() -> None:
    """Nine answers that repeat three are no more evidence: parts are drawn, not answers."""
    _, answers = read(AIAG, "A", "B", "C")
    a, c = answers[0].codes, answers[2].codes
    once = with_interval(lambda rows: cohen(a[rows], c[rows]), 50)
    tripled = [np.tile(codes, 3) for codes in (a, c)]
    thrice = with_interval(lambda rows: cohen(tripled[0][rows], tripled[1][rows]), 50)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_draws_without_a_kappa_count_as_no_agreement_beyond_chance() -> None:
    a = np.zeros((30, 2), np.intp)
    a[0] = 1
    b = a.copy()
    b[0, 1] = 0
    found = with_interval(lambda rows: cohen(a[rows], b[rows]), 30)
    assert found.low == pytest.approx(0, abs=1e-9)
