"""The line file: what one station inspects, with what, and where it writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.daemon.settings.http import Http
from pipeline.daemon.sinks import SinkConfig
from pipeline.daemon.sources import SourceConfig
from pipeline.daemon.triggers import TriggerConfig
from pipeline.plugins import NAME, Plugin, Strict

ONLY_CAMERA = "camera"  # the name of a station's camera where there is but one


class ModelSource(Strict):
    """Where the station's model comes from."""

    registry: str | None = Field(
        None,
        description="MLflow's address; none: MLFLOW_TRACKING_URI, or mlflow.db in this folder. "
        "A database's address (sqlite:///, postgresql://) needs the extra `sql`, a server's none.",
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
    poll_s: float = Field(
        5, ge=0, le=3600, description="How often to ask for a new model while running; 0: never."
    )
    shadow: bool = Field(
        False,
        description="Also run the challenger on the same frames; it decides nothing.",
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
    """Which frames the station keeps, as the camera gave them, for review and for training.

    Where room is short, a frame takes the place of older ones that are worth no more than it
    (`daemon.retention.Worth`); those that people have reviewed are never removed.
    """

    folder: Path = Field(description="Where they go: one folder a day, named like the record.")
    verdicts: tuple[Literal["FAIL", "REVIEW", "NOT_INSPECTED"], ...] = Field(
        ("FAIL", "REVIEW"),
        description="Verdicts whose frames are all kept; those that a shadow model judged "
        "otherwise are kept as well.",
    )
    pass_share: float = Field(
        0, ge=0, le=1, description="Share of the PASS frames that is kept beside them, by chance."
    )
    quota_gb: float | None = Field(
        None,
        gt=0,
        description="Frames may take so many gigabytes (10^9 bytes); none: all but min_free_gb.",
    )
    min_free_gb: float = Field(
        1, ge=0, description="So much of the disk stays free of frames, for the ledger and others."
    )
    protected: tuple[Literal["FAIL", "REVIEW", "NOT_INSPECTED"], ...] = Field(
        (), description="Verdicts whose frames are never removed, reviewed or not."
    )
    backlog_mb: int = Field(
        256, ge=1, description="Memory for frames that wait to be written; further ones are lost."
    )


class CameraSettings(Strict):
    """One of a station's cameras."""

    name: str = Field(pattern=NAME, max_length=64, description="Of the camera, in every record.")
    source: Annotated[SourceConfig, Plugin("pipeline.daemon.sources")] = Field(
        description="Where its frames come from."
    )
    trigger: Annotated[TriggerConfig | None, Plugin("pipeline.daemon.triggers")] = Field(
        None, description="The event that announces a part; none: every frame is one."
    )


class FrameCheckSettings(Strict):
    """When a camera's frame is not a picture of the part."""

    frozen_after: int = Field(
        5,
        ge=0,
        description="So many identical pictures in a row from a live source are a frozen "
        "picture; 0: any number may be. A motionless scene in a strongly compressed video stream "
        "looks like a frozen picture.",
    )
    size_px: tuple[int, int] | None = Field(
        None, description="Width and height that every frame must have; none: any."
    )

    @field_validator("frozen_after")
    @classmethod
    def _more_than_one(cls, limit: int) -> int:
        if limit == 1:
            raise ValueError(
                "1 would make every picture a frozen picture; give 2 or more, or 0 for never"
            )
        return limit


class Overload(Strict):
    """What happens to triggers that come faster than the station inspects."""

    policy: Literal["queue", "latest", "reject"] = Field(
        "queue",
        description="queue: up to `waiting` frames wait, further ones are refused; latest: a newer "
        "frame of the same camera replaces the one that waits; reject: none waits.",
    )
    waiting: int = Field(16, ge=1, le=10_000, description="Frames that may wait, of all cameras.")
    waiting_mb: int = Field(
        512, ge=1, description="Nor does a further one wait beyond so much memory (10^6 bytes)."
    )
    takt_ms: float | None = Field(
        None,
        gt=0,
        description="A verdict later than this after the trigger is none: the part is gone, and "
        "its record is NOT_INSPECTED (takt exceeded).",
    )


class Supervision(Strict):
    """When a part of the station counts as hung, and how long its end may take."""

    hung_after_s: float = Field(
        10, ge=1, le=600, description="A worker that gives no sign of life so long is replaced."
    )
    drain_s: float = Field(
        5,
        ge=0,
        le=300,
        description="At SIGTERM: time to inspect what waits and to deliver to the sinks.",
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
    source: Annotated[SourceConfig | None, Plugin("pipeline.daemon.sources")] = Field(
        None, description="Where frames come from; `type` names a file of pipeline/daemon/sources/."
    )
    trigger: Annotated[TriggerConfig | None, Plugin("pipeline.daemon.triggers")] = Field(
        None, description="The event that announces a part; none: every frame is one."
    )
    cameras: tuple[CameraSettings, ...] = Field(
        (), description="Instead of `source` and `trigger` where the station has several cameras."
    )
    health: FrameCheckSettings = Field(
        FrameCheckSettings(), description="When a frame is not a picture of the part at all."
    )
    overload: Overload = Field(Overload(), description="When triggers come too fast.")
    ledger: Path = Field(description="SQLite file with one record a trigger.")
    sinks: Annotated[tuple[SinkConfig, ...], Plugin("pipeline.daemon.sinks")] = Field(
        (),
        description="Where records are delivered; `type` names a file of pipeline/daemon/sinks/.",
    )
    keep: Keep | None = Field(None, description="Which frames to keep; none keeps no frame.")
    http: Http | None = Field(None, description="The web service; none: the station has none.")
    supervision: Supervision = Field(Supervision(), description="Hung workers and shutdown.")
    threads: int = Field(
        0, ge=0, le=256, description="Threads for the network; 0: one a physical core."
    )

    @model_validator(mode="after")
    def _has_cameras(self) -> Line:
        if (self.source is None) == (not self.cameras):
            raise ValueError("give `source` for one camera or `cameras` for several, and not both")
        if self.cameras and self.trigger is not None:
            raise ValueError("`trigger` belongs to each of the `cameras`")
        _distinct("cameras", [c.name for c in self.cameras])
        for camera in self.all_cameras:
            watched = getattr(camera.source, "path", None)
            if camera.source.type == "folder" and self.keep is not None and watched is not None:
                kept = self.keep.folder.absolute()
                if kept.is_relative_to(Path(watched).absolute()):
                    raise ValueError(
                        f"keep.folder {self.keep.folder} lies in the watched folder {watched}: the "
                        "station would inspect what it keeps; give it another place"
                    )
        _distinct("sinks", [s.outbox for s in self.sinks])
        return self

    @property
    def all_cameras(self) -> tuple[CameraSettings, ...]:
        """The station's cameras, whichever way they are given."""
        if self.source is None:
            return self.cameras
        return (
            CameraSettings.model_construct(
                name=ONLY_CAMERA, source=self.source, trigger=self.trigger
            ),
        )


def _distinct(what: str, names: list[str]) -> None:
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f'two of the {what} are called "{twice}"; give each a `name` of its own')
