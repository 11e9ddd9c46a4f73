"""Decisions of people about versions: promote, reject, roll back. Each is signed, then carried out.

The record is written first, the champion's alias last: there is never a champion without a
sign-off, and what a crash leaves half done is finished by repeating the command.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pipeline.contracts.signoff import Act, GateVerdict, Signoff
from pipeline.errors import BundleError, RegistryError
from pipeline.registry.connection import translate_errors
from pipeline.registry.decisions.chain import Standing
from pipeline.registry.decisions.signoffs import SignoffLog, one_line
from pipeline.registry.decisions.verification import (
    RESTORE,
    check_bundle,
    promotion_obstacle,
    verify_gate,
)
from pipeline.registry.store import Registry
from pipeline.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    RECORD_TAG,
    SHA256_TAG,
    Version,
    find_version,
    numbers,
    promote_command,
    rollback_command,
)

log = logging.getLogger(__name__)

STATUS = {"promote": "approved", "reject": "rejected", "rollback": "approved"}


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

    def __init__(self, registry: Registry, recipe: str) -> None:
        """Read the sign-offs and versions as they stand.

        Raises:
            RegistryError: no such recipe is registered; those that are there are named.
            SignoffError: the sign-offs there are do not verify.
        """
        self._registry = registry
        self._recipe = recipe
        self._signoffs = SignoffLog(registry, recipe)
        # The chain first: a decision made after this is seen when this one is recorded.
        self._chain = self._signoffs.read()
        self._chain.check()
        self._versions = registry.versions(recipe)
        if not self._versions:
            registry.require(recipe)
        self._champion = next((v for v in self._versions if CHAMPION in v.aliases), None)

    def promote(self, number: int | str, reviewer: str, reason: str, override: str = "") -> Outcome:
        """Sign a version off: it becomes the champion, the former one is kept as `previous`.

        Before it is signed the bundle is downloaded and every hash verified, and the tags that hold
        the gate's result are compared with the run's evaluation.json. Promoting the champion itself
        changes nothing.

        Args:
            number: of the version, or an alias of it.
            reviewer: name of the responsible person.
            reason: for later readers.
            override: reason to promote regardless of a gate that is not passed, an evaluation.json
                that the run does not hold, or a rejection. Nothing overrides a file or tag that was
                changed.

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
        if standing.champion == chosen.version and self._chain.signed(chosen.version):
            if self._champion == chosen:
                return Outcome(
                    chosen, f"{chosen.name} is the champion already; nothing changed", None
                )
            if last and (last.version, last.reviewer) == (chosen.version, reviewer):
                return self._finish(last)
        found = verify_gate(self._registry, chosen)
        obstacle = promotion_obstacle(chosen, found, self._chain, self._current())
        if obstacle and not override:
            raise RegistryError(
                f"{chosen.name} cannot be promoted: {obstacle}; or promote it regardless with a "
                "reason of its own, which is recorded: --override TEXT"
            )
        self._check_bundle(chosen)
        record = self._sign(
            "promote",
            chosen,
            reviewer,
            reason,
            gate=found.gate,
            override=override if obstacle else "",
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
                f"{chosen.name} is the champion; withdraw it: {rollback_command(self._recipe)}"
            )
        if self._chain.standing.status.get(chosen.version) == "rejected":
            record = next(
                r
                for r in reversed(self._chain.records)
                if r.version == chosen.version and r.act == "reject"
            )
            mirrored = chosen.tags.get(RECORD_TAG) == record.name
            if not mirrored or {CHALLENGER, PREVIOUS} & {*chosen.aliases}:
                return self._finish(record)
            summary = f"{chosen.name} was rejected already by {record.reviewer}; nothing changed"
            return Outcome(chosen, summary, None)
        record = self._sign("reject", chosen, reviewer, reason)
        self._carry_out(record)
        return self._outcome(record, f"{chosen.name} is rejected")

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
        if standing.champion is None:  # promoted before there were sign-offs
            line = [
                v.version
                for v in self._versions
                if PREVIOUS in v.aliases and standing.status.get(v.version) != "rejected"
            ]
        before = [v for v in line if v != withdrawn and v in there]
        if not before:
            gone = [f"{self._recipe}/{v}" for v in line if v != withdrawn]
            deleted = f" ({', '.join(gone)} was deleted in MLflow)" if gone else ""
            raise RegistryError(
                f"{self._recipe} has no previous champion at {self._registry}{deleted}; promote "
                f"the version you want (there are: {numbers(self._versions) or 'none'}): "
                f"{promote_command(self._recipe, 'N')}"
            )
        target, verified = self._restorable([there[v] for v in before])
        if target.gate == "failed" and self._chain.signed(target.version) is None:
            raise RegistryError(
                f"{target.name} was the champion before, but nobody has signed it off and it "
                "failed the gate (somebody moved the alias by hand); promote the version you "
                f"want: {promote_command(self._recipe, 'N')}, with --override TEXT if it is "
                "this one"
            )
        record = self._sign("rollback", target, reviewer, reason, previous=withdrawn)
        self._carry_out(record)
        instead = f" instead of {self._recipe}/{record.previous}" if record.previous else ""
        return self._outcome(record, f"{target.name} is the champion again{instead}{verified}")

    def _check_bundle(self, chosen: Version) -> None:
        """Raise BundleError, with what helps, unless the version's bundle is whole."""
        try:
            check_bundle(self._registry, chosen, self._chain.signed(chosen.version))
        except BundleError as error:
            raise BundleError(
                f"{error}; it cannot be signed off, nor with an override: {RESTORE}, or delete "
                f"{chosen.name} in MLflow and register it again (dvc repro -s "
                f"register@{self._recipe})"
            ) from error

    def _restorable(self, before: list[Version]) -> tuple[Version, str]:
        """The latest champion before whose bundle is whole, and what was found of the others.

        An altered one is passed over: no station would run it, or worse, one would. Where the
        files cannot be had at this moment it is restored nevertheless, since a line that is stopped
        cannot wait, and stations verify what they fetch.
        """
        passed_over: list[str] = []
        for target in before:
            try:
                check_bundle(self._registry, target, self._chain.signed(target.version))
                verified = "; its bundle was verified"
            except BundleError as error:
                passed_over.append(str(error))
                continue
            except RegistryError as error:
                verified = f"; its bundle could not be verified ({error})"
            skipped = "".join(f"; passed over, find out who did this: {e}" for e in passed_over)
            return target, verified + skipped
        raise BundleError(
            f"{self._recipe} has no previous champion that is whole: {'; '.join(passed_over)}; "
            f"{RESTORE}, or promote another version (there are: {numbers(self._versions)}): "
            f"{promote_command(self._recipe, 'N')}"
        )

    def _current(self) -> int | None:
        """The champion by the sign-offs, else by the alias (promoted before there were any)."""
        signed = self._chain.standing.champion
        return self._champion.version if signed is None and self._champion else signed

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
        previous: int | None = None,
    ) -> Signoff:
        if previous is None and act != "reject":  # a rejection does not concern the champion
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
            previous=None if previous == version.version else previous,
        )

    def _finish(self, record: Signoff) -> Outcome:
        """Carry out a decision that was recorded and then cut off."""
        self._carry_out(record)
        act = "is the champion" if record.act != "reject" else "is rejected"
        return self._outcome(
            record,
            f"{self._recipe}/{record.version} {act}; this finishes what {record.reviewer} decided "
            f"at {record.at[:19]}Z and what was cut off then",
        )

    def _carry_out(self, record: Signoff) -> None:
        """Make MLflow's tags and aliases agree with a record; doing it twice changes nothing."""
        there = {v.version: v for v in self._versions}
        client, recipe = self._registry.client, self._recipe
        with translate_errors(self._registry.uri):
            self._mirror(record, record.version, STATUS[record.act])
            out = record.version if record.act == "reject" else None
            if record.act == "rollback" and record.previous in there:
                self._mirror(record, record.previous, "withdrawn")
                out = record.previous
            if record.act != "reject" or PREVIOUS in there[record.version].aliases:
                self._point(set(there))
            if out is not None and CHALLENGER in there[out].aliases:
                client.delete_registered_model_alias(recipe, CHALLENGER)
        self._keep_copy(record, there[record.version].run_id)

    def _point(self, there: set[int]) -> None:
        """Set the aliases to what the chain names, also where it grows at this moment."""
        client, recipe = self._registry.client, self._recipe
        standing: Standing | None = None
        while (now := self._signoffs.read().standing) != standing:
            standing = now
            before = next((v for v in standing.former if v in there), None)
            if before is not None:
                client.set_registered_model_alias(recipe, PREVIOUS, str(before))
            elif any(PREVIOUS in v.aliases for v in self._versions):
                client.delete_registered_model_alias(recipe, PREVIOUS)
            if standing.champion is not None:
                client.set_registered_model_alias(recipe, CHAMPION, str(standing.champion))

    def _mirror(self, record: Signoff, version: int | None, status: str) -> None:
        """Show the decision on the version's page in MLflow; nothing reads it back."""
        reason = record.reason
        if record.override_reason:
            reason += f" (override: {record.override_reason})"
        tags = {"by": record.reviewer, "at": record.at[:19] + "Z", "reason": reason}
        for key, value in (tags | {"status": status, "record": record.name}).items():
            self._registry.client.set_model_version_tag(
                self._recipe, str(version), f"review.{key}", value
            )

    def _keep_copy(self, record: Signoff, run_id: str) -> None:
        """The record as an artifact of the version's run: a copy, so its loss undoes nothing."""
        text = record.model_dump_json(indent=2) + "\n"
        try:
            with translate_errors(self._registry.uri):
                self._registry.client.log_text(run_id, text, f"signoff/{record.seq:04d}.json")
        except RegistryError as error:
            log.warning("the decision stands, but its copy among the run's files: %s", error)

    def _outcome(self, record: Signoff, summary: str) -> Outcome:
        return Outcome(self._registry.version(self._recipe, record.version), summary, record)
