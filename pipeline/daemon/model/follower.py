"""Following an alias: what it newly points to is fetched and tried out beside the work, then taken.

Asking, downloading and loading happen in a thread of their own, which may take minutes when the
network does: the worker that follows goes on giving signs of life, and the model at work goes on
judging.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import obtain, remember, tidy
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.errors import (
    BundleError,
    LinesideError,
    NoChampion,
    RegistryUnreachable,
    SignoffError,
)
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import load
from pipeline.registry.resolution import Resolved, resolve
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version

AGAIN_S = 600.0  # between two downloads of a version whose files were damaged
PATIENCE_S = 30.0  # an answer that takes longer is told

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model that was tried out.

    Attributes:
        inspector: judges frames, for one thread at a time.
        version: `<recipe>/<version>`.
        since: when it was taken.
    """

    inspector: Inspector
    version: str
    since: datetime

    @property
    def bundle(self) -> Bundle:
        """What it was loaded from."""
        return self.inspector.bundle


@dataclass(frozen=True)
class _Refused:
    """The version that was found bad last, and until when it is not tried again."""

    identity: tuple[str, str] = ("", "")
    why: str = ""
    until_s: float = 0.0


class Follower:
    """The model that an alias points to, as far as it is good.

    Attributes:
        current: the model to use; changed by assignment, so whoever reads it once a frame has one
            model for that frame. None before there is one.
        alarm: why the newest version was refused or the registry could not be asked, "" if fine.
        on_event: is told of a change: `model live` or `model refused`, and the details.
    """

    def __init__(
        self,
        line: Line,
        registry: Registry,
        clock: Clock,
        *,
        threads: int,
        current: LoadedModel | None = None,
        lets_go: bool = False,
    ) -> None:
        """Take what to follow; nothing is asked yet.

        Args:
            line: its recipe, alias and cache.
            registry: whom to ask.
            clock: the time.
            threads: for the network.
            current: the model at work.
            lets_go: does the model end with its alias? A line cannot do without, so its own stays.
        """
        self.current = current
        self.alarm = ""
        self.on_event: Callable[[str, str], None] = lambda kind, detail: None
        self._line = line
        self._registry = registry
        self._clock = clock
        self._threads = threads
        self._lets_go = lets_go
        self._previous: Bundle | None = None
        self._leaving: LoadedModel | None = None
        self._refused = _Refused()
        self._said = ""
        self._changing = threading.Lock()
        self._look: threading.Thread | None = None
        self._since_s = clock.monotonic_s()

    @property
    def name(self) -> str:
        """What the worker is called."""
        return f"model {self._line.model.alias}"

    @property
    def idle(self) -> bool:
        """Nothing here is worth waiting for when the station ends."""
        return True

    @property
    def status(self) -> None:
        """What there is to tell is told with the model that it follows for."""
        return None

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias until the heartbeat stops."""
        while not heartbeat.wait(BEAT_EVERY_S):
            self.tick(heartbeat)

    def tick(self, heartbeat: Heartbeat) -> None:
        """Have a look at the registry begun when one is due; returns at once."""
        now_s, poll_s = self._clock.monotonic_s(), self._line.model.poll_s
        if self._look is not None and self._look.is_alive():
            if now_s - self._since_s >= PATIENCE_S:
                self._tell(f"{self._registry} has not answered for {PATIENCE_S:.0f} s", "slow")
        elif poll_s and (self._look is None or now_s - self._since_s >= poll_s):
            self._since_s = now_s
            self._look = threading.Thread(
                target=self.look,
                args=(heartbeat,),
                name=f"look for {self._line.model.alias}",
                daemon=True,
            )
            self._look.start()

    def look(self, heartbeat: Heartbeat) -> None:
        """Ask the registry once, and take what is new and good unless the worker is to end."""
        try:
            self._follow(heartbeat)
        except NoChampion as gone:
            self._alias_gone(gone)
        except SignoffError as unsigned:
            # Asked again at every look: somebody may be about to sign.
            self._tell_refused(str(unsigned))
        except RegistryUnreachable as away:
            self._tell(str(away), "away")  # said once, though the words differ
        except LinesideError as error:
            self._tell(str(error))
        except Exception as error:
            # Not even a bug in here may end the following, or the work.
            if self._tell(f"{type(error).__name__}: {error}"):
                log.exception("the look at the registry failed")

    def renew(self) -> None:
        """Load the current model anew, for a worker that replaces a hung one.

        The hung one may be inside the inspector still, and that serves one thread at a time.

        Raises:
            BundleError: it does not load any more.
        """
        with self._changing:
            if self.current is not None:
                fresh = load(self.current.bundle, self._threads)
                self.current = replace(self.current, inspector=fresh)

    def _follow(self, heartbeat: Heartbeat) -> None:
        self._leaving = None
        model = self._line.model
        wanted = resolve(
            self._registry, self._line.recipe, model.alias, require_signoff=model.require_signoff
        )
        version = wanted.version
        identity = version.name, version.bundle_sha256
        if self.current is not None and identity == (
            self.current.version,
            self.current.bundle.sha256,
        ):
            self._tell(wanted.warning)
            return
        refused = self._refused
        if refused.identity == identity and self._clock.monotonic_s() < refused.until_s:
            self._tell(refused.why)
            return
        try:
            bundle = obtain(self._line, self._registry, version)
        except BundleError as error:
            # Somebody may restore the file, or make room.
            self._refuse(version, str(error), self._clock.monotonic_s() + AGAIN_S)
            return
        try:
            inspector = load(bundle, self._threads)
        except Exception as error:  # whatever it is, it would meet every part
            said = str(error) if isinstance(error, LinesideError) else repr(error)
            self._refuse(version, said, math.inf)
            return
        if not heartbeat.stopping:
            self._take(LoadedModel(inspector, version.name, self._clock.now()), wanted)

    def _take(self, new: LoadedModel, wanted: Resolved) -> None:
        with self._changing:
            before, self.current = self.current, new
        # Freeing a network takes tens of milliseconds: this thread does it, at the next look, and
        # not the one that has frames to judge.
        self._leaving = before
        self._previous = None if before is None else before.bundle
        instead = "" if before is None else f" instead of {before.version}"
        detail = f"{new.version}{instead}, bundle {new.bundle.sha256[:12]}"
        log.info("%s: model live: %s", self._line.station, detail)
        self._refused = _Refused()
        self._tell(wanted.warning)
        remember(self._line, wanted)
        self._tidy()
        self.on_event("model live", detail)

    def _refuse(self, version: Version, why: str, until_s: float) -> None:
        said = f"{version.name} is refused: {why}"
        self._refused = _Refused((version.name, version.bundle_sha256), said, until_s)
        self._tidy()
        self._tell_refused(said)

    def _tell_refused(self, why: str) -> None:
        if self._tell(why):
            self.on_event("model refused", why)

    def _alias_gone(self, gone: NoChampion) -> None:
        if self._lets_go:
            self.current = None
            self._tell("")
        else:
            self._tell(f"{gone}; {self.current.version if self.current else 'no model'} stays")

    def _tidy(self) -> None:
        current = None if self.current is None else self.current.bundle
        tidy(self._line, *(b for b in (current, self._previous) if b is not None))

    def _tell(self, alarm: str, about: str = "") -> bool:
        """Set the alarm; log it, and return True, unless it was said already."""
        self.alarm = alarm
        said, self._said = self._said, about or alarm
        if said == self._said:
            return False
        if alarm:
            log.warning("%s: %s", self._line.station, alarm)
        else:
            log.info("%s: the registry's %s is at work", self._line.station, self._line.model.alias)
        return bool(alarm)
