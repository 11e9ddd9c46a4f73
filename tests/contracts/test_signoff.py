"""One record of a recipe's chain of decisions."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.contracts.signoff import NAME_LENGTH, TEXT_LENGTH, Signoff

FIELDS: dict[str, Any] = {
    "seq": 12,
    "act": "promote",
    "recipe": "cells",
    "version": 3,
    "bundle_sha256": "0" * 64,
    "reviewer": "A. Weber",
    "reason": "Prüfung über 500 Teile",
    "at": "2026-11-22T12:00:00.000000+00:00",
    "gate": "passed",
    "override_reason": "",
    "previous": 2,
    "parent": "f" * 64,
}


@pytest.fixture
def record() -> Signoff:
    return Signoff(**FIELDS).sealed()


def test_the_hash_is_over_the_canonical_json_of_all_other_fields(record: Signoff) -> None:
    text = json.dumps(FIELDS, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert record.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 4},
        {"reviewer": "B. Weber"},
        {"reason": "other"},
        {"gate": "failed"},
        {"previous": None},
        {"parent": "e" * 64},
        {"at": "2026-11-22T12:00:00.000001+00:00"},
    ],
)
def test_a_change_of_any_field_shows_in_the_hash(record: Signoff, changed: dict[str, Any]) -> None:
    altered = record.model_copy(update=changed)
    assert altered.expected_sha256 != altered.sha256


def test_a_record_survives_json_with_its_hash(record: Signoff) -> None:
    again = Signoff.model_validate_json(record.model_dump_json())
    assert again == record
    assert again.expected_sha256 == again.sha256


def test_two_that_claim_the_same_place_have_names_of_their_own(record: Signoff) -> None:
    other = record.model_copy(update={"reviewer": "B. Weber"}).sealed()
    assert record.name == f"0012.{record.sha256[:8]}"
    assert other.name.startswith("0012.")
    assert other.name != record.name


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"at": "2026-11-22T12:00:00"}, "a time without its zone"),
        ({"at": "yesterday"}, "Invalid isoformat"),
        ({"seq": 0}, "greater than or equal to 1"),
        ({"act": "approve"}, "'promote', 'reject', 'rollback' or 'withdraw'"),
        ({"reviewer": ""}, "at least 1 character"),
        ({"reviewer": "x" * (NAME_LENGTH + 1)}, "at most 100 characters"),
        ({"reason": "x" * (TEXT_LENGTH + 1)}, "at most 1000 characters"),
        ({"mood": "good"}, "Extra inputs are not permitted"),
    ],
)
def test_what_a_record_may_not_hold_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Signoff(**FIELDS | changed)


def test_the_longest_record_fits_in_a_tag_of_the_registry() -> None:
    text = '"' * TEXT_LENGTH  # which JSON escapes
    texts = {"reviewer": '"' * NAME_LENGTH, "reason": text, "override_reason": text}
    texts |= {"login": "ü" * NAME_LENGTH, "key": f"ed25519:{'A' * 44}", "signature": "A" * 88}
    assert len(Signoff(**FIELDS | texts).sealed().model_dump_json()) <= 5000


def test_a_record_of_before_there_was_anything_to_accept_keeps_its_text_and_hash(
    record: Signoff,
) -> None:
    assert "accepted" not in record.model_dump_json()
    accepting = Signoff(**FIELDS, accepted=("escapes",)).sealed()
    assert Signoff.model_validate_json(accepting.model_dump_json()) == accepting
    assert accepting.sha256 != record.sha256


def test_the_full_reason_holds_all_that_the_reviewer_answers_for(record: Signoff) -> None:
    assert record.full_reason == FIELDS["reason"]
    more = {"accepted": ("escapes", "promise"), "override_reason": "trial", "reason": "release"}
    assert record.model_copy(update=more).full_reason == (
        "release (accepted as not proven: escapes, promise) (override: trial)"
    )


def test_a_record_without_login_and_key_keeps_the_text_and_hash_of_before(record: Signoff) -> None:
    assert {"login", "key", "signature"}.isdisjoint(record.model_dump())
    more = Signoff(**FIELDS, login="weber", key="ed25519:AAAA", signature="AAAA").sealed()
    assert Signoff.model_validate_json(more.model_dump_json()) == more
    assert more.sha256 != record.sha256
    assert more.model_copy(update={"signature": "BBBB"}).expected_sha256 == more.sha256
