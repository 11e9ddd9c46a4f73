"""The installed ELPV cells as samples."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import elpv
from pipeline.errors import DataError, MissingExtra


def cells(**options: Any) -> list[Sample]:
    return elpv.read(elpv.Config(type="elpv", **options))


def test_there_are_2624_cells_with_names_of_their_own() -> None:
    samples = cells()
    assert len({s.id for s in samples}) == len(samples) == 2624


def test_every_cell_lies_where_its_path_points() -> None:
    root = elpv.root(elpv.Config(type="elpv"))
    assert all((root / s.path).is_file() for s in cells())


def test_four_beliefs_are_kept_and_counted_as_published() -> None:
    counts = Counter(round(3 * (s.defect_probability or 0)) for s in cells())
    assert counts == {0: 1508, 1: 295, 2: 106, 3: 715}


@pytest.mark.parametrize(("above", "defective"), [(0.0, 1116), (0.5, 821), (0.9, 715)])
def test_a_cell_is_defective_when_its_belief_is_above_the_limit(
    above: float, defective: int
) -> None:
    assert Counter(s.label for s in cells(defective_above=above))["defective"] == defective


def test_labels_are_those_configured() -> None:
    assert {s.label for s in cells(good="i.O.", defective="n.i.O.")} == {"i.O.", "n.i.O."}


def test_every_cell_is_a_group_of_its_own_for_no_module_is_named() -> None:
    assert len({s.group for s in cells()}) == 2624


def test_both_kinds_of_cell_are_named() -> None:
    assert {s.variant for s in cells()} == {"mono", "poly"}


def test_a_package_that_is_not_installed_is_named_with_what_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtra, match=r"elpv-dataset.*pip install -c constraints.txt '\.\[demo\]'"
    ):
        cells()


@pytest.mark.parametrize("line", ["images/a.png high mono", "images/a.png 0.5"])
def test_a_line_of_another_shape_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "labels.csv").write_text(f"images/cell0001.png  1.0   mono\n{line}\n")
    monkeypatch.setattr(elpv, "root", lambda _: tmp_path)
    with pytest.raises(DataError, match=r"labels\.csv:2 reads .*expected path, probability, type"):
        cells()
