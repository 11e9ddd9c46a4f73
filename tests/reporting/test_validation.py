"""The page of the validation report, as a quality manager opens it from disk."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.adapters import folder
from pipeline.datasets.checks.examination import Examination, examine
from pipeline.imaging.codec import decode, encode_png
from pipeline.reporting.validation import PAIRS, THUMBNAIL_PX, render, write_page
from tests.imports import ROOT
from tests.stages.conftest import copy_cells

CASTING = ROOT.parent / "shared/data/casting"


class Reader(HTMLParser):
    """What a browser would see: text, pictures, and whether every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.pictures, self.tags = "", list[str](), set[str]()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pictures += [value or "" for key, value in attrs if key == "src"]
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def whole(self) -> bool:
        return not self._open


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.text = re.sub(r"\s+", " ", reader.text)
    assert reader.whole()
    return reader


@pytest.fixture
def images(tmp_path: Path) -> Path:
    copy_cells(tmp_path / "images/train", per_class=6)
    return tmp_path / "images"


def examined(images: Path) -> tuple[Examination, list[str], dict[str, Any]]:
    seen = examine(folder.read(folder.Config(type="folder", root=images)), images)
    splits = [s.sample.split for s in seen.scans]
    return seen, splits, seen.report(splits)


def page(images: Path, notes: tuple[str, ...] = ()) -> Reader:
    seen, splits, report = examined(images)
    return read(render(seen, splits, report, images, title="cells", notes=notes))


def original(images: Path) -> Path:
    return sorted((images / "train/good").glob("*.png"))[0]


def leak(images: Path, copies: int = 1) -> None:
    (images / "test/good").mkdir(parents=True, exist_ok=True)
    for n in range(copies):
        shutil.copy(original(images), images / f"test/good/copy-{n:02d}.png")


def test_a_clean_data_set_is_ok_at_the_first_glance(images: Path) -> None:
    shown = page(images / "train")
    assert "OK: no damaged file" in shown.text
    assert "LEAKY" not in shown.text


def test_a_leak_comes_first_with_the_pair_side_by_side(images: Path) -> None:
    leak(images)
    shown = page(images)
    assert "LEAKY: 1 identical and 0 similar pairs of images" in shown.text
    assert "1 groups in all" in shown.text
    assert "1 of 1 pairs shown" in shown.text
    assert f"train/good/{original(images).name} good, train" in shown.text
    assert "test/good/copy-00.png good, test" in shown.text


def test_more_pairs_than_fit_are_counted(images: Path) -> None:
    leak(images, PAIRS + 3)
    assert f"{PAIRS} of {PAIRS + 3} pairs shown" in page(images).text


def test_a_quarantined_file_is_listed_with_its_reason(images: Path) -> None:
    (images / "train/good/half.png").write_bytes(original(images).read_bytes()[:300])
    shown = page(images / "train")
    assert "1 of the files cannot be used" in shown.text
    assert "good/half.png" in shown.text
    assert "cut off, its end is missing" in shown.text


def test_the_same_picture_with_two_labels_is_shown_under_both(images: Path) -> None:
    shutil.copy(original(images), images / "train/defective/copy.png")
    shown = page(images / "train")
    assert "The same shot with two labels" in shown.text
    assert "defective/copy.png defective" in shown.text


def test_a_dark_picture_is_shown_with_its_value(images: Path) -> None:
    copy_cells(images.parent / "more", per_class=30)
    dark = decode(original(images).read_bytes()) // 40
    (images.parent / "more/good/dark.png").write_bytes(encode_png(dark))
    shown = page(images.parent / "more")
    assert "Unusually bright, dark, flat or blurred" in shown.text
    assert "good/dark.png" in shown.text


def test_a_tiny_class_is_named_with_what_follows(images: Path) -> None:
    said = "no mistake on all 6 images would prove only that their rate is below 50%"
    assert said in page(images / "train").text


def test_names_cannot_break_the_page(images: Path) -> None:
    odd = images / "train/<script>alert(1)<"
    odd.mkdir()
    shutil.copy(original(images), odd / '"onerror="x & \u00e4\u2028.png')
    shown = page(images / "train", notes=("<b>bold</b>",))
    assert "script" not in shown.tags
    assert "<script>alert(1)<" in shown.text
    assert "<b>bold</b>" in shown.text


def test_a_name_that_is_not_utf8_is_written_with_its_bytes(images: Path) -> None:
    odd = images / "train/good/caf\udce9.png"
    try:
        shutil.copy(original(images), odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    assert "caf\\udce9.png" in page(images / "train").text


def test_nothing_is_fetched_and_thumbnails_are_small(images: Path) -> None:
    leak(images)
    seen, splits, report = examined(images)
    html = render(seen, splits, report, images, title="cells").decode()
    shown = read(html.encode())
    assert shown.pictures
    assert all(p.startswith("data:image/jpeg;base64,") for p in shown.pictures)
    assert not {"script", "link", "iframe"} & shown.tags
    assert "http" not in html
    assert f"{THUMBNAIL_PX}px" in html


def test_a_picture_that_is_gone_leaves_a_gap_not_an_error(images: Path) -> None:
    images = images / "train"
    seen, splits, report = examined(images)
    min((images / "good").glob("*.png")).unlink()
    shown = read(render(seen, splits, report, images, title="cells"))
    assert "no longer readable" in shown.text


def test_the_page_is_written_whole(images: Path, tmp_path: Path) -> None:
    images = images / "train"
    seen, splits, report = examined(images)
    write_page(tmp_path / "out/report.html", seen, splits, report, images)
    assert (tmp_path / "out/report.html").read_bytes().endswith(b"</html>")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


@pytest.fixture(scope="module")
def casting() -> tuple[Examination, list[str], dict[str, Any]]:
    """All castings examined, which takes seconds."""
    if not CASTING.is_dir():
        pytest.skip(f"{CASTING} is not on this machine")
    return examined(CASTING)


@pytest.mark.slow
def test_the_leak_of_the_casting_data_set_is_found(
    casting: tuple[Examination, list[str], dict[str, Any]],
) -> None:
    report = casting[2]
    assert report["leaky"] is True
    assert report["identical_pairs_across_splits"] == 64
    assert report["near_duplicate_pairs_across_splits"] == 5  # the identical ones left out


def test_the_page_of_the_casting_data_set_reports_leaky_and_stays_small(
    casting: tuple[Examination, list[str], dict[str, Any]],
) -> None:
    seen, splits, report = casting
    html = render(seen, splits, report, CASTING, title="casting")
    assert "LEAKY: 64 identical and" in read(html).text
    assert len(html) < 3_000_000
    assert report["lookup"]["given"] > 0.95
    assert report["suspects"]["balanced_accuracy"] > 0.95
