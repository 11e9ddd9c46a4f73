"""The model that a station ran last, and what is known of it."""

from __future__ import annotations

import json

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.last_good import (
    LAST_GOOD,
    SEEN,
    approval_seq,
    last_good,
    note_withdrawal,
    remember,
    signer,
    trust_of,
    withdrawal,
)
from pipeline.daemon.settings.line import Line
from pipeline.registry.resolution import Resolved
from pipeline.registry.versions import Version
from tests.registry.decisions.test_chain import FIRST


@pytest.fixture
def known(line: Line, sealed_bundle: Bundle) -> Version:
    """A version that was remembered."""
    version = Version("cells", 4, sealed_bundle.sha256, "run", ("champion",))
    line.model.cache.mkdir(parents=True)
    remember(line, Resolved(version))
    return version


def test_what_was_remembered_is_known_to_the_next_start(line: Line, known: Version) -> None:
    assert last_good(line) == known
    assert withdrawal(line) == ""
    assert approval_seq(line, known) == 0


def test_who_signed_the_model_off_is_known_without_the_registry(
    line: Line, sealed_bundle: Bundle
) -> None:
    tags = {"review.status": "approved", "review.by": "A. Weber"}
    version = Version("cells", 4, sealed_bundle.sha256, "run", ("champion",), tags)
    line.model.cache.mkdir(parents=True)
    remember(line, Resolved(version))
    last = last_good(line)
    assert last is not None
    assert signer(line, last) == "A. Weber"


def test_where_sign_offs_are_required_the_verified_record_names_who_signed(
    line: Line, known: Version
) -> None:
    strict = line.model_copy(
        update={"model": line.model.model_copy(update={"require_signoff": True})}
    )
    assert signer(strict, known) == ""  # nothing is kept, whatever a tag claims
    remember(strict, Resolved(known, FIRST))
    assert signer(strict, known) == FIRST.reviewer


def test_a_withdrawal_is_noted_until_a_version_is_good_again(line: Line, known: Version) -> None:
    note_withdrawal(line, "cells/4 was withdrawn")
    assert (last_good(line), withdrawal(line)) == (known, "cells/4 was withdrawn")
    remember(line, Resolved(known))
    assert withdrawal(line) == ""


def test_where_nothing_was_good_nothing_is_noted(line: Line) -> None:
    note_withdrawal(line, "cells/4 was withdrawn")
    assert (last_good(line), withdrawal(line)) == (None, "")
    assert not line.model.cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"recipe": "cells", "alias": "champion"}'])
def test_a_file_that_cannot_be_read_is_reported_and_names_no_model(
    line: Line, known: Version, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (line.model.cache / LAST_GOOD).write_text(content)
    assert last_good(line) is None
    assert "no last good model is known" in caplog.text


def test_the_file_of_an_older_lineside_is_read(line: Line, known: Version) -> None:
    path = line.model.cache / LAST_GOOD
    assert "withdrawn" not in json.loads(path.read_text())
    assert last_good(line) == known


def test_the_last_record_seen_is_kept_only_where_keys_are_known(line: Line) -> None:
    record = FIRST
    for signers, there in (({}, False), ({"A. Weber": f"ed25519:{'A' * 43}="}, True)):
        model = line.model.model_copy(update={"signers": signers, "require_signoff": True})
        of = line.model_copy(update={"model": model})
        trust_of(of).on_verified(record)
        assert (line.model.cache / SEEN).exists() == there
    assert trust_of(of).seen == (record.seq, record.sha256)


def test_a_damaged_note_of_what_was_seen_is_reported(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.model.cache.mkdir(parents=True)
    (line.model.cache / SEEN).write_text("{")
    assert trust_of(line).seen == (0, "")
    assert "sign-offs set back are not noticed" in caplog.text
