"""An attribute agreement study: its plan, what appraisers answered, and what that shows.

A part is judged good or bad, each appraiser judges each part several times in an order of their
own, and all is held against a reference verdict (AIAG, Measurement Systems Analysis, 4th edition,
2010, chapter III, section C).
"""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from pipeline.contracts.records import Verdict
from pipeline.plugins import NAME, Strict

SCHEMA = 1
STATION = "station"  # the appraiser that takes new images


class Judgement(StrEnum):
    """An appraiser's answer on one part."""

    GOOD = "good"
    BAD = "bad"
    UNDECIDED = "undecided"  # the station's REVIEW: a person is to decide


JUDGEMENT_OF = {
    Verdict.PASS: Judgement.GOOD,
    Verdict.FAIL: Judgement.BAD,
    Verdict.REVIEW: Judgement.UNDECIDED,
}


class StudyPart(Strict):
    """One part of a study, as the station had recorded it before."""

    number: int = Field(ge=1, description="Within the study, from 1.")
    record: str = Field(description="Id of the record that its picture comes from.")
    serial: str = Field(description="Of the part, empty where the station had none.")
    image: str = Field(description="Its picture in the study's folder.")
    verdict: Verdict = Field(description="Of that record; nobody is shown it while judging.")
    part_class: str = Field(description="The class that the record names.")
    defect_score: float = Field(description="Of that record.")
    near: bool = Field(description="Is its score near a decision limit?")


class Study(Strict):
    """The plan of a study; it does not change once appraisers have begun."""

    schema_version: int = Field(SCHEMA, description="Of this file's format.")
    name: str = Field(pattern=NAME, description="Of the study: the name of its folder.")
    station: str
    recipe: str
    created_at: str = Field(description="ISO 8601 in UTC.")
    model_version: str = Field(description="Of the model whose limits the parts are proposed by.")
    pass_below: float = Field(description="Its pass limit on the defect score.")
    fail_from: float = Field(description="Its fail limit on the defect score.")
    classes: tuple[str, ...] = Field(description="The model's classes.")
    good: tuple[str, ...] = Field(description="Those of them whose parts are good.")
    seed: int = Field(ge=0, description="Of the order in which parts are shown.")
    appraisers: tuple[str, ...] = Field(min_length=1, description="People, by name.")
    trials: int = Field(ge=1, description="How often each appraiser judges each part.")
    asked: int = Field(description="Number of parts that were asked for.")
    asked_near: float = Field(description="Share of parts near a limit that was asked for.")
    parts: tuple[StudyPart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Study:
        if len({name.casefold() for name in self.appraisers}) < len(self.appraisers):
            raise ValueError("two appraisers have the same name")
        if any(name.casefold() == STATION for name in self.appraisers):
            raise ValueError(f'"{STATION}" is the station itself; give people\'s names')
        if [part.number for part in self.parts] != list(range(1, len(self.parts) + 1)):
            raise ValueError("parts are to be numbered 1, 2, 3, ... in their order")
        return self

    @property
    def near(self) -> int:
        """Number of parts near a limit."""
        return sum(part.near for part in self.parts)

    @property
    def presentations(self) -> int:
        """How many parts each appraiser judges, all trials together."""
        return len(self.parts) * self.trials

    def order(self, appraiser: str) -> list[tuple[int, int]]:
        """The (trial, part number) of each presentation, from the seed; the same at every call.

        Each trial shows all parts in a new order, and no part twice in a row.
        """
        chance = random.Random(f"{self.seed} {appraiser}")
        numbers, found = [part.number for part in self.parts], list[tuple[int, int]]()
        for trial in range(1, self.trials + 1):
            # Python keeps `random()` the same from version to version, and `shuffle` not.
            shuffled = sorted(numbers, key=lambda _: chance.random())
            if found and len(shuffled) > 1 and shuffled[0] == found[-1][1]:
                shuffled.append(shuffled.pop(0))
            found += [(trial, number) for number in shuffled]
        return found


class PartReference(Strict):
    """The reference verdict of one part; of several the last counts."""

    part: int
    judgement: Literal[Judgement.GOOD, Judgement.BAD]
    part_class: str = Field(description='Class of the taxonomy, "" where only good or bad was set.')
    by: str = Field(description="Name of the person who set it.")
    at: str = Field(description="ISO 8601 in UTC.")


class Appraisal(Strict):
    """One answer."""

    trial: int
    part: int
    judgement: Judgement
    at: str = Field(description="ISO 8601 in UTC.")
    by: str = Field("", description="Token that sent it, or id of the station's record.")
    model_version: str = Field("", description="Of the model, where the station answered.")
    defect_score: float | None = Field(None, description="Where the station answered.")


class FindingState(StrEnum):
    """What a figure with its interval shows against its limit."""

    ACCEPTABLE = "acceptable"  # the whole interval keeps the limit
    NOT_PROVEN = "not proven"  # the limit lies within the interval, or the figure is not defined
    NOT_ACCEPTABLE = "not acceptable"  # the whole interval breaks the limit

    @property
    def severity(self) -> int:
        """0 for the best."""
        return list(FindingState).index(self)


class Measure(StrEnum):
    """What is measured of an appraiser or between several."""

    WITHIN = "within"  # parts with the same answer in all trials
    EFFECTIVENESS = "effectiveness"  # parts with the right answer in all trials
    MISS_RATE = "miss_rate"  # answers "good" on bad parts
    FALSE_ALARM_RATE = "false_alarm_rate"  # answers "bad" on good parts
    UNDECIDED = "undecided"  # answers that leave the part to a person
    KAPPA_WITHIN = "kappa_within"  # Fleiss, over one appraiser's trials
    KAPPA_REFERENCE = "kappa_reference"  # Cohen, appraiser and reference
    KAPPA_PAIR = "kappa_pair"  # Cohen, two appraisers
    KAPPA_ALL = "kappa_all"  # Fleiss, over all appraisers' answers


class Finding(Strict):
    """One figure with its 95 % interval, held against the limit of the AIAG."""

    measure: Measure
    of: tuple[str, ...] = Field(description="The appraisers that it is about.")
    value: float | None = Field(description="None where it is not defined.")
    low: float | None
    high: float | None
    k: int | None = Field(None, description="Counted, of a share.")
    n: int | None = Field(None, description="Among so many.")
    state: FindingState | None = Field(description="None for what has no limit.")
    aiag: str = Field(
        description="acceptable, marginal or unacceptable by the AIAG's table, which looks at the "
        "figure alone; empty for what has no limit."
    )
    reason: str = Field("", description="Why it is not defined or has no interval.")


class StudyResult(Strict):
    """What a study shows."""

    schema_version: int = SCHEMA
    computed_at: str
    state: FindingState = Field(description="The worst of the findings that have a limit.")
    sentence: str = Field(description="The verdict in words.")
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = Field(description="What a reader has to know besides.")
