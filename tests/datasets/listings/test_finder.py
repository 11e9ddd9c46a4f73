"""Images that a list names, found whichever system the list was made on."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from unittest.mock import ANY
from uuid import uuid4

import pytest
from upath import UPath

from pipeline.datasets.listings.finder import Found, Named, find
from pipeline.datasets.location import Place
from pipeline.errors import DataError


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Place, *given: str, also: tuple[str, ...] = ()) -> Found:
    named = [Named(path, f"line {i}") for i, path in enumerate(given, 2)]
    return find(root, Path("list.csv"), named, [Named(path, "a task") for path in also])


@pytest.mark.parametrize(
    "given", ["a/1.png", " a/1.png ", "./a/1.png", "b/../a/1.png", "a\\1.png", "{root}/a/1.png"]
)
def test_a_path_is_relative_to_the_root_and_needs_no_note(tmp_path: Path, given: str) -> None:
    put(tmp_path, "a/1.png")
    assert found(tmp_path, given.format(root=tmp_path)) == Found(["a/1.png"], [], [], ANY)


@pytest.mark.parametrize(
    "given",
    [
        "images\\1/1.png",
        "images/7/1.png",
        "1.png",
        "data/export/1.png",
        "../images/1.png",
        "/home/anna/images/1.png",
        "C:\\Users\\anna\\images\\1.png",
        "\\\\server\\share\\images\\1.png",
        "https://host/store/images/1.png?signature=7",
        "IMAGES/1.PNG",
    ],
)
def test_a_path_of_another_system_is_found_and_noted(tmp_path: Path, given: str) -> None:
    put(tmp_path, "images/1.png", "images/2.png", "list.csv")
    (path,), (note,) = (seen := found(tmp_path, given)).paths, seen.notes
    assert path == "images/1.png"
    assert note == (
        "1 path(s) of list.csv stand for a file of another path, the only one that fits: "
        f"{given} is images/1.png in {tmp_path}"
    )


def test_another_unicode_normal_form_is_found(tmp_path: Path) -> None:
    put(tmp_path, "teile/" + unicodedata.normalize("NFD", "größe.png"))
    (path,) = found(tmp_path, "teile/" + unicodedata.normalize("NFC", "größe.png")).paths
    assert (tmp_path / path).is_file()


def test_an_address_may_have_percent_signs(tmp_path: Path) -> None:
    put(tmp_path, "images/top left.png")
    assert found(tmp_path, "s3://bucket/x/top%20left.png").paths == ["images/top left.png"]


def test_of_two_files_of_one_name_the_one_with_the_longer_common_end_is_meant(
    tmp_path: Path,
) -> None:
    put(tmp_path, "a/good/1.png", "a/bad/1.png")
    assert found(tmp_path, "old/good/1.png").paths == ["a/good/1.png"]


def test_of_two_spellings_that_differ_in_capitals_the_given_one_is_meant(tmp_path: Path) -> None:
    put(tmp_path, "a/x.png", "a/X.png")
    assert found(tmp_path, "other/X.png").paths == ["a/X.png"]


def test_where_two_files_fit_both_are_named(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(
        DataError, match=r"^line 2 names x/1\.png.* and 2 files there fit: a/1\.png, b/1\.png; wr"
    ):
        found(tmp_path, "x/1.png")


def test_two_spellings_of_which_neither_is_the_given_one_are_both_named(tmp_path: Path) -> None:
    put(tmp_path, "a/xy.png", "a/XY.png")
    with pytest.raises(DataError, match=r"2 files there fit: a/XY\.png, a/xy\.png"):
        found(tmp_path, "a/Xy.png")


@pytest.mark.parametrize("given", ["bad/2.png", "Bad/2.png", "/home/anna/bad/2.png"])
def test_a_file_that_is_missing_in_its_own_folder_is_not_looked_for_in_another(
    tmp_path: Path, given: str
) -> None:
    """Parts of two classes often have the same numbers."""
    put(tmp_path, "bad/1.png", "good/2.png")
    named = ["bad/1.png", given]
    if given.startswith("/"):
        with pytest.raises(DataError, match=r"line 3 names .*, which is not in"):
            found(tmp_path, *named)
    else:
        seen = found(tmp_path, *named)
        assert seen.paths == ["bad/1.png", given]
        assert seen.notes == [f"1 image(s) of list.csv are not in {tmp_path}: {given}"]


def test_a_file_that_is_named_as_it_is_does_not_stand_for_another_too(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png")
    assert found(tmp_path, "good/1.png", "bad/1.png").paths == ["good/1.png", "bad/1.png"]


def test_where_no_image_is_there_the_root_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "b/3.png")
    with pytest.raises(
        DataError, match=r"^none of the 2 image\(s\) that list\.csv names is in .*set source\.root"
    ):
        found(tmp_path, "a/1.png", "a/2.png")


@pytest.mark.parametrize("given", ["../1.png", "/etc/1.png", "C:\\1.png", ".", "{root}-2/1.png"])
def test_a_path_that_leads_out_of_the_root_and_fits_nothing_is_refused_with_its_place(
    tmp_path: Path, given: str
) -> None:
    put(tmp_path, "2.png")
    with pytest.raises(DataError, match=r"^line 2 names .*, which is not in .* source\.root"):
        found(tmp_path, given.format(root=tmp_path))


def test_an_address_that_fits_nothing_asks_to_fetch_the_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^line 2 names http://host/1\.png.*; fetch the images"):
        found(tmp_path, "http://host/1.png")


@pytest.mark.parametrize("given", ["", "  ", "a\0.png"])
def test_a_path_that_cannot_be_one_is_refused_with_its_place(tmp_path: Path, given: str) -> None:
    with pytest.raises(DataError, match=r"^line 2 has no usable path of an image"):
        found(tmp_path, given)


def test_images_beside_those_named_are_unlisted(tmp_path: Path) -> None:
    put(tmp_path, "img/bad/1.png", "img/bad/2.png", "img/good/3.png", "other/4.png", "img/a.txt")
    assert found(tmp_path, "img/bad/1.png").unlisted == ["img/bad/2.png"]
    put(tmp_path, "img/dent/1.png")
    assert found(tmp_path, "img/bad/1.png", "img/dent/1.png").unlisted == [
        "img/bad/2.png",
        "img/good/3.png",
    ]


def test_an_image_that_is_named_but_not_wanted_is_not_unlisted(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    assert found(tmp_path, "1.png", also=("2.png", "C:\\x\\3.png")).unlisted == []


def test_what_is_never_a_part_is_neither_found_nor_unlisted(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/@eaDir/1.png", "a/._1.png", "a/@eaDir/2.png")
    seen = found(tmp_path, "x/1.png")
    assert (seen.paths, seen.unlisted) == (["a/1.png"], [])
    assert seen.passed_over.report()["kinds"] == {"@eaDir": 2, "._* (macOS)": 1}


def test_a_link_to_a_folder_beside_the_images_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png")
    (tmp_path / "a/again").symlink_to(tmp_path, target_is_directory=True)
    seen = found(tmp_path, "a/1.png")
    assert seen.passed_over.report()["kinds"] == {"link to a folder": 1}


def test_images_in_a_store_are_found_by_another_path_too() -> None:
    root = UPath(f"memory://{uuid4()}")
    for name in ("images/1.png", "images/2.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"1")
    seen = found(root, "old\\1.png")
    assert (seen.paths, seen.unlisted) == (["images/1.png"], ["images/2.png"])


def test_paths_on_a_web_server_are_taken_as_they_are() -> None:
    root = UPath("http://host/parts")
    assert found(root, "a\\1.png", "http://host/parts/b.png").paths == ["a/1.png", "b.png"]
    with pytest.raises(DataError, match=r"^line 2 names \.\./1\.png, which is not in http://host"):
        found(root, "../1.png")
