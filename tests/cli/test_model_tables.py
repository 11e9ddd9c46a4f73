"""Rows and cells of `lineside models`."""

from __future__ import annotations

from pipeline.cli import model_tables as tables
from pipeline.contracts.evaluation import Figure
from pipeline.registry.dossier import Dossier
from pipeline.registry.versions import Version

VERSION = Version("cells", 1, "ab" * 32, "run", tags={"method": "probe", "plant": "north"})


def test_what_a_reviewer_asks_first_comes_first() -> None:
    names = {"auroc", "escape_rate", "latency_ms_p50", "accuracy"}
    assert tables.ordered(names) == ["escape_rate", "accuracy", "auroc", "latency_ms_p50"]


def test_a_difference_needs_the_figure_on_both_sides() -> None:
    left = Dossier(VERSION, {"auroc": Figure(0.5), "accuracy": Figure(0.9)})
    right = Dossier(VERSION, {"auroc": Figure(0.75)})
    assert tables.difference(left, right, "auroc") == 0.25
    assert tables.difference(left, right, "accuracy") is None


def test_a_figure_shows_its_interval_where_it_has_one() -> None:
    cells = [tables.figure_text(f) for f in (None, Figure(0.5), Figure(0.5, 0.4, 0.625))]
    assert cells == ["-", "0.5000", "0.5000 (0.4000 to 0.6250)"]


def test_identity_leaves_out_tags_that_do_not_shape_the_model() -> None:
    expected = {"method": "probe", "bundle_sha256": "ab" * 32, "gate": "unknown"}
    assert tables.identity(Dossier(VERSION)) == expected
