"""A study of a few parts, and a ledger with records of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.contracts.study import Study
from pipeline.imaging import codec
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.studies.folder import StudyFolder, make
from tests.contracts.test_study import plan
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
PNG = codec.encode_png(picture(128))


def made(root: Path, study: Study) -> StudyFolder:
    return make(root, study, [(part.image, PNG) for part in study.parts], [])


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study of two parts, two trials, and three appraisers."""
    return made(tmp_path / "msa" / "west-1", plan(n=2, trials=2))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened_ledger:
        yield opened_ledger


def record(
    ledger: Ledger,
    serial: str,
    verdict: Verdict = Verdict.PASS,
    score: float | None = 0.1,
    at: datetime = AT,
    **more: Any,
) -> str:
    """One closed record; its id."""
    identity = ledger.open_record(at, serial)
    if "kind" in more:
        with ledger.writing() as db:
            db.execute("UPDATE records SET kind = ? WHERE id = ?", (more.pop("kind"), identity))
    values: dict[str, Any] = {"defect_score": score, "model_version": "cells/3"} | more
    image = values.pop("image", "")
    ledger.close_record(
        Record(identity, "west-1", at.isoformat(), serial, verdict, "because", **values)
    )
    if image:
        ledger.note_image(identity, image)
    return identity
