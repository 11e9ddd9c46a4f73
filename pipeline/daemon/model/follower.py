"""Watches an alias: a new version is fetched and validated in the background, then swapped in.

Query, download and loading run in a thread of their own and may take minutes on a slow network:
meanwhile the follower goes on beating, and the model at work goes on judging.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from shutil import disk_usage

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model import raw_pixels
from pipeline.daemon.model.cache import obtain, tidy
from pipeline.daemon.model.last_good import approval_seq, look_at, note_withdrawal, remember
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.errors import (
    BundleError,
    LinesideError,
    ModelWithdrawn,
    NoChampion,
    NoRoom,
    RegistryError,
    RegistryUnreachable,
    SignoffError,
)
from pipeline.inference.inspector import Inspector
from pipeline.inference.trial import load
from pipeline.registry.resolution import Resolution, Resolved
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version

RETRY_S = 600.0  # between two downloads of a version whose files were damaged or out of reach
SLOW_AFTER_S = 30.0  # an answer that takes longer raises an alarm

LIVE, WITHDRAWN = "model live", "model withdrawn"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded and validated model.

    Attributes:
        inspector: judges frames, for one thread at a time.
        version: `<recipe>/<version>`.
        since: when it was swapped in.
        signed_by: who signed it off, "" where nobody did.
    """

    inspector: Inspector
    version: str
    since: datetime
    signed_by: str = ""

    @property
    def bundle(self) -> Bundle:
        """The bundle it was loaded from."""
        return self.inspector.bundle


@dataclass(frozen=True)
class _RefusedVersion:
    """The version that was refused last, and until when it is not tried again.

    Where the disk had no room for it, that is until it has; elsewhere `until_s` says when.
    """

    identity: tuple[str, str] = ("", "")
    why: str = ""
    until_s: float = 0.0
    no_room: NoRoom | None = None

    def stands(self, identity: tuple[str, str], now_s: float) -> bool:
        """Is this version still not to be tried again?"""
        if identity != self.identity:
            return False
        if self.no_room is None or self.no_room.needed_bytes is None:
            return now_s < self.until_s
        return disk_usage(self.no_room.folder).free < self.no_room.needed_bytes


class Follower:
    """Provides the model that an alias points to, if it is good.

    Attributes:
        current: the model to use; swapped by assignment, so that one read gives one model for a
            whole frame. None before there is one, and after it was withdrawn.
        withdrawn: why it was withdrawn, the last time; None where it never was.
        withdrawn_at: when it was dropped, or not taken at the start.
        alarm: why the newest version was refused or the registry could not be asked, "" if fine.
        on_event: called at a change with `model live`, `model refused`, `model withdrawn` or
            `model damaged` (a copy in the cache), and the details.
    """

    def __init__(
        self,
        line: Line,
        registry: Registry,
        clock: Clock,
        *,
        threads: int,
        current: LoadedModel | None = None,
        withdrawn: ModelWithdrawn | None = None,
        drops_with_alias: bool = False,
        taken: str = LIVE,
    ) -> None:
        """Start with `current`; the registry is not queried yet.

        Args:
            line: its recipe, alias and cache.
            registry: to query.
            clock: of the station.
            threads: for the network.
            current: the model at work.
            withdrawn: why there is none.
            drops_with_alias: drop the model when its alias is removed? A line keeps its own.
            taken: what a new version is then, for the log and `on_event`.
        """
        self.current = current
        self.withdrawn = withdrawn
        self.withdrawn_at = clock.now()
        self.alarm = "" if withdrawn is None else str(withdrawn)
        self.on_event: Callable[[str, str], None] = lambda kind, detail: None
        self._line = line
        self._registry = registry
        self._clock = clock
        self._threads = threads
        self._drops_with_alias = drops_with_alias
        self._taken = taken
        self._previous: Bundle | None = None
        self._outgoing: LoadedModel | None = None
        self._refused = _RefusedVersion()
        self._reported = self.alarm
        self._changing = threading.Lock()
        self._look: threading.Thread | None = None
        self._since_s = clock.monotonic_s()

    @property
    def name(self) -> str:
        """Name of the worker."""
        return f"model {self._line.model.alias}"

    @property
    def idle(self) -> bool:
        """Always: the shutdown does not wait for it."""
        return True

    @property
    def status(self) -> None:
        """None: its alarm is part of the status of the model."""
        return None

    def run(self, heartbeat: Heartbeat) -> None:
        """Follow the alias until the heartbeat stops."""
        while not heartbeat.wait(BEAT_EVERY_S):
            self.tick(heartbeat)

    def tick(self, heartbeat: Heartbeat) -> None:
        """Start a query of the registry when one is due; returns at once."""
        now_s, poll_s = self._clock.monotonic_s(), self._line.model.poll_s
        if self._look is not None and self._look.is_alive():
            if now_s - self._since_s >= SLOW_AFTER_S:
                self._report(f"{self._registry} has not answered for {SLOW_AFTER_S:.0f} s", "slow")
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
        """Query the registry once, and swap in a new good version unless asked to stop."""
        registry = look_at(self._registry, self._line)
        try:
            self._follow(registry, heartbeat)
        except ModelWithdrawn as withdrawn:
            self._drop(withdrawn)
        except NoChampion as gone:
            self._alias_gone(gone)
        except SignoffError as unsigned:
            # Queried again at every look: the sign-off may be about to follow.
            if not self._dropped(registry, str(unsigned)):
                self._report_refused(str(unsigned))
        except RegistryUnreachable as away:
            if not self._dropped(registry, str(away)):
                self._report(str(away), "away")  # logged once, though the texts differ
        except LinesideError as error:
            self._report(str(error))
        except Exception as error:
            # Not even a bug in here may end the follower, or the inspection.
            if self._report(f"{type(error).__name__}: {error}"):
                log.exception("the look at the registry failed")

    def renew(self) -> None:
        """Load the current model again, for a worker that replaces a hung one.

        The hung one may still be inside the inspector, which serves one thread at a time.

        Raises:
            BundleError: it does not load any more.
        """
        with self._changing:
            if self.current is not None:
                fresh = load(self.current.bundle, self._threads)
                self.current = replace(self.current, inspector=fresh)

    def _follow(self, registry: Resolution, heartbeat: Heartbeat) -> None:
        self._outgoing = None
        wanted = registry.resolve()
        version = wanted.version
        identity = version.name, version.bundle_sha256
        if self.current is not None and identity == (
            self.current.version,
            self.current.bundle.sha256,
        ):
            self._report(wanted.warning)
            return
        if self._refused.stands(identity, self._clock.monotonic_s()):
            if not self._dropped(registry, self._refused.why):
                self._report(self._refused.why)
            return
        try:
            bundle = obtain(
                *(self._line, self._registry, version),
                lambda found: self.on_event("model damaged", found),
            )
        except RegistryUnreachable:
            raise
        except (BundleError, RegistryError) as error:
            # The files may be restored, or room be made.
            again_s = self._clock.monotonic_s() + RETRY_S
            self._refuse(version, str(error), again_s, error if isinstance(error, NoRoom) else None)
            self._dropped(registry, self._refused.why)
            return
        try:
            raw_pixels.check(self._line, bundle)
            inspector = load(bundle, self._threads)
        except Exception as error:  # any error would hit every part
            why = str(error) if isinstance(error, LinesideError) else repr(error)
            self._refuse(version, why, math.inf)
            self._dropped(registry, self._refused.why)
            return
        if not heartbeat.stopping:
            now = self._clock.now()
            self._take(LoadedModel(inspector, version.name, now, wanted.signed_by), wanted)

    def _take(self, new: LoadedModel, wanted: Resolved) -> None:
        with self._changing:
            before, self.current = self.current, new
        # Freeing a network takes tens of milliseconds: done in this thread at the next look, not in
        # the one that judges frames.
        self._outgoing = before
        self._previous = None if before is None else before.bundle
        instead = "" if before is None else f" instead of {before.version}"
        detail = f"{new.version}{instead}, bundle {new.bundle.sha256[:12]}"
        log.info("%s: %s: %s", self._line.station, self._taken, detail)
        self._refused = _RefusedVersion()
        self._report(wanted.warning)
        remember(self._line, wanted)
        self._tidy()
        self.on_event(self._taken, detail)

    def _dropped(self, registry: Resolution, why: str) -> bool:
        """Drop the model at work if the sign-offs revoke it and the one they name cannot be had.

        Args:
            registry: asked in this look.
            why: the one that they name cannot be had, or which they name is not known.

        Returns:
            Whether it was dropped.
        """
        at_work = self.current
        if at_work is None or not self._line.model.require_signoff:
            return False
        number = int(at_work.version.rpartition("/")[2])
        version = Version(self._line.recipe, number, at_work.bundle.sha256, run_id="")
        revoked = registry.revocation(version, approval_seq(self._line, version))
        if not revoked:
            return False
        reason = f"{version.name} was {revoked}"
        self._drop(ModelWithdrawn(f"{why}; and {reason}, so it does not stay at work", reason))
        return True

    def _drop(self, withdrawn: ModelWithdrawn) -> None:
        """Work without a model until there is another."""
        note_withdrawal(self._line, withdrawn.reason)
        with self._changing:
            if self.current is not None:
                self.withdrawn_at = self._clock.now()
            self.withdrawn = withdrawn
            before, self.current = self.current, None
        if self._report(str(withdrawn)):
            log.error("%s: no part is inspected: %s", self._line.station, withdrawn.reason)
        if before is not None:
            self._outgoing, self._previous = before, before.bundle
            self.on_event(WITHDRAWN, str(withdrawn))

    def _refuse(
        self, version: Version, why: str, until_s: float, no_room: NoRoom | None = None
    ) -> None:
        reason = f"{version.name} is refused: {why}"
        identity = version.name, version.bundle_sha256
        self._refused = _RefusedVersion(identity, reason, until_s, no_room)
        self._tidy()
        self._report_refused(reason)

    def _report_refused(self, why: str) -> None:
        if self._report(why):
            self.on_event("model refused", why)

    def _alias_gone(self, gone: NoChampion) -> None:
        if self._drops_with_alias:
            self.current = None
            self._report("")
        else:
            self._report(f"{gone}; {self.current.version if self.current else 'no model'} stays")

    def _tidy(self) -> None:
        current = None if self.current is None else self.current.bundle
        tidy(self._line, *(b for b in (current, self._previous) if b is not None))

    def _report(self, alarm: str, about: str = "") -> bool:
        """Set the alarm; log it and return True, unless it was logged already."""
        self.alarm = alarm
        before, self._reported = self._reported, about or alarm
        if before == self._reported:
            return False
        if alarm:
            log.warning("%s: %s", self._line.station, alarm)
        else:
            log.info("%s: the registry's %s is at work", self._line.station, self._line.model.alias)
        return bool(alarm)
