"""Challenge runs: known parts, and what a station must find of them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contracts.records import Record, Verdict


@dataclass(frozen=True)
class KnownPart:
    """A part whose verdict is known before it is presented.

    Attributes:
        serial: as the trigger or the file name has it.
        verdict: that it must get; None: FAIL or REVIEW.
        part_class: that the decision must name, "" for any.
        camera: that must see it, "" for any.
    """

    serial: str
    verdict: Verdict | None = None
    part_class: str = ""
    camera: str = ""

    @property
    def good(self) -> bool:
        """Must it pass?"""
        return self.verdict is Verdict.PASS

    @property
    def expected(self) -> str:
        """What must be found, in words: `FAIL crack`."""
        verdict = self.verdict or f"{Verdict.FAIL} or {Verdict.REVIEW}"
        return f"{verdict} {self.part_class}".strip()

    def met_by(self, record: Record) -> bool:
        """Is the record of this part as it must be?"""
        verdicts = (Verdict.FAIL, Verdict.REVIEW) if self.verdict is None else (self.verdict,)
        return record.verdict in verdicts and self.part_class in ("", record.part_class)
