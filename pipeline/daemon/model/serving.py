"""The model at work, swapped between two frames: there is one unless a person withdrew it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model import raw_pixels
from pipeline.daemon.model.cache import fetch_champion, tidy
from pipeline.daemon.model.follower import Follower, LoadedModel
from pipeline.daemon.model.last_good import signer
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.errors import LinesideError, ModelWithdrawn
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import load
from pipeline.registry.store import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """Status of the model at work.

    Attributes:
        version: `<recipe>/<version>`, "" for none.
        bundle_sha256: its bundle's identity, "" for none.
        since: when it was swapped in, or withdrawn.
        missing: why there is none, so that no part is inspected; "" where there is one.
        signed_by: who signed it off, "" where nobody did.
        alarm: why the newest version was refused or the registry could not be asked, "" if fine.
        shadow: the version of the shadow model, "" for none.
        shadowed: frames that both have judged.
        disagreements: frames for which it gave another verdict.
    """

    version: str
    bundle_sha256: str
    since: datetime
    alarm: str = ""
    shadow: str = ""
    shadowed: int = 0
    disagreements: int = 0
    missing: str = ""
    signed_by: str = ""


class Serving:
    """Gives the inspection its model. Whatever happens to the registry, a good model stays.

    Only sign-offs take it away, where they are required.

    Attributes:
        follower: the worker that watches the alias; its `on_event` is called with changes and
            refusals.
        damaged: what was found of cached models that were damaged and set aside at the start.
    """

    def __init__(self, follower: Follower, damaged: Sequence[str] = ()) -> None:
        """Start with a follower that has a model, or whose model was withdrawn."""
        self.follower = follower
        self.damaged = tuple(damaged)

    @classmethod
    def start(cls, line: Line, registry: Registry, clock: Clock) -> Serving:
        """Fetch, verify and validate the line's model; fall back to the last good one.

        Where sign-offs are required and the model was withdrawn it starts without one.

        Raises:
            NoChampion, RegistryError, SignoffError, BundleError: as `fetch_champion`; also
                when the model does not load here or judges otherwise than in evaluation, and no
                last good one passes.
        """
        tried: list[Inspector] = []

        def try_out(bundle: Bundle) -> None:
            raw_pixels.check(line, bundle)
            tried.append(load(bundle, line.threads))

        damaged: list[str] = []
        try:
            bundle, version = fetch_champion(line, registry, try_out, damaged.append)
        except ModelWithdrawn as withdrawn:
            log.error("%s: no part is inspected: %s", line.station, withdrawn)
            none = Follower(line, registry, clock, threads=line.threads, withdrawn=withdrawn)
            return cls(none, damaged)
        wanted = next((i for i in tried if i.bundle is bundle), None)
        loaded = LoadedModel(
            *(wanted or load(bundle, line.threads), version.name, clock.now()),
            signed_by=signer(line, version),
        )
        follower = Follower(line, registry, clock, threads=line.threads, current=loaded)
        if wanted is None:
            follower.alarm = f"started with the last good model, {version.name}; see the log"
        tidy(line, bundle)
        return cls(follower, damaged)

    @property
    def current(self) -> LoadedModel:
        """The model for the next frame; read once a frame.

        Raises:
            ModelWithdrawn: there is none until a version is promoted.
        """
        loaded = self.follower.current
        if loaded is None:
            withdrawn = self.follower.withdrawn
            assert withdrawn is not None
            raise ModelWithdrawn(str(withdrawn), withdrawn.reason)
        return loaded

    @property
    def status(self) -> ModelStatus:
        """The model at work and its alarm."""
        loaded = self.follower.current
        if loaded is None:
            withdrawn = self.follower.withdrawn
            return ModelStatus(
                version="",
                bundle_sha256="",
                since=self.follower.withdrawn_at,
                alarm=self.follower.alarm,
                missing="" if withdrawn is None else withdrawn.reason,
            )
        return ModelStatus(
            version=loaded.version,
            bundle_sha256=loaded.bundle.sha256,
            since=loaded.since,
            alarm=self.follower.alarm,
            signed_by=loaded.signed_by,
        )

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias until asked to stop; a new version is swapped in between two frames."""
        self.follower.run(heartbeat)

    def renew(self) -> None:
        """Load the current model again, for a worker that replaces one that hangs in it.

        If that fails the old one stays: parts must be judged.
        """
        try:
            self.follower.renew()
        except LinesideError as error:
            log.error("%s could not be loaded again: %s", self.status.version, error)
