"""Opening what ingest wrote, also what an older one wrote."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.adapters.folder import Config
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.files import write_json

TAXONOMY = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="bad", disposition=Disposition.SCRAP),
    )
)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [({"weight": [0.5, 1.0]}, [0.5, 1.0]), ({}, [1.0, 1.0])],
    ids=["weighted", "of-before-weights"],
)
def test_every_image_has_a_weight(
    columns: dict[str, list[float]], expected: list[float], tmp_path: Path
) -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], **columns})
    manifest.write(tmp_path, table, TAXONOMY, Config(type="folder", root=tmp_path))
    write_json(tmp_path / manifest.REPORT, {})
    assert read_manifest(tmp_path).table["weight"].tolist() == expected
