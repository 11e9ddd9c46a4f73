"""Decisions of people about versions: promote, reject, roll back. Each is signed, then carried out.

The record comes first, the champion's alias last: there is never a champion without a sign-off,
and what a crash leaves half done is finished by repeating the command.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.contracts.signoff import Act, GateVerdict, Signoff
from pipeline.errors import BundleError, RegistryError, printable
from pipeline.registry.alias import promote_command, rollback_command
from pipeline.registry.chain import Standing
from pipeline.registry.connection import spoken
from pipeline.registry.verification import RESTORE, check_bundle, judgement, obstacle_of
from pipeline.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    RECORD_TAG,
    SHA256_TAG,
    Version,
    numbers,
    one_of,
)

if TYPE_CHECKING:
    from pipeline.registry.store import Registry

log = logging.getLogger(__name__)

STATUS = {"promote": "approved", "reject": "rejected", "rollback": "approved"}


@dataclass(frozen=True)
class Outcome:
    """What a decision has changed.

    Attributes:
        version: what it was about; after a rollback the version restored.
        said: a sentence for people.
        record: the sign-off, None where nothing had to be decided.
    """

    version: Version
    said: str
    record: Signoff | None


class Review:
    """The decisions about one recipe."""

    def __init__(self, registry: Registry, recipe: str) -> None:
        """Read how things stand.

        Raises:
            RegistryError: no such recipe is registered; those that are there are named.
            SignoffError: the sign-offs there are do not verify.
        """
        self._registry = registry
        self._recipe = recipe
        self._book = registry.signoffs(recipe)
        # The chain first: a decision made after this is seen when this one is recorded.
        self._chain = self._book.read()
        self._chain.check()
        self._versions = registry.versions(recipe)
        if not self._versions:
            registry.require(recipe)
        self._champion = next((v for v in self._versions if CHAMPION in v.aliases), None)

    def promote(self, number: int | str, reviewer: str, reason: str, override: str) -> Outcome:
        """Make a version the champion; see `Registry.promote`."""
        reviewer, reason, override = _signed(reviewer, reason, override)
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
        found = judgement(self._registry, chosen)
        obstacle = obstacle_of(chosen, found, self._chain, self._now())
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
        """Refuse a version; see `Registry.reject`."""
        reviewer, reason, _ = _signed(reviewer, reason)
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
            told = chosen.tags.get(RECORD_TAG) == record.name
            if not told or {CHALLENGER, PREVIOUS} & {*chosen.aliases}:
                return self._finish(record)
            said = f"{chosen.name} was rejected already by {record.reviewer}; nothing changed"
            return Outcome(chosen, said, None)
        record = self._sign("reject", chosen, reviewer, reason)
        self._carry_out(record)
        return self._outcome(record, f"{chosen.name} is rejected")

    def rollback(self, reviewer: str, reason: str) -> Outcome:
        """Return to the champion before; see `Registry.rollback`."""
        reviewer, reason, _ = _signed(reviewer, reason)
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
        target, told = self._restorable([there[v] for v in before])
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
        return self._outcome(record, f"{target.name} is the champion again{instead}{told}")

    def _check_bundle(self, chosen: Version) -> None:
        """Raise BundleError, with what helps, unless the version's bundle is whole."""
        try:
            check_bundle(self._registry, chosen, self._chain.signed(chosen.version))
        except BundleError as error:
            raise BundleError(
                f"{error}; it cannot be signed off, nor with an override: {RESTORE}, or delete "
                f"{chosen.name} in MLflow and register it anew (dvc repro -s "
                f"register@{self._recipe})"
            ) from error

    def _restorable(self, before: list[Version]) -> tuple[Version, str]:
        """Of the champions before, the latest whose bundle is whole, and what was seen of others.

        An altered one is passed over: no station would run it, or worse, one would. Where the
        files cannot be had at this moment it is restored nevertheless, since a line that stands
        cannot wait, and stations verify what they fetch.
        """
        passed_over: list[str] = []
        for target in before:
            try:
                check_bundle(self._registry, target, self._chain.signed(target.version))
                said = "; its bundle was verified"
            except BundleError as error:
                passed_over.append(str(error))
                continue
            except RegistryError as error:
                said = f"; its bundle could not be verified ({error})"
            skipped = "".join(f"; passed over, find out who did this: {e}" for e in passed_over)
            return target, said + skipped
        raise BundleError(
            f"{self._recipe} has no previous champion that is whole: {'; '.join(passed_over)}; "
            f"{RESTORE}, or promote another version (there are: {numbers(self._versions)}): "
            f"{promote_command(self._recipe, 'N')}"
        )

    def _now(self) -> int | None:
        """Who is champion: by the sign-offs, else (promoted before there were) by the alias."""
        signed = self._chain.standing.champion
        return self._champion.version if signed is None and self._champion else signed

    def _one(self, number: int | str) -> Version:
        return one_of(self._versions, self._recipe, number, str(self._registry))

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
        if previous is None and act != "reject":  # to reject one says nothing of the champion
            previous = self._now()
        return self._book.append(
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
        with spoken(self._registry.uri):
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
        """Have the aliases say what the chain says, also where it grows at this moment."""
        client, recipe = self._registry.client, self._recipe
        standing: Standing | None = None
        while (now := self._book.read().standing) != standing:
            standing = now
            before = next((v for v in standing.former if v in there), None)
            if before is not None:
                client.set_registered_model_alias(recipe, PREVIOUS, str(before))
            elif any(PREVIOUS in v.aliases for v in self._versions):
                client.delete_registered_model_alias(recipe, PREVIOUS)
            if standing.champion is not None:
                client.set_registered_model_alias(recipe, CHAMPION, str(standing.champion))

    def _mirror(self, record: Signoff, version: int | None, status: str) -> None:
        """Tell people who look at the version's page in MLflow; nothing reads it back."""
        reason = record.reason
        if record.override_reason:
            reason += f" (override: {record.override_reason})"
        said = {"by": record.reviewer, "at": record.at[:19] + "Z", "reason": reason}
        for key, value in (said | {"status": status, "record": record.name}).items():
            self._registry.client.set_model_version_tag(
                self._recipe, str(version), f"review.{key}", value
            )

    def _keep_copy(self, record: Signoff, run_id: str) -> None:
        """The record as an artifact of the version's run: a copy, so its loss undoes nothing."""
        text = record.model_dump_json(indent=2) + "\n"
        try:
            with spoken(self._registry.uri):
                self._registry.client.log_text(run_id, text, f"signoff/{record.seq:04d}.json")
        except RegistryError as error:
            log.warning("the decision stands, but its copy among the run's files: %s", error)

    def _outcome(self, record: Signoff, said: str) -> Outcome:
        return Outcome(self._registry.version(self._recipe, record.version), said, record)


def _signed(reviewer: str, reason: str, override: str = "") -> tuple[str, str, str]:
    """Texts on one line each, without control characters."""
    name, why, regardless = (printable(" ".join(t.split())) for t in (reviewer, reason, override))
    for what, value in (("reviewer", name), ("reason", why)):
        if not value:
            raise RegistryError(
                f"the {what} is empty; a model goes to the line only with a name and a reason: "
                "--reviewer NAME --reason TEXT"
            )
    return name, why, regardless
