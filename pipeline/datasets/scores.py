"""What heads that had not seen a part's group say of it: written by train, read by evaluate.

Parquet, one row a training part: sample_id, then `p_<class>` for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

OUT_OF_FOLD = "out-of-fold.parquet"
# Beside it, where a data set's own split leaks: what the same method would say on that split.
GIVEN_SPLIT = "given-split.json"


def write(
    path: Path,
    sample_ids: Sequence[str],
    probabilities: npt.NDArray[np.float32],
    names: Sequence[str],
) -> None:
    """Write probabilities N,K of N parts."""
    table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in names])
    table.insert(0, "sample_id", list(sample_ids))
    table.to_parquet(path, index=False)


def read(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The sample ids and the probabilities, float32 N,K; none where there is no such file."""
    if not path.is_file():
        return [], np.empty((0, 0), np.float32)
    table = pd.read_parquet(path)
    return table["sample_id"].tolist(), table.iloc[:, 1:].to_numpy(np.float32)
