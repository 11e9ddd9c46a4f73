"""The figures of a recipe's versions, from the first to the one that a report is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from pipeline.contracts.evaluation import Figure
from pipeline.reporting import plots, wording
from pipeline.reporting.svg import drawing

SHOWN = 20  # versions, the newest
KEYS = ("escape_rate", "overkill_rate", "review_rate", "auroc")


@dataclass(frozen=True)
class VersionFigures:
    """What one version was measured at when it was registered.

    Attributes:
        version, created: its number, and when it was registered (ISO 8601), "" where unknown.
        same_parts: was it measured on the data set of the report's version, by its manifest?
        figures: by their names in metrics.json; those that were not defined are left out.
    """

    version: int
    created: str
    same_parts: bool
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Trend:
    """The trend as a page shows it.

    Attributes:
        plots: a drawing a figure.
        rows: a version a row, the newest first: number, date, its figures in words, and on which
            parts they were measured.
        left_out: versions before those that are shown.
    """

    plots: tuple[Markup, ...]
    rows: tuple[tuple[str, str, tuple[tuple[str, str], ...], str], ...]
    left_out: int


def trend(versions: Sequence[VersionFigures]) -> Trend | None:
    """The trend over versions in their order; None where there are fewer than two."""
    if len(versions) < 2:
        return None
    shown = versions[-SHOWN:]
    drawn = []
    for key in KEYS:
        points = [(v.version, v.figures[key], v.same_parts) for v in shown if key in v.figures]
        if points:
            title = wording.TITLES[key]
            draw = partial(
                plots.draw_trend,
                versions=[version for version, _, _ in points],
                figures=[(f.value, f.low, f.high) for _, f, _ in points],
                same_parts=[same for _, _, same in points],
                title=title,
                share=key != "auroc",
            )
            text = f"{title} of each version with its 95 % interval"
            drawn.append(drawing(f"trend-{key}", draw, alt_text=text, size=(3.2, 2.3)))
    rows = [
        (
            str(v.version),
            v.created[:10],
            tuple((wording.TITLES[key], _written(key, v.figures.get(key))) for key in KEYS),
            "the same" if v.same_parts else "another",
        )
        for v in reversed(shown)
    ]
    return Trend(tuple(drawn), tuple(rows), len(versions) - len(shown))


def _written(key: str, figure: Figure | None) -> str:
    if figure is None:
        return "not defined"
    text = wording.figure(key, figure.value)
    if figure.low is None or figure.high is None:
        return text
    if key == "auroc":
        return f"{text} ({figure.low:.3f} to {figure.high:.3f})"
    return f"{text} ({wording.interval(figure.low, figure.high)})"
