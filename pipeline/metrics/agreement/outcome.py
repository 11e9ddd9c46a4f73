"""What a study shows, in words: its verdict, and what a reader has to know besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from pipeline.contracts.study import (
    STATION,
    Appraisal,
    Finding,
    FindingState,
    Judgement,
    Measure,
    PartReference,
    Study,
    StudyResult,
)
from pipeline.errors import DataError
from pipeline.metrics.agreement.attribute import CODES, AppraiserAnswers, findings, worst
from pipeline.metrics.rates import END, percent, samples_needed

FEWEST_PARTS, FEWEST_APPRAISERS, FEWEST_TRIALS = 50, 3, 3  # of the AIAG's example
NEAR_LEAST, NEAR_MOST = 0.30, 0.50
MISS_LIMIT = 0.02
NAMED = 3  # findings that the verdict names
WORDS = {
    Measure.WITHIN: "agreement within",
    Measure.EFFECTIVENESS: "effectiveness",
    Measure.MISS_RATE: "miss rate",
    Measure.FALSE_ALARM_RATE: "false alarm rate",
    Measure.UNDECIDED: "left to a person",
    Measure.KAPPA_WITHIN: "kappa within",
    Measure.KAPPA_REFERENCE: "kappa to the reference",
    Measure.KAPPA_PAIR: "kappa between",
    Measure.KAPPA_ALL: "kappa of all",
}


def outcome(
    study: Study,
    references: Mapping[int, PartReference],
    answers: Mapping[str, Sequence[Appraisal]],
    at: datetime,
    notes: Sequence[str] = (),
) -> StudyResult:
    """Compute a study's figures and its verdict.

    Args:
        study: the plan.
        references: of each part.
        answers: of each appraiser that counts, all of them; the station under `STATION`.
        at: now, with a time zone.
        notes: further sentences for the reader.

    Raises:
        DataError: a part has no reference, or an appraiser has not judged every part.
    """
    unset = [part.number for part in study.parts if part.number not in references]
    if unset:
        raise DataError(
            f"{study.name}: {len(unset)} of {len(study.parts)} parts have no reference verdict, "
            f"such as {', '.join(map(str, unset[:5]))}; set them: lineside msa reference"
        )
    _check_complete(study, answers)
    reference = np.array(
        [CODES[references[part.number].judgement] for part in study.parts], np.intp
    )
    found = findings(reference, [_codes(study, name, given) for name, given in answers.items()])
    state = worst(found)
    return StudyResult(
        computed_at=at.isoformat(timespec="seconds"),
        state=state,
        sentence=_sentence(state, found),
        findings=tuple(found),
        notes=(*_notes(study, references, answers, found), *notes),
    )


def named(finding: Finding) -> str:
    """A finding in words: `effectiveness of A. Weber 84.0 % (70.9 to 92.8 %)`."""
    of = " and ".join(finding.of) if finding.measure is Measure.KAPPA_PAIR else finding.of[0]
    what = WORDS[finding.measure]
    if finding.measure is Measure.KAPPA_ALL:
        of = ""
    elif finding.measure not in (Measure.WITHIN, Measure.KAPPA_WITHIN, Measure.KAPPA_PAIR):
        of = f"of {of}"
    return " ".join(filter(None, (what, of, figure(finding))))


def figure(finding: Finding) -> str:
    """Value and interval: `84.0 % (70.9 to 92.8 %)`, `0.86 (0.74 to 0.95)`; else why not."""
    if finding.value is None:
        return finding.reason
    if finding.n is None:
        if finding.low is None or finding.high is None:
            return f"{finding.value:.2f} ({finding.reason})"
        return f"{finding.value:.2f} ({finding.low:.2f} to {finding.high:.2f})"
    assert finding.low is not None
    assert finding.high is not None
    return f"{percent(finding.value)} % ({percent(finding.low)} to {percent(finding.high)} %)"


def _check_complete(study: Study, answers: Mapping[str, Sequence[Appraisal]]) -> None:
    short = {name: len(a) for name, a in answers.items() if len(a) < study.presentations}
    if short or not answers:
        counts = ", ".join(f"{name} {n} of {study.presentations}" for name, n in short.items())
        raise DataError(
            f"{study.name}: answers are missing ({counts or 'nobody is left'}); let the rest be "
            "judged, or leave an appraiser out with --without NAME, which the report then names"
        )


def _codes(study: Study, name: str, given: Sequence[Appraisal]) -> AppraiserAnswers:
    codes = np.full((len(study.parts), study.trials), -1, np.intp)
    for one in given:
        codes[one.part - 1, one.trial - 1] = CODES[one.judgement]
    if (codes < 0).any():
        raise DataError(f"{study.name}: {name} has judged a part twice in one trial")
    return AppraiserAnswers(name, codes)


def _sentence(state: FindingState, found: Sequence[Finding]) -> str:
    limited = [f for f in found if f.state is not None]
    of_state = [f for f in limited if f.state is state]
    some = "; ".join(named(f) for f in of_state[:NAMED])
    more = f"; and {len(of_state) - NAMED} more" if len(of_state) > NAMED else ""
    if state is FindingState.ACCEPTABLE:
        return f"Acceptable: all {len(limited)} figures keep their limits with the whole interval."
    if state is FindingState.NOT_ACCEPTABLE:
        return (
            f"Not acceptable: {len(of_state)} of {len(limited)} figures break their limit with the "
            f"whole interval: {some}{more}."
        )
    return (
        f"Not proven: no figure breaks its limit with the whole interval, but {len(of_state)} of "
        f"{len(limited)} do not surely keep it: {some}{more}."
    )


def _notes(
    study: Study,
    references: Mapping[int, PartReference],
    answers: Mapping[str, Sequence[Appraisal]],
    found: Sequence[Finding],
) -> list[str]:
    n, people = len(study.parts), [name for name in answers if name != STATION]
    words = Counter(f.aiag for f in found if f.aiag)
    notes = [
        "By the AIAG's table, which looks at the figures alone: "
        + ", ".join(f"{words[w]} {w}" for w in ("acceptable", "marginal", "unacceptable"))
        + "."
    ]
    share = f"{study.near} of {n} parts ({percent(study.near / n)} %) are near a decision limit"
    if NEAR_LEAST <= study.near / n <= NEAR_MOST:
        notes.append(f"{share}; 30 to 50 % are asked for.")
    elif study.near / n < NEAR_LEAST:
        notes.append(f"Only {share}; 30 to 50 % are asked for, and easy parts flatter everybody.")
    else:
        notes.append(f"{share}; more than the 30 to 50 % asked for make the study hard.")
    for there, least, what in (
        (n, FEWEST_PARTS, "parts"),
        (len(people), FEWEST_APPRAISERS, "people"),
        (study.trials, FEWEST_TRIALS, "trials"),
    ):
        if there < least:
            notes.append(f"{there} {what}; the AIAG's study has {least}.")
    bad = sum(r.judgement is Judgement.BAD for r in references.values())
    needed = samples_needed(MISS_LIMIT, END)
    if 0 < bad < needed:
        notes.append(
            f"{bad} bad parts cannot prove a miss rate of 2 %: that takes {needed} bad parts "
            "without a miss. The miss rate stays not proven here at best."
        )
    setters = Counter(r.by for r in references.values())
    notes.append(
        "Reference verdicts set by "
        + ", ".join(f"{name} ({count})" for name, count in setters.most_common())
        + "."
    )
    own = sorted(set(people) & set(setters))
    if own:
        notes.append(
            f"{' and '.join(own)} also set references, so these are not independent of the answers."
        )
    return notes
