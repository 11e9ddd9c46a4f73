"""What goes to the registry beside a bundle: what was measured of it and what people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.contracts.evaluation import EVALUATION

FOLDER = "evaluate"  # among a run's artifacts
VERDICT = f"{FOLDER}/{EVALUATION}"  # what the gate said, in full; the tags only repeat it


@dataclass(frozen=True)
class Evidence:
    """One evaluation of a bundle, as the registry keeps it.

    Attributes:
        metrics: logged with the run.
        params: likewise, those that its training has not logged.
        tags: set on the run and, where people look for them, on the version.
        description: markdown shown on the version's page.
        artifacts: (local file or folder, folder among the run's artifacts).
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    artifacts: tuple[tuple[Path, str], ...] = ()

    @property
    def verdict_file(self) -> Path | None:
        """The local evaluation.json, None where there is none among the artifacts."""
        found = (p for p, folder in self.artifacts if f"{folder}/{p.name}" == VERDICT)
        return next(found, None)
