"""Writes frames to disk, for review and for training the next model."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.forecast import Forecast
from pipeline.daemon.images.retention import Retention, Room, Worth
from pipeline.daemon.runtime.alarms import Alarms
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.settings.line import Keep
from pipeline.daemon.sources import Frame
from pipeline.errors import LedgerError, UnreadableImage
from pipeline.files import write_whole
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.ledger.ledger import Ledger

BACKLOG = 64  # frames; more would cost memory, and a disk that is too slow never catches up

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offered:
    """A frame that waits to be written.

    Attributes:
        identity: its record's id.
        path: where it goes, POSIX below the folder.
        picture: the file's bytes, or uint8 RGB pixels that are still to be encoded.
        verdict: its record's.
        disputed: did the shadow model give another verdict?
    """

    identity: str
    path: str
    picture: bytes | Pixels
    verdict: Verdict
    disputed: bool

    @property
    def size(self) -> int:
        """Memory of the picture, in bytes."""
        return len(self.picture) if isinstance(self.picture, bytes) else self.picture.nbytes


@dataclass(frozen=True)
class StorageStatus:
    """Status of the kept frames.

    Attributes:
        alarm: why frames are not kept as the line file asks, "" if they are.
        kept_bytes: of the frames there.
        quota_bytes: how many there may be; None without a limit.
        days_left: until the quota is reached at the present rate; None while it is not known.
        left_out: frames that were wanted and not kept since the start.
    """

    alarm: str = ""
    kept_bytes: int = 0
    quota_bytes: int | None = None
    days_left: float | None = None
    left_out: int = 0


class ImageWriter:
    """Writes frames to `<folder>/<day in UTC>/<record id><ending>`, then notes them in the ledger.

    Encoding 12 MP as PNG takes some 0.4 s, for which no part waits: `offer`, thread-safe, only
    appends a frame to the backlog, and `run`, a worker of the station, writes it. `Retention` makes
    room. Any failure here is counted and raises an alarm, and inspection goes on: no verdict
    depends on a kept frame. A kill loses the frames in the backlog.
    """

    def __init__(self, settings: Keep, ledger: Ledger, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        # Paths, each from before its file exists until it is noted in the ledger.
        self._at_disk: set[str] = set()
        self._retention = Retention(settings, ledger, clock, self._at_disk)
        self._forecast = Forecast(clock)
        self._alarms = Alarms(clock, log)
        self._waiting: deque[Offered] = deque()
        self._waiting_bytes = 0
        self._left_out = 0
        self._room: int | None = None  # bytes; None while it is not known
        self._lock = threading.Lock()  # of the backlog
        self.name = "image_writer"
        self._offered = threading.Event()

    def wants(self, record: Record) -> bool:
        """Should the frame of this record be kept? Deterministic for each record."""
        if record.verdict is Verdict.PASS:
            drawn = int.from_bytes(hashlib.sha256(record.id.encode()).digest()[:8]) / 2**64
            return drawn < self._settings.pass_share
        return record.verdict.value in self._settings.verdicts

    def offer(self, frame: Frame, record: Record, *, disputed: bool = False) -> None:
        """Queue the frame of a closed record for writing, if it is wanted; never blocks.

        Args:
            frame: its pixels are not changed any more.
            record: closed; a second offer of the same record changes nothing.
            disputed: the shadow model gave another verdict, so the frame is always wanted.
        """
        picture = frame.pixels if frame.data is None else frame.data
        if picture is None or not (disputed or self.wants(record)):
            return
        ending = ".png" if frame.data is None else frame.ending
        path = f"{record.captured_at[:10]}/{record.id}{ending}"
        offered = Offered(record.id, path, picture, record.verdict, disputed)
        limit = self._settings.backlog_mb * 10**6
        with self._lock:
            waiting = len(self._waiting)
            # A frame that alone is larger than the backlog may still wait alone.
            full = waiting >= BACKLOG or (
                waiting > 0 and self._waiting_bytes + offered.size > limit
            )
            if not full:
                self._waiting.append(offered)
                self._waiting_bytes += offered.size
        if full:
            self._leave_out(
                offered,
                "backlog",
                f"frames are not kept: {waiting} wait for {self._settings.folder}, "
                f"{BACKLOG} or {self._settings.backlog_mb} MB may; keep fewer, or on a faster disk",
            )
        else:
            self._offered.set()

    def run(self, heartbeat: Heartbeat) -> None:
        """Write offered frames and enforce the quota, until asked to stop.

        May be called again after a thread that hung at a disk was abandoned: it counts again.
        """
        self._retention = Retention(self._settings, self._ledger, self._clock, self._at_disk)
        while not heartbeat.stopping:
            heartbeat.beat()
            self._offered.clear()
            if not self.step():
                self._clock.wait(self._offered, BEAT_EVERY_S)

    def drain(self, limit_s: float) -> int:
        """Write the backlog, once `run` has ended; returns how many frames were lost.

        A disk that hangs blocks the caller no longer than the limit.
        """
        too_late = threading.Event()

        def work() -> None:
            while not too_late.is_set() and self._write_next(self._retention):
                pass

        # A daemon thread: such a disk must not keep the process from ending either.
        worker = threading.Thread(target=work, name="image writer drain", daemon=True)
        worker.start()
        worker.join(limit_s)
        too_late.set()
        with self._lock:
            lost = len(self._waiting)
            self._left_out += lost
            self._waiting.clear()
            self._waiting_bytes = 0
        if lost:
            log.warning("%d frames were not kept: no time was left to write them", lost)
        return lost

    def step(self) -> bool:
        """Do the next unit of work: count, remove or write; returns whether there was any."""
        retention = self._retention  # `run` may be called again while this hangs at a disk
        unreviewed = retention.removed[Worth.DOUBT]
        worked = self._in_order(retention)
        worked |= self._write_next(retention)
        if retention.removed[Worth.DOUBT] > unreviewed:
            self._alarms.raise_(
                "unreviewed",
                f"{self._settings.folder} is so full that frames are removed which nobody has "
                "reviewed; review parts with `lineside review`, or raise keep.quota_gb",
            )
        else:
            self._alarms.clear("unreviewed")
        return worked

    @property
    def idle(self) -> bool:
        """Is nothing waiting to be written?"""
        return not self._waiting

    @property
    def status(self) -> StorageStatus:
        """How full the folder is, without a look at the disk. Thread-safe."""
        return StorageStatus(
            alarm=self._alarms.text,
            kept_bytes=self._retention.kept_bytes,
            quota_bytes=self._retention.quota_bytes,
            days_left=None if self._room is None else self._forecast.days(self._room),
            left_out=self._left_out,
        )

    def _in_order(self, retention: Retention) -> bool:
        """Count the files, or remove those that are too many, even if no frame comes."""
        try:
            more = retention.step()
            self._room = None if retention.counting else -retention.lacking_bytes
        except (OSError, LedgerError) as error:
            self._alarms.raise_("folder", f"{self._settings.folder} is not in order: {error}")
            return False
        self._alarms.clear("folder")
        if self._room is not None and self._room < 0 and not more:
            self._alarms.raise_("room", self._full("no further frame is kept"))
        else:
            self._alarms.clear("room")
        return more

    def _write_next(self, retention: Retention) -> bool:
        """Write the oldest frame that waits, once there is room; False when none waits."""
        with self._lock:
            offered = self._waiting.popleft() if self._waiting else None
            if offered is not None:
                self._waiting_bytes -= offered.size
        if offered is None:
            self._alarms.clear("backlog")
            return False
        try:
            self._write(offered, retention)
        except LedgerError as error:
            self._leave_out(offered, "ledger", f"frames are not kept: {error}")
        except OSError as error:
            folder = self._settings.folder
            self._leave_out(offered, "write", f"frames cannot be written to {folder}: {error}")
        except UnreadableImage as error:
            self._leave_out(offered, "encode", f"frames cannot be encoded: {error}")
        except Exception:
            log.exception("the frame of %s was not kept", offered.identity)
            self._leave_out(offered, "encode", "frames cannot be encoded; see the log")
        return True

    def _write(self, offered: Offered, retention: Retention) -> None:
        target = self._settings.folder / offered.path
        if target.exists():
            return  # offered twice
        data = offered.picture
        if not isinstance(data, bytes):
            data = encode_png(data)
        worth = retention.worth(offered.verdict, disputed=offered.disputed)
        room = retention.room(len(data), worth)
        if room is Room.NOT_YET:
            with self._lock:
                self._waiting.appendleft(replace(offered, picture=data))
                self._waiting_bytes += len(data)
            return
        no_room = f"room for {worth.name}"
        if room is Room.NO:
            what = f"no further {offered.verdict} frame is kept: none is worth less that may go"
            self._leave_out(offered, no_room, self._full(what))
            return
        self._at_disk.add(offered.path)
        try:
            self._put(target, data, offered)
        finally:
            self._at_disk.discard(offered.path)
        for kind in ("ledger", "write", "encode", no_room):
            self._alarms.clear(kind)

    def _put(self, target: Path, data: bytes, offered: Offered) -> None:
        write_whole(target, data)
        # The file before its name: a crash in between must not leave a record that names a missing
        # file.
        try:
            self._ledger.note_image(offered.identity, offered.path)
        except LedgerError:
            target.unlink(missing_ok=True)
            raise
        self._retention.wrote(offered.path, len(data))
        self._forecast.add(len(data))

    def _leave_out(self, offered: Offered, kind: str, why: str) -> None:
        with self._lock:
            self._left_out += 1
        log.debug("the frame of %s was not kept", offered.identity)
        self._alarms.raise_(kind, why)

    def _full(self, consequence: str) -> str:
        retention, settings = self._retention, self._settings
        quota = "" if settings.quota_gb is None else f" of keep.quota_gb: {settings.quota_gb:g}"
        return (
            f"{settings.folder} has no room: {retention.kept_bytes / 1e9:.3g} GB{quota}, and "
            f"keep.min_free_gb: {settings.min_free_gb:g} is to stay free; {consequence}; raise "
            "keep.quota_gb, or make room on its disk"
        )
