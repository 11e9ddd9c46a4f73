"""Figures over the versions of a recipe."""

from __future__ import annotations

import re

from pipeline.contracts.evaluation import Figure
from pipeline.reporting.trend import KEYS, SHOWN, VersionFigures, trend


def version(number: int, *, same_parts: bool = True, **figures: Figure) -> VersionFigures:
    every = dict.fromkeys(KEYS, Figure(0.05, 0.02, 0.1)) | figures
    return VersionFigures(number, f"2026-11-{number:02d}T08:00:00+00:00", same_parts, every)


def test_one_version_alone_has_no_trend() -> None:
    assert trend([]) is None
    assert trend([version(1)]) is None


def test_each_figure_is_drawn_and_the_newest_version_comes_first() -> None:
    found = trend([version(1), version(3)])
    assert found is not None
    assert len(found.plots) == len(KEYS)
    assert [row[:2] for row in found.rows] == [("3", "2026-11-03"), ("1", "2026-11-01")]
    shown = dict(found.rows[0][2])
    assert shown["Escapes"].replace("\u00a0", " ") == "5.0 % (2.0 to 10.0 %)"
    assert shown["AUROC"] == "0.050 (0.020 to 0.100)"


def test_a_version_that_was_measured_on_other_parts_is_marked() -> None:
    found = trend([version(1, same_parts=False), version(2)])
    assert found is not None
    assert [row[3] for row in found.rows] == ["the same", "another"]
    assert re.search(r"fill: #ffffff[^}]*stroke: #3f86b8", str(found.plots[0]))


def test_a_figure_without_an_interval_or_none_at_all_is_written_as_such() -> None:
    bare = VersionFigures(1, "", True, {"auroc": Figure(0.9)})
    found = trend([bare, version(2)])
    assert found is not None
    assert dict(found.rows[1][2]) == {
        "Escapes": "not defined",
        "Overkill": "not defined",
        "Review": "not defined",
        "AUROC": "0.900",
    }


def test_of_many_versions_the_newest_are_shown_and_the_rest_counted() -> None:
    found = trend([version(n) for n in range(1, SHOWN + 4)])
    assert found is not None
    assert (len(found.rows), found.left_out) == (SHOWN, 3)
