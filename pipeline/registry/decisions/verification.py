"""Compares what is about to be signed with what was evaluated: tags can be changed by hand.

Three things must agree: the version's tags, the bundle's own hashes and the evaluation.json among
the run's artifacts, which names the bundle it is about. Who may write all three can still forge all
three: that is a matter of MLflow's users and rights.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.contracts.evaluation import CheckState
from pipeline.contracts.signoff import GateVerdict, Signoff
from pipeline.errors import BundleError, RegistryError
from pipeline.registry.decisions.chain import Chain
from pipeline.registry.evidence import EVALUATION_FILE, read_evaluation
from pipeline.registry.store import Registry
from pipeline.registry.versions import (
    COMPARED_TAG,
    GATE_TAG,
    PREVIOUS,
    SHA256_TAG,
    Version,
    numbers,
    promote_command,
)

RESTORE = "restore MLflow's files and tags from a backup"


@dataclass(frozen=True)
class VerifiedGate:
    """The gate's result, as far as a file confirms it.

    Attributes:
        gate: the result; "unknown" where no file confirms a tag that is better than "failed".
        missing: why there is no file to compare with, "" where there is one.
        not_proven: name of each check that is not proven, and what would prove it.
    """

    gate: GateVerdict
    missing: str = ""
    not_proven: Mapping[str, str] = field(default_factory=dict)


def verify_gate(registry: Registry, version: Version) -> VerifiedGate:
    """Compare a version's tags with the evaluation.json of its run.

    Raises:
        RegistryError: the file cannot be read or differs from a tag: it was changed by hand, or a
            registration was cut off. A version without the file, as an older Lineside registered
            it, is not an error.
        RegistryUnreachable: the registry is away.
    """
    content = read_evaluation(registry.client, registry.uri, version.run_id)
    if content is None:
        gate: GateVerdict = "failed" if version.gate == "failed" else "unknown"
        missing = f"its run holds no {EVALUATION_FILE}, so nothing confirms its tags"
        return VerifiedGate(gate, missing)
    remedy = f"`dvc repro -s register@{version.recipe}` writes both again, or {RESTORE}"
    try:
        evaluation = json.loads(content)
        expected, not_proven = _expected_tags(evaluation), _not_proven(evaluation)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(
            f"{version.name} cannot be signed off, nor with an override: {EVALUATION_FILE} of its "
            f"run cannot be read ({error or type(error).__name__}); {remedy}"
        ) from error
    for tag, evaluated in expected.items():
        if version.tags.get(tag, "") != evaluated:
            raise RegistryError(
                f"{version.name} cannot be signed off, nor with an override: its tag {tag} is "
                f'"{version.tags.get(tag, "")}" and {EVALUATION_FILE} of its run has '
                f'"{evaluated}"; somebody changed one of them, or a registration was cut off; '
                f"{remedy}"
            )
    return VerifiedGate(replace(version, tags=expected).gate, not_proven=not_proven)


def check_accepted(
    version: Version, found: VerifiedGate, accepted: Collection[str]
) -> tuple[str, ...]:
    """The checks that the signer accepts although they are not proven, in the gate's order.

    Raises:
        RegistryError: one of them is not accepted, or what is accepted is not one of them.
    """
    wanted = found.not_proven
    needless = [name for name in accepted if name not in wanted]
    if needless:
        there = f"not proven: {', '.join(wanted)}" if wanted else "no check of it is not proven"
        raise RegistryError(
            f"--accept {needless[0]}: {version.name} has nothing of that name to accept; {there}"
        )
    if left := [name for name in wanted if name not in accepted]:
        proofs = "; ".join(f"{name}: {wanted[name]}" for name in left)
        options = " ".join(f"--accept {name}" for name in wanted)
        raise RegistryError(
            f"{version.name} cannot be promoted: too few parts prove what it promises ({proofs}). "
            f"Add them and evaluate again, or accept each by name, which is recorded: {options}"
        )
    return tuple(wanted)


def promotion_obstacle(
    version: Version, found: VerifiedGate, chain: Chain, champion: int | None
) -> str:
    """Why a version may not be promoted without an override, and what helps; empty where it may."""
    evaluate = f"dvc repro -f -s evaluate@{chain.recipe} register@{chain.recipe}"
    reasons = []
    if found.gate == "failed":
        reasons.append("it failed the gate; improve it and register that")
    elif version.gate != "unknown" and found.missing:
        reasons.append(
            f"{found.missing}; `dvc repro -s register@{chain.recipe}` logs it again, if the "
            "bundle is still there"
        )
    elif found.gate == "unknown":
        reasons.append(
            "it has no result of the gate (registered by an older Lineside); "
            f"`{evaluate}` evaluates and registers the bundle that is there now"
        )
    elif not (
        champion in (None, version.version)
        or version.tags.get(COMPARED_TAG) == (now := f"{chain.recipe}/{champion}")
        or chain.signed(version.version)  # it was champion, and compared, before
        or PREVIOUS in version.aliases
    ):
        before = version.tags.get(COMPARED_TAG)
        reasons.append(
            f"it was compared with {before or 'no champion'}, and the champion is {now} now; "
            f"`{evaluate}` compares again"
        )
    if chain.standing.status.get(version.version) == "rejected":
        reasons.append("it was rejected")
    return " and ".join(reasons)


def check_signable(registry: Registry, version: Version, signed: Signoff | None) -> None:
    """`check_bundle`, with what helps in the message of its BundleError."""
    try:
        check_bundle(registry, version, signed)
    except BundleError as error:
        raise BundleError(
            f"{error}; it cannot be signed off, nor with an override: {RESTORE}, or delete "
            f"{version.name} in MLflow and register it again (dvc repro -s "
            f"register@{version.recipe})"
        ) from error


def check_bundle(registry: Registry, version: Version, signed: Signoff | None) -> None:
    """Download a version's bundle and verify every hash against its tag.

    Args:
        registry: where it lies.
        version: whose bundle.
        signed: the record that made it champion before, if there is one.

    Raises:
        BundleError: a file was altered, is missing or was added, or the tag is not that of the
            bundle which was signed off.
        RegistryError: the bundle cannot be had.
    """
    if signed is not None and signed.bundle_sha256 != version.bundle_sha256:
        raise BundleError(
            f"{version.name} was signed off as bundle {signed.bundle_sha256[:12]} (record "
            f"{signed.name}), and its tag {SHA256_TAG} is {version.bundle_sha256[:12]} now"
        )
    with tempfile.TemporaryDirectory(prefix="lineside-") as own:
        registry.pull(version, Path(own) / "bundle")


def restorable(
    registry: Registry, chain: Chain, before: Sequence[Version], versions: Sequence[Version]
) -> tuple[Version, str]:
    """The latest champion before whose bundle is whole, and what was found of the others.

    An altered one is passed over: no station would run it, or worse, one would. Where the files
    cannot be had at this moment it is restored nevertheless, since a line that is stopped cannot
    wait, and stations verify what they fetch.

    Args:
        registry: where they lie.
        chain: of the recipe.
        before: the champions before, the latest first; one at least.
        versions: all of the recipe, for the message.

    Raises:
        BundleError: all of them were altered.
    """
    passed_over: list[str] = []
    for target in before:
        try:
            check_bundle(registry, target, chain.signed(target.version))
            verified = "; its bundle was verified"
        except BundleError as error:
            passed_over.append(str(error))
            continue
        except RegistryError as error:
            verified = f"; its bundle could not be verified ({error})"
        skipped = "".join(f"; passed over, find out who did this: {e}" for e in passed_over)
        return target, verified + skipped
    raise BundleError(
        f"{chain.recipe} has no previous champion that is whole: {'; '.join(passed_over)}; "
        f"{RESTORE}, or promote another version (there are: {numbers(versions)}): "
        f"{promote_command(chain.recipe, 'N')}"
    )


def _expected_tags(evaluation: Any) -> dict[str, str]:
    """The tags that an evaluation.json stands for.

    Only these keys are read: what another Lineside writes beside them does not matter.
    """
    passed = evaluation["gate"]["passed"]
    if not isinstance(passed, bool):
        raise TypeError("gate.passed is neither true nor false")
    state = CheckState(evaluation["gate"].get("state", "passed" if passed else "failed"))
    if passed == state.blocks:
        raise ValueError(f"gate.passed is {passed} and gate.state is {state}")
    tags = {GATE_TAG: str(state)}
    tags[COMPARED_TAG] = evaluation["comparison"]["champion"]
    bundle = evaluation["lineage"].get("bundle")
    return tags if bundle is None else tags | {SHA256_TAG: bundle}


def _not_proven(evaluation: Any) -> dict[str, str]:
    """The checks of an evaluation.json that are not proven, and what would prove each."""
    return {
        str(check["name"]): str(check.get("remedy") or check["said"])
        for check in evaluation["gate"].get("checks", ())
        if check.get("state") == CheckState.NOT_PROVEN
    }
