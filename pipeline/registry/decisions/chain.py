"""A recipe's sign-offs in the registry: verified, and the champion derived from them.

Records are tags of the registered model, since a version's tags are deleted with the version. Each
is `signoff.<seq>.<hash>`; `signoff.head` names the last that took effect, and each record its
parent. A record beside or beyond that line is a decision in progress, interrupted or lost against
another: it has no effect.

MLflow's alias `champion` has no effect either: it is what MLflow's pages and stations without
`require_signoff` look at. Where the two differ, `Chain.alias_disagreement` names the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from pipeline.contracts.signoff import Signoff
from pipeline.errors import SignoffError
from pipeline.registry.versions import (
    Version,
    promote_command,
    rollback_command,
    withdraw_command,
)

PREFIX = "signoff."
HEAD = "signoff.head"
REVOKED = ("withdrawn", "rejected")
KEY = re.compile(r"signoff\.(\d{4,})\.[0-9a-f]{8}")


@dataclass(frozen=True)
class Standing:
    """What the records amount to.

    Attributes:
        champion: number of the champion, None where no version was promoted, or it was withdrawn.
        former: the champions before, the latest first, without those withdrawn or rejected.
        status: version number to approved, rejected or withdrawn; the others are pending.
        withdrawal: the record that withdrew the champion, until there is another; else None.
    """

    champion: int | None = None
    former: tuple[int, ...] = ()
    status: Mapping[int, str] = field(default_factory=dict)
    withdrawal: Signoff | None = None


@dataclass(frozen=True)
class Chain:
    """The sign-offs of a recipe.

    Attributes:
        recipe: name of the registered model.
        records: those that took effect, first to last.
        pending: decisions in progress or interrupted, beyond the head.
        lost: decisions beside those that took effect, interrupted or overtaken.
        faults: what does not verify, each naming its record; empty when all verify.
        intact: every record that bears its own hash, wherever it stands, by place.
    """

    recipe: str
    records: tuple[Signoff, ...] = ()
    pending: tuple[Signoff, ...] = ()
    lost: tuple[Signoff, ...] = ()
    faults: tuple[str, ...] = ()
    intact: tuple[Signoff, ...] = ()

    @property
    def last(self) -> Signoff | None:
        """The record at the head."""
        return self.records[-1] if self.records else None

    def signed(self, version: int) -> Signoff | None:
        """The last record that made a version the champion, None where there is none."""
        return next(
            (r for r in reversed(self.records) if r.version == version and r.makes_champion),
            None,
        )

    @property
    def standing(self) -> Standing:
        """The champion, the champions before, and each version's last decision."""
        return _standing(self.records)

    def revocation(self, version: int, since: int = 0) -> str:
        """How a version was revoked, also where the chain does not verify; empty: it was not.

        Where it does, its standing decides. Where it does not, the longest line of records that
        verifies from the first on decides, as does each record beside or beyond it that is intact
        and later than `since`: it cannot be known any more whether such a record took effect, and a
        station does better without a model than with one that was rejected.

        Args:
            version: its number.
            since: `seq` of the sign-off that the station has kept of it, verified when it was kept.

        Returns:
            "withdrawn (record 0003.1a2b3c4d)" or "rejected (...)".
        """
        line = self.records if not self.faults else _longest(self.intact, self.records)
        status = _standing(line).status.get(version, "")
        last = [r for r in line if version in (r.version, r.previous) and _revokes(r, version)]
        if status in REVOKED and last:
            return f"{status} (record {last[-1].name})"
        beside = [r for r in self.intact if r not in line and r.seq > since] if self.faults else []
        return next(
            (f"{how} (record {r.name})" for r in beside if (how := _revokes(r, version))), ""
        )

    def alias_disagreement(
        self, aliased: Version | None, existing: Collection[int] | None = None
    ) -> str:
        """How MLflow's alias differs from the sign-offs, with the remedy; empty where they agree.

        Args:
            aliased: the version that bears the alias champion, None where it is gone.
            existing: the numbers of the versions in MLflow; None: as if none was ever deleted.
        """
        standing = self.standing
        signed = standing.champion
        if signed == (aliased.version if aliased else None):
            return ""
        if standing.withdrawal is not None and aliased is not None:
            withdrawn = standing.withdrawal.version
            return (
                f"{aliased.name} bears the alias champion and {self.recipe}/{withdrawn} was "
                "withdrawn, so that no version is signed off: the command was cut off, or somebody "
                f"moved the alias; repeat it: {withdraw_command(self.recipe, withdrawn)}"
            )
        if signed is None and aliased is not None:
            return (
                f"{aliased.name} bears the alias champion without a sign-off (promoted by an older "
                f"Lineside, or by hand): {self._last_decision(aliased.version)}; sign it off: "
                f"{promote_command(self.recipe, aliased.version)}"
            )
        name = f"{self.recipe}/{signed}"
        if existing is not None and signed not in existing:
            return (
                f"{name}, which was signed off, was deleted in MLflow; go back: "
                f"{rollback_command(self.recipe)}"
            )
        points = "is gone"
        if aliased is not None:
            points = f"points to {aliased.name} ({self._last_decision(aliased.version)})"
        repeat = promote_command(self.recipe, signed or 0)
        if self.last and self.last.act == "rollback":
            repeat = rollback_command(self.recipe)
        return (
            f"{name} was signed off and the alias champion {points}: the command was cut off, or "
            f"somebody moved the alias; repeat what was signed off last: {repeat}"
        )

    def check(self) -> None:
        """Raise SignoffError, naming each record at fault, unless the whole chain verifies."""
        if self.faults:
            raise SignoffError(
                f"the sign-offs of {self.recipe} do not verify: {'; '.join(self.faults)}; find out "
                f"who changed them (lineside models history {self.recipe}) and restore MLflow's "
                "tags from a backup"
            )

    def approval(self, version: Version) -> Signoff:
        """The record that made a version the champion, for what it holds now.

        Raises:
            SignoffError: the chain does not verify, it names another champion, or the version
                holds another bundle than the one that was signed off.
        """
        self.check()
        record = self.signed(version.version)
        if record is None or self.standing.champion != version.version:
            why = self.alias_disagreement(version) or f"nobody has signed {version.name} off"
            raise SignoffError(f"{why}; see lineside models history {self.recipe}")
        if record.bundle_sha256 != version.bundle_sha256:
            raise SignoffError(
                f"{version.name} was signed off as bundle {record.bundle_sha256[:12]} (record "
                f"{record.name}), and its tag is now {version.bundle_sha256[:12] or 'nothing'}; "
                "somebody changed the version: register the bundle again and sign that off"
            )
        return record

    def _last_decision(self, version: int) -> str:
        decided = self.standing.status.get(version)
        return "nobody has signed it off" if decided is None else f"it was {decided}"


def read_chain(recipe: str, tags: Mapping[str, str], carried_out: Collection[str] = ()) -> Chain:
    """Verify the records among a registered model's tags.

    From the head back to the first each must be there, bear its own hash and name the record before
    as its parent.

    Args:
        recipe: whose tags they are.
        tags: those of the registered model.
        carried_out: the names of records that the versions' tags speak of. They took effect, so
            none of them may lie beside the line: that is how a head that was set back is noticed.
    """
    found: dict[int, list[Signoff]] = {}
    faults: list[str] = []
    intact: list[Signoff] = []
    for key, value in sorted(tags.items()):
        if (matched := KEY.fullmatch(key)) is None:
            continue
        try:
            record = Signoff.model_validate_json(value)
        except ValidationError:
            faults.append(f"record {key.removeprefix(PREFIX)} cannot be read")
            found.setdefault(int(matched[1]), [])
            continue
        found.setdefault(record.seq, []).append(record)
        if key != PREFIX + record.name or record.sha256 != record.expected_sha256:
            faults.append(f"record {key.removeprefix(PREFIX)} was altered")
        elif record.recipe != recipe:
            faults.append(
                f"record {record.name} is of another recipe, {record.recipe} (if the registered "
                f"model {record.recipe} was renamed to {recipe} in MLflow, rename it back)"
            )
        else:
            intact.append(record)
    head = tags.get(HEAD, "")
    length = int(head[:-9]) if re.fullmatch(r"\d{4,}\.[0-9a-f]{8}", head) else 0
    if head and not length:
        faults.append(f"the tag {HEAD} was altered")
    elif not head and any(seq > 1 for seq in found):
        faults.append(f"the tag {HEAD}, which names the last record, is missing")
    records = _walk(found, min(length, max(found, default=0) + 1), head, faults)
    parents = {r.seq: r.parent for r in records}
    parents[length + 1] = records[-1].sha256 if records else ""
    beside = [r for r in intact if r not in records]
    for left in beside:
        if left.name in carried_out:
            faults.append(f"record {left.name} took effect, but the tag {HEAD} was set back")
        elif (head or left.seq == 1) and left.parent != parents.get(left.seq):
            faults.append(f"record {left.name} follows none that is there")
    return Chain(
        recipe,
        tuple(records),
        pending=tuple(r for r in beside if r.seq == length + 1 and r.parent == parents[r.seq]),
        lost=tuple(r for r in beside if r.seq <= length),
        faults=tuple(faults),
        intact=tuple(sorted(intact, key=lambda r: r.seq)),
    )


def _standing(records: Collection[Signoff]) -> Standing:
    """What the records amount to, first to last."""
    line: list[int] = []
    status: dict[int, str] = {}
    withdrawal: Signoff | None = None
    for record in records:
        version = record.version
        if record.act == "withdraw":
            line = [v for v in line if v != version]
            status[version] = "withdrawn"
            withdrawal = record
            continue
        if record.act == "reject":
            line = [v for v in line if v != version]
            status[version] = "rejected"
            continue
        withdrawal = None
        if record.previous is not None and not line:
            line.append(record.previous)  # promoted before there were sign-offs
        if record.act == "rollback":
            if record.previous is not None:
                status[record.previous] = "withdrawn"
            line = line[: line.index(version)] if version in line else []
        line = [*(v for v in line if v != version), version]
        status[version] = "approved"
    champion = line.pop() if line and withdrawal is None else None
    former = tuple(v for v in reversed(line) if status.get(v, "approved") == "approved")
    return Standing(champion, former, status, withdrawal)


def _revokes(record: Signoff, version: int) -> str:
    """How a record revokes a version; empty where it does not."""
    if record.version == version and record.act in ("reject", "withdraw"):
        return "rejected" if record.act == "reject" else "withdrawn"
    return "withdrawn" if record.act == "rollback" and record.previous == version else ""


def _longest(intact: Collection[Signoff], walked: Collection[Signoff]) -> tuple[Signoff, ...]:
    """The longest line of records from the first on, each the parent of the next.

    Of lines of one length that which the head leads to.
    """
    lines: dict[str, tuple[Signoff, ...]] = {"": ()}
    for record in intact:  # by place, so a parent comes before
        before = lines.get(record.parent)
        if before is not None and record.seq == len(before) + 1:
            lines[record.sha256] = (*before, record)
    return max(lines.values(), key=lambda line: (len(line), sum(r in walked for r in line)))


def _walk(
    found: Mapping[int, list[Signoff]], length: int, head: str, faults: list[str]
) -> list[Signoff]:
    """The records from the first to the head; what is wrong with them goes to `faults`.

    It goes backwards, since the head names the last and each record the one before: of several at
    one place it decides which took effect.
    """
    records: list[Signoff] = []
    after: Signoff | None = None  # None after a gap, where any will do
    for seq in range(length, 0, -1):
        here = found.get(seq)
        named = [
            r
            for r in here or ()
            if (r.name == head if seq == length else after is None or r.sha256 == after.parent)
        ]
        if here is None or (seq == length and here and not named):
            faults.append(f"record {head if seq == length else f'{seq:04d}'} is missing")
        elif here and not named and after is not None:
            faults.append(f"record {after.name} does not follow the one before (its parent)")
        after = next(iter(named or here or ()), None)
        records += [after] if after else []
    if after is not None and after.seq == 1 and after.parent:
        faults.append(f"record {after.name} does not follow the one before (its parent)")
    return records[::-1]
