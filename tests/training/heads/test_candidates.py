"""What is offered, and what is tried because of the best so far."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.heads.candidates import (
    Candidate,
    balances,
    default,
    edges,
    imbalance,
    neighbours,
    offered,
)
from pipeline.training.heads.settings import HeadSettings

EVEN = np.eye(2, dtype=np.float32)[np.arange(100) % 2]
UNEVEN = np.eye(2, dtype=np.float32)[(np.arange(100) % 5 == 0).astype(int)]
KERNELS = HeadSettings(kind="kernel", kernel_width=(0.5, 0.05), l2=(0.01, 0.1))


def test_every_kind_is_offered_and_none_twice() -> None:
    found = offered(HeadSettings(), EVEN)
    assert {c.kind for c in found} == {"kernel", "linear", "discriminant"}
    assert len(set(found)) == len(found)
    assert default(HeadSettings()) in found


def test_a_kernel_sees_as_many_components_as_come_first() -> None:
    assert {c.components for c in offered(HeadSettings(), EVEN) if c.kind == "kernel"} == {384}


def test_of_few_shots_a_linear_head_is_taken_without_a_search() -> None:
    (only,) = offered(HeadSettings(), EVEN[:40])
    assert (only.kind, only.strength) == ("linear", 1e-4)
    assert neighbours(only, [only], HeadSettings(), EVEN[:40]) == []
    assert len(offered(HeadSettings(), EVEN[:42])) > 30


def test_of_few_shots_too_what_is_given_as_one_kind_stays() -> None:
    given = HeadSettings(kind="discriminant")
    assert {c.kind for c in offered(given, EVEN[:10])} == {"discriminant"}


def test_images_of_the_largest_class_for_one_of_the_smallest() -> None:
    assert imbalance(UNEVEN) == 4
    assert imbalance(np.pad(UNEVEN, ((0, 0), (0, 1)))) == 4, "a class without an image"


def test_balance_is_searched_only_where_classes_are_uneven() -> None:
    assert balances(HeadSettings(), EVEN) == ("none",)
    assert balances(HeadSettings(), UNEVEN) == ("none", "sqrt", "balanced")


def test_past_the_edges_of_the_best_more_is_tried() -> None:
    found = neighbours(
        Candidate("kernel", 384, 0.1, width=0.05), offered(KERNELS, EVEN), KERNELS, EVEN
    )
    assert {(c.strength, round(c.width, 4)) for c in found} == {(1.0, 0.05), (0.1, 0.0167)}


def test_nothing_is_tried_past_the_edge_of_one_given_value() -> None:
    fixed = HeadSettings(kind="kernel", kernel_width=0.5, l2=0.01, balance="none")
    assert neighbours(offered(fixed, UNEVEN)[0], offered(fixed, UNEVEN), fixed, UNEVEN) == []


def test_a_value_at_the_edge_is_named() -> None:
    best = Candidate("kernel", 384, 0.1, width=0.5)
    assert edges(best, offered(KERNELS, EVEN), KERNELS) == [
        "l2 0.1 is at the edge of what was tried",
        "kernel_width 0.5 is at the edge of what was tried",
    ]


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Candidate("kernel", 384, 0.01, width=0.5), "kernel (width 0.5, l2 0.01, 384 components)"),
        (
            Candidate("linear", 8, 0.1, "sqrt", scaling="whitened"),
            "linear (l2 0.1, 8 components, whitened, balance sqrt)",
        ),
        (Candidate("discriminant", 8, 0.3), "discriminant (shrinkage 0.3, 8 components)"),
    ],
)
def test_it_is_described_by_its_settings(candidate: Candidate, words: str) -> None:
    assert str(candidate) == words
