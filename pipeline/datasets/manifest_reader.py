"""Opens what `ingest` wrote: the table of samples, and its images through the recipe's adapter.

Apart from `manifest`, since what works on an open manifest does not depend on the adapters.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import ADAPTERS, adapter
from pipeline.datasets.manifest import REPORT, SOURCE, TABLE, TAXONOMY, Manifest
from pipeline.files import read_model


def read_manifest(folder: Path) -> Manifest:
    """Read the `ingest/` folder of a recipe's data."""
    source = ADAPTERS.configure(json.loads((folder / SOURCE).read_bytes()))
    table = pd.read_parquet(folder / TABLE)
    if "weight" not in table:
        table["weight"] = 1.0
    return Manifest(
        table=table,
        taxonomy=read_model(folder / TAXONOMY, Taxonomy),
        root=adapter(source).root(source),
        report=json.loads((folder / REPORT).read_bytes()),
    )
