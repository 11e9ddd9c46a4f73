"""A study's verdict in words, and what its reader has to know besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.contracts.study import (
    STATION,
    Appraisal,
    FindingState,
    Judgement,
    Measure,
    PartReference,
    Study,
)
from pipeline.errors import DataError
from pipeline.metrics.agreement.attribute import BAD, CODES
from pipeline.metrics.agreement.kappa import Ints
from pipeline.metrics.agreement.outcome import figure, named, outcome
from tests.contracts.test_study import plan
from tests.metrics.agreement.published import AIAG, read

AT = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
WORDS = {code: judgement for judgement, code in CODES.items()}


def references_of(codes: Ints, by: str = "Q. Meyer") -> dict[int, PartReference]:
    found = {}
    for number, code in enumerate(codes.tolist(), 1):
        judgement = Judgement.BAD if code == BAD else Judgement.GOOD
        found[number] = PartReference(
            part=number, judgement=judgement, part_class="", by=by, at=AT.isoformat()
        )
    return found


def answers_of(names: Sequence[str], codes: Sequence[Ints]) -> dict[str, list[Appraisal]]:
    return {
        name: [
            Appraisal(trial=t + 1, part=p + 1, judgement=WORDS[int(code)], at=AT.isoformat())
            for (p, t), code in np.ndenumerate(given)
        ]
        for name, given in zip(names, codes, strict=True)
    }


Example = tuple[Study, dict[int, PartReference], dict[str, list[Appraisal]]]


@pytest.fixture(scope="module")
def aiag() -> Example:
    """The AIAG's example as a study."""
    reference, given = read(AIAG, "A", "B", "C")
    study = plan(n=50)
    answers = answers_of(study.appraisers, [one.codes for one in given])
    return study, references_of(reference), answers


def alike(
    n: int, *names: str, n_bad: int
) -> tuple[dict[int, PartReference], Mapping[str, list[Appraisal]]]:
    """Everybody is right about every part in each of three trials."""
    reference = (np.arange(n) >= n_bad).astype(np.intp)
    codes = np.repeat(reference[:, None], 3, axis=1)
    return references_of(reference), answers_of(names, [codes] * len(names))


def test_the_verdict_names_what_breaks_its_limit(aiag: Example) -> None:
    result = outcome(*aiag, AT)
    assert result.state is FindingState.NOT_ACCEPTABLE
    assert result.sentence == (
        "Not acceptable: 2 of 19 figures break their limit with the whole interval: effectiveness "
        "of C. Rossi 80.0 % (66.3 to 90.0 %); miss rate of C. Rossi 12.5 % (3.1 to 30.5 %)."
    )
    table = "By the AIAG's table, which looks at the figures alone: 12 acceptable, 4 marginal, 3 un"
    assert result.notes[0].startswith(table)


def test_full_agreement_on_fifty_parts_leaves_the_miss_rate_not_proven() -> None:
    study = plan(n=50)
    result = outcome(study, *alike(50, *study.appraisers, n_bad=20), AT)
    assert result.state is FindingState.NOT_PROVEN
    unproven = {f.measure for f in result.findings if f.state is FindingState.NOT_PROVEN}
    assert unproven == {Measure.MISS_RATE, Measure.FALSE_ALARM_RATE}
    assert any("that takes 183 bad parts without a miss" in note for note in result.notes)


def test_enough_parts_with_full_agreement_are_acceptable() -> None:
    study = plan(n=400)
    result = outcome(study, *alike(400, *study.appraisers, n_bad=200), AT)
    assert result.state is FindingState.ACCEPTABLE
    assert result.sentence.startswith("Acceptable: all 19 figures keep their limits")


def test_a_small_or_easy_study_is_named_as_such() -> None:
    study = plan(n=9, appraisers=("A. Weber",), trials=3)
    notes = " ".join(outcome(study, *alike(9, "A. Weber", n_bad=3), AT).notes)
    assert "9 parts; the AIAG's study has 50." in notes
    assert "1 people; the AIAG's study has 3." in notes
    easy = plan(n=50)
    few = tuple(part.model_copy(update={"near": part.number == 1}) for part in easy.parts)
    easy = easy.model_copy(update={"parts": few})
    notes = " ".join(outcome(easy, *alike(50, *easy.appraisers, n_bad=20), AT).notes)
    assert "Only 1 of 50 parts (2.0 %) are near a decision limit" in notes


def test_an_appraiser_who_set_references_is_named(aiag: Example) -> None:
    study, references, answers = aiag
    own = references[1].model_copy(update={"by": "B. Kaya"})
    notes = " ".join(outcome(study, references | {1: own}, answers, AT).notes)
    assert "Reference verdicts set by Q. Meyer (49), B. Kaya (1)." in notes
    assert "B. Kaya also set references" in notes


def test_parts_without_a_reference_are_asked_for(aiag: Example) -> None:
    study, references, answers = aiag
    some = {n: r for n, r in references.items() if n not in (7, 9)}
    with pytest.raises(DataError, match="2 of 50 parts have no reference verdict, such as 7, 9"):
        outcome(study, some, answers, AT)


def test_missing_trials_are_named(aiag: Example) -> None:
    study, references, answers = aiag
    short = answers | {"B. Kaya": answers["B. Kaya"][:120]}
    with pytest.raises(DataError, match=r"answers are missing \(B\. Kaya 120 of 150\)"):
        outcome(study, references, short, AT)
    with pytest.raises(DataError, match="nobody is left"):
        outcome(study, references, {}, AT)


def test_a_part_that_was_judged_twice_in_one_trial_is_an_error(aiag: Example) -> None:
    study, references, answers = aiag
    twice = [*answers["B. Kaya"][:-1], answers["B. Kaya"][0]]
    with pytest.raises(DataError, match=r"B\. Kaya has judged a part twice in one trial"):
        outcome(study, references, answers | {"B. Kaya": twice}, AT)


def test_a_study_of_good_parts_alone_names_what_is_not_defined() -> None:
    study = plan(n=50)
    result = outcome(study, *alike(50, *study.appraisers, n_bad=0), AT)
    assert result.state is FindingState.NOT_PROVEN
    assert "miss rate of A. Weber not defined: the study has no bad part" in result.sentence
    assert "kappa to the reference of A. Weber not defined" in result.sentence


def test_figures_are_written_with_their_intervals(aiag: Example) -> None:
    study, references, answers = aiag
    found = outcome(study, references, {STATION: answers["A. Weber"]} | answers, AT).findings
    first = {f.measure: f for f in reversed(found)}
    assert figure(first[Measure.EFFECTIVENESS]) == "84.0 % (70.9 to 92.8 %)"
    assert named(first[Measure.WITHIN]) == "agreement within station 84.0 % (70.9 to 92.8 %)"
    assert named(first[Measure.KAPPA_PAIR]).startswith("kappa between station and A. Weber 1.00")
    assert named(first[Measure.KAPPA_ALL]).startswith("kappa of all 0.8")
