"""What adapters share: images below a folder, images named twice, JSON of other tools."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from pydantic import BaseModel

from pipeline.datasets.adapters._files import folders, images, is_blank, load, once
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging.codec import encode_png


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, folder: str = "") -> list[str]:
    return [path.as_posix() for path in images(root, folder)]


def test_images_come_in_name_order_relative_to_the_root(tmp_path: Path) -> None:
    put(tmp_path, "a/2.png", "a/10.png", "a/x/1.tif", "b/1.png")
    assert images(tmp_path, "a") == [
        PurePosixPath(f"a/{n}") for n in ("10.png", "2.png", "x/1.tif")
    ]


def test_endings_in_capitals_count(tmp_path: Path) -> None:
    put(tmp_path, "a/1.PNG", "a/2.JpG")
    assert found(tmp_path) == ["a/1.PNG", "a/2.JpG"]


def test_companions_are_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passed = PassedOver()
    put(tmp_path, "a/1.png", "a/notes.txt", "a/list.csv", "readme.md")
    assert images(tmp_path, "", passed) == [PurePosixPath("a/1.png")]
    assert (caplog.messages, len(passed)) == ([], 0)


def test_what_is_never_a_part_is_passed_over_and_counted(tmp_path: Path) -> None:
    passed = PassedOver()
    put(tmp_path, "a/1.png", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "a/Thumbs.db", "a/._1.png")
    put(tmp_path, "a/.ipynb_checkpoints/1-checkpoint.png", ".git/b.png", ".git/c.png")
    assert [p.as_posix() for p in images(tmp_path, "a", passed)] == ["a/1.png"]
    assert folders(tmp_path, passed) == ["a"]
    assert passed.report() == {
        "n": 5,
        "kinds": {
            **{".ipynb_checkpoints": 1, "Thumbs.db": 1, "@eaDir": 1},
            **{"._* (macOS)": 1, "hidden (.*)": 1},
        },
        "shown": [
            *(".git", "a/._1.png", "a/.ipynb_checkpoints/1-checkpoint.png"),
            *("a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "a/Thumbs.db"),
        ],
    }


def test_a_file_of_unknown_kind_is_counted_too(tmp_path: Path) -> None:
    passed = PassedOver()
    images(put(tmp_path, "good/1.png", "good/2.heic"), "good", passed)
    assert passed.report()["kinds"] == {"format .heic": 1}


def test_files_of_unknown_kind_among_images_are_named_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "good/1.png", "good/2.heic", "good/raw/3.heic")
    assert found(tmp_path) == ["good/1.png"]
    (warning,) = caplog.messages
    assert "2 file(s) passed over whose format is not supported, such as good/2.heic" in warning


def test_a_folder_whose_files_are_all_of_unknown_kind_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "bad/1.gif", "bad/2.gif", "bad/notes.txt")
    with pytest.raises(DataError, match=r"bad has no image, but 2 other .* 1\.gif; convert them"):
        images(tmp_path, "bad")


def test_a_folder_with_nothing_but_companions_has_no_images(tmp_path: Path) -> None:
    put(tmp_path, "bad/notes.txt")
    assert found(tmp_path, "bad") == []


def test_folders_are_the_visible_ones_in_name_order(tmp_path: Path) -> None:
    put(tmp_path, "b/1.png", "a/1.png", ".cache/1.png", "setup.cfg")
    assert folders(tmp_path) == ["a", "b"]


def test_images_beside_the_folders_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png", "stray.jpg", "other.png")
    with pytest.raises(DataError, match=r"has 2 image\(s\) beside its folders, such as other\.png"):
        folders(tmp_path)


def test_images_without_folders_beside_them_are_none(tmp_path: Path) -> None:
    assert folders(put(tmp_path, "1.png", "2.png")) == []


@pytest.mark.parametrize(("brightest", "blank"), [(0, True), (1, False)])
def test_a_mask_is_blank_where_every_pixel_is_0(
    tmp_path: Path, brightest: int, blank: bool
) -> None:
    mask = np.zeros((4, 4, 1), np.uint8)
    mask[2, 3] = brightest
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    assert is_blank(tmp_path / "mask.png") is blank


def test_a_mask_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"mask\.png cannot be read: No such file"):
        is_blank(tmp_path / "mask.png")


def test_an_image_that_is_listed_twice_is_refused_with_both_places() -> None:
    seen: dict[str, str] = {}
    once(seen, "a/1.png", "line 2")
    once(seen, "a/2.png", "line 3")
    with pytest.raises(DataError, match=r"line 7 names a/1\.png, as line 2 did; keep one"):
        once(seen, "a/1.png", "line 7")


class Listing(BaseModel):
    """A file of another tool."""

    images: list[str]


def test_a_file_of_another_tool_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "list.json").write_bytes(mark + b'{"images": ["1.png"], "more": 7}')
        assert load(tmp_path / "list.json", Listing, "an export").images == ["1.png"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": ["1.png", 7]}', r"list\.json: images\.1: Input should be a valid string"),
        ("{}", r"list\.json: images: Field required"),
        ("[", r"list\.json: Invalid JSON"),
    ],
)
def test_a_file_of_another_form_is_refused_with_what_is_expected(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(DataError, match=rf"{reason}.*; expected an export$"):
        load(tmp_path / "list.json", Listing, "an export")


def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list\.json \(source\.file in .* No such file.*an export"):
        load(tmp_path / "list.json", Listing, "an export")
