"""Wrong labels are found where looks tell classes apart, and none is named where they do not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.datasets.checks.suspects import FOLDS, dispute

N = 120


def noise() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1, (N, 6)).astype(np.float32)


def two_kinds() -> tuple[npt.NDArray[np.float32], list[str]]:
    looks = noise()
    looks[: N // 2, 0] += 5
    return looks, ["scratch"] * (N // 2) + ["dent"] * (N // 2)


def own_groups(n: int = N) -> list[str]:
    return [f"part-{i}" for i in range(n)]


def test_flipped_labels_are_the_suspects_with_the_label_they_had() -> None:
    looks, labels = two_kinds()
    for row in (3, 40, 77):
        labels[row] = "dent" if labels[row] == "scratch" else "scratch"
    found = dispute(looks, labels, own_groups())
    assert {3, 40, 77} <= {s.row for s in found.suspects[:4]}
    likely = {s.row: s.likely for s in found.suspects}
    assert (likely[3], likely[77]) == ("scratch", "dent")
    assert found.balanced_accuracy is not None
    assert found.balanced_accuracy > 0.9


def test_the_most_doubtful_comes_first() -> None:
    looks, labels = two_kinds()
    labels[3], labels[40], labels[77] = "dent", "dent", "scratch"
    gaps = [s.p_likely - s.p_given for s in dispute(looks, labels, own_groups()).suspects]
    assert len(gaps) >= 3
    assert gaps == sorted(gaps, reverse=True)


def test_where_looks_show_nothing_no_list_is_given_and_the_report_has_the_reason() -> None:
    labels = ["scratch", "dent"] * (N // 2)
    found = dispute(noise(), labels, own_groups())
    assert found.suspects == []
    assert found.note.startswith("no list: ")
    assert "no better than the 50% of guessing" in found.note


def test_a_flipped_copy_is_not_excused_by_its_twin_in_the_same_group() -> None:
    looks, labels = two_kinds()
    looks[1], labels[0], labels[1] = looks[0], "dent", "dent"
    groups = own_groups()
    groups[1] = groups[0]
    assert {0, 1} <= {s.row for s in dispute(looks, labels, groups).suspects}


def test_a_class_with_too_few_groups_is_left_out_and_named() -> None:
    looks, labels = two_kinds()
    labels[:2] = ["rare", "rare"]
    found = dispute(looks, labels, own_groups())
    assert found.left_out == ["rare"]
    assert not {0, 1} & {s.row for s in found.suspects}


def test_one_class_alone_cannot_be_disputed() -> None:
    found = dispute(np.zeros((FOLDS, 3), np.float32), ["good"] * FOLDS, own_groups(FOLDS))
    assert (found.suspects, found.balanced_accuracy) == ([], None)
    assert "fewer than two classes" in found.note


def test_the_same_input_gives_the_same_list() -> None:
    looks, labels = two_kinds()
    labels[7] = "dent"
    assert dispute(looks, labels, own_groups()) == dispute(looks, labels, own_groups())
