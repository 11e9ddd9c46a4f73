"""Which version a line wants: the one that an alias points to, or the one that was signed off.

With `require_signoff` the sign-offs name the champion, not the alias, which anybody may move and
which a command that was interrupted leaves behind. The only place that decides so; nothing is
downloaded here.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from pipeline.contracts.signoff import Signoff
from pipeline.errors import ModelWithdrawn, NoChampion, RegistryUnreachable
from pipeline.registry.decisions.chain import REVOKED, Chain
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.decisions.trust import Trust
from pipeline.registry.store import Registry
from pipeline.registry.versions import (
    CHAMPION,
    Version,
    numbers,
    promote_command,
    rollback_command,
)

REASON_LENGTH = 200  # of a withdrawal's in the record of each part


@dataclass(frozen=True)
class Resolved:
    """The version that a line wants.

    Attributes:
        version: which.
        approval: the verified record that made it the champion; None where none is required.
        warning: what is inconsistent though it may run, "" for nothing.
    """

    version: Version
    approval: Signoff | None = None
    warning: str = ""

    @property
    def signed_by(self) -> str:
        """Who signed the version off, "" where nobody did; a verified record goes first."""
        return self.version.signed_by if self.approval is None else self.approval.reviewer


class Resolution:
    """One look at the registry: which version a line wants, and whether one it has may stay."""

    def __init__(
        self,
        registry: Registry,
        recipe: str,
        alias: str = CHAMPION,
        *,
        require_signoff: bool = False,
        trust: Trust | None = None,
    ) -> None:
        """Take what the line asks for; nothing is read yet.

        Args:
            registry: where its versions are.
            recipe: name of the registered model.
            alias: which version, where no sign-off is required.
            require_signoff: the champion by the sign-offs, whatever the alias points to.
            trust: what the sign-offs must show then, besides a chain that verifies.
        """
        self._registry = registry
        self._recipe = recipe
        self._alias = alias
        self._require_signoff = require_signoff
        self._trust = trust or Trust()
        self._chain: Chain | None = None

    def resolve(self) -> Resolved:
        """Find the version.

        Raises:
            NoChampion: no version bears the alias, or the one signed off was deleted; the message
                holds the command that helps.
            RegistryUnreachable: the registry is away.
            ModelWithdrawn: the champion was withdrawn and no version promoted since; only where a
                sign-off is required.
            SignoffError: the sign-offs do not verify, or name another version than the alias and
                none as the champion.
        """
        if not self._require_signoff:
            return Resolved(self._aliased(self._alias))
        self._chain = self._trust.restricted(SignoffLog(self._registry, self._recipe).read())
        return self._signed_off(self._chain)

    def revocation(self, version: Version, since: int = 0) -> str:
        """Why a version that the line has kept may not stay in place of the one it wants.

        Where sign-offs are required those that `resolve` has read decide, also where they do not
        verify (`Chain.revocation`); otherwise they are read now and only ones that verify count.

        Args:
            version: what was kept.
            since: `seq` of the sign-off that was kept with it.

        Returns:
            "withdrawn" or "rejected", with its record where sign-offs are required; empty where it
            may stay, also where the registry is away.
        """
        if self._require_signoff:
            return "" if self._chain is None else self._chain.revocation(version.version, since)
        try:
            chain = SignoffLog(self._registry, self._recipe).read()
        except RegistryUnreachable:
            return ""
        status = chain.standing.status.get(version.version, "")
        return status if status in REVOKED and not chain.faults else ""

    def _signed_off(self, chain: Chain) -> Resolved:
        """The version that the sign-offs name as the champion, and the record that made it so."""
        chain.check()
        if chain.last is not None:
            self._trust.on_verified(chain.last)
        signed = chain.standing.champion
        if (withdrawal := chain.standing.withdrawal) is not None:
            raise _withdrawn(withdrawal)
        if signed is None:
            # The alias points to no version, or was set without a sign-off: each has its message.
            aliased = self._aliased(CHAMPION)
            return Resolved(aliased, chain.approval(aliased))  # raises: nobody has signed it off
        versions = self._registry.versions(self._recipe)
        bearer = next((v for v in versions if CHAMPION in v.aliases), None)
        disagreement = chain.alias_disagreement(bearer, {v.version for v in versions})
        for version in versions:
            if version.version == signed:
                approval = chain.approval(version)
                self._trust.check_login(approval)
                return Resolved(version, approval, disagreement)
        raise NoChampion(disagreement)

    def _aliased(self, alias: str) -> Version:
        """The version that the alias points to."""
        recipe, versions = self._recipe, self._registry.versions(self._recipe)
        for version in versions:
            if alias in version.aliases:
                return version
        if not versions:
            remedy = f"register one first: make repro (conf/recipes.yaml must list {recipe})"
        elif alias == CHAMPION:
            remedy = self._lost_champion(versions) or (
                "sign one off: " + promote_command(recipe, versions[-1].version)
            )
        else:
            remedy = f"versions there: {numbers(versions)}"
        raise NoChampion(
            f'recipe {recipe} has no version with alias "{alias}" at {self._registry}; {remedy}'
        )

    def _lost_champion(self, versions: list[Version]) -> str:
        """What to do where a version was promoted and the alias is gone; empty where none was."""
        recipe = self._recipe
        standing = SignoffLog(self._registry, recipe).read().standing
        if standing.withdrawal is not None:
            return str(_withdrawn(standing.withdrawal))
        lost = standing.champion
        if lost is None:
            return ""
        exists = lost in {v.version for v in versions}
        what = "has lost the alias" if exists else "was deleted in MLflow"
        return (
            f"{recipe}/{lost}, which was signed off, {what}; go back to the champion before "
            f"({rollback_command(recipe)}) or sign one off: "
            + promote_command(recipe, lost if exists else "N")
        )


def _withdrawn(record: Signoff) -> ModelWithdrawn:
    reason = (
        f"{record.recipe}/{record.version} was withdrawn by {record.reviewer} "
        f"({record.at[:19]}Z, record {record.name}): {record.reason}"
    )
    remedy = f"to inspect again promote a version: {promote_command(record.recipe, 'N')}"
    return ModelWithdrawn(f"{reason}; {remedy}", textwrap.shorten(reason, REASON_LENGTH))


def resolve(
    registry: Registry, recipe: str, alias: str = CHAMPION, *, require_signoff: bool = False
) -> Resolved:
    """The version that a line wants now; arguments and errors as of `Resolution`."""
    return Resolution(registry, recipe, alias, require_signoff=require_signoff).resolve()
