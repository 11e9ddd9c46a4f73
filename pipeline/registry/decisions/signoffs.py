"""The log of sign-offs: reading a recipe's chain and appending one record to it, exclusively.

MLflow has no transactions, so people who decide at once are kept apart by the order of writing and
reading. Each writes the record under a key of its own, then reads all: of two who overlap at least
one sees the other. Who sees an earlier record deletes its own again and fails; who sees only later
ones waits until they are gone. Only who sees no other moves the head, and only what the head names
counts: exactly one of them wins. The next decision waits for that, for some minutes. One that was
overtaken after them finds the later record when it reads once more, and leaves the head to it. A
record that was interrupted stays where it is and has no effect.

One overlap stays open, of three people: the first, who has looked at the clock, sleeps for longer
than half of those minutes before its request moves the head, a second overtakes it, and a third
builds on the first's record in the moment in which the first, awake again, has moved the head and
not yet read again. Then the second was reported
successful, and the chain holds the other two. It is noticed: the tags of the second's version name
a record that the head does not lead to, which `read_chain` reports as a fault, and no decision
and no station with `require_signoff` fetches until an administrator has set the head back to the
second's record.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from pipeline.contracts.signoff import Signoff
from pipeline.errors import RegistryError, RegistryForbidden, SignoffError, printable
from pipeline.registry.connection import translate_errors
from pipeline.registry.decisions.chain import HEAD, KEY, PREFIX, Chain, read_chain
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.store import Registry
from pipeline.registry.versions import RECORD_TAG, recipe_filter

# Far longer than the few requests between a record and the head; a decision in progress is not
# overtaken, and one that was interrupted does not block the recipe indefinitely.
INTERRUPTED_AFTER = timedelta(minutes=5)
GIVES_WAY_WITHIN_S = 20.0  # who has to take a record back needs one request for it
PAUSE_S = 0.2  # between two looks at others who decide
TAG_LENGTH = 5000  # of MLflow's registered model tags in a server's database


class SignoffLog:
    """The sign-offs of one recipe, read and appended to."""

    def __init__(
        self,
        registry: Registry,
        recipe: str,
        key: SigningKey | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Take the registry and the recipe; nothing is read yet.

        Args:
            registry: where the sign-offs are.
            recipe: name of the registered model.
            key: signs the records that are appended.
            pause_s: seconds between two looks at others who decide at the same moment.
        """
        self.recipe = recipe
        self._registry = registry
        self._key = key
        self._pause_s = pause_s

    def read(self) -> Chain:
        """The chain as it stands; empty for a recipe that is not registered."""
        chain = read_chain(self.recipe, self._tags())
        if chain.pending or chain.lost:
            # The versions first: what their tags name is in the chain that is read after them.
            carried_out = self._carried_out()
            chain = read_chain(self.recipe, self._tags(), carried_out)
        return chain

    def append(self, chain: Chain, **decided: Any) -> Signoff:
        """Add a record, which takes effect when this returns.

        Args:
            chain: what was read before deciding; it must still be so.
            decided: the fields of `Signoff` but for seq, recipe, at, parent, login and what
                seals and signs it.

        Raises:
            SignoffError: the chain does not verify, or another person decided at the same moment.
            RegistryForbidden: this user may read but not write.
            RegistryError: a text is too long, or the registry cannot be reached.
        """
        chain.check()
        self._wait_for(chain.pending)
        record = self._record(chain.last, decided)
        known = {r.name for r in chain.pending}
        with self._writing():
            self._write(record)
            if not self._has_precedence(record, chain.last, known):
                return self._give_way(record, chain.last)
            self._settle(record)
            while (later := _overtaking(record, after := self._tags(), known)) is not None:
                self._settle(later)
                if PREFIX + later.name in self._tags():
                    raise SignoffError(self._contested(record, after))
                self._settle(record)  # the other has withdrawn
        return record

    def _has_precedence(self, record: Signoff, last: Signoff | None, known: set[str]) -> bool:
        """Wait until this record is the only one at its place; False where another comes first."""
        until_s = time.monotonic() + GIVES_WAY_WITHIN_S
        while not _alone(record, last, tags := self._tags(), known):
            moved = tags.get(HEAD, "") != _name(last)
            first = any(
                (other.at, other.sha256) < (record.at, record.sha256)
                for other in _others(record, tags, known)
            )
            if moved or first or time.monotonic() >= until_s:
                return False
            time.sleep(self._pause_s)
        # Late, others may take this record for interrupted and are about to overtake it.
        since = datetime.fromisoformat(record.at)
        return abs(self._registry.now() - since) < INTERRUPTED_AFTER / 2

    def _give_way(self, record: Signoff, last: Signoff | None) -> Signoff:
        """Take a record back, unless the other has given way to it and the head names it.

        The other, which was overtaken while it slept, moves the head and then looks for this
        record; this one writes its record and then looks at the head. Of the two at least one sees
        the other, so that what this returns is what the head names: no lost decision is reported as
        a success.

        Raises:
            SignoffError: the head names another, and this record is gone.
        """
        seen = self._tags()
        while True:
            self._withdraw(record)
            if self._tags().get(HEAD) != record.name:
                raise SignoffError(self._contested(record, self._outcome(record, last, seen)))
            self._write(record)
            if self._tags().get(HEAD) == record.name:
                return record

    def _outcome(
        self, record: Signoff, last: Signoff | None, seen: dict[str, str]
    ) -> dict[str, str]:
        """The tags once the head has moved or nobody else decides; those seen before at the worst.

        So who gives way learns who has won.
        """
        until_s = time.monotonic() + GIVES_WAY_WITHIN_S
        while time.monotonic() < until_s:
            now = self._tags()
            if now.get(HEAD, "") != _name(last):
                return now
            if not list(_others(record, now, set())):
                break
            time.sleep(self._pause_s)
        return seen

    def _tags(self) -> dict[str, str]:
        with translate_errors(self._registry.uri):
            models = self._registry.client.search_registered_models(recipe_filter(self.recipe))
            return {key: value for model in models for key, value in model.tags.items()}

    def _carried_out(self) -> set[str]:
        """The names of the records that the tags of versions name."""
        named: set[str] = set()
        token: str | None = None
        with translate_errors(self._registry.uri):
            while True:
                query = recipe_filter(self.recipe)
                page = self._registry.client.search_model_versions(query, page_token=token)
                named |= {v.tags[RECORD_TAG] for v in page if RECORD_TAG in v.tags}
                token = page.token
                if not token:
                    return named

    def _record(self, last: Signoff | None, decided: dict[str, Any]) -> Signoff:
        try:
            record = Signoff(
                seq=last.seq + 1 if last else 1,
                recipe=self.recipe,
                at=self._registry.now().astimezone(UTC).isoformat(timespec="microseconds"),
                parent=last.sha256 if last else "",
                login=self._registry.login,
                **decided,
            )
            record = record.sealed() if self._key is None else self._key.signed(record)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise RegistryError(
                f"the {fault['loc'][0]} cannot be recorded: {fault['msg']}"
            ) from None
        if len(record.model_dump_json()) > TAG_LENGTH:
            raise RegistryError("reason and override together are too long; shorten them")
        return record

    def _wait_for(self, pending: tuple[Signoff, ...]) -> None:
        """Give way to a decision that may be in progress; one interrupted long ago blocks none."""
        for left in pending:
            since = datetime.fromisoformat(left.at)
            if abs(self._registry.now() - since) < INTERRUPTED_AFTER:
                until = (since + INTERRUPTED_AFTER).isoformat(timespec="seconds")
                raise SignoffError(
                    f"{left.reviewer} is deciding about {self.recipe}/{left.version} at this "
                    f"moment, or was interrupted; look (lineside models history {self.recipe}) "
                    f"and repeat, at the latest after {until}"
                )

    def _write(self, record: Signoff) -> None:
        self._registry.client.set_registered_model_tag(
            self.recipe, PREFIX + record.name, record.model_dump_json()
        )

    def _settle(self, record: Signoff) -> None:
        self._registry.client.set_registered_model_tag(self.recipe, HEAD, record.name)

    def _withdraw(self, record: Signoff) -> None:
        self._registry.client.delete_registered_model_tag(self.recipe, PREFIX + record.name)

    def _contested(self, record: Signoff, tags: dict[str, str]) -> str:
        chain = read_chain(self.recipe, tags)
        won = [r for r in chain.records if r.seq == record.seq and r.sha256 != record.sha256]
        others = won or list(_others(record, tags, set()))
        if not others:
            return (
                "your decision took too long to be recorded, and was not; look (lineside models "
                f"history {self.recipe}) and repeat"
            )
        names = ", ".join(r.reviewer for r in others)
        return (
            f"somebody else ({names}) decided at the same moment, so your decision "
            f"was not recorded; look (lineside models history {self.recipe}) and repeat"
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with translate_errors(self._registry.uri):
                yield
        except RegistryForbidden as error:
            raise RegistryForbidden(
                f"this user may read {self.recipe} at {self._registry} but not decide about it "
                "(403), and nothing was recorded; have an administrator grant MANAGE on the "
                "registered model, or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
                "of somebody who has it"
            ) from error


def one_line(reviewer: str, reason: str, override: str = "") -> tuple[str, str, str]:
    """A sign-off's texts on one line each, without control characters.

    Raises:
        RegistryError: no reviewer or reason is given.
    """
    name, why, regardless = (printable(" ".join(t.split())) for t in (reviewer, reason, override))
    for what, value in (("reviewer", name), ("reason", why)):
        if not value:
            raise RegistryError(
                f"the {what} is empty; a model goes to the line only with a name and a reason: "
                "--reviewer NAME --reason TEXT"
            )
    return name, why, regardless


def _name(last: Signoff | None) -> str:
    """What the head names after this record."""
    return "" if last is None else last.name


def _others(record: Signoff, tags: Mapping[str, str], known: set[str]) -> Iterator[Signoff]:
    """The other intact records at the place of this one, except those known to be interrupted."""
    for key, value in tags.items():
        if KEY.fullmatch(key):
            with suppress(ValidationError):
                other = Signoff.model_validate_json(value)
                mine = other.sha256 == record.sha256 or other.name in known
                if other.seq == record.seq and not mine and other.sha256 == other.expected_sha256:
                    yield other


def _alone(record: Signoff, last: Signoff | None, tags: Mapping[str, str], known: set[str]) -> bool:
    """Is this the only record at its place of the chain, except those known to be interrupted?"""
    mine = f"{PREFIX}{record.seq:04d}."
    there = {key for key in tags if KEY.fullmatch(key) and key.startswith(mine)}
    others = there - {PREFIX + name for name in known} - {PREFIX + record.name}
    return not others and tags.get(HEAD, "") == _name(last)


def _overtaking(record: Signoff, tags: Mapping[str, str], known: set[str]) -> Signoff | None:
    """Of a decision that took this one for interrupted the last that builds on it, or None.

    By the clock of its author this one was old then; one of the same minutes gives way by itself.
    """
    there: list[Signoff] = []
    for key, value in tags.items():
        if KEY.fullmatch(key):
            with suppress(ValidationError):
                there.append(Signoff.model_validate_json(value))
    there = [r for r in there if r.sha256 == r.expected_sha256]
    at = datetime.fromisoformat(record.at) + INTERRUPTED_AFTER
    line = [
        r
        for r in there
        if (r.seq, r.parent) == (record.seq, record.parent)
        and r.name not in known
        and datetime.fromisoformat(r.at) >= at
    ]
    while line and (more := [r for r in there if r.parent == line[-1].sha256]):
        line += more
    return line[-1] if line else None
