"""Parts that were judged wrong, on one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.files import sha256
from pipeline.imaging.codec import encode_png, read
from pipeline.imaging.sheet import CAPTION_PX, GAP_PX
from pipeline.reporting.gallery import write_gallery

STEP_X, STEP_Y = 144 + GAP_PX, 144 + CAPTION_PX + GAP_PX


@pytest.fixture
def data(tmp_path: Path) -> Manifest:
    """Twelve images; image i is filled with the grey value 10 i."""
    root = tmp_path / "images"
    root.mkdir()
    names = [f"{i}.png" for i in range(12)]
    for i, name in enumerate(names):
        (root / name).write_bytes(encode_png(np.full((4, 4, 3), 10 * i, np.uint8)))
    kinds = (("good", Disposition.PASS), ("bad", Disposition.SCRAP))
    return Manifest(
        table=pd.DataFrame({"path": names, "sha256": [sha256(root / n) for n in names]}),
        taxonomy=Taxonomy(classes=tuple(PartClass(name=n, disposition=d) for n, d in kinds)),
        root=root,
        report={},
    )


def test_pictures_stand_in_the_order_given(tmp_path: Path, data: Manifest) -> None:
    write_gallery(tmp_path / "g.png", data, [7, 2, 5], ["", "", ""])
    sheet = read(tmp_path / "g.png")
    assert sheet.shape == (STEP_Y + GAP_PX, 3 * STEP_X + GAP_PX, 3)
    centres = [sheet[GAP_PX + 72, GAP_PX + i * STEP_X + 72, 0] for i in range(3)]
    assert centres == [70, 20, 50]


def test_there_are_at_most_eight_in_a_row(tmp_path: Path, data: Manifest) -> None:
    write_gallery(tmp_path / "g.png", data, range(9), [""] * 9)
    assert read(tmp_path / "g.png").shape == (2 * STEP_Y + GAP_PX, 8 * STEP_X + GAP_PX, 3)


def test_only_the_worst_are_shown_when_there_are_many(tmp_path: Path, data: Manifest) -> None:
    write_gallery(tmp_path / "g.png", data, range(12), [""] * 12, most=2)
    sheet = read(tmp_path / "g.png")
    assert sheet.shape[1] == 2 * STEP_X + GAP_PX
    assert [sheet[GAP_PX + 72, GAP_PX + i * STEP_X + 72, 0] for i in range(2)] == [0, 10]


def test_no_mistakes_make_no_file(tmp_path: Path, data: Manifest) -> None:
    write_gallery(tmp_path / "g.png", data, [], [])
    assert not (tmp_path / "g.png").exists()


def test_a_picture_without_a_caption_is_a_mistake(tmp_path: Path, data: Manifest) -> None:
    with pytest.raises(ValueError, match="longer"):
        write_gallery(tmp_path / "g.png", data, [1, 2], ["only one"])
