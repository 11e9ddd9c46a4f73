"""Is what somebody signs what was evaluated? Tags can be changed by hand; files speak against them.

Three things are held against each other: the version's tags, the bundle's own hashes and the
evaluation.json among the run's artifacts, which names the bundle it is about. Who may write all
three may still forge all three: that is a matter of MLflow's users and rights.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.contracts.signoff import GateVerdict, Signoff
from pipeline.errors import BundleError, RegistryError, RegistryUnreachable
from pipeline.registry.connection import spoken
from pipeline.registry.evidence import FOLDER, VERDICT
from pipeline.registry.versions import COMPARED_TAG, GATE_TAG, PREVIOUS, SHA256_TAG, Version

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from pipeline.registry.chain import Chain
    from pipeline.registry.store import Registry

RESTORE = "restore MLflow's files and tags from a backup"


@dataclass(frozen=True)
class Judgement:
    """What the gate said, as far as a file vouches for it.

    Attributes:
        gate: the verdict; "unknown" where a tag says passed and no file does.
        missing: why there is no file to ask, "" where there is one.
    """

    gate: GateVerdict
    missing: str = ""


def judgement(registry: Registry, version: Version) -> Judgement:
    """Compare a version's tags with the evaluation.json of its run.

    Raises:
        RegistryError: the file cannot be read or a tag says otherwise: it was changed by hand, or
            a registration was cut off. A version without the file, as an older Lineside
            registered it, is no error.
        RegistryUnreachable: the registry is away.
    """
    content = verdict_file(registry.client, registry.uri, version.run_id)
    if content is None:
        gate: GateVerdict = "failed" if version.gate == "failed" else "unknown"
        return Judgement(gate, f"its run holds no {VERDICT}, so nothing vouches for its tags")
    anew = f"`dvc repro -s register@{version.recipe}` writes both again, or {RESTORE}"
    try:
        found = _said(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(
            f"{version.name} cannot be signed off, nor with an override: {VERDICT} of its run "
            f"cannot be read ({error or type(error).__name__}); {anew}"
        ) from error
    for tag, said in found.items():
        if version.tags.get(tag, "") != said:
            raise RegistryError(
                f"{version.name} cannot be signed off, nor with an override: its tag {tag} says "
                f'"{version.tags.get(tag, "")}" and {VERDICT} of its run "{said}"; somebody '
                f"changed one of them, or a registration was cut off; {anew}"
            )
    return Judgement("passed" if found[GATE_TAG] == "passed" else "failed")


def obstacle_of(version: Version, found: Judgement, chain: Chain, champion: int | None) -> str:
    """Why a version may not be promoted without an override, and what helps; empty where it may."""
    anew = f"dvc repro -f -s evaluate@{chain.recipe} register@{chain.recipe}"
    reasons = []
    if found.gate == "failed":
        reasons.append("it failed the gate; improve it and register that")
    elif version.gate == "passed" and found.missing:
        reasons.append(
            f"{found.missing}; `dvc repro -s register@{chain.recipe}` logs it again, if the "
            "bundle is there still"
        )
    elif found.gate == "unknown":
        reasons.append(
            "it has no verdict of the gate (registered by an older Lineside); "
            f"`{anew}` judges and registers the bundle that is there now"
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
            f"`{anew}` compares anew"
        )
    if chain.standing.status.get(version.version) == "rejected":
        reasons.append("it was rejected")
    return " and ".join(reasons)


def verdict_file(client: MlflowClient, uri: str, run_id: str) -> bytes | None:
    """The evaluation.json of a run, byte for byte; None where the run holds none or is gone.

    Raises:
        RegistryError: it is there and cannot be had.
    """
    if not run_id:
        return None
    try:
        with spoken(uri):
            there = {f.path for f in client.list_artifacts(run_id, FOLDER)}
    except RegistryUnreachable:
        raise
    except RegistryError:
        return None  # the run is gone, and its files with it
    if VERDICT not in there:
        return None
    with tempfile.TemporaryDirectory(prefix="lineside-") as own, spoken(uri):
        return Path(client.download_artifacts(run_id, VERDICT, own)).read_bytes()


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
            f"{signed.name}), and its tag {SHA256_TAG} says {version.bundle_sha256[:12]} now"
        )
    with tempfile.TemporaryDirectory(prefix="lineside-") as own:
        registry.pull(version, Path(own) / "bundle")


def _said(evaluation: Any) -> dict[str, str]:
    """The tags that an evaluation.json stands for.

    Only these keys are asked for: what another Lineside writes beside them does not matter.
    """
    passed = evaluation["gate"]["passed"]
    if not isinstance(passed, bool):
        raise TypeError("gate.passed is neither true nor false")
    said = {GATE_TAG: "passed" if passed else "failed"}
    said[COMPARED_TAG] = evaluation["comparison"]["champion"]
    bundle = evaluation["lineage"].get("bundle")
    return said if bundle is None else said | {SHA256_TAG: bundle}
