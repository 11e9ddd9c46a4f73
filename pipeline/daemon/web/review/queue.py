"""Hands out parts that wait for a person, and takes the answers."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from pipeline.contracts.records import Record
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.http import ReviewSettings
from pipeline.daemon.station import Station
from pipeline.daemon.web.records import KeptRecords
from pipeline.daemon.web.review.leases import LASTS_S, Leases
from pipeline.errors import LinesideError, ModelWithdrawn
from pipeline.ledger.database import connected
from pipeline.ledger.review.disagreements import Disagreement, disagreements
from pipeline.ledger.review.progress import ClassProgress, most_helpful, progress
from pipeline.ledger.review.reviews import PartReview, Reviews
from pipeline.ledger.review.waiting import (
    ReviewOrder,
    WaitingPart,
    in_order,
    waiting_parts,
    waiting_record,
)

LISTED_S = 5.0  # so long the list of the parts that wait is used again,
LISTED_SHARE = 50  # or so many times as long as it took to make: the cores are for the inspection
COUNTED_S = 2.0
MOST_SKIPPED = 10_000  # of one person


class Taken(LinesideError):
    """Another person has the part in hand."""


@dataclass(frozen=True)
class Wish:
    """What a person wants to review.

    Attributes:
        order: in which parts come.
        part_class: only parts that the station called so; "" for all.
        most: so many parts at once.
        held: parts that the page has already; they stay in this person's hand.
        again: also those that this person has skipped.
    """

    order: ReviewOrder = ReviewOrder.DOUBT
    part_class: str = ""
    most: int = 1
    held: Sequence[str] = ()
    again: bool = False


@dataclass(frozen=True)
class Offer:
    """What a person gets.

    Attributes:
        parts: in hand of this person now, beside those held before.
        waiting: parts that wait, as wished, held ones included; `MOST` at most are counted.
        skipped: parts that this person has skipped.
        classes: of the station's model, in its order; () where they are not known.
    """

    parts: list[Record]
    waiting: int
    skipped: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ReviewProgress:
    """How far the reviews are enough for the next training.

    Attributes:
        classes: of the model and of former ones.
        helps, rule: the class of which more would help most, and why; "" where none stands out.
        enough: reviewed parts that each class should have.
        waiting: parts that nobody has reviewed.
        second: reviewed parts of which a second person is asked.
        disagreements: parts of which people think differently.
    """

    classes: list[ClassProgress]
    helps: str
    rule: str
    enough: int
    waiting: int
    second: int
    disagreements: int


@dataclass
class _ListedParts:
    """The parts that wait, as they were a moment ago; each is looked at again before it is given.

    Attributes:
        until_s: it is used until then, on the clock's scale of seconds.
        parts: in any order.
        ordered: in the orders that were asked for.
        gone: of which the file of the frame is not there.
        answered: since.
    """

    until_s: float
    parts: list[WaitingPart]
    ordered: dict[tuple[ReviewOrder, tuple[str, ...]], list[WaitingPart]] = field(
        default_factory=dict
    )
    gone: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


class ReviewQueue:
    """The queue of one station. Thread-safe; reads and writes the ledger, so never in the loop.

    Answers are written by the station's own connection, between two verdicts: with one of its own
    a verdict would wait for the disk and look again only after a while (`busy_timeout`). They are
    on the disk with the next verdict at the latest. No thread here has a lower priority: it would
    hold Python's interpreter lock while others have the core.
    """

    def __init__(
        self,
        station: Station,
        archive: KeptRecords,
        settings: ReviewSettings,
        clock: Clock | None = None,
        lease_s: float = LASTS_S,
    ) -> None:
        """Start with nothing in anybody's hand.

        Args:
            station: whose parts.
            archive: its kept frames.
            settings: of the line file.
            clock: of the station.
            lease_s: how long a part stays in a hand without a sign of life.
        """
        self._station = station
        self._archive = archive
        self._settings = settings
        self._clock = clock or Clock()
        self._leases = Leases(self._clock, lease_s)
        self._lock = threading.Lock()  # of the lists, which no answer waits for
        self._listings: dict[bool, _ListedParts] = {}
        self._skipping = threading.Lock()
        self._skipped: dict[str, dict[str, None]] = {}
        self._counted: tuple[float, ReviewProgress] | None = None

    def next(self, person: str, wish: Wish) -> Offer:
        """Parts for a person, first those that are in this person's hand already.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._connected() as db, self._lock:
            skipped = self._skipped_by(person, forget=wish.again)
            classes = self._classes(db)
            listing = self._listing(db, wish.order is ReviewOrder.AGE)
            fitting = [
                part
                for part in self._ordered(listing, wish.order, classes)
                if wish.part_class in ("", part.part_class)
                if part.reviewed_by != person and part.id not in listing.answered
            ]
            for identity in wish.held:
                self._leases.take(identity, person)
            mine = [i for i in self._leases.of(person) if i not in wish.held]
            found = list[Record]()
            for identity in (*mine, *(part.id for part in fitting)):
                if len(found) >= wish.most:
                    break
                if identity in skipped or identity in wish.held or identity in listing.gone:
                    continue
                if identity in {record.id for record in found}:
                    continue
                record = self._given(db, identity, person, listing)
                if record is not None:
                    found.append(record)
            return Offer(found, len(fitting), len(skipped), classes)

    def open(self, identity: str, person: str) -> tuple[Record, list[PartReview]]:
        """A certain part, whether it waits or not, with what people think of it.

        Raises:
            NotReviewable: there is no such closed record.
            Taken: another person has it in hand.
            LedgerError: the ledger cannot be read.
        """
        ledger = self._station.ledger
        with self._connected() as db:
            reviews = Reviews(ledger.path, ledger.station, db)
            record, standing = reviews.closed(identity), reviews.standing(identity)
        if holder := self._leases.take(identity, person):
            raise Taken(f"{holder} has this part in hand; try again later, or take another one")
        return record, standing

    def answer(
        self, identity: str, part_class: str, person: str, comment: str
    ) -> tuple[PartReview, Record]:
        """Commit what a person found; the same answer again changes nothing.

        It is taken also where the lease has ended meanwhile: what was found is not thrown away.

        Raises:
            NotReviewable: there is no such closed record any more.
            DataError: the model has no such class (any more).
            LedgerError: the ledger cannot be written.
        """
        with self._writing() as reviews:
            given = reviews.add_once(
                *(identity, part_class, person, comment, self._clock.now()), self.taxonomy()
            )
        self._leases.release(identity, person)
        self._unskip(identity, person)
        for listing in tuple(self._listings.values()):
            listing.answered.add(identity)
        return given

    def undo(self, identity: str, person: str) -> Record:
        """Withdraw what this person found of a part, and take it in hand again.

        Raises:
            NotReviewable: there is no such closed record any more.
            LedgerError: the ledger cannot be written.
        """
        with self._writing() as reviews:
            record = reviews.withdraw(identity, person, self._clock.now())
        self._unskip(identity, person)
        for listing in tuple(self._listings.values()):
            listing.answered.discard(identity)
        self._leases.take(identity, person)
        return record

    def skip(self, identity: str, person: str) -> None:
        """Do not give this part to this person again, unless that is wished."""
        with self._skipping:
            mine = self._skipped.setdefault(person, {})
            mine[identity] = None
            if len(mine) > MOST_SKIPPED:
                del mine[next(iter(mine))]
        self._leases.release(identity, person)

    def release(self, identities: Sequence[str], person: str) -> None:
        """Give parts back, for others."""
        for identity in identities:
            self._leases.release(identity, person)

    def progress(self) -> ReviewProgress:
        """How far the reviews are enough, as of the last two seconds.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._connected() as db, self._lock:
            now_s = self._clock.monotonic_s()
            if self._counted is None or now_s - self._counted[0] > COUNTED_S:
                self._counted = now_s, self._count(db)
            return self._counted[1]

    def disagreements(self) -> list[Disagreement]:
        """Parts of which people think differently, the latest first; raises LedgerError."""
        with self._connected() as db:
            return disagreements(db, self._station.ledger.station)

    def taxonomy(self) -> Taxonomy | None:
        """The classes of the model at work; None where it was withdrawn."""
        try:
            return self._station.model.current.inspector.bundle.taxonomy
        except ModelWithdrawn:
            return None

    def _skipped_by(self, person: str, *, forget: bool) -> frozenset[str]:
        with self._skipping:
            if forget:
                self._skipped.pop(person, None)
            return frozenset(self._skipped.get(person, ()))

    def _unskip(self, identity: str, person: str) -> None:
        with self._skipping:
            self._skipped.get(person, {}).pop(identity, None)

    def _count(self, db: sqlite3.Connection) -> ReviewProgress:
        listing = self._listing(db, oldest=False)
        parts = [part for part in listing.parts if part.id not in listing.answered]
        first = [part for part in parts if not part.reviewed_by]
        waiting = Counter(part.part_class for part in first)
        found = progress(db, self._classes(db), self._settings.enough, waiting)
        differing = len(disagreements(db, self._station.ledger.station))
        return ReviewProgress(
            *(found, *most_helpful(found), self._settings.enough),
            *(len(first), len(parts) - len(first), differing),
        )

    def _given(
        self, db: sqlite3.Connection, identity: str, person: str, listing: _ListedParts
    ) -> Record | None:
        """A part in this person's hand, where it still waits and nobody else has it."""
        if self._leases.take(identity, person):
            return None
        station, share = self._station.ledger.station, self._settings.second_share
        record = waiting_record(db, station, identity, person, share)
        if record is not None:
            frame = self._archive.frame(identity)
            if frame is not None:
                frame[0].close()
                return record
            listing.gone.add(identity)
        self._leases.release(identity, person)
        return None

    def _listing(self, db: sqlite3.Connection, oldest: bool) -> _ListedParts:
        now_s = self._clock.monotonic_s()
        known = self._listings.get(oldest)
        if known is None or now_s > known.until_s:
            parts = waiting_parts(db, self._settings.second_share, oldest=oldest)
            made_s = self._clock.monotonic_s()
            until_s = made_s + max(LISTED_S, LISTED_SHARE * (made_s - now_s))
            known = self._listings[oldest] = _ListedParts(until_s, parts)
        return known

    def _ordered(
        self, listing: _ListedParts, order: ReviewOrder, classes: tuple[str, ...]
    ) -> list[WaitingPart]:
        if (order, classes) not in listing.ordered:
            listing.ordered[order, classes] = in_order(listing.parts, order, classes)
        return listing.ordered[order, classes]

    def _classes(self, db: sqlite3.Connection) -> tuple[str, ...]:
        ledger = self._station.ledger
        return Reviews(ledger.path, ledger.station, db).classes(self.taxonomy())

    def _connected(self) -> AbstractContextManager[sqlite3.Connection]:
        ledger = self._station.ledger
        return connected(ledger.path, "reviews", ledger.station, timeout_s=1)

    @contextmanager
    def _writing(self) -> Iterator[Reviews]:
        """The reviews, in one transaction of the station's."""
        ledger = self._station.ledger
        with ledger.writing() as db:
            yield Reviews(ledger.path, ledger.station, db)
