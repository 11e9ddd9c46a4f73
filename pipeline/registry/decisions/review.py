"""Decisions of people about versions: promote, reject, withdraw, roll back.

Each is signed, then carried out. The record is written first, the champion's alias last: there is
never a champion without a sign-off, and what a crash leaves half done is finished by repeating the
command.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.contracts.signoff import Act, GateVerdict, Signoff
from pipeline.errors import RegistryError
from pipeline.registry.decisions.execution import carry_out, is_carried_out
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.decisions.signoffs import SignoffLog, one_line
from pipeline.registry.decisions.trust import adds_proof
from pipeline.registry.decisions.verification import (
    check_accepted,
    check_signable,
    promotion_obstacle,
    restorable,
    verify_gate,
)
from pipeline.registry.store import Registry
from pipeline.registry.versions import (
    CHAMPION,
    PREVIOUS,
    SHA256_TAG,
    Version,
    find_version,
    numbers,
    promote_command,
    rollback_command,
    withdraw_command,
)


@dataclass(frozen=True)
class Outcome:
    """What a decision has changed.

    Attributes:
        version: what it was about; after a rollback the version restored.
        summary: a sentence for people.
        record: the sign-off, None where nothing had to be decided.
    """

    version: Version
    summary: str
    record: Signoff | None


class Review:
    """The decisions about one recipe."""

    def __init__(self, registry: Registry, recipe: str, key: SigningKey | None = None) -> None:
        """Read the sign-offs and versions as they stand; a key signs what is decided.

        Raises:
            RegistryError: no such recipe is registered; those that are there are named.
            SignoffError: the sign-offs there are do not verify.
        """
        self._registry = registry
        self._recipe = recipe
        self._key = key
        self._signoffs = SignoffLog(registry, recipe, key)
        # The chain first: a decision made after this is seen when this one is recorded.
        self._chain = self._signoffs.read()
        self._chain.check()
        self._versions = registry.versions(recipe)
        if not self._versions:
            registry.require(recipe)
        self._champion = next((v for v in self._versions if CHAMPION in v.aliases), None)

    def promote(
        self,
        number: int | str,
        reviewer: str,
        reason: str,
        override: str = "",
        accepted: Collection[str] = (),
    ) -> Outcome:
        """Sign a version off: it becomes the champion, the former one is kept as `previous`.

        Before it is signed the bundle is downloaded and every hash verified, and the tags that hold
        the gate's result are compared with the run's evaluation.json. Promoting the champion itself
        changes nothing, unless it adds a signature or a login.

        Args:
            number: of the version, or an alias of it.
            reviewer: name of the responsible person.
            reason: for later readers.
            override: reason to promote regardless of a gate that is not passed, an evaluation.json
                that the run does not hold, or a rejection. Nothing overrides a file or tag that was
                changed.
            accepted: the checks of the gate that are not proven, by name; an override is none.

        Raises:
            RegistryError: an unknown version, a gate that is not passed, no reviewer or reason; or
                a tag that differs from evaluation.json.
            BundleError: a file of the bundle was altered, is missing or was added.
            SignoffError: the sign-offs do not verify, or another person decided at the same moment.
            RegistryForbidden: this user may not decide.
        """
        reviewer, reason, override = one_line(reviewer, reason, override)
        chosen = self._one(number)
        if not chosen.bundle_sha256:
            raise RegistryError(
                f"{chosen.name} was not registered by Lineside (it has no tag {SHA256_TAG}); no "
                "station would run it, so it cannot become the champion"
            )
        standing, last = self._chain.standing, self._chain.last
        approval = self._chain.signed(chosen.version)
        proves_more = approval and adds_proof(approval, reviewer, self._registry.login, self._key)
        if standing.champion == chosen.version and approval and not proves_more:
            if self._champion == chosen:
                return Outcome(
                    chosen, f"{chosen.name} is the champion already; nothing changed", None
                )
            if last and (last.version, last.reviewer) == (chosen.version, reviewer):
                return self._finish(last)
        found = verify_gate(self._registry, chosen)
        taken = check_accepted(chosen, found, accepted)
        obstacle = promotion_obstacle(chosen, found, self._chain, self._current())
        if obstacle and not override:
            raise RegistryError(
                f"{chosen.name} cannot be promoted: {obstacle}; or promote it regardless with a "
                "reason of its own, which is recorded: --override TEXT"
            )
        check_signable(self._registry, chosen, self._chain.signed(chosen.version))
        record = self._sign(
            "promote",
            chosen,
            reviewer,
            reason,
            gate=found.gate,
            override=override if obstacle else "",
            accepted=taken,
        )
        former = next((v for v in self._versions if v.version == record.previous), None)
        kept = f"; {former.name} is kept as previous" if former else ""
        needless = " (no override was needed)" if override and not obstacle else ""
        self._carry_out(record)
        return self._outcome(record, f"{chosen.name} is now the champion{kept}{needless}")

    def reject(self, number: int | str, reviewer: str, reason: str) -> Outcome:
        """Reject a version: it stops being the challenger, and a promotion needs an override.

        Raises:
            RegistryError: an unknown version or the champion, or no reviewer or reason given.
            SignoffError, RegistryForbidden: as `promote`.
        """
        reviewer, reason, _ = one_line(reviewer, reason)
        chosen = self._one(number)
        if CHAMPION in chosen.aliases or self._chain.standing.champion == chosen.version:
            raise RegistryError(
                f"{chosen.name} is the champion; withdraw it: "
                f"{withdraw_command(self._recipe, chosen.version)} (stations with require_signoff "
                "then inspect nothing until a version is promoted), or go back to the champion "
                f"before: {rollback_command(self._recipe)}"
            )
        if self._chain.standing.status.get(chosen.version) == "rejected":
            record = next(
                r
                for r in reversed(self._chain.records)
                if r.version == chosen.version and r.act == "reject"
            )
            if not is_carried_out(record, chosen):
                return self._finish(record)
            summary = f"{chosen.name} was rejected already by {record.reviewer}; nothing changed"
            return Outcome(chosen, summary, None)
        record = self._sign("reject", chosen, reviewer, reason)
        self._carry_out(record)
        return self._outcome(record, f"{chosen.name} is rejected")

    def withdraw(self, number: int | str, reviewer: str, reason: str) -> Outcome:
        """Take the champion back without another in its place.

        Stations with `require_signoff` then inspect nothing until a version is promoted, or rolled
        back to. It needs no gate and works also where the champion's version was deleted in MLflow.

        Args:
            number: of the champion, or its alias.
            reviewer: name of the responsible person.
            reason: for later readers, and for the records of the parts that are not inspected.

        Raises:
            RegistryError: an unknown version, or one that is not the champion; or no reviewer or
                reason given.
            SignoffError, RegistryForbidden: as `promote`.
        """
        reviewer, reason, _ = one_line(reviewer, reason)
        standing = self._chain.standing
        done, current = standing.withdrawal, self._current()
        again = done is not None and str(number) in (CHAMPION, str(done.version))
        if done and again and adds_proof(done, reviewer, self._registry.login, self._key):
            current = done.version
        elif done and again:
            bearer = self._champion is not None
            chosen = next((v for v in self._versions if v.version == done.version), None)
            if bearer or (chosen is not None and not is_carried_out(done, chosen)):
                return self._finish(done)
            summary = f"{self._recipe}/{done.version} was withdrawn already by {done.reviewer}"
            return Outcome(self._decided(done), f"{summary}; nothing changed", None)
        deleted = current not in {v.version for v in self._versions}
        if current is not None and deleted and str(number) in (CHAMPION, str(current)):
            signed = self._chain.signed(current)
            sha256 = "" if signed is None else signed.bundle_sha256
            chosen = Version(self._recipe, current, sha256, run_id="")
        else:
            chosen = self._one(number)
        if chosen.version != current:
            champion = f"the champion is {self._recipe}/{current}"
            raise RegistryError(
                f"{chosen.name} is not the champion ({champion if current else 'there is none'}), "
                "so no station needs it withdrawn; to keep it from being promoted: lineside models "
                f"reject {self._recipe} --version {chosen.version} --reviewer NAME --reason TEXT"
            )
        record = self._sign("withdraw", chosen, reviewer, reason)
        self._carry_out(record)
        return self._outcome(
            record,
            f"{chosen.name} is withdrawn, so no version is signed off: stations with "
            "require_signoff inspect nothing until a version is promoted, others go on until they "
            "start again",
        )

    def rollback(self, reviewer: str, reason: str) -> Outcome:
        """Return to the champion before; the withdrawn one is never restored by this.

        Doing it twice goes one further back. It needs no gate, since it must work in an emergency,
        also when the champion's version was deleted in MLflow. A champion whose bundle was altered
        is passed over for the one before; where a bundle cannot be downloaded at this moment it is
        restored unverified. The outcome's summary reports what was done.

        Raises:
            RegistryError: there is no previous champion, or no reviewer or reason given.
            BundleError: the bundles of all previous champions were altered.
            SignoffError, RegistryForbidden: as `promote`.
        """
        reviewer, reason, _ = one_line(reviewer, reason)
        there = {v.version: v for v in self._versions}
        standing, last = self._chain.standing, self._chain.last
        now = self._champion.version if self._champion else None
        cut_off = last and last.act == "rollback" and now in (None, last.previous)
        if last and cut_off and last.version in there:
            return self._finish(last)
        # An alias that lags behind its promotion, or was moved by hand to a version that nobody
        # has signed off, must not lead the way back.
        lost = now is None or now in standing.former
        withdrawn = standing.champion if lost else now
        signed = [] if standing.champion is None else [standing.champion]
        line = [*signed, *standing.former]
        # Promoted before there were sign-offs.
        if standing.champion is None and standing.withdrawal is None:
            line = [
                v.version
                for v in self._versions
                if PREVIOUS in v.aliases and standing.status.get(v.version) != "rejected"
            ]
        before = [v for v in line if v != withdrawn and v in there]
        if not before:
            gone = [f"{self._recipe}/{v}" for v in line if v != withdrawn]
            deleted = f" ({', '.join(gone)} was deleted in MLflow)" if gone else ""
            none = "" if withdrawn is None else withdraw_command(self._recipe, withdrawn)
            raise RegistryError(
                f"{self._recipe} has no previous champion at {self._registry}{deleted}; promote "
                f"the version you want (there are: {numbers(self._versions) or 'none'}): "
                f"{promote_command(self._recipe, 'N')}"
                + (none and f"; or withdraw the champion without another: {none}")
            )
        target, verified = restorable(
            self._registry, self._chain, [there[v] for v in before], self._versions
        )
        if target.gate in ("failed", "not proven") and self._chain.signed(target.version) is None:
            raise RegistryError(
                f"{target.name} was the champion before, but nobody has signed it off and its "
                f"gate is {target.gate} (somebody moved the alias by hand); promote the version "
                f"you want: {promote_command(self._recipe, 'N')}"
            )
        record = self._sign("rollback", target, reviewer, reason, previous=withdrawn)
        self._carry_out(record)
        instead = f" instead of {self._recipe}/{record.previous}" if record.previous else ""
        return self._outcome(record, f"{target.name} is the champion again{instead}{verified}")

    def _current(self) -> int | None:
        """The champion by the sign-offs, else by the alias (promoted before there were any)."""
        standing = self._chain.standing
        if standing.champion is None and standing.withdrawal is None and self._champion:
            return self._champion.version
        return standing.champion

    def _one(self, number: int | str) -> Version:
        return find_version(self._versions, self._recipe, number, str(self._registry))

    def _sign(
        self,
        act: Act,
        version: Version,
        reviewer: str,
        reason: str,
        *,
        gate: GateVerdict | None = None,
        override: str = "",
        accepted: tuple[str, ...] = (),
        previous: int | None = None,
    ) -> Signoff:
        if previous is None and act in ("promote", "rollback"):
            previous = self._current()
        return self._signoffs.append(
            self._chain,
            act=act,
            version=version.version,
            bundle_sha256=version.bundle_sha256,
            reviewer=reviewer,
            reason=reason,
            gate=gate or version.gate,
            override_reason=override,
            accepted=accepted,
            previous=None if previous == version.version else previous,
        )

    def _finish(self, record: Signoff) -> Outcome:
        """Carry out a decision that was recorded and then cut off."""
        self._carry_out(record)
        act = {"reject": "is rejected", "withdraw": "is withdrawn"}.get(
            record.act, "is the champion"
        )
        return self._outcome(
            record,
            f"{self._recipe}/{record.version} {act}; this finishes what {record.reviewer} decided "
            f"at {record.at[:19]}Z and what was cut off then",
        )

    def _carry_out(self, record: Signoff) -> None:
        carry_out(self._registry, self._signoffs, record, self._versions)

    def _outcome(self, record: Signoff, summary: str) -> Outcome:
        return Outcome(self._decided(record), summary, record)

    def _decided(self, record: Signoff) -> Version:
        """The version of a record as it is now; one that was deleted in MLflow as it was signed."""
        found = self._registry.versions(self._recipe)
        gone = Version(self._recipe, record.version, record.bundle_sha256, run_id="")
        return next((v for v in found if v.version == record.version), gone)
