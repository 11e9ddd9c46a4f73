"""What a chain of sign-offs comes to, and what is said of one that was changed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.contracts.signoff import Act, Signoff
from pipeline.errors import SignoffError
from pipeline.registry.decisions.chain import HEAD, PREFIX, read_chain
from pipeline.registry.versions import Version

Tags = dict[str, str]


def record(seq: int, act: Act, version: int, parent: Signoff | None = None, **said: str) -> Signoff:
    fields: dict[str, object] = {
        "recipe": "cells",
        "bundle_sha256": f"bundle {version}",
        "reviewer": "A. Weber",
        "reason": "because",
        "at": f"2026-11-22T12:00:0{seq}.000000+00:00",
    }
    return Signoff(
        seq=seq,
        act=act,
        version=version,
        gate="passed",
        override_reason="",
        previous=parent.version if parent else None,
        parent=parent.sha256 if parent else "",
        **(fields | said),
    ).sealed()


FIRST = record(1, "promote", 1)
SECOND = record(2, "promote", 2, FIRST)
THIRD = record(3, "rollback", 1, SECOND)


def tagged(*records: Signoff, head: Signoff | None = None) -> Tags:
    tags = {PREFIX + r.name: r.model_dump_json() for r in records}
    return tags | ({HEAD: head.name} if head else {})


GOOD = tagged(FIRST, SECOND, THIRD, head=THIRD)


def without(tags: Tags, gone: Signoff) -> Tags:
    return {k: v for k, v in tags.items() if k != PREFIX + gone.name}


def version(number: int, bundle: str | None = None) -> Version:
    return Version("cells", number, bundle or f"bundle {number}", "run", ("champion",))


def test_a_chain_that_is_whole_verifies() -> None:
    chain = read_chain("cells", GOOD)
    assert chain.faults == ()
    assert chain.records == (FIRST, SECOND, THIRD)
    assert chain.standing.champion == 1
    assert chain.standing.former == ()
    assert chain.standing.status == {1: "approved", 2: "withdrawn"}


def test_tags_of_others_are_not_records() -> None:
    others = {"signoff.reviewer": "A. Weber", "owner": "line 4", "signoff.1.x": "?"}
    assert read_chain("cells", others) == read_chain("cells", {})


def test_a_record_that_lost_the_race_and_was_left_behind_is_not_a_fault() -> None:
    chain = read_chain("cells", GOOD | tagged(RIVAL))
    assert (chain.records, chain.lost, chain.faults) == ((FIRST, SECOND, THIRD), (RIVAL,), ())


@pytest.mark.parametrize(
    ("tags", "record"),
    [
        (tagged(FIRST, SECOND, THIRD, head=SECOND), "THIRD"),
        (tagged(FIRST), "FIRST"),
    ],
)
def test_a_record_that_took_effect_never_lies_beyond_the_head(tags: Tags, record: str) -> None:
    name = {"THIRD": THIRD, "FIRST": FIRST}[record].name
    assert read_chain("cells", tags).faults == ()
    assert read_chain("cells", tags, {name}).faults == (
        f"record {name} took effect, but the tag {HEAD} was set back",
    )


def test_a_time_without_its_zone_is_not_a_record() -> None:
    with pytest.raises(ValidationError, match="without its zone"):
        record(1, "promote", 1, at="2026-11-22T12:00:00")


ALTERED = SECOND.model_copy(update={"reviewer": "C. Forger"})
FORGED = ALTERED.sealed()
RIVAL = record(2, "reject", 7, FIRST, reviewer="B. Sato")


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        (
            GOOD | {PREFIX + SECOND.name: ALTERED.model_dump_json()},
            f"record {SECOND.name} was altered",
        ),
        (
            without(GOOD, SECOND) | tagged(FORGED),
            f"record {THIRD.name} does not follow the one before (its parent)",
        ),
        (without(GOOD, FIRST), "record 0001 is missing"),
        (without(GOOD, SECOND), "record 0002 is missing"),
        (without(GOOD, THIRD), f"record {THIRD.name} is missing"),
        (GOOD | {PREFIX + SECOND.name: "{}"}, f"record {SECOND.name} cannot be read"),
        (tagged(FIRST, SECOND, THIRD), f"the tag {HEAD}, which names the last record, is missing"),
        (tagged(FIRST, SECOND, THIRD, head=FIRST), f"record {THIRD.name} follows none"),
        (GOOD | {HEAD: "gone"}, f"the tag {HEAD} was altered"),
        (
            tagged(other := record(1, "promote", 1, recipe="strips"), head=other),
            f"record {other.name} is of another recipe, strips",
        ),
    ],
)
def test_what_was_changed_is_named(tags: Tags, fault: str) -> None:
    chain = read_chain("cells", tags)
    assert any(said.startswith(fault) for said in chain.faults), chain.faults
    with pytest.raises(SignoffError, match="the sign-offs of cells do not verify"):
        chain.approval(version(1))


@pytest.mark.parametrize("key", ["version", "reason", "at", "gate", "bundle_sha256", "previous"])
def test_no_field_can_be_changed_unseen(key: str) -> None:
    other = 9 if key in ("version", "previous") else "failed"
    changed = THIRD.model_copy(update={key: other})
    assert changed.expected_sha256 != THIRD.sha256


def test_a_record_beyond_the_head_counts_for_nothing() -> None:
    chain = read_chain("cells", tagged(FIRST, SECOND, head=FIRST))
    assert (chain.records, chain.pending, chain.faults) == ((FIRST,), (SECOND,), ())
    assert chain.standing.champion == 1


def test_the_first_decision_at_work_is_not_a_fault() -> None:
    chain = read_chain("cells", tagged(FIRST))
    assert (chain.records, chain.pending, chain.faults) == ((), (FIRST,), ())


def test_the_champion_of_the_chain_is_approved_by_its_last_record() -> None:
    assert read_chain("cells", GOOD).approval(version(1)) == THIRD


@pytest.mark.parametrize(
    ("tags", "number", "why"),
    [
        (
            GOOD,
            2,
            r"cells/1 was signed off .* points to cells/2 \(it was withdrawn\)",
        ),
        (GOOD, 7, "nobody has signed it off"),
        ({}, 1, "nobody has signed it off"),
        (tagged(FIRST, SECOND, head=SECOND), 1, r"cells/2 was signed off .*\(it was approved\)"),
    ],
)
def test_a_version_that_is_not_the_chains_champion_is_refused(
    tags: Tags, number: int, why: str
) -> None:
    with pytest.raises(SignoffError, match=why):
        read_chain("cells", tags).approval(version(number))


def test_a_version_that_holds_another_bundle_than_signed_off_is_refused() -> None:
    with pytest.raises(SignoffError, match=r"signed off as bundle bundle 1 .* is now swapped"):
        read_chain("cells", GOOD).approval(version(1, "swapped"))


@pytest.mark.parametrize(
    ("acts", "champion", "former"),
    [
        ([("promote", 1), ("promote", 2), ("promote", 3)], 3, (2, 1)),
        ([("promote", 1), ("promote", 2), ("promote", 1)], 1, (2,)),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], 2, (1,)),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("reject", 2)], 3, (1,)),
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 2)], 2, (1,)),
    ],
)
def test_the_champions_before_are_known_without_the_withdrawn(
    acts: list[tuple[Act, int]], champion: int, former: tuple[int, ...]
) -> None:
    records: list[Signoff] = []

    def champion_now() -> int | None:
        there = tagged(*records, head=records[-1]) if records else {}
        return read_chain("cells", there).standing.champion

    for seq, (act, number) in enumerate(acts, 1):
        plain = record(seq, act, number, records[-1] if records else None)
        records.append(plain.model_copy(update={"previous": champion_now()}).sealed())
    chain = read_chain("cells", tagged(*records, head=records[-1]))
    assert chain.faults == ()
    assert (chain.standing.champion, chain.standing.former) == (champion, former)


FOURTH = record(4, "promote", 2, THIRD)


@pytest.mark.parametrize(
    ("tags", "since", "said"),
    [
        (GOOD, 0, f"withdrawn (record {THIRD.name})"),
        (GOOD, 9, f"withdrawn (record {THIRD.name})"),
        (tagged(FIRST, SECOND, head=SECOND), 0, ""),
        (tagged(FIRST, SECOND, THIRD, FOURTH, head=FOURTH), 0, ""),
        # Broken, and the withdrawal is on the line that verifies or lies beyond the gap.
        (tagged(FIRST, SECOND, THIRD), 2, f"withdrawn (record {THIRD.name})"),
        (tagged(FIRST, THIRD, head=THIRD), 2, f"withdrawn (record {THIRD.name})"),
        (tagged(THIRD, head=THIRD), 2, f"withdrawn (record {THIRD.name})"),
        # Broken, and what the station has kept is a later sign-off than the withdrawal.
        (tagged(SECOND, THIRD, FOURTH, head=FOURTH), 4, ""),
        # Broken behind the withdrawal: the line that verifies says so, whatever was kept.
        (tagged(FIRST, SECOND, THIRD, head=FOURTH), 4, f"withdrawn (record {THIRD.name})"),
    ],
)
def test_a_revoked_version_is_known_also_where_the_chain_is_broken(
    tags: Tags, since: int, said: str
) -> None:
    assert read_chain("cells", tags).revocation(2, since) == said


def test_a_decision_at_work_takes_nothing_back_while_the_chain_verifies() -> None:
    refusal = record(3, "reject", 2, SECOND)
    whole = read_chain("cells", tagged(FIRST, SECOND, refusal, head=SECOND))
    assert whole.revocation(2, 2) == ""
    broken = read_chain("cells", tagged(SECOND, refusal, head=SECOND))
    assert broken.revocation(2, 2) == f"rejected (record {refusal.name})"


def test_a_renamed_model_is_reported_with_how_to_get_its_sign_offs_back() -> None:
    chain = read_chain("strips", GOOD)
    with pytest.raises(SignoffError, match=r"model cells was renamed to strips .* rename it back"):
        chain.check()
