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
        if found := self._login_fault(approval.reviewer, approval.login):
            raise SignoffError(
                f"the sign-off of {approval.recipe}/{approval.version} (record {approval.name}) "
                f"{found}: promote the version again on a server with users, with the login as "
                "--reviewer"
            )

    def check_signer(
        self, reviewer: str, login: Callable[[], str], key: SigningKey | None, *, champion: bool
    ) -> None:
        """Check that a decision would be followed, before it is made.

        Args:
            reviewer: who decides.
            login: asks the registry's server for the login; not called where none is required.
            key: what would sign the decision.
            champion: does it make a version the champion?

        Raises:
            SignoffError: it would not: no signer's key, or not the reviewer's login.
        """
        public = None if key is None else key.public
        if self.signers and (public is None or self.signers.get(reviewer) != public):
            found = "is not signed" if public is None else f"is not signed with {reviewer}'s key"
            if public is not None and reviewer not in self.signers:
                found = f"is of {reviewer}, of whom no key is known there"
            raise SignoffError(
                f"the decision {found} (model.signers in the line file: {', '.join(self.signers)});"
                " nothing was decided: one of them decides with --key FILE"
            )
        if champion and self.require_login and (found := self._login_fault(reviewer, login())):
            raise SignoffError(
                f"the sign-off {found}; nothing was decided: decide on a server with users, with "
                "the login as --reviewer"
            )

    def _login_fault(self, reviewer: str, login: str) -> str:
        if not self.require_login or (login and login.casefold() == reviewer.casefold()):
            return ""
        found = f"the login is {login}" if login else "it bears no login"
        return (
            f"names the reviewer {reviewer} and {found}; model.require_login in the line file "
            "wants both the same"
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
