"""The model at work: never none, and changed between two frames."""

from __future__ import annotations

import logging

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import fetch_champion, tidy
from pipeline.daemon.model.follower import Follower, Loaded
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.status import ModelState
from pipeline.errors import LinesideError
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import load
from pipeline.registry.store import Registry

log = logging.getLogger(__name__)


class Serving:
    """What the inspection judges with. Whatever happens to the registry, a good model stays.

    Attributes:
        follower: the worker that looks where the alias points; its `on_event` is told of changes
            and refusals.
    """

    def __init__(self, follower: Follower) -> None:
        """Take a follower that has a model and does not let it go."""
        self.follower = follower

    @classmethod
    def start(cls, line: Line, registry: Registry, clock: Clock) -> Serving:
        """Fetch the line's model, verify it and try it out; the last good one if need be.

        Raises:
            NoChampion, RegistryUnreachable, SignoffError, BundleError: as `fetch_champion`; also
                when the model does not load here or judges otherwise than in evaluation, and no
                last good one does better.
        """
        tried: list[Inspector] = []

        def try_out(bundle: Bundle) -> None:
            tried.append(load(bundle, line.threads))

        bundle, version = fetch_champion(line, registry, try_out)
        wanted = next((i for i in tried if i.bundle is bundle), None)
        loaded = Loaded(wanted or load(bundle, line.threads), version.name, clock.now())
        follower = Follower(line, registry, clock, threads=line.threads, current=loaded)
        if wanted is None:
            follower.trouble = f"started with the last good model, {version.name}; see the log"
        tidy(line, bundle)
        return cls(follower)

    @property
    def current(self) -> Loaded:
        """The model for the next frame; to be read once a frame."""
        loaded = self.follower.current
        assert loaded is not None
        return loaded

    @property
    def state(self) -> ModelState:
        """The model at work, and what is wrong with it."""
        loaded = self.current
        return ModelState(
            version=loaded.version,
            bundle_sha256=loaded.bundle.sha256,
            since=loaded.since,
            trouble=self.follower.trouble,
        )

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias until asked to end; a new version is swapped in between two frames."""
        self.follower.run(heartbeat)

    def renew(self) -> None:
        """Load the current model anew, for a worker that replaces one that hangs in it.

        Where that fails the old one stays: parts must be judged.
        """
        try:
            self.follower.renew()
        except LinesideError as error:
            log.error("%s could not be loaded anew: %s", self.current.version, error)
