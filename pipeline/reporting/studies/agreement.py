"""The report of an attribute agreement study as one page: verdict, figures, disagreements.

It serves IATF 16949, 7.1.5.1.1 (statistical studies of each inspection system) and VDI/VDE/VDMA
2632 part 3 (acceptance of classifying machine vision systems).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.contracts.study import (
    STATION,
    Appraisal,
    Finding,
    FindingState,
    Judgement,
    Measure,
    PartReference,
    Study,
    StudyPart,
    StudyResult,
)
from pipeline.errors import UnreadableImage
from pipeline.imaging.codec import decode, encode_jpeg
from pipeline.imaging.sheet import thumbnail
from pipeline.metrics.agreement.attribute import LIMITS
from pipeline.metrics.agreement.outcome import figure, outcome
from pipeline.metrics.rates import asked
from pipeline.reporting.svg import drawing
from pipeline.reporting.template import data_uri, fill_html

TEMPLATE = "studies/agreement.html.j2"
THUMBNAIL_PX = 160
SHARES = (
    (Measure.WITHIN, "Agreement within", "parts with the same answer in all trials"),
    (Measure.EFFECTIVENESS, "Effectiveness", "parts with the right answer in all trials"),
    (Measure.MISS_RATE, "Miss rate", "answers \u201cgood\u201d on bad parts"),
    (Measure.FALSE_ALARM_RATE, "False alarm rate", "answers \u201cbad\u201d on good parts"),
    (Measure.UNDECIDED, "Left to a person", "answers that decide nothing"),
)
KAPPAS = (
    (Measure.KAPPA_REFERENCE, "To the reference (Cohen)"),
    (Measure.KAPPA_WITHIN, "Within, over the trials (Fleiss)"),
    (Measure.KAPPA_PAIR, "Between two (Cohen)"),
    (Measure.KAPPA_ALL, "All together (Fleiss)"),
)
TONES = {
    FindingState.ACCEPTABLE: "",
    FindingState.NOT_PROVEN: "warn",
    FindingState.NOT_ACCEPTABLE: "bad",
}
COLOURS = {
    FindingState.ACCEPTABLE: "#2a8a68",
    FindingState.NOT_PROVEN: "#d9a441",
    FindingState.NOT_ACCEPTABLE: "#d1603f",
    None: "#8d969e",
}
MARKS = {"good": "\u2713", "bad": "\u2715", "undecided": "?"}


@dataclass(frozen=True)
class DisputedPart:
    """A part on which not every answer is the reference verdict.

    Attributes:
        part: from the plan.
        reference: its verdict.
        source: its picture as a data URI, "" where it cannot be read.
        answers: the marks of each appraiser's trials, by name.
        wrong: the appraisers with an answer that is not the reference.
    """

    part: StudyPart
    reference: PartReference
    source: str
    answers: dict[str, str]
    wrong: frozenset[str]


def report(
    study: Study,
    references: Mapping[int, PartReference],
    answers: Mapping[str, Sequence[Appraisal]],
    picture: Callable[[int], bytes],
    at: datetime,
    notes: Sequence[str] = (),
) -> tuple[StudyResult, bytes]:
    """Compute what a study shows, and make the page that is signed.

    Args:
        study: the plan.
        references: of each part.
        answers: of each appraiser that counts; the station under `STATION`.
        picture: the file of a part's picture by its number; may raise OSError.
        at: now, with a time zone.
        notes: further sentences for the reader.

    Returns:
        The result, and HTML without script or network, pictures inside.

    Raises:
        DataError: a part has no reference, or an appraiser has not judged every part.
    """
    result = outcome(study, references, answers, at, notes)
    names = list(answers)
    grid = _grid(study, references, answers)
    page = fill_html(
        TEMPLATE,
        study=study,
        result=result,
        tone=TONES[result.state],
        names=names,
        with_station=STATION in names,
        n_good=sum(r.judgement is Judgement.GOOD for r in references.values()),
        shares=[(title, meaning, _of(result, m), _limit(m)) for m, title, meaning in SHARES],
        kappas=[(title, _of(result, measure)) for measure, title in KAPPAS],
        figure=figure,
        tones=TONES,
        plots=_plots(result),
        disputed=[_disputed(p, references, grid, picture) for p in _wrong(study, grid)],
        grid=grid,
        marks=MARKS,
        references=references,
    )
    return result, page


def _of(result: StudyResult, measure: Measure) -> list[Finding]:
    return [finding for finding in result.findings if finding.measure is measure]


def _limit(measure: Measure) -> str:
    limits = LIMITS.get(measure)
    if limits is None:
        return "no limit"
    sign = "\u2265" if limits.at_least else "\u2264"
    return f"limit {sign} {asked(limits.acceptable)} %"


Grid = dict[int, dict[str, tuple[str, bool]]]


def _grid(
    study: Study,
    references: Mapping[int, PartReference],
    answers: Mapping[str, Sequence[Appraisal]],
) -> Grid:
    """By part and appraiser: the marks of the trials, and whether one is not the reference."""
    grid: Grid = {part.number: {} for part in study.parts}
    for name, given in answers.items():
        for number, cells in grid.items():
            trials = sorted((a.trial, a.judgement) for a in given if a.part == number)
            wrong = any(judgement != references[number].judgement for _, judgement in trials)
            cells[name] = ("".join(MARKS[judgement] for _, judgement in trials), wrong)
    return grid


def _wrong(study: Study, grid: Grid) -> list[StudyPart]:
    return [p for p in study.parts if any(wrong for _, wrong in grid[p.number].values())]


def _disputed(
    part: StudyPart,
    references: Mapping[int, PartReference],
    grid: Grid,
    picture: Callable[[int], bytes],
) -> DisputedPart:
    try:
        rgb = decode(picture(part.number), part.image)
        small = thumbnail(rgb, min(THUMBNAIL_PX, max(rgb.shape[:2])))
        source = data_uri(encode_jpeg(small), "image/jpeg")
    except (OSError, UnreadableImage):
        source = ""
    cells = grid[part.number]
    return DisputedPart(
        part=part,
        reference=references[part.number],
        source=source,
        answers={name: marks for name, (marks, _) in cells.items()},
        wrong=frozenset(name for name, (_, wrong) in cells.items() if wrong),
    )


def _plots(result: StudyResult) -> list[Markup]:
    """One drawing of the shares and one of the kappas, each with its limits."""
    shares = [
        (measure, title, _of(result, measure)) for measure, title, _ in SHARES if measure in LIMITS
    ]
    kappas = [(measure, title, _of(result, measure)) for measure, title in KAPPAS]
    return [
        _intervals("shares", shares, 100, "per cent"),
        _intervals("kappas", kappas, 1, "kappa"),
    ]


def _intervals(
    name: str,
    groups: Sequence[tuple[Measure, str, Sequence[Finding]]],
    scale: float,
    unit: str,
) -> Markup:
    """Value and interval of each finding, a line each, under the heading of its measure."""
    rows = [
        (measure, title, finding, i == 0)
        for measure, title, found in groups
        for i, finding in enumerate(f for f in found if f.value is not None)
    ]

    def draw(axes: Axes) -> None:
        labels = list[str]()
        for y, (measure, title, finding, first) in enumerate(rows):
            limit, colour = LIMITS[measure].acceptable * scale, COLOURS[finding.state]
            axes.plot([limit, limit], [y - 0.5, y + 0.5], color="#8d969e", lw=1, ls="--")
            if finding.low is not None and finding.high is not None:
                axes.plot([finding.low * scale, finding.high * scale], [y, y], color=colour, lw=4)
            assert finding.value is not None
            axes.plot([finding.value * scale], [y], "o", color="#012345", ms=5)
            of = "all" if measure is Measure.KAPPA_ALL else " \u2013 ".join(finding.of)
            labels.append(f"{title}: {of}" if first else of)
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        lowest = min((f.low for _, _, f, _ in rows if f.low is not None), default=0.0)
        axes.set_xlim(min(lowest * scale, 0) - 0.02 * scale, 1.02 * scale)
        axes.set_xlabel(f"{unit}; bar: 95 % interval, dashed: limit of the AIAG")

    alt = f"{unit} of each appraiser with 95 % intervals and limits; the table has the figures"
    return drawing(name, draw, alt_text=alt, size=(7.6, 0.9 + 0.24 * max(len(rows), 1)))
