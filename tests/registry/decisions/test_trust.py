"""Whose sign-offs count where public keys are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.signoff import Act, Signoff
from pipeline.errors import SignoffError
from pipeline.registry.decisions.chain import Chain, read_chain
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.decisions.trust import Trust, adds_proof
from tests.registry.decisions.test_chain import record, tagged, version


class People:
    """Two who have keys that are known, and one whose key is not."""

    def __init__(self, folder: Path) -> None:
        self.keys = {
            name: SigningKey.make(folder / f"{n}.pem")
            for n, name in enumerate(("A. Weber", "B. Sato", "C. Forger"))
        }
        self.signers = {name: self.keys[name].public for name in ("A. Weber", "B. Sato")}
        self.trust = Trust(self.signers)

    def decide(
        self, act: Act, number: int, parent: Signoff | None = None, by: str = "", named: str = ""
    ) -> Signoff:
        """A record of a person, `named` otherwise than the key says; unsigned where `by` is ""."""
        seq = 1 if parent is None else parent.seq + 1
        plain = record(seq, act, number, parent, reviewer=named or by or "A. Weber")
        return self.keys[by].signed(plain) if by else plain


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


def chain(*records: Signoff) -> Chain:
    return read_chain("cells", tagged(*records, head=records[-1]))


def test_a_chain_signed_by_persons_that_are_known_passes(people: People) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    second = people.decide("promote", 2, first, by="B. Sato")
    found = people.trust.restricted(chain(first, second))
    assert found.faults == ()
    assert found.approval(version(2)) == second


def test_a_chain_begun_without_signatures_passes_once_the_last_two_are_signed(
    people: People,
) -> None:
    old = people.decide("promote", 1)
    signed = people.decide("promote", 2, old, by="A. Weber")
    assert people.trust.restricted(chain(old)).faults != ()
    assert people.trust.restricted(chain(old, signed)).faults == ()


@pytest.mark.parametrize(
    ("by", "named", "why"),
    [
        ("", "A. Weber", "is not signed"),
        ("C. Forger", "", "is of C. Forger, of whom no key is known here"),
        ("C. Forger", "A. Weber", "is not signed with the key of A. Weber that is known here"),
    ],
)
def test_a_decision_that_no_known_person_has_signed_is_a_fault(
    people: People, by: str, named: str, why: str
) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    second = people.decide("promote", 2, first, by=by, named=named)
    found = people.trust.restricted(chain(first, second))
    assert [why in fault and "--key FILE" in fault for fault in found.faults] == [True]
    with pytest.raises(SignoffError, match=why):
        found.check()


def test_a_signature_that_is_not_genuine_is_a_fault(people: People) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    forged = first.model_copy(update={"version": 2}).sealed()
    (fault,) = people.trust.restricted(chain(forged)).faults
    assert "bears a signature that is not genuine" in fault


def test_a_promotion_slipped_in_below_a_signed_decision_does_not_count(people: People) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    slipped = people.decide("promote", 2, first)
    above = people.decide("reject", 3, slipped, by="B. Sato")
    (fault,) = people.trust.restricted(chain(first, slipped, above)).faults
    assert f"record {slipped.name} is not signed" in fault


def test_a_withdrawal_counts_only_signed(people: People) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    unsigned = people.decide("withdraw", 1, first)
    found = people.trust.restricted(chain(first, unsigned))
    assert found.faults != ()
    assert found.revocation(1, since=1) == ""  # nobody stops a line without a key
    signed = people.decide("withdraw", 1, first, by="B. Sato")
    found = people.trust.restricted(chain(first, signed))
    assert found.faults == ()
    assert found.revocation(1, since=1).startswith("withdrawn")


def test_what_was_seen_must_still_be_there(people: People) -> None:
    first = people.decide("promote", 1, by="A. Weber")
    second = people.decide("withdraw", 1, first, by="B. Sato")
    trust = Trust(people.signers, seen=(2, second.sha256))
    assert trust.restricted(chain(first, second)).faults == ()
    (fault,) = trust.restricted(chain(first)).faults
    assert f"record {second.name}, which this station has seen, is not among them" in fault


def test_without_signers_signatures_do_not_matter(people: People) -> None:
    found = chain(people.decide("promote", 1))
    assert Trust(seen=(7, "ab")).restricted(found) is found
    assert Trust().objection(found.records[0]) == ""


@pytest.mark.parametrize(
    ("login", "why"), [("", "it bears no login"), ("mallory", "the login is mallory")]
)
def test_where_a_login_is_required_it_is_the_reviewers_name(login: str, why: str) -> None:
    approval = record(1, "promote", 1, reviewer="weber", login=login)
    Trust().check_login(approval)
    with pytest.raises(SignoffError, match=rf"reviewer weber and {why}; .*--reviewer"):
        Trust(require_login=True).check_login(approval)
    Trust(require_login=True).check_login(record(1, "promote", 1, reviewer="Weber", login="weber"))


@pytest.mark.parametrize("login", ["", "mallory"])
def test_a_decision_without_the_login_that_a_station_wants_is_refused_before_it_is_made(
    login: str,
) -> None:
    trust = Trust(require_login=True)
    with pytest.raises(SignoffError, match=r"names the reviewer weber and .*nothing was decided"):
        trust.check_signer("weber", lambda: login, None, champion=True)
    trust.check_signer("weber", lambda: "Weber", None, champion=True)
    trust.check_signer("weber", lambda: login, None, champion=False)
    Trust().check_signer("weber", lambda: login, None, champion=True)


def test_a_decision_by_no_key_that_a_station_knows_is_refused_before_it_is_made(
    people: People,
) -> None:
    keys = people.keys

    def check(reviewer: str, of: str | None) -> None:
        people.trust.check_signer(reviewer, str, keys[of] if of else None, champion=False)

    check("A. Weber", "A. Weber")
    for reviewer, of, why in (
        ("A. Weber", None, "is not signed"),
        ("A. Weber", "B. Sato", "is not signed with A. Weber's key"),
        ("C. Forger", "C. Forger", "is of C. Forger, of whom no key is known there"),
    ):
        with pytest.raises(SignoffError, match=f"the decision {why} .*nothing was decided"):
            check(reviewer, of)


def test_signing_off_once_more_adds_a_key_or_a_login(people: People) -> None:
    key = people.keys["A. Weber"]
    plain = people.decide("promote", 1)
    assert not adds_proof(plain, "A. Weber", "", None)
    assert adds_proof(plain, "A. Weber", "", key)
    assert not adds_proof(people.decide("promote", 1, by="A. Weber"), "A. Weber", "", key)
    assert adds_proof(plain, "weber", "weber", None)
    assert not adds_proof(plain, "A. Weber", "weber", None)
