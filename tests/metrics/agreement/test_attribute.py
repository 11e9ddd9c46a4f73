"""The figures of an attribute study against published ones, and the three states."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts.study import Finding, FindingState, Measure
from pipeline.metrics.agreement.attribute import (
    BAD,
    GOOD,
    LIMITS,
    UNDECIDED,
    AppraiserAnswers,
    findings,
    worst,
)
from pipeline.metrics.agreement.kappa import Ints
from tests.metrics.agreement.published import AIAG, BEARINGS, read


def by_measure(found: list[Finding], measure: Measure) -> dict[str, Finding]:
    return {" ".join(f.of): f for f in found if f.measure is measure}


@pytest.fixture(scope="module")
def aiag() -> list[Finding]:
    return findings(*read(AIAG, "A", "B", "C"))


def of_parts(reference: Ints, codes: Ints) -> list[Finding]:
    return findings(reference, [AppraiserAnswers("A", codes)])


def test_effectiveness_and_agreement_within_are_those_of_the_aiag(aiag: list[Finding]) -> None:
    """The manual: 42, 45 and 40 of 50, with 95 % intervals 71 to 93, 78 to 97 and 66 to 90 %."""
    for measure in (Measure.EFFECTIVENESS, Measure.WITHIN):
        found = by_measure(aiag, measure)
        assert {name: (f.k, f.n) for name, f in found.items()} == {
            "A": (42, 50),
            "B": (45, 50),
            "C": (40, 50),
        }
        intervals = [(f.low, f.high) for f in found.values()]
        published = [(0.71, 0.93), (0.78, 0.97), (0.66, 0.90)]
        assert np.array(intervals, float) == pytest.approx(np.array(published), abs=5e-3)


def test_miss_and_false_alarm_rates_are_those_of_the_aiag(aiag: list[Finding]) -> None:
    """The manual: misses 6.3, 6.3 and 12.5 %, false alarms 4.9, 2.0 and 8.8 %."""
    misses = [f.value for f in by_measure(aiag, Measure.MISS_RATE).values()]
    alarms = [f.value for f in by_measure(aiag, Measure.FALSE_ALARM_RATE).values()]
    assert misses == pytest.approx([0.063, 0.063, 0.125], abs=6e-4)
    assert alarms == pytest.approx([0.049, 0.020, 0.088], abs=6e-4)


def test_the_aiags_own_words_are_given_beside_the_state(aiag: list[Finding]) -> None:
    effectiveness = by_measure(aiag, Measure.EFFECTIVENESS)
    words = {name: f.aiag for name, f in effectiveness.items()}
    assert words == {"A": "marginal", "B": "acceptable", "C": "marginal"}
    alarms = by_measure(aiag, Measure.FALSE_ALARM_RATE)
    assert [f.aiag for f in alarms.values()] == ["acceptable", "acceptable", "marginal"]
    kappas = by_measure(aiag, Measure.KAPPA_PAIR)
    assert {name: f.aiag for name, f in kappas.items()} == dict.fromkeys(kappas, "acceptable")


def test_what_fifty_parts_do_not_prove_is_not_proven(aiag: list[Finding]) -> None:
    effectiveness = by_measure(aiag, Measure.EFFECTIVENESS)
    assert effectiveness["B"].state is FindingState.NOT_PROVEN
    assert effectiveness["C"].state is FindingState.NOT_ACCEPTABLE
    assert by_measure(aiag, Measure.KAPPA_REFERENCE)["B"].state is FindingState.ACCEPTABLE
    assert worst(aiag) is FindingState.NOT_ACCEPTABLE


def test_figures_of_another_published_study_are_those_of_another_program() -> None:
    """JASP on bearings: effectiveness 80, 73.33, 60 %; misses 20, 20, 66.67 where good is taken
    for the positive; 16.67, 26.67 and 10 % the other way round."""
    found = findings(*read(BEARINGS, "EG", "BL", "MH"))
    right = [f.k for f in by_measure(found, Measure.EFFECTIVENESS).values()]
    assert right == [12, 11, 9]
    # In that table 1 is a part with spots, so our "good" is their "bad".
    one = [f.value for f in by_measure(found, Measure.FALSE_ALARM_RATE).values()]
    other = [f.value for f in by_measure(found, Measure.MISS_RATE).values()]
    assert sorted([round(100 * (v or 0), 2) for v in (*one, *other)]) == [
        *(10.0, 16.67, 20.0, 20.0, 26.67, 66.67)
    ]
    kappas = [f.value for f in by_measure(found, Measure.KAPPA_REFERENCE).values()]
    assert kappas == pytest.approx([0.612903225806452, 0.492307692307692, 0.264150943396226])


def test_a_study_of_good_parts_alone_has_no_miss_rate_and_no_kappa_and_names_why() -> None:
    found = of_parts(np.full(50, GOOD), np.full((50, 3), GOOD))
    (misses,) = by_measure(found, Measure.MISS_RATE).values()
    assert (misses.value, misses.state) == (None, FindingState.NOT_PROVEN)
    assert "no bad part" in misses.reason
    (kappa,) = by_measure(found, Measure.KAPPA_REFERENCE).values()
    assert (kappa.value, kappa.state) == (None, FindingState.NOT_PROVEN)
    assert "all answers are the same" in kappa.reason
    (effectiveness,) = by_measure(found, Measure.EFFECTIVENESS).values()
    assert (effectiveness.value, effectiveness.state) == (1, FindingState.ACCEPTABLE)
    assert worst(found) is FindingState.NOT_PROVEN


def test_undecided_is_not_right_but_neither_a_miss_nor_a_false_alarm() -> None:
    reference = np.array([BAD, BAD, GOOD, GOOD])
    codes = np.array([[BAD, BAD], [BAD, UNDECIDED], [GOOD, GOOD], [UNDECIDED, GOOD]])
    found = of_parts(reference, codes)
    counted = {f.measure: (f.k, f.n) for f in found if f.k is not None}
    assert counted == {
        Measure.EFFECTIVENESS: (2, 4),
        Measure.MISS_RATE: (0, 4),
        Measure.FALSE_ALARM_RATE: (0, 4),
        Measure.WITHIN: (2, 4),
        Measure.UNDECIDED: (2, 8),
    }


def test_intervals_of_misses_count_parts_and_not_answers() -> None:
    """Ten parts missed in all of three trials are no thirty parts."""
    reference = np.array([BAD] * 40 + [GOOD] * 40)
    codes = np.repeat(reference[:, None], 3, axis=1)
    codes[:10] = GOOD
    (misses,) = by_measure(of_parts(reference, codes), Measure.MISS_RATE).values()
    (once,) = by_measure(of_parts(reference, codes[:, :1]), Measure.MISS_RATE).values()
    assert (misses.k, misses.n) == (30, 120)
    assert misses.low == pytest.approx(once.low, abs=0.01)
    assert misses.high == pytest.approx(once.high, abs=0.01)


@pytest.mark.parametrize(
    ("measure", "low", "high", "state"),
    [
        (Measure.EFFECTIVENESS, 0.90, 1.0, "acceptable"),
        (Measure.EFFECTIVENESS, 0.80, 0.90, "not proven"),
        (Measure.EFFECTIVENESS, 0.70, 0.899, "not acceptable"),
        (Measure.MISS_RATE, 0.0, 0.02, "acceptable"),
        (Measure.MISS_RATE, 0.0, 0.20, "not proven"),
        (Measure.MISS_RATE, 0.021, 0.20, "not acceptable"),
        (Measure.KAPPA_PAIR, 0.75, 1.0, "not proven"),
        (Measure.KAPPA_PAIR, 0.751, 1.0, "acceptable"),
        (Measure.KAPPA_PAIR, 0.2, 0.75, "not acceptable"),
        (Measure.KAPPA_PAIR, None, None, "not proven"),
    ],
)
def test_an_interval_is_acceptable_not_acceptable_or_not_proven(
    measure: Measure, low: float | None, high: float | None, state: str
) -> None:
    assert LIMITS[measure].state(low, high) == state


@pytest.mark.parametrize(
    ("measure", "value", "word"),
    [
        (Measure.EFFECTIVENESS, 0.9, "acceptable"),
        (Measure.EFFECTIVENESS, 0.8, "marginal"),
        (Measure.EFFECTIVENESS, 0.79, "unacceptable"),
        (Measure.MISS_RATE, 0.02, "acceptable"),
        (Measure.MISS_RATE, 0.05, "marginal"),
        (Measure.MISS_RATE, 0.051, "unacceptable"),
        (Measure.FALSE_ALARM_RATE, 0.10, "marginal"),
        (Measure.KAPPA_ALL, 0.75, "marginal"),
        (Measure.KAPPA_ALL, 0.39, "unacceptable"),
    ],
)
def test_the_table_of_the_aiag_has_three_words(measure: Measure, value: float, word: str) -> None:
    assert LIMITS[measure].category(value) == word
