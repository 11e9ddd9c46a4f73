"""Settings of challenge runs in a line file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import Verdict
from pipeline.plugins import Strict


class KnownPartSettings(Strict):
    """A part whose verdict is known."""

    serial: str = Field(
        min_length=1,
        max_length=200,
        description="Its serial, as the trigger or the file name has it. Triggers without a "
        "serial are of the parts in the order of the list.",
    )
    verdict: Literal["PASS", "FAIL", "REVIEW"] | None = Field(
        None, description="Verdict that it must get; none: FAIL or REVIEW."
    )
    part_class: str = Field("", description="Class that its verdict must name; none: any.")
    camera: str = Field(
        "", description="Camera that must see it; with several cameras each part names one."
    )

    @model_validator(mode="after")
    def _expects_something(self) -> KnownPartSettings:
        if self.verdict is None and not self.part_class:
            raise ValueError("give `verdict` (PASS, FAIL, REVIEW), `part_class` or both")
        return self

    @property
    def known(self) -> KnownPart:
        """The same for the ledger."""
        verdict = None if self.verdict is None else Verdict(self.verdict)
        return KnownPart(self.serial, verdict, self.part_class, self.camera)


class Challenge(Strict):
    """Known parts that people present to prove that the station still finds what it must."""

    parts: tuple[KnownPartSettings, ...] = Field(
        min_length=2, description="Parts to present, in their order; a good and a bad one at least."
    )
    each_shift: bool = Field(False, description="A run is needed in each of the `shifts`.")
    every_h: float | None = Field(
        None, gt=0, le=8760, description="Hours after which another run is needed; none: no limit."
    )
    after_model_change: bool = Field(
        True, description="A run is needed after another model took over."
    )
    after_start: bool = Field(
        False,
        description="A run is needed after each start of the station, a reload of its line file "
        "included.",
    )
    grace_min: float = Field(
        30,
        ge=0,
        le=1440,
        description="Minutes after the start of a shift or of the station, or after another model "
        "took over, in which a run must have passed; then no part gets PASS.",
    )
    warn_min: float = Field(
        30, ge=0, le=1440, description="Minutes before that in which the station warns."
    )
    within_min: float = Field(
        15, gt=0, le=1440, description="Minutes that a run may take; then it has failed."
    )

    @model_validator(mode="after")
    def _proves_something(self) -> Challenge:
        if not any(part.known.good for part in self.parts):
            raise ValueError("no part must pass; add a good one with `verdict: PASS`")
        if all(part.known.good for part in self.parts):
            raise ValueError(
                "every part must pass; add a bad one with `verdict: FAIL` or a `part_class`"
            )
        named = [(part.serial, part.camera) for part in self.parts]
        if twice := next((n for n in named if named.count(n) > 1), None):
            raise ValueError(f'part "{twice[0]}" is there twice; a part is presented once')
        if not (self.each_shift or self.every_h or self.after_model_change or self.after_start):
            raise ValueError(
                "a run would never be due; set each_shift, every_h, after_model_change or "
                "after_start"
            )
        return self

    def check_cameras(self, cameras: list[str]) -> None:
        """Raise ValueError where a part names another camera, or none of several."""
        for part in self.parts:
            if part.camera and part.camera not in cameras:
                names = ", ".join(cameras)
                raise ValueError(
                    f'challenge part {part.serial}: no camera "{part.camera}"; choose {names}'
                )
            if not part.camera and len(cameras) > 1:
                raise ValueError(
                    f"challenge part {part.serial}: name its `camera`, one of {', '.join(cameras)}"
                )
