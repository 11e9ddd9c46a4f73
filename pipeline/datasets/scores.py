"""Scores for choosing limits: written by train, read by evaluate.

Out-of-fold scores, which heads that had not seen a part's group gave it: Parquet, one row a
training part, sample_id, then `p_<class>` for each class. And what training chose by held-out
parts, which are then not quite unseen: JSON. And scores of the validation parts by the heads of the
folds, in the same form, each part once for each fold: what the out-of-fold scores are worth for the
final head, which has learned from more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.files import write_json

OUT_OF_FOLD = "out-of-fold.parquet"
FOLD_HEADS = "fold-heads.parquet"
# Beside it, where a data set's own split leaks: the figures of the same method on that split.
GIVEN_SPLIT = "given-split.json"
CONSULTED = "consulted.json"


@dataclass(frozen=True)
class Consulted:
    """What training chose by parts that it did not learn from.

    Attributes:
        by_validation: what validation parts chose, in words: method, epoch, temperature.
        by_out_of_fold: what the out-of-fold scores chose.
        set_aside: sample ids of validation parts that chose nothing, kept for the limits; none
            where there were too few to part them.
    """

    by_validation: tuple[str, ...] = ()
    by_out_of_fold: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write all of it."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Consulted:
        """Read what was written; nothing was chosen where the file does not exist."""
        if not path.is_file():
            return cls()
        return cls(**{key: tuple(value) for key, value in json.loads(path.read_bytes()).items()})


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
    """The sample ids and the probabilities, float32 N,K; none where the file does not exist."""
    if not path.is_file():
        return [], np.empty((0, 0), np.float32)
    table = pd.read_parquet(path)
    return table["sample_id"].tolist(), table.iloc[:, 1:].to_numpy(np.float32)
