"""Ingest, on data sets as they come: what is damaged is quarantined by name, or one error says so.

Quarantined means: listed in report.json with the reason, absent from the table.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import csv
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.errors import DataError
from pipeline.stages import ingest
from tests.stages.conftest import TAXONOMY, copy_cells, folder_of

PER_CLASS = 12
ANY_BYTES_IN_NAMES = pytest.mark.skipif(
    sys.platform != "linux", reason="this system keeps file names in Unicode"
)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    copy_cells(tmp_path / "images", per_class=PER_CLASS)
    return tmp_path / "images"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def cell(images: Path) -> Image.Image:
    """A cell that is in no data set here: the first one, turned and cut to half its size."""
    first = min((images / "good").glob("cell*.png"))
    return Image.open(first).transpose(Image.Transpose.ROTATE_90).crop((0, 0, 150, 150))


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def quarantined(images: Path, out: Path) -> dict[str, str]:
    """Ingest; the reason for each quarantined path. All the good cells must be in the table."""
    report = ingest.run(folder_of(images), TAXONOMY, out)
    for line in report.lines:
        line.encode()
    table = pd.read_parquet(out / "manifest.parquet")
    corrupt = json.loads((out / "report.json").read_bytes())["corrupt"]
    assert not set(table["path"]) & {entry["path"] for entry in corrupt}
    assert table["label"].value_counts().to_dict() == {"good": PER_CLASS, "defective": PER_CLASS}
    return {entry["path"]: entry["reason"] for entry in corrupt}


def refused(config: ingest.Config, out: Path, taxonomy: Taxonomy = TAXONOMY) -> str:
    """The one error that ingest ends in, having written nothing; it can be printed anywhere."""
    with pytest.raises(DataError) as error:
        ingest.run(config, taxonomy, out)
    assert list(out.iterdir()) == []
    str(error.value).encode()
    return str(error.value)


def cut_jpeg(images: Path) -> bytes:
    whole = saved(cell(images), "JPEG")
    return whole[: len(whole) // 2]


def zero_filled_jpeg(images: Path) -> bytes:
    whole, half = saved(cell(images), "JPEG"), cut_jpeg(images)
    return half + bytes(len(whole) - len(half))


def cut_png(images: Path) -> bytes:
    return saved(cell(images), "PNG")[:-12]


def sixteen_bit_png(images: Path) -> bytes:
    return saved(Image.fromarray(np.asarray(cell(images)).astype(np.uint16) * 257), "PNG")


def png_that_claims_a_huge_size(_: Path) -> bytes:
    return saved(Image.new("1", (17_000, 17_000)), "PNG")


def jpeg_that_hides_its_size(_: Path) -> bytes:
    whole = saved(Image.new("L", (8000, 8000)), "JPEG")
    segment = b"\xff\xe5" + (65_535).to_bytes(2) + bytes(65_533)
    return whole[:2] + segment * 17 + whole[2:]


DAMAGES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "bomb.png": (png_that_claims_a_huge_size, "more than OPENCV_IO_MAX_IMAGE_PIXELS ("),
    "camera.png": (sixteen_bit_png, "16 bits a channel; set `raw` (bit_depth, black, white)"),
    "cut.jpg": (cut_jpeg, "cut off, its end is missing; copy it again"),
    "cut.png": (cut_png, "cut off, its end is missing; copy it again"),
    "empty.png": (lambda _: b"", "is empty (0 bytes)"),
    "filled.jpg": (zero_filled_jpeg, "cut off, its end is missing; copy it again"),
    "packed.pgm": (lambda _: b"P4\n8000 8000\n" + bytes(8_000_000), "8,000 x 8,000 pixels, more"),
    "padded.jpg": (jpeg_that_hides_its_size, "8,000 x 8,000 pixels, more than OPENCV_IO"),
    "gif.png": (lambda images: saved(cell(images), "GIF"), "it does not begin as JPEG, PNG, BMP"),
}


def test_each_file_that_cannot_be_used_is_quarantined_with_its_reason(
    images: Path, out: Path
) -> None:
    for name, (damage, _) in DAMAGES.items():
        (images / "good" / name).write_bytes(damage(images))
    found = quarantined(images, out)
    assert sorted(found) == sorted(f"good/{name}" for name in DAMAGES)
    for name, (_, reason) in DAMAGES.items():
        assert reason in found[f"good/{name}"]


def test_a_directory_named_like_an_image_is_quarantined_and_the_images_in_it_are_used(
    images: Path, out: Path
) -> None:
    (images / "good/x.png").mkdir()
    inner = min((images / "good").glob("cell*.png"))
    inner.rename(images / "good/x.png" / inner.name)
    assert quarantined(images, out) == {
        "good/x.png": "good/x.png is a directory, not a file; rename or remove it"
    }


def test_a_pipe_named_like_an_image_is_quarantined_and_not_waited_for(
    images: Path, out: Path
) -> None:
    path = images / "good/x.png"
    os.mkfifo(path)
    # Who opens it all the same finds it empty, so that this test ends.
    threading.Thread(target=path.write_bytes, args=(b"",), daemon=True).start()
    assert quarantined(images, out) == {
        "good/x.png": "good/x.png is a pipe or device, not a file; rename or remove it"
    }
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def test_links_that_lead_nowhere_are_quarantined(images: Path, out: Path) -> None:
    (images / "good/gone.png").symlink_to("removed.png")
    (images / "good/x.png").symlink_to("x.png")
    assert quarantined(images, out) == {
        "good/gone.png": "good/gone.png cannot be read: No such file or directory",
        "good/x.png": "good/x.png cannot be read: Too many levels of symbolic links",
    }


def test_a_folder_that_links_back_up_is_named_not_walked_round_and_round(
    images: Path, out: Path
) -> None:
    (images / "good/again").symlink_to(images, target_is_directory=True)
    with pytest.raises(DataError, match=r"good/again is a link to a folder; put the folder itself"):
        quarantined(images, out)


def test_a_class_folder_that_is_a_link_is_read(images: Path, out: Path) -> None:
    (images / "good").rename(images.parent / "elsewhere")
    (images / "good").symlink_to(images.parent / "elsewhere", target_is_directory=True)
    assert quarantined(images, out) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_quarantined(images: Path, out: Path) -> None:
    (images / "good/x.png").touch(mode=0o000)
    found = quarantined(images, out)
    assert found == {"good/x.png": "good/x.png cannot be read: Permission denied"}


@ANY_BYTES_IN_NAMES
def test_a_name_that_is_not_utf_8_is_quarantined_under_one_that_can_be_printed(
    images: Path, out: Path
) -> None:
    shutil.copy(min((images / "good").glob("*.png")), images / "good" / os.fsdecode(b"caf\xe9.png"))
    ((path, reason),) = quarantined(images, out).items()
    assert path == "good/caf\\udce9.png"
    assert reason.endswith("has a name with control characters or that is not UTF-8; rename it")


@ANY_BYTES_IN_NAMES
def test_a_class_folder_whose_name_is_not_utf_8_is_one_error_that_asks_to_rename_it(
    images: Path, out: Path
) -> None:
    (images / "defective").rename(images / os.fsdecode(b"d\xe9fectueux"))
    said = refused(folder_of(images), out)
    assert "d\\udce9fectueux" in said
    assert said.endswith("name has control characters or is not UTF-8: rename it")


def test_every_kind_of_image_that_is_whole_is_used(images: Path, out: Path) -> None:
    palette, bits = cell(images).convert("P"), cell(images).rotate(90).convert("1")
    grey = cell(images).rotate(180).convert("LA")
    printed = cell(images).rotate(270).convert("CMYK")
    for name, image in (("palette", palette), ("bits", bits), ("alpha", grey)):
        (images / "good" / f"{name}.png").write_bytes(saved(image, "PNG"))
    (images / "good/cmyk.jpg").write_bytes(saved(printed, "JPEG"))
    ingest.run(folder_of(images), TAXONOMY, out)
    table = pd.read_parquet(out / "manifest.parquet").set_index("path")
    for name in ("palette.png", "bits.png", "alpha.png", "cmyk.jpg"):
        assert table.loc[f"good/{name}", "width_px"] == 150


def test_one_class_only_is_an_error_that_names_the_other(images: Path, out: Path) -> None:
    shutil.rmtree(images / "defective")
    said = refused(folder_of(images), out)
    assert "all 12 readable images" in said
    assert "are good (0 are quarantined)" in said
    assert "training needs two classes: add images of defective, or set method: normal" in said


def test_a_class_of_which_nothing_can_be_read_is_an_error_too(images: Path, out: Path) -> None:
    for path in (images / "defective").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert "are good (12 are quarantined)" in refused(folder_of(images), out)


def test_a_class_with_one_image_is_named(images: Path, out: Path) -> None:
    for path in sorted((images / "defective").iterdir())[1:]:
        path.unlink()
    assert "class defective" in refused(folder_of(images), out)


def test_a_group_on_both_sides_of_a_given_split_is_named(images: Path, out: Path) -> None:
    paths = sorted(p.relative_to(images).as_posix() for p in images.rglob("*.png"))
    rows = [
        f"{path},{Path(path).parent},m{i // 4},{'test' if i % 4 == 3 else 'train'}"
        for i, path in enumerate(paths)
    ]
    (images / "list.csv").write_text("\n".join(["path,label,module,side", *rows]))
    config = ingest.Config(
        source=csv.Config(
            type="csv",
            file=images / "list.csv",
            columns=csv.Columns(group="module", split="side"),
        ),
        split=ingest.Split(on_leak="error"),
    )
    said = refused(config, out)
    assert "6 groups in all, such as m0; mend the split" in said


def test_an_image_that_turns_bad_after_ingest_is_an_error_of_the_next_stage(
    images: Path, out: Path
) -> None:
    quarantined(images, out)
    data = read_manifest(out)
    path = images / str(data.table["path"].iat[0])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="has changed since it was ingested; run dvc repro"):
        data.image(0)
