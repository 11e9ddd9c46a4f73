"""Labels that look wrong: the surest disagreement first, and nobody accused of being unsure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.training import suspects

TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "dent", "disposition": "scrap"},
            {"name": "scratch", "disposition": "rework"},
        ]
    }
)
SAID = np.array(
    [[0.9, 0.05, 0.05], [0.3, 0.6, 0.1], [0.02, 0.96, 0.02], [0.4, 0.45, 0.15]], np.float32
)


def index(labels: list[str]) -> pd.DataFrame:
    names = [f"part-{i}" for i in range(len(labels))]
    return pd.DataFrame({"sample_id": names, "tile": 0, "label": labels})


def test_the_surest_disagreement_comes_first() -> None:
    found = suspects.find(index(["good", "good", "good", "good"]), SAID, TAXONOMY)
    assert found["sample_id"].tolist() == ["part-2", "part-1"]
    assert found["likelier"].tolist() == ["dent", "dent"]
    np.testing.assert_allclose(found["p_label"], [0.02, 0.3], atol=1e-6)


def test_labels_that_the_heads_agree_with_are_not_suspects() -> None:
    assert suspects.find(index(["good", "dent", "dent", "dent"]), SAID, TAXONOMY).empty


def test_a_class_that_is_likeliest_but_not_likely_accuses_nobody() -> None:
    assert "part-3" not in suspects.find(index(["good"] * 4), SAID, TAXONOMY)["sample_id"].tolist()
