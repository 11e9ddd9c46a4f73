"""Frames that a station kept and people reviewed: what the line saw becomes training data.

Only reviewed parts are taken. A verdict without a review is the model's own opinion, and
a model must not teach itself.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.location import Location, Place, files, is_folder, opened
from pipeline.errors import DataError, LedgerError
from pipeline.ledger.database import connected
from pipeline.ledger.queries import reviewed_parts
from pipeline.plugins import PluginConfig

log = logging.getLogger(__name__)


class Config(PluginConfig):
    """Where one station writes; both stand in its line file."""

    type: Literal["line"]
    ledger: Path = Field(description="The station's ledger (`ledger` in the line file).")
    images: Location = Field(
        description="The folder of kept frames (`keep.folder` in the line file)."
    )


def root(config: Config) -> Place:
    """The folder of kept frames."""
    return opened(config.images)


def read(config: Config) -> list[Sample]:
    """One sample a reviewed part with a kept frame, in the order of triggers.

    The label is that of the last review, the group is the part's serial. Parts whose frame is no
    longer there, as after the station's retention, are left out with a warning.

    Raises:
        DataError: the ledger is missing, none, of another format or without reviews, or none of
            the frames is there.
    """
    reviewed = [row for row in _reviewed(config.ledger) if row["image"]]
    if not reviewed:
        raise DataError(
            f"{config.ledger} has no reviewed part with a kept frame; set `keep` in the line file "
            "and review parts with `lineside review`"
        )
    home = root(config)
    if not is_folder(home):
        raise DataError(
            f"{home} is not a folder (source.images in ingest.yaml); expected `keep.folder` of the "
            "line file"
        )
    there = {path.as_posix() for path in files(home)}
    gone = [row["image"] for row in reviewed if row["image"] not in there]
    if len(gone) == len(reviewed):
        raise DataError(
            f"{home} has none of the {len(gone)} reviewed frames, such as {gone[0]}; set "
            "source.images in ingest.yaml to `keep.folder` of the line file"
        )
    if gone:
        log.warning(
            "%s: %d of %d reviewed frames are no longer there, such as %s",
            *(home, len(gone), len(reviewed), gone[0]),
        )
    return [
        Sample(
            id=row["id"],
            path=row["image"],
            label=row["part_class"],
            group=row["serial"] or row["id"],
        )
        for row in reviewed
        if row["image"] in there
    ]


def _reviewed(ledger: Path) -> list[sqlite3.Row]:
    if not ledger.is_file():
        raise DataError(
            f"{ledger} is not a file (source.ledger in ingest.yaml); expected a station's ledger"
        )
    try:
        with connected(ledger, "data sets") as db:
            return reviewed_parts(db)
    except LedgerError as error:
        copied = "; copy a ledger with its -wal file, or with `sqlite3 LEDGER .backup`"
        hint = copied if isinstance(error.__cause__, sqlite3.Error) else ""
        raise DataError(f"source.ledger in ingest.yaml: {error}{hint}") from None
