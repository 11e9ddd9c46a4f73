"""Evaluations of a bundle as `evaluate` writes them and `register` hands them on, without figures.

What is registered without its evaluation.json cannot be promoted, so tests that promote need one.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urlparse

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import (
    Check,
    CheckState,
    Comparison,
    Evaluation,
    Gate,
    Slices,
    SplitSummary,
)
from pipeline.files import write_model
from pipeline.registry.evidence import EVALUATION_FILE, FOLDER, Evidence
from pipeline.registry.store import Registry


def _gate(result: str) -> Gate:
    """A gate of one check with this result: `passed`, `not proven`, ..."""
    remedy = "60 more bad test parts would prove it" if result == "not proven" else ""
    check = Check(name="escapes", state=CheckState(result), sentence="of 40 parts", remedy=remedy)
    return Gate.of([check])


def evaluation(bundle_sha256: str, gate: str = "passed", against: str = "") -> Evaluation:
    """What the gate judgement of a bundle, compared with the champion `against` (`cells/1`)."""
    return Evaluation(
        gate=_gate(gate),
        something_passes=True,
        split=SplitSummary(by="part", n_groups=4, n_test_groups=1, leak_checked=True, leaky=False),
        promise={"policy": "fixed", "supported": True, "said": "limits as given"},
        limits_from={"said": ""},
        notes=(),
        slices=Slices(slices=(), worst=""),
        robustness=None,
        comparison=Comparison(champion=against),
        golden=None,
        explained=None,
        lineage={"bundle": bundle_sha256},
    )


def judged(
    bundle: Bundle,
    gate: str = "passed",
    against: str = "",
    *,
    metrics: dict[str, float] | None = None,
    params: dict[str, str] | None = None,
    description: str = "",
    **tags: str,
) -> Evidence:
    """Evidence whose tags and evaluation.json agree; the file is written beside the bundle."""
    own = mkdtemp(prefix="judged-", dir=bundle.folder.parent)  # two may register at once
    file = Path(own) / "evaluation.json"
    write_model(file, evaluation(bundle.sha256, gate, against))
    compared = {"compared_with": against} if against else {}
    return Evidence(
        metrics or {},
        params or {},
        {"gate": gate, **compared, **tags},
        description,
        ((file, FOLDER),),
    )


def judge(registry: Registry, number: int, gate: str = "passed", against: str = "") -> None:
    """Have version `number` of cells judged otherwise, in its tags and in its run's file."""
    version = registry.version("cells", number)
    judgement = evaluation(version.bundle_sha256, gate, against)
    registry.client.log_text(version.run_id, judgement.model_dump_json(), EVALUATION_FILE)
    registry.client.set_model_version_tag("cells", str(number), "gate", gate)
    if against:
        registry.client.set_model_version_tag("cells", str(number), "compared_with", against)
    elif "compared_with" in version.tags:
        registry.client.delete_model_version_tag("cells", str(number), "compared_with")


def run_file(registry: Registry, number: int, path: str) -> Path:
    """Where a registry in SQLite keeps an artifact of a version's run."""
    run = registry.client.get_run(registry.version("cells", number).run_id)
    return Path(urlparse(run.info.artifact_uri).path) / path


def bundle_file(registry: Registry, number: int, name: str) -> Path:
    """Where a registry in SQLite keeps a file of a version's bundle."""
    source = registry.client.get_model_version_download_uri("cells", str(number))
    return Path(urlparse(source).path) / "extra_files" / name
