"""Plots lie where they should, and their CSV holds what was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.evaluation import Changed, Share
from pipeline.imaging.changes import CHANGES
from pipeline.imaging.codec import read
from pipeline.metrics.classification import Curve, curve
from pipeline.metrics.pareto import DefectClass
from pipeline.reporting import plots

POINT = OperatingPoint(pass_below=0.25, fail_from=0.75)
TRUTH = np.array([False, False, True, True, True])
SCORES = np.array([0.1, 0.6, 0.35, 0.8, 0.9])
ACTUAL = ["good", "good", "bad", "bad", "bad"]
PREDICTED = ["good", "bad", "good", "bad", "bad"]
NAMES = ["good", "bad"]


@pytest.fixture
def drawn() -> Curve:
    return curve("bad part", TRUTH, SCORES)


def test_curves_are_written_as_csv_with_the_points_drawn(tmp_path: Path, drawn: Curve) -> None:
    plots.write_curves(tmp_path, [drawn], drawn)
    roc, pr = pd.read_csv(tmp_path / "roc.csv"), pd.read_csv(tmp_path / "pr.csv")
    assert roc.columns.tolist() == ["fpr", "tpr"]
    assert pr.columns.tolist() == ["recall", "precision"]
    np.testing.assert_allclose(roc["fpr"], drawn.fpr, atol=1e-6)
    np.testing.assert_allclose(roc["tpr"], drawn.tpr, atol=1e-6)
    np.testing.assert_allclose(pr["recall"], drawn.recall, atol=1e-6)
    np.testing.assert_allclose(pr["precision"], drawn.precision, atol=1e-6)


def test_the_csv_holds_the_overall_curve_when_there_are_several(
    tmp_path: Path, drawn: Curve
) -> None:
    inverse = curve("other", ~TRUTH, SCORES)
    plots.write_curves(tmp_path, [inverse, inverse], drawn)
    assert len(pd.read_csv(tmp_path / "roc.csv")) == len(drawn.fpr)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "roc.csv")["tpr"], drawn.tpr, atol=1e-6)


def test_a_class_that_is_never_predicted_keeps_its_column() -> None:
    counts = plots.confusion(["b", "a", "b"], ["b", "b", "b"], ["a", "b", "c"])
    assert counts.to_numpy().tolist() == [[0, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_the_confusion_csv_has_one_row_a_part(tmp_path: Path) -> None:
    plots.write_confusion(tmp_path, ACTUAL, PREDICTED, NAMES)
    table = pd.read_csv(tmp_path / "confusion.csv")
    assert table.to_dict("list") == {"actual": ACTUAL, "predicted": PREDICTED}


def test_verdicts_are_counted_by_class(tmp_path: Path) -> None:
    plots.write_verdicts(tmp_path, ACTUAL, ["PASS", "FAIL", "FAIL", "REVIEW", "FAIL"])
    assert (tmp_path / "verdicts.csv").read_text() == (
        "class,FAIL,PASS,REVIEW\nbad,2,0,1\ngood,1,1,0\n"
    )


def test_every_plot_is_a_picture_with_something_on_it(tmp_path: Path, drawn: Curve) -> None:
    plots.write_curves(tmp_path, [drawn], drawn)
    plots.write_confusion(tmp_path, ACTUAL, PREDICTED, NAMES)
    plots.write_scores(tmp_path, SCORES, TRUTH, POINT)
    plots.write_review(tmp_path, None)
    counts = plots.confusion(ACTUAL, PREDICTED, NAMES)
    plots.write_overview(tmp_path / "overview.png", "title", [drawn], counts, SCORES, TRUTH, POINT)
    pictures = sorted(p.name for p in tmp_path.glob("*.png"))
    assert pictures == [
        *("confusion.png", "overview.png", "pr.png", "review.png", "roc.png", "scores.png"),
    ]
    for name in pictures:
        pixels = read(tmp_path / name)
        assert pixels.shape[0] > 300
        assert pixels.std() > 5


def test_the_same_plot_is_the_same_file(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        plots.write_scores(folder, SCORES, TRUTH, POINT)
    one, other = ((tmp_path / f / "scores.png").read_bytes() for f in "ab")
    assert one == other


def test_the_confusion_plot_shows_counts_and_shares_of_the_row() -> None:
    axes = Figure().subplots()
    counts = pd.DataFrame([[3, 1], [0, 2]], index=["bad", "good"], columns=["bad", "good"])
    plots.draw_confusion(axes, counts)
    assert [t.get_text() for t in axes.texts] == ["3\n75.0 %", "1\n25.0 %", "0", "2\n100 %"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["bad", "good"]


def test_the_score_plot_marks_both_limits_and_counts_the_parts() -> None:
    axes = Figure().subplots()
    plots.draw_scores(axes, SCORES, TRUTH, POINT)
    marks = [float(np.asarray(line.get_xdata())[0]) for line in axes.lines]
    assert marks == [0.25, 0.75]
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()][:2] == ["good (2)", "bad (3)"]


def test_the_roc_plot_names_each_curve(drawn: Curve) -> None:
    axes = Figure().subplots()
    plots.draw_roc(axes, [drawn, drawn])
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["bad part", "bad part"]


def test_the_det_plot_leaves_out_what_lies_at_infinity(drawn: Curve) -> None:
    axes = Figure().subplots()
    plots.draw_det(axes, [drawn])
    (line,) = axes.lines
    assert np.isfinite(np.asarray(line.get_xdata(), float)).all()
    assert len(np.asarray(line.get_xdata())) > 0
    assert [t.get_text() for t in axes.get_xticklabels()][:3] == ["0.001", "0.01", "0.05"]


def test_the_reliability_plot_shows_bins_that_have_parts_with_their_number() -> None:
    axes = Figure().subplots()
    said, true = np.array([0.05, 0.05, 0.05, 0.95]), np.array([False, False, True, True])
    plots.draw_reliability(
        axes,
        said,
        true,
        what="defect score",
        found="share of bad parts",
        groups=["a", "b", "c", "d"],
    )
    assert [t.get_text() for t in axes.texts] == ["3", "1"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    found = [float(np.asarray(dot.get_ydata())[0]) for dot in dots]
    np.testing.assert_allclose(found, [1 / 3, 1.0])


def test_the_tradeoff_plot_marks_each_limit_in_the_colour_of_its_line() -> None:
    axes = Figure().subplots()
    grid = np.linspace(0, 1, 5)
    plots.draw_tradeoff(axes, grid, 1 - grid, grid, POINT)
    escapes, overkill, low, high = axes.lines
    assert [float(np.asarray(line.get_xdata())[0]) for line in (low, high)] == [0.25, 0.75]
    assert escapes.get_color() == low.get_color() == plots.BAD
    assert overkill.get_color() == high.get_color() == plots.GOOD


def test_a_change_is_drawn_over_its_strength_with_what_is_not_defined_left_out() -> None:
    none = Share(k=0, n=0, value=None, low=None, high=None)

    def step(strength: float, k: int) -> Changed:
        some = Share(k=k, n=10, value=k / 10, low=0.0, high=0.9)
        return Changed(
            change="blur",
            strength=strength,
            unit="px",
            auroc=None,
            accuracy=some,
            escape=some,
            overkill=none,
            review=some,
            complained=none,
        )

    axes = Figure().subplots()
    plots.draw_change(axes, [step(0, 1), step(2, 4)])
    escapes, overkill = axes.lines
    np.testing.assert_allclose(np.asarray(escapes.get_ydata(), float), [0.1, 0.4])
    assert np.isnan(np.asarray(overkill.get_ydata(), float)).all()
    assert axes.get_title() == "out of focus"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("px", "share of those parts")


def test_every_change_of_the_line_is_titled_by_its_direction() -> None:
    made = {(c.name, -1 if s < 0 else 1) for c in CHANGES for s in c.strengths}
    assert made == set(plots.DIRECTIONS)


def test_a_class_may_have_a_name_that_reads_like_a_formula(tmp_path: Path) -> None:
    plots.write_confusion(tmp_path, ["$\\x", "b"], ["b", "b"], ["$\\x", "b"])
    assert (tmp_path / "confusion.png").is_file()


def test_the_trend_marks_the_last_version_and_leaves_others_parts_hollow() -> None:
    axes = Figure().subplots()
    figures = [(0.1, 0.05, 0.2), (0.08, None, None), (0.04, 0.01, 0.09)]
    plots.draw_trend(axes, [1, 2, 5], figures, [False, True, True], title="Escapes", share=True)
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(np.asarray(p.get_ydata())[0]) for p in points] == [10.0, 8.0, 4.0]
    assert [p.get_markerfacecolor() for p in points] == ["white", plots.CALM, plots.BAD]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "5"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("version", "per cent")


def test_defect_classes_are_stacked_by_verdict_below_their_cumulative_share() -> None:
    axes = Figure().subplots()
    classes = [
        DefectClass("crack", 6, 0.75, 0.75, passed=1, looked_at=2, failed=3),
        DefectClass("pit", 2, 0.25, 1.0, passed=0, looked_at=0, failed=2),
    ]
    plots.draw_pareto(axes, classes)
    heights = [[bar.get_height() for bar in stack] for stack in axes.containers]
    assert heights == [[1, 0], [2, 0], [3, 2]]
    (shares,) = axes.figure.axes[1].lines
    assert np.asarray(shares.get_ydata()).tolist() == [75.0, 100.0]
