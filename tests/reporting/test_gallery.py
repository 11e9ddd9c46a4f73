"""Pictures of parts as a page embeds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.gallery import Gallery, PartPicture
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_jpeg
from pipeline.reporting.gallery import GalleryView, views


def picture(name: str, heat: str = "") -> PartPicture:
    return PartPicture(
        sample_id=f"tray/{name}",
        label="crack",
        likeliest="good",
        verdict="PASS",
        score=0.125,
        distance=0.2,
        file=name,
        heat=heat,
    )


def gallery(*pictures: PartPicture, kind: str = "verdicts", n: int | None = None) -> Gallery:
    return Gallery(
        name="escapes",
        kind=kind,
        title="Escapes",
        lead="Bad parts that pass.",
        n=len(pictures) if n is None else n,
        pictures=pictures,
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three pictures of 24 x 16 pixels."""
    for i in range(3):
        pixels = np.full((16, 24, 3), 80 * i, np.uint8)
        (tmp_path / f"{i}.jpg").write_bytes(encode_jpeg(pixels))
    return tmp_path


def view(images: Path, given: Gallery) -> GalleryView:
    (found,) = views([given], images)
    return found


def test_a_picture_is_its_own_address_with_its_size(images: Path) -> None:
    (figure,) = view(images, gallery(picture("1.jpg"))).figures
    assert figure.source.startswith("data:image/jpeg;base64,")
    assert (figure.width, figure.height, figure.heat) == (24, 16, "")
    assert figure.alt_text == "tray/1.jpg: PASS, score 0.125, label crack"


def test_a_heat_map_goes_with_its_picture(images: Path) -> None:
    found = view(images, gallery(picture("1.jpg", "2.jpg"), picture("0.jpg")))
    assert found.has_heat
    assert found.figures[0].heat not in ("", found.figures[0].source)
    assert not view(images, gallery(picture("0.jpg"))).has_heat


def test_all_parts_are_counted_where_only_some_are_shown(images: Path) -> None:
    assert view(images, gallery(picture("0.jpg"), n=110)).count == "1 of 110"
    assert view(images, gallery(picture("0.jpg"))).count == "1"
    assert view(images, gallery()).count == "0"


@pytest.mark.parametrize(
    ("kind", "orders"),
    [
        ("verdicts", ["surest first", "nearest to the limit first"]),
        ("classes", ["surest first", "closest call first"]),
        ("limit", []),
    ],
)
def test_the_order_can_be_chosen_where_there_is_more_than_one(
    images: Path, kind: str, orders: list[str]
) -> None:
    two = gallery(picture("0.jpg"), picture("1.jpg"), kind=kind)
    assert list(view(images, two).orders.values()) == orders
    assert view(images, gallery(picture("0.jpg"), kind=kind)).orders == {}


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_picture_that_is_gone_or_damaged_names_its_file_and_what_to_run(
    images: Path, content: bytes | None
) -> None:
    if content is not None:
        (images / "9.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"9\.jpg.*run `dvc repro evaluate`"):
        view(images, gallery(picture("9.jpg")))
