"""Images that lie beside those a list names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.listings.finder import Found
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.errors import DataError

LISTED = Sample("a.png", "a.png", "scratch", "a.png")
GOOD = [Sample(f"{n}.png", f"{n}.png", "ok", f"{n}.png") for n in "bc"]


def completed(policy: Unlisted, *unlisted: str) -> Listing:
    found = Found(["a.png"], ["a note"], list(unlisted))
    return complete([LISTED], found, policy, "ok", Path("coco.json"), Path("images"))


def test_they_can_count_as_good_and_are_named(tmp_path: Path) -> None:
    listing = completed("good", "b.png", "c.png")
    assert listing == [LISTED, *GOOD]
    assert listing.unlisted == []
    assert listing.lines() == [
        "a note",
        '2 image(s) in images that coco.json does not list count as "ok": b.png, c.png',
    ]


def test_they_can_be_an_error_that_names_them() -> None:
    with pytest.raises(
        DataError, match=r"2 image\(s\) in images that coco\.json does not list: b\.png, c\.png; "
    ):
        completed("error", "b.png", "c.png")


@pytest.mark.parametrize("policy", ["ignore", None])
def test_else_they_are_left_out_and_named(policy: Unlisted) -> None:
    listing = completed(policy, "b.png")
    assert (listing, listing.unlisted) == ([LISTED], ["b.png"])


def test_without_any_nothing_is_an_error() -> None:
    assert completed("error") == [LISTED]
