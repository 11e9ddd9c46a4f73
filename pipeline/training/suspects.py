"""Labels that look wrong to heads which have not seen the part or its group.

Confident disagreement out of fold, the simplest rule of confident learning (Northcutt et al.,
JAIR 2021). `ingest` asks the same of plain texture before anything is trained; this uses the
trained features.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.training import Floats

FILE = "suspects.csv"
SURE = 0.5  # another class must be likelier than all the rest together


def find(index: pd.DataFrame, unseen: Floats, taxonomy: Taxonomy) -> pd.DataFrame:
    """Images of which another class is likely, the surest disagreement first.

    Args:
        index: of N images; `sample_id`, `tile` and `label` are read.
        unseen: probabilities float32 N,K by heads that saw neither the image nor its group.
        taxonomy: names of the K classes.

    Returns:
        sample_id, tile, label, likelier, p_label, p_likelier.
    """
    names = np.array(taxonomy.names)
    own = unseen[np.arange(len(index)), [taxonomy.names.index(n) for n in index["label"]]]
    likeliest = unseen.argmax(axis=1)
    table = index[["sample_id", "tile", "label"]].reset_index(drop=True)
    table = table.assign(likelier=names[likeliest], p_label=own, p_likelier=unseen.max(axis=1))
    doubted = table[(table["likelier"] != table["label"]) & (table["p_likelier"] > SURE)]
    return doubted.sort_values(["p_label", "sample_id"], kind="stable")
