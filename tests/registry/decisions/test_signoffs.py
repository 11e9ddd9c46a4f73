"""People who decide at once: exactly one wins, whatever the order of their steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow.store.entities import PagedList

from pipeline.contracts.signoff import Signoff
from pipeline.errors import RegistryError, SignoffError
from pipeline.registry.decisions.chain import HEAD, PREFIX
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import INTERRUPTED_AFTER, SignoffLog
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.conftest import NOW

URI = "sqlite:////nowhere.db"


class Shelf:
    """A registered model's tags in memory, in place of MLflow's client: hundreds of orders fit."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def search_registered_models(self, _query: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(tags=dict(self.tags))]

    def search_model_versions(self, _query: str, page_token: str | None = None) -> PagedList[Any]:
        return PagedList([], page_token)

    def set_registered_model_tag(self, _name: str, key: str, value: str) -> None:
        self.tags[key] = value

    def delete_registered_model_tag(self, _name: str, key: str) -> None:
        self.tags.pop(key, None)


class Turns:
    """Lets threads make their steps in a given order; who has ended gives way to the others."""

    def __init__(self, order: list[str]) -> None:
        self._order = order
        self._free = threading.Condition()

    def wait(self, name: str) -> None:
        with self._free:
            assert self._free.wait_for(lambda: not self._order or self._order[0] == name, 10)
            if self._order:
                self._order.pop(0)
            self._free.notify_all()

    def end(self, name: str) -> None:
        with self._free:
            self._order = [n for n in self._order if n != name]
            self._free.notify_all()


class Turnwise:
    """A client that makes each call only when it is its turn."""

    def __init__(self, inner: Any, turns: Turns, name: str) -> None:
        self._inner, self._turns, self._name = inner, turns, name

    def __getattr__(self, method: str) -> Any:
        def call(*given: object, **named: object) -> Any:
            self._turns.wait(self._name)
            return getattr(self._inner, method)(*given, **named)

        return call


class Interfering:
    """A client with which something happens before it first makes one call about one tag."""

    def __init__(self, inner: Any, method: str, tag: str, act: Callable[[], object]) -> None:
        self._inner, self._method, self._tag, self._act = inner, method, tag, act
        self._is_due = True

    def __getattr__(self, method: str) -> Any:
        def call(*given: str, **named: object) -> Any:
            if self._is_due and method == self._method and given[1].startswith(self._tag):
                self._is_due = False
                self._act()
            return getattr(self._inner, method)(*given, **named)

        return call


def crash() -> None:
    raise KeyboardInterrupt


def signoffs(client: object, now: datetime = NOW) -> SignoffLog:
    registry = SimpleNamespace(client=client, uri=URI, now=lambda: now, login="")
    return SignoffLog(cast(Registry, registry), "cells", pause_s=0.001)


def decide(client: object, name: str, now: datetime = NOW) -> Signoff:
    """Read, then record the promotion of version 1 by `name`."""
    return promote(signoffs(client, now), name)


def promote(mine: SignoffLog, name: str) -> Signoff:
    return mine.append(
        mine.read(),
        act="promote",
        version=1,
        bundle_sha256="ab",
        reviewer=name,
        reason="good",
        gate="passed",
        previous=None,
    )


def raced(shelf: Shelf, order: list[str]) -> dict[str, Signoff | SignoffError]:
    """What becomes of each who decides, their calls to the registry made in this order."""
    turns = Turns(list(order))

    def one(name: str) -> Signoff | SignoffError:
        try:
            return decide(Turnwise(shelf, turns, name), name)
        except SignoffError as error:
            return error
        finally:
            turns.end(name)

    names = sorted(set(order))
    with ThreadPoolExecutor(len(names)) as people:
        return dict(zip(names, people.map(one, names), strict=True))


def orders() -> list[list[str]]:
    """All orders of the five calls of Ann and the five of Bo.

    They read, write, read, settle or undo, and read once more.
    """
    return [
        ["Ann" if i in places else "Bo" for i in range(10)] for places in combinations(range(10), 5)
    ]


@pytest.mark.parametrize("order", orders(), ids=lambda o: "".join(name[0] for name in o))
def test_in_every_order_of_steps_one_wins_and_no_other_unseen(order: list[str]) -> None:
    shelf = Shelf()
    decide(shelf, "Before")
    done = raced(shelf, order)
    chain = signoffs(shelf).read()
    won = [d for d in done.values() if isinstance(d, Signoff)]
    assert (chain.faults, chain.pending, chain.lost) == ((), (), ())
    assert sorted(r.reviewer for r in chain.records[1:]) == sorted(r.reviewer for r in won)
    assert won
    # Both are in the chain only where the later has read the earlier, which is its parent.
    if order in (["Ann"] * 5 + ["Bo"] * 5, ["Bo"] * 5 + ["Ann"] * 5):
        assert len(won) == 2


def test_of_two_who_see_each_other_one_wins_and_the_other_learns_who_and_what_to_do() -> None:
    shelf = Shelf()
    done = raced(shelf, ["Ann", "Bo"] * 3)
    (won,) = (name for name, what in done.items() if isinstance(what, Signoff))
    (lost,) = {"Ann", "Bo"} - {won}
    said = str(done[lost])
    assert f"somebody else ({won}) decided at the same moment" in said
    assert "lineside models history cells) and repeat" in said
    assert [r.reviewer for r in signoffs(shelf).read().records] == [won]


@pytest.mark.slow
def test_of_three_who_decide_at_once_one_wins_in_every_order_of_their_first_steps() -> None:
    for ann in combinations(range(9), 3):
        for bo in combinations(sorted({*range(9)} - {*ann}), 3):
            order = ["Ann" if i in ann else "Bo" if i in bo else "Cy" for i in range(9)]
            shelf = Shelf()
            done = raced(shelf, order)
            chain = signoffs(shelf).read()
            won = [what for what in done.values() if isinstance(what, Signoff)]
            named = "".join(name[0] for name in order)
            assert won, named
            assert (chain.faults, chain.pending, chain.lost) == ((), (), ()), named
            assert {r.sha256 for r in chain.records} == {w.sha256 for w in won}, named


def test_nobody_builds_on_a_decision_that_is_about_to_be_taken_back() -> None:
    # Ann and Bo see each other; one of them has not taken its record back when Cy looks.
    done = raced(shelf := Shelf(), ["Ann", "Bo", "Ann", "Bo", "Ann", "Bo", "Cy", "Cy", "Cy"])
    assert "is deciding about cells/1 at this moment" in str(done["Cy"])
    assert len(signoffs(shelf).read().records) == 1


def test_who_comes_first_waits_only_some_seconds_for_one_that_was_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.registry.decisions.signoffs.GIVES_WAY_WITHIN_S", 0.05)
    shelf, later = Shelf(), NOW + timedelta(seconds=1)

    def cut_off() -> None:
        with pytest.raises(KeyboardInterrupt):
            decide(Interfering(shelf, "set_registered_model_tag", HEAD, crash), "Bo", later)

    with pytest.raises(SignoffError, match=r"somebody else \(Bo\)"):
        decide(Interfering(shelf, "set_registered_model_tag", PREFIX, cut_off), "Ann")
    chain = signoffs(shelf).read()
    assert [r.reviewer for r in chain.pending] == ["Bo"]


def test_who_slept_before_moving_the_head_takes_its_record_back() -> None:
    shelf = Shelf()
    times = iter([NOW, NOW + INTERRUPTED_AFTER])
    registry = SimpleNamespace(client=shelf, uri=URI, now=lambda: next(times), login="")
    mine = SignoffLog(cast(Registry, registry), "cells", pause_s=0.001)
    with pytest.raises(SignoffError, match="took too long to be recorded, and was not"):
        promote(mine, "Ann")
    assert (shelf.tags, signoffs(shelf).read().pending) == ({}, ())


def test_a_decision_made_between_reading_and_recording_is_seen() -> None:
    shelf = Shelf()
    mine = signoffs(shelf)
    before = mine.read()
    decide(shelf, "Bo")
    with pytest.raises(SignoffError, match=r"somebody else \(Bo\)"):
        mine.append(
            before,
            act="reject",
            version=1,
            bundle_sha256="ab",
            reviewer="Ann",
            reason="bad",
            gate="passed",
            previous=None,
        )
    (record,) = signoffs(shelf).read().records
    assert record.reviewer == "Bo"


def interrupted() -> Shelf:
    """A process that ended between its record and the head."""
    shelf = Shelf()
    with pytest.raises(KeyboardInterrupt):
        decide(Interfering(shelf, "set_registered_model_tag", HEAD, crash), "Ann")
    return shelf


def test_an_interrupted_decision_is_left_alone_for_some_minutes() -> None:
    shelf = interrupted()
    with pytest.raises(SignoffError, match=r"Ann is deciding .* after 2026-11-22T12:05:00"):
        decide(shelf, "Bo", NOW + INTERRUPTED_AFTER - timedelta(seconds=1))


def test_after_that_the_next_decision_takes_its_place() -> None:
    shelf = interrupted()
    record = decide(shelf, "Bo", NOW + INTERRUPTED_AFTER)
    chain = signoffs(shelf).read()
    assert (chain.records, chain.pending, chain.faults) == ((record,), (), ())
    assert [r.reviewer for r in chain.lost] == ["Ann"]


@pytest.mark.parametrize("more", [0, 1])
def test_who_was_overtaken_while_asleep_finds_it_and_gives_way(more: int) -> None:
    shelf = Shelf()

    def others() -> None:
        for name in ("Bo", "Cy")[: 1 + more]:
            decide(shelf, name, NOW + INTERRUPTED_AFTER)

    with pytest.raises(SignoffError, match=r"somebody else \(Bo"):
        decide(Interfering(shelf, "set_registered_model_tag", HEAD, others), "Ann")
    chain = signoffs(shelf).read()
    assert [r.reviewer for r in chain.records] == ["Bo", "Cy"][: 1 + more]
    assert chain.faults == ()


def sleepers() -> list[list[str]]:
    """Orders of the calls of Ann, who wakes after her record, and of Bo, who overtakes her.

    Bo has read. He writes, reads, and where Ann was awake by then he withdraws, reads, and writes
    and reads again. She settles, reads, and where she finds Bo settles for him and looks once more.
    """
    return [
        ["Bo"] * 3 + ["Ann" if i in places else "Bo" for i in range(13)]
        for places in combinations(range(13), 6)
    ]


def woken(order: list[str]) -> tuple[Shelf, dict[str, Signoff | SignoffError]]:
    """What becomes of both, their calls made in this order once Ann has written and read."""
    shelf = Shelf()
    turns = Turns([*["Ann"] * 3, *order])

    def one(name: str, now: datetime) -> Signoff | SignoffError:
        try:
            return decide(Turnwise(shelf, turns, name), name, now)
        except SignoffError as error:
            return error
        finally:
            turns.end(name)

    with ThreadPoolExecutor(2) as people:
        ann = people.submit(one, "Ann", NOW)
        bo = people.submit(one, "Bo", NOW + INTERRUPTED_AFTER)
        return shelf, {"Ann": ann.result(), "Bo": bo.result()}


@pytest.mark.slow
def test_in_no_order_do_a_sleeper_and_who_overtakes_it_both_win() -> None:
    for order in sleepers():
        shelf, done = woken(order)
        chain = signoffs(shelf).read()
        won = [d.reviewer for d in done.values() if isinstance(d, Signoff)]
        named = "".join(name[0] for name in order)
        assert [r.reviewer for r in chain.records] == won, named
        assert chain.faults == (), named


def test_a_record_of_a_far_future_stops_nobody() -> None:
    shelf = interrupted()
    record = decide(shelf, "Bo", NOW - timedelta(days=400))
    assert signoffs(shelf).read().records == (record,)


def test_a_foreign_tag_beside_the_records_stops_nobody() -> None:
    shelf = Shelf()
    shelf.tags["signoff.0001.note"] = "see the audit"
    assert decide(shelf, "Ann").seq == 1


def test_a_loser_cut_off_before_it_withdrew_locks_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = Shelf()
    mine = signoffs(shelf)
    before = mine.read()
    winner = decide(shelf, "Bo")

    client = Interfering(shelf, "delete_registered_model_tag", PREFIX, crash)
    with monkeypatch.context() as patch:
        patch.setattr(SignoffLog, "read", lambda _: before)
        with pytest.raises(KeyboardInterrupt):
            decide(client, "Ann")
    assert decide(shelf, "Cy").parent == winner.sha256
    assert signoffs(shelf).read().faults == ()


def test_texts_that_exceed_a_tag_together_are_refused_before_writing() -> None:
    shelf = Shelf()
    mine = signoffs(shelf)
    with pytest.raises(RegistryError, match="together are too long"):
        mine.append(
            mine.read(),
            act="promote",
            version=1,
            bundle_sha256="ab" * 500,
            reviewer="Ann",
            reason='"' * 1000,
            override_reason='"' * 1000,
            gate="unknown",
            previous=None,
        )
    assert shelf.tags == {}


def test_two_people_who_promote_in_one_database_leave_one_chain(
    two_versions: Registry,
) -> None:
    start = threading.Barrier(2)

    def promote(number: int) -> str:
        mine = Registry(two_versions.uri)
        mine.versions("cells")
        start.wait(30)
        try:
            Review(mine, "cells").promote(number, f"Reviewer {number}", "good")
        except SignoffError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as people:
        said = list(people.map(promote, (1, 2)))
    chain = SignoffLog(two_versions, "cells").read()
    assert chain.faults == ()
    assert len(chain.records) == said.count("") >= 1
    champion = resolve(two_versions, "cells").version
    assert champion.version == chain.standing.champion
    assert chain.approval(champion) == chain.last
    assert two_versions.client.get_registered_model("cells").tags.get(HEAD, "") == (
        chain.last.name if chain.last else ""
    )
