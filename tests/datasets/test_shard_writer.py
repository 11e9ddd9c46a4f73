"""Filling shards: interrupted, out of space, and with masks."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.spec import PreprocessSpec, Tiles
from pipeline.datasets.adapters import masks, yolo
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shard_writer import ShardWriter
from pipeline.datasets.shards import Shards
from pipeline.imaging.codec import encode_png
from pipeline.imaging.prepare import Preparation
from pipeline.stages import ingest
from tests.imports import ROOT
from tests.stages.conftest import TAXONOMY, copy_cells, folder_of

SPEC = PreprocessSpec(colour="grey", width_px=32, height_px=32)
PER_SHARD = 5


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 ingested cells."""
    home = tmp_path_factory.mktemp("sharding")
    copy_cells(home / "images", per_class=8)
    (home / "ingest").mkdir()
    ingest.run(folder_of(home / "images"), TAXONOMY, home / "ingest")
    return home / "ingest"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.datasets.shards.SHARD_BYTES", PER_SHARD * 32 * 32)


def shard_writer(ingested: Path, out: Path, spec: PreprocessSpec = SPEC) -> ShardWriter:
    out.mkdir(exist_ok=True)
    return ShardWriter(read_manifest(ingested), Preparation(spec), ingested, out)


def finish(work: ShardWriter) -> None:
    """Do what is left."""
    for _ in work.work():
        pass
    work.write_index()
    work.close()


def interrupted(work: Iterator[None], after: int) -> None:
    """Take some parts and go away, as a process does that is killed."""
    for _ in range(after):
        next(work)


def test_finished_shards_of_an_interrupted_run_are_not_made_again(
    ingested: Path, tmp_path: Path
) -> None:
    interrupted(shard_writer(ingested, tmp_path).work(), 2 * PER_SHARD + 1)
    finished = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("images-*.npy")}
    assert sorted(finished) == ["images-0000.npy", "images-0001.npy"]
    again = shard_writer(ingested, tmp_path)
    assert again.n_kept == 2 * PER_SHARD
    assert len(list(again.work())) == 16 - 2 * PER_SHARD
    again.write_index()
    again.close()
    assert finished.items() <= {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}.items()


def test_a_resumed_run_gives_what_an_undisturbed_one_gives(ingested: Path, tmp_path: Path) -> None:
    interrupted(shard_writer(ingested, tmp_path / "resumed").work(), PER_SHARD + 2)
    for name in ("resumed", "whole"):
        finish(shard_writer(ingested, tmp_path / name))
    files = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()}
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "resumed").iterdir()}
    assert not any("notes" in name or "key" in name for name in files)


def test_shards_of_another_spec_or_other_images_are_made_again(
    ingested: Path, tmp_path: Path
) -> None:
    interrupted(shard_writer(ingested, tmp_path).work(), 2 * PER_SHARD)
    lighter = SPEC.model_copy(update={"pad_value": 1})
    assert shard_writer(ingested, tmp_path, lighter).n_kept == 0
    assert list(tmp_path.glob("images-*.npy")) == []


CHILD = """
import os, signal
from pathlib import Path
from pipeline.datasets import manifest, shards
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shard_writer import ShardWriter
from pipeline.contracts.spec import PreprocessSpec
from pipeline.imaging.prepare import Preparation

shards.SHARD_BYTES = {per_shard} * 32 * 32
spec = PreprocessSpec(colour="grey", width_px=32, height_px=32)
ingested, out = Path({ingested!r}), Path({out!r})
work = ShardWriter(read_manifest(ingested), Preparation(spec), ingested, out).work()
{act}
"""


def child(ingested: Path, out: Path, act: str) -> subprocess.CompletedProcess[str]:
    code = CHILD.format(
        per_shard=PER_SHARD, ingested=str(ingested), out=str(out), act=textwrap.dedent(act)
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_process_killed_at_work_leaves_whole_shards_only(ingested: Path, tmp_path: Path) -> None:
    done = child(
        ingested,
        tmp_path,
        """
        for n, _ in enumerate(work):
            if n == 7:
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.glob("images-*")] == ["images-0000.npy"]
    assert np.load(tmp_path / "images-0000.npy").shape == (PER_SHARD, 32, 32, 1)
    again = shard_writer(ingested, tmp_path)
    assert again.n_kept == PER_SHARD
    finish(again)
    assert len(Shards(tmp_path)) == 16


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_written_shard(ingested: Path, tmp_path: Path) -> None:
    # The kernel's limit on a file's size fails the write as a full disk does.
    done = child(
        ingested,
        tmp_path,
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        try:
            list(work)
        except OSError as error:
            print("stopped:", error.strerror)
        """,
    )
    assert done.stdout.startswith("stopped: File too large"), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["interrupted.key"]


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """4 good and 4 bad ingested parts; the bad ones have a spot in their upper right tile."""
    home = tmp_path / "masked"
    for i in range(8):
        rng = np.random.default_rng(i)
        picture = rng.integers(80, 120, (64, 64, 3), dtype=np.uint8)
        mask = np.zeros((64, 64, 1), np.uint8)
        if i % 2:
            picture[10:14, 40:50] = 250
            mask[10:14, 40:50] = 1
        for folder, content in (("images", picture), ("masks", mask)):
            (home / folder).mkdir(parents=True, exist_ok=True)
            (home / folder / f"{i}.png").write_bytes(encode_png(content))
    config = ingest.Config(
        source=masks.Config(type="masks", root=home),
        split=ingest.Split(val_fraction=0.25, test_fraction=0.25, near_duplicates=False),
    )
    (tmp_path / "ingest").mkdir()
    ingest.run(config, TAXONOMY, tmp_path / "ingest")
    return tmp_path / "ingest"


def test_only_the_tiles_with_a_defect_are_bad_where_there_are_masks(
    masked: Path, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"tiles": Tiles(rows=2, columns=2, overlap=0)})
    out = tmp_path / "out"
    out.mkdir()
    finish(shard_writer(masked, out, spec))
    stored = Shards(out)
    bad = stored.index[stored.index["label"] == "defective"]
    assert len(stored) == 8 * 4
    assert (len(bad), set(bad["tile"])) == (4, {1})
    for position in range(len(stored)):
        mask = stored.mask(position)
        assert mask is not None
        assert mask.any() == (position in bad.index)


def test_only_the_tiles_in_a_box_of_a_defect_are_bad_where_there_are_boxes(
    tmp_path: Path,
) -> None:
    home = tmp_path / "boxed"
    (home / "images").mkdir(parents=True)
    (home / "labels").mkdir()
    (home / "data.yaml").write_text("names: [defective, good]\n")
    for i in range(8):
        picture = np.random.default_rng(i).integers(80, 120, (64, 64, 3), dtype=np.uint8)
        (home / f"images/{i}.png").write_bytes(encode_png(picture))
        # The middle of the box, its width and its height: in the upper right tile.
        spot = "0 0.7 0.2 0.1 0.1\n" if i % 2 else ""
        (home / f"labels/{i}.txt").write_text(f"{spot}1 0.5 0.5 1 1\n")
    config = ingest.Config(
        source=yolo.Config(type="yolo", root=home),
        split=ingest.Split(val_fraction=0.25, test_fraction=0.25, near_duplicates=False),
    )
    (tmp_path / "ingest").mkdir()
    ingest.run(config, TAXONOMY, tmp_path / "ingest")
    spec = SPEC.model_copy(update={"tiles": Tiles(rows=2, columns=2, overlap=0)})
    finish(shard_writer(tmp_path / "ingest", tmp_path / "out", spec))
    stored = Shards(tmp_path / "out")
    bad = stored.index[stored.index["label"] == "defective"]
    assert (len(bad), set(bad["tile"])) == (4, {1})
    for position in range(len(stored)):
        mask = stored.mask(position)
        assert mask is not None
        assert mask.any() == (position in bad.index)


def test_parts_keep_their_shard_together_with_all_their_tiles(
    ingested: Path, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"tiles": Tiles(rows=3, columns=1)})
    finish(shard_writer(ingested, tmp_path, spec))
    index = pd.read_parquet(tmp_path / "index.parquet")
    assert index["tile"].tolist() == [0, 1, 2] * 16
    assert index.groupby("sample_id")["shard"].nunique().max() == 1
    assert len(list(tmp_path.glob("images-*"))) == 16


@pytest.mark.parametrize("step", range(5))  # the key, and the notes of four shards
def test_a_run_interrupted_while_it_cleans_up_can_go_on(
    ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    work = shard_writer(ingested, tmp_path)
    list(work.work())
    work.write_index()
    left, unlink = iter(range(step)), Path.unlink

    def fails(path: Path, missing_ok: bool = False) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fails)
        with pytest.raises(KeyboardInterrupt):
            work.close()
    finish(shard_writer(ingested, tmp_path))
    assert len(Shards(tmp_path)) == 16


def test_files_of_someone_else_are_left_alone(ingested: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    shard_writer(ingested, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_bad_parts_whose_defect_is_cut_away_keep_their_label_and_are_counted(
    masked: Path, tmp_path: Path
) -> None:
    lower = {"x_px": 0, "y_px": 32, "width_px": 64, "height_px": 32}
    spec = PreprocessSpec.model_validate(
        SPEC.model_dump() | {"roi": lower, "tiles": {"columns": 2, "overlap": 0}}
    )
    work = shard_writer(masked, tmp_path / "out", spec)
    list(work.work())
    assert work.write_index() == 4
    assert (Shards(tmp_path / "out").index["label"] == "defective").sum() == 8
