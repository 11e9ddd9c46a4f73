"""Names that are never parts, and the account of what was passed over."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from pipeline.datasets.never_parts import PassedOver, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("@eaDir", "@eaDir"),
        ("$RECYCLE.BIN", "$RECYCLE.BIN"),
        ("System Volume Information", "System Volume Information"),
        (".ipynb_checkpoints", ".ipynb_checkpoints"),
        ("__MACOSX", "__MACOSX"),
        ("Thumbnails", "Thumbnails"),
        ("._001.png", "._* (macOS)"),
        (".DS_Store", ".DS_Store"),
        ("Thumbs.db", "Thumbs.db"),
        ("Thumbs.db:encryptable", "Thumbs.db"),
        ("desktop.ini", "desktop.ini"),
        ("SYNOPHOTO_THUMB_XL.jpg", "SYNO*_*"),
        ("001.png:Zone.Identifier", "Zone.Identifier"),
        ("~$list.xlsx", "~$*"),
        (".git", "hidden (.*)"),
    ],
)
def test_what_systems_and_servers_put_beside_images_is_known_by_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    "name", ["good", "001.png", "thumb_crack", "syno.png", "@home", "recycled", "thumbs.dbx.png"]
)
def test_other_names_may_be_parts(name: str) -> None:
    assert kind_of(name) == ""


def test_a_file_that_is_met_twice_counts_once() -> None:
    passed = PassedOver()
    for _ in range(2):
        passed.add(PurePosixPath("good/@eaDir/1.jpg"), "@eaDir")
    passed.add(PurePosixPath("good/Thumbs.db"), "Thumbs.db")
    assert passed.sentence() == (
        "2 file(s) passed over, never parts: @eaDir 1, Thumbs.db 1; such as good/@eaDir/1.jpg"
    )


def test_where_nothing_was_passed_over_nothing_is_reported() -> None:
    assert (len(PassedOver()), PassedOver().sentence()) == (0, "")
