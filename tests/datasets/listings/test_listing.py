"""The result of an adapter: samples, and what a person should know about them."""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.contracts.sample import Sample
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.never_parts import PassedOver

ONE = Sample("a.png", "a.png", "good", "a.png")


def test_a_plain_list_of_an_adapter_has_nothing_to_report() -> None:
    listing = Listing.of([ONE])
    assert (listing, listing.lines()) == ([ONE], [])


def test_a_listing_stays_what_it_is() -> None:
    listing = Listing([ONE], ["a note"])
    assert Listing.of(listing) is listing


def test_notes_images_left_out_and_files_passed_over_are_a_line_each() -> None:
    passed = PassedOver()
    passed.add(PurePosixPath("Thumbs.db"), "Thumbs.db")
    listing = Listing([ONE], ["a note"], passed, ["b.png", "c\n.png"])
    assert listing.lines() == [
        "a note",
        "2 image(s) beside those that are listed are left out: b.png, c\\n.png",
        "1 file(s) passed over, never parts: Thumbs.db 1; such as Thumbs.db",
    ]
    assert listing.report() == {
        "notes": ["a note"],
        "passed_over": {"n": 1, "kinds": {"Thumbs.db": 1}, "shown": ["Thumbs.db"]},
        "unlisted": {"n": 2, "paths": ["b.png", "c\\n.png"]},
    }


def test_of_many_paths_the_first_are_named_and_the_rest_counted() -> None:
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"
