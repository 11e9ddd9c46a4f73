"""Archives that unpack to far more than they hold."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets import archives
from pipeline.datasets.location import content, locate, opened
from pipeline.datasets.scanning import scan
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging.codec import encode_png


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path


def packed(path: Path, members: dict[str, bytes]) -> str:
    """Write an archive of the kind that its name asks for; returns its address."""
    if path.suffix == ".zip":
        return str(zipped(path, members))
    return f"tar://::{tarred(path, members)}"


ENDINGS = pytest.mark.parametrize("ending", [".zip", ".tar.gz"])


@ENDINGS
def test_a_member_larger_than_any_image_is_refused_unread(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000")
    sound = encode_png(np.zeros((20, 20, 3), np.uint8))
    root = opened(
        locate(packed(tmp_path / f"a{ending}", {"bomb.bmp": bytes(8001), "a.png": sound}))
    )
    found = scan(Sample("1", "bomb.bmp", "good", "1"), root)
    assert "unpacks to 8,001 bytes, more than 8,000" in found.fault
    assert scan(Sample("2", "a.png", "good", "2"), root).fault == ""


def test_a_large_member_that_is_packed_tighter_than_pictures_are_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 100_000)
    blank = {"mask.bmp": bytes(100_000), "bomb.bmp": bytes(100_001)}
    root = opened(locate(zipped(tmp_path / "a.zip", blank)))
    with pytest.raises(UnreadableImage, match="to 100,001 bytes, over 200 times as much; if"):
        content(root / "bomb.bmp")
    assert content(root / "mask.bmp") == bytes(100_000)


@ENDINGS
def test_an_archive_whose_members_together_are_far_more_than_it_is_refused(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALL_TOTAL_BYTES", 1_000_000)
    noise = np.random.default_rng(0).bytes(1_000_001)
    opened(locate(packed(tmp_path / f"noise{ending}", {"a.png": noise})))
    bomb = packed(tmp_path / f"bomb{ending}", {f"{i}.bmp": bytes(400_000) for i in range(3)})
    with pytest.raises(DataError, match=r"bomb\..* claims to unpack to 0\.0 GB, over 200 times"):
        opened(locate(bomb))
