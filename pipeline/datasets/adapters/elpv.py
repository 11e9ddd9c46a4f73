"""Electroluminescence images of solar cells, from the installed package `elpv-dataset`.

2,624 cells cut from 44 modules, 300x300 grey; Buerhop-Lutz et al., EU PVSEC 2018, and Deitsch et
al., Solar Energy 185 (2019). Licence CC-BY-NC-SA-4.0. The package names no modules, but its rows
come module by module (60 or 72 cells each), so blocks of neighbouring images can stand for them.
"""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.errors import DataError, MissingExtra
from pipeline.plugins import PluginConfig

LICENCE = "CC-BY-NC-SA-4.0"


class Config(PluginConfig):
    """Which cells count as defective."""

    type: Literal["elpv"]
    defective_above: float = Field(
        0.5, ge=0, lt=1, description="Defect probability above which a cell is defective."
    )
    good: str = Field("good", description="Label of cells that are not defective.")
    defective: str = Field("defective", description="Label of defective cells.")


def root(config: Config) -> Path:
    """The data folder of the installed package.

    Raises:
        MissingExtra: the package is not installed.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise MissingExtra("elpv-dataset", "the source of type elpv", "demo")
    return Path(spec.origin).parent / "data"


def read(config: Config) -> list[Sample]:
    """All cells in the package's order."""
    table = root(config) / "labels.csv"
    samples: list[Sample] = []
    with table.open(encoding="utf-8", newline="") as handle:
        for row, fields in enumerate(csv.reader(handle, delimiter=" ", skipinitialspace=True)):
            try:
                path, probability, variant = (f for f in fields if f)
                belief = float(probability)
            except ValueError:
                raise DataError(
                    f"{table}:{row + 1} reads {fields}; expected path, probability, type"
                ) from None
            samples.append(
                Sample(
                    id=Path(path).stem,
                    path=path,
                    label=config.defective if belief > config.defective_above else config.good,
                    group=Path(path).stem,
                    variant=variant,
                    defect_probability=belief,
                )
            )
    return samples
