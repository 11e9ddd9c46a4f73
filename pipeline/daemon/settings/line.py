"""The line file: cameras, model, ledger, sinks and web service of one station."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.settings.http import Http
from pipeline.daemon.sinks import SinkConfig
from pipeline.daemon.sources import SourceConfig
from pipeline.daemon.triggers import TriggerConfig
from pipeline.plugins import NAME, Plugin, Strict
from pipeline.registry.decisions.keys import public_bytes

ONLY_CAMERA = "camera"  # the name of a station's camera where there is but one


class ModelSource(Strict):
    """Where the station's model comes from."""

    registry: str | None = Field(
        None,
        description="MLflow's address; none: MLFLOW_TRACKING_URI, else mlflow.db in this "
        "folder. A database (sqlite:///, postgresql://) needs the extra `sql`, a server does "
        "not.",
    )
    alias: Literal["champion", "challenger"] = Field(
        "champion",
        description="Alias of the version to run: champion is signed off; challenger is for "
        "trial stations.",
    )
    cache: Path = Field(
        description="Folder for downloaded bundles; the last good one is used when the registry "
        "cannot be reached at the start."
    )
    require_signoff: bool = Field(
        False,
        description="Run only a champion whose chain of sign-offs verifies and names this "
        "version and this bundle; otherwise the last good one stays, and a first start fails. A "
        "champion that was withdrawn is dropped.",
    )
    signers: dict[str, str] = Field(
        {},
        description="Reviewer to public key (`lineside key show FILE`): only sign-offs that these "
        "have signed count. Needs require_signoff and the extra `sign`; none: any sign-off counts.",
    )
    require_login: bool = Field(
        False,
        description="The champion's sign-off must bear a login of the registry's server, and the "
        "reviewer's name must be that login. Needs require_signoff.",
    )
    poll_s: float = Field(
        5,
        ge=0,
        le=3600,
        description="Seconds between two looks for a new model while running; 0: never look.",
    )
    shadow: bool = Field(
        False,
        description="Also run the challenger on the same frames; its verdicts are recorded and "
        "change nothing.",
    )

    @field_validator("require_signoff")
    @classmethod
    def _of_a_champion(cls, required: bool, info: ValidationInfo) -> bool:
        if required and info.data.get("alias") == "challenger":
            raise ValueError(
                "a challenger is never signed off; write alias: champion, or require_signoff: false"
            )
        return required

    @field_validator("signers")
    @classmethod
    def _are_keys(cls, signers: dict[str, str]) -> dict[str, str]:
        for reviewer, key in signers.items():
            try:
                public_bytes(key)
            except ValueError as error:
                raise ValueError(
                    f"the key of {reviewer} is not a public key ({error}); "
                    "`lineside key show FILE` prints it"
                ) from None
        return signers

    @field_validator("signers", "require_login")
    @classmethod
    def _of_signoffs(
        cls, wanted: dict[str, str] | bool, info: ValidationInfo
    ) -> dict[str, str] | bool:
        if wanted and not info.data.get("require_signoff", True):
            raise ValueError("this is asked of sign-offs: write require_signoff: true beside it")
        return wanted


class Keep(Strict):
    """Which frames the station keeps, as the camera gave them, for review and for training.

    Where room is short, a frame takes the place of older ones that are worth no more than it
    (`daemon.retention.Worth`); those that people have reviewed are never removed.
    """

    folder: Path = Field(
        description="Folder for the frames: one subfolder a day, each file named like its record."
    )
    verdicts: tuple[Literal["FAIL", "REVIEW", "NOT_INSPECTED"], ...] = Field(
        ("FAIL", "REVIEW"),
        description="Verdicts whose frames are all kept; frames that a shadow model judged "
        "differently are kept as well.",
    )
    pass_share: float = Field(
        0, ge=0, le=1, description="Share of PASS frames that are kept too, chosen at random."
    )
    quota_gb: float | None = Field(
        None,
        gt=0,
        description="Largest total size of kept frames in gigabytes (10^9 bytes); none: all of "
        "the disk but min_free_gb.",
    )
    min_free_gb: float = Field(
        1,
        ge=0,
        description="Space in gigabytes (10^9 bytes) that frames leave free on the disk, for "
        "the ledger and others.",
    )
    protected: tuple[Literal["FAIL", "REVIEW", "NOT_INSPECTED"], ...] = Field(
        (), description="Verdicts whose frames are never removed, reviewed or not."
    )
    backlog_mb: int = Field(
        256,
        ge=1,
        description="Memory in megabytes (10^6 bytes) for frames that wait to be written; "
        "further frames are not kept.",
    )


class CameraSettings(Strict):
    """One of a station's cameras."""

    name: str = Field(
        pattern=NAME, max_length=64, description="Name of the camera, in every record."
    )
    source: Annotated[SourceConfig, Plugin("pipeline.daemon.sources")] = Field(
        description="Where its frames come from."
    )
    trigger: Annotated[TriggerConfig | None, Plugin("pipeline.daemon.triggers")] = Field(
        None, description="The event that announces a part; none: every frame is a part."
    )


class FrameCheckSettings(Strict):
    """When a camera's frame is not a picture of the part."""

    frozen_after: int = Field(
        5,
        ge=0,
        description="Number of identical pictures in a row from a live source that count as a "
        "frozen picture; 0: never. A motionless scene in a strongly compressed video stream "
        "looks like a frozen picture.",
    )
    size_px: tuple[int, int] | None = Field(
        None,
        description="Width and height in pixels that every frame must have, whatever training "
        "pictures had; none: `size_tolerance` decides.",
    )
    size_tolerance: float | None = Field(
        0.2,
        ge=0,
        le=10,
        description="Share by which a frame's shape (width divided by height) and scale may lie "
        "outside those of training pictures before it is NOT_INSPECTED (wrong size); none: any "
        "size is inspected.",
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
        description="queue: up to `waiting` frames wait, further ones are refused; latest: a "
        "newer frame replaces the waiting one of the same camera; reject: no frame waits.",
    )
    waiting: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Largest number of waiting frames, of all cameras together.",
    )
    waiting_mb: int = Field(
        512, ge=1, description="Largest memory of waiting frames in megabytes (10^6 bytes)."
    )
    takt_ms: float | None = Field(
        None,
        gt=0,
        description="Milliseconds after the trigger in which a verdict must be there; later the "
        "part is gone, and its record is NOT_INSPECTED (takt exceeded). None: no limit.",
    )


class Supervision(Strict):
    """When a worker counts as hung, and how long a shutdown may take."""

    hung_after_s: float = Field(
        10,
        ge=1,
        le=600,
        description="Seconds without a heartbeat after which a worker counts as hung and is "
        "replaced.",
    )
    degraded_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of the last 100 parts that may be NOT_INSPECTED; beyond it the station "
        "counts as degraded: a warning in the log, amber in `--watch`, a line in `/readyz`.",
    )
    drain_s: float = Field(
        5,
        ge=0,
        le=300,
        description="Seconds at SIGTERM to inspect waiting frames and to deliver records to the "
        "sinks.",
    )


class Line(Strict):
    """One station. Relative paths start at the folder where `lineside` is run."""

    station: str = Field(
        pattern=NAME, max_length=64, description="Name of the station, in every record."
    )
    recipe: str = Field(
        pattern=NAME,
        max_length=64,
        description="Name of the registered model, which is the recipe that the station inspects.",
    )
    model: ModelSource = Field(description="Where the model comes from.")
    source: Annotated[SourceConfig | None, Plugin("pipeline.daemon.sources")] = Field(
        None, description="Where frames come from; `type` names a file of pipeline/daemon/sources/."
    )
    trigger: Annotated[TriggerConfig | None, Plugin("pipeline.daemon.triggers")] = Field(
        None, description="The event that announces a part; none: every frame is a part."
    )
    cameras: tuple[CameraSettings, ...] = Field(
        (), description="Cameras of a station with several, instead of `source` and `trigger`."
    )
    health: FrameCheckSettings = Field(
        FrameCheckSettings(), description="When a frame counts as no picture of the part at all."
    )
    overload: Overload = Field(
        Overload(), description="What happens when triggers come faster than the station inspects."
    )
    ledger: Path = Field(description="SQLite file of the ledger, with one record for each trigger.")
    sinks: Annotated[tuple[SinkConfig, ...], Plugin("pipeline.daemon.sinks")] = Field(
        (),
        description="Where records are delivered; `type` names a file of pipeline/daemon/sinks/.",
    )
    keep: Keep | None = Field(None, description="Which frames to keep; none: no frame is kept.")
    http: Http | None = Field(None, description="The web service; none: no web service.")
    supervision: Supervision = Field(
        Supervision(), description="When a worker counts as hung, and how long a shutdown may take."
    )
    challenge: Challenge | None = Field(
        None, description="Known parts to be presented by people; none: no challenge runs."
    )
    shifts: tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...] = Field(
        ("06:00", "14:00", "22:00"),
        min_length=1,
        description="When shifts begin, in local time, each in quotes; the pages count by them.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads of ONNX Runtime for one inspection; 0: one for each physical core.",
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
        if self.challenge is not None:
            self.challenge.check_cameras([c.name for c in self.all_cameras])
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
