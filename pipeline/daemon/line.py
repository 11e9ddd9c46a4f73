"""The line file: what one station inspects, with what, and where it writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.daemon.sources import SourceConfig
from pipeline.plugins import Plugin, Strict

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class ModelSource(Strict):
    """Where the station's model comes from."""

    registry: str | None = Field(
        None,
        description="MLflow's address; none: MLFLOW_TRACKING_URI, or mlflow.db in this folder.",
    )
    alias: Literal["champion", "challenger"] = Field(
        "champion", description="champion is signed off; challenger is for trial stations."
    )
    cache: Path = Field(
        description="Folder for downloaded bundles; the last good one starts the station when the "
        "registry is away."
    )
    require_signoff: bool = Field(
        False,
        description="Run only a champion whose chain of sign-offs verifies and names this version "
        "and this bundle; else the last good one stays, and a first start fails.",
    )

    @field_validator("require_signoff")
    @classmethod
    def _of_a_champion(cls, required: bool, info: ValidationInfo) -> bool:
        if required and info.data.get("alias") == "challenger":
            raise ValueError(
                "a challenger is never signed off; write alias: champion, or require_signoff: false"
            )
        return required


class Keep(Strict):
    """Which frames the station keeps, as the camera gave them, for review and for training."""

    folder: Path = Field(description="Where they go: one folder a day, named like the record.")
    verdicts: tuple[Literal["FAIL", "REVIEW", "NOT_INSPECTED"], ...] = Field(
        ("FAIL", "REVIEW"), description="Verdicts whose frames are all kept."
    )
    pass_share: float = Field(
        0, ge=0, le=1, description="Share of the PASS frames that is kept beside them, by chance."
    )


class Line(Strict):
    """One station. Relative paths start at the folder where `lineside` is run."""

    station: str = Field(
        pattern=NAME, max_length=64, description="Name of the station, in every record."
    )
    recipe: str = Field(
        pattern=NAME, max_length=64, description="What it inspects: a registered model's name."
    )
    model: ModelSource = Field(description="Where the model comes from.")
    source: Annotated[SourceConfig, Plugin("pipeline.daemon.sources")] = Field(
        description="Where frames come from; `type` names a file of pipeline/daemon/sources/."
    )
    ledger: Path = Field(description="SQLite file with one record a trigger.")
    keep: Keep | None = Field(None, description="Which frames to keep; none keeps no frame.")
    threads: int = Field(
        0, ge=0, le=256, description="Threads for the network; 0: one a physical core."
    )
