"""Whose sign-offs a station follows: those of persons whose public keys its line file names.

Each record covers the one before by its hash, so who signs one vouches for all before it. The last
record and the one that decides must be signed by such a key; one that was seen must still be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.contracts.signoff import Signoff
from pipeline.errors import SignoffError
from pipeline.registry.decisions.chain import Chain
from pipeline.registry.decisions.keys import SigningKey, is_genuine


def _nothing(record: Signoff) -> None:
    """Nobody wants to know which record is the last."""


def adds_proof(approval: Signoff, reviewer: str, login: str, key: SigningKey | None) -> bool:
    """Would signing off once more prove what a sign-off does not: by another key, or by a login?"""
    if key is not None and key.public != approval.key:
        return True
    proven = approval.login.casefold() == approval.reviewer.casefold()
    return login != "" and not proven and login.casefold() == reviewer.casefold()


@dataclass(frozen=True)
class Trust:
    """What sign-offs must show besides a chain that verifies.

    Attributes:
        signers: reviewer to public key; empty: signatures do not matter.
        require_login: a champion's sign-off must bear a login of the registry's server, which is
            the reviewer's name.
        seen: place and hash of the last record that was seen; where there are signers it must still
            be in the chain. (0, "") for none.
        on_verified: called with the last record of a chain that has passed.
    """

    signers: Mapping[str, str] = field(default_factory=dict)
    require_login: bool = False
    seen: tuple[int, str] = (0, "")
    on_verified: Callable[[Signoff], None] = _nothing

    def restricted(self, chain: Chain) -> Chain:
        """The chain with faults where it is not signed as it must be.

        Of records beside it only those remain intact that one of the signers has signed.

        Raises:
            MissingExtra: the package for signatures is not installed.
        """
        if not self.signers:
            return chain
        standing = chain.standing
        deciding = standing.withdrawal
        if standing.champion is not None:
            deciding = chain.signed(standing.champion)
        wanted = {r.sha256: r for r in (deciding, chain.last) if r is not None}
        unsigned = [why for r in wanted.values() if (why := self._objection(r))]
        intact = tuple(r for r in chain.intact if not self._objection(r))
        return replace(
            chain,
            faults=(*chain.faults, *unsigned, *self._set_back(chain)),
            intact=intact,
        )

    def check_login(self, approval: Signoff) -> None:
        """Raise SignoffError where a sign-off must bear the reviewer's login and does not."""
        same = approval.login.casefold() == approval.reviewer.casefold()
        if not self.require_login or (approval.login and same):
            return
        found = f"the login is {approval.login}" if approval.login else "it bears no login"
        raise SignoffError(
            f"the sign-off of {approval.recipe}/{approval.version} (record {approval.name}) names "
            f"the reviewer {approval.reviewer} and {found}; model.require_login in the line file "
            "wants both the same: promote the version again on a server with users, with the login "
            "as --reviewer"
        )

    def objection(self, record: Signoff) -> str:
        """Why a record does not count where there are signers; empty where it does."""
        return self._objection(record) if self.signers else ""

    def _objection(self, record: Signoff) -> str:
        known = self.signers.get(record.reviewer)
        if not record.signature:
            why = "is not signed"
        elif not is_genuine(record):
            why = "bears a signature that is not genuine"
        elif known is None:
            why = f"is of {record.reviewer}, of whom no key is known here"
        elif record.key != known:
            why = f"is not signed with the key of {record.reviewer} that is known here"
        else:
            return ""
        return (
            f"record {record.name} {why} (model.signers in the line file: "
            f"{', '.join(self.signers)}); one of them decides again with --key FILE"
        )

    def _set_back(self, chain: Chain) -> tuple[str, ...]:
        """What is missing of the records that were seen."""
        place, sha256 = self.seen
        if place == 0 or any(r.sha256 == sha256 for r in chain.records):
            return ()
        return (
            f"record {place:04d}.{sha256[:8]}, which this station has seen, is not among them: "
            "they were set back or replaced",
        )
