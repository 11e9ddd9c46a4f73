"""Every adapter feeds ingest by YAML alone, on a tiny tree of real cells."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml
from upath import UPath

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import FixedModel, open_cameras, put_together
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Keep, Line, ModelSource
from pipeline.daemon.sources import replay
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.review.reviews import opened
from pipeline.stages import ingest
from tests.stages.trees import (
    PER_CLASS,
    as_coco,
    as_csv,
    as_folder,
    as_labelstudio,
    as_masks,
    as_mvtec,
    cells,
)


def zipped(home: Path, inner: str) -> str:
    """Pack the images, remove them and say where `inner` is now."""
    shutil.make_archive(str(home), "zip", home)
    shutil.rmtree(home)
    return f"zip://{inner}::images.zip" if inner else "images.zip"


def in_memory(home: Path, inner: str) -> str:
    """Move the images into fsspec's store in memory and say where `inner` is now."""
    address = f"memory://{home.parent.name}"
    for path in home.rglob("*"):
        if path.is_file():
            place = UPath(address, path.relative_to(home).as_posix())
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    shutil.rmtree(home)
    return f"{address}/{inner}".rstrip("/")


def ingested(home: Path, source: dict[str, object]) -> Manifest:
    """Run the stage on a project of these settings."""
    conf = home / "conf/cells"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "ingest.yaml").write_text(
        yaml.safe_dump({"source": source, "split": {"given": "ignore"}})
    )
    (conf / "taxonomy.yaml").write_text(
        "classes:\n- {name: good, disposition: pass}\n- {name: defective, disposition: scrap}\n"
    )
    ingest.main(["ingest", "cells"])
    return read_manifest(Path("data/cells/ingest"))


@pytest.mark.parametrize(
    "lay_out", [as_csv, as_coco, as_folder, as_labelstudio, as_masks, as_mvtec]
)
def test_a_tree_of_this_kind_is_ingested_by_yaml_alone_and_wherever_it_lies(
    lay_out: Callable[[Path], dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "images").mkdir()
    source = lay_out(tmp_path / "images")
    shutil.rmtree(tmp_path / "images/all", ignore_errors=True)
    monkeypatch.chdir(tmp_path)
    data = ingested(tmp_path, source)
    assert data.table["label"].value_counts().to_dict() == {
        "good": PER_CLASS,
        "defective": PER_CLASS,
    }
    assert pd.crosstab(data.table["label"], data.table["split"]).to_numpy().min() > 0
    assert data.pixels(0).shape == (300, 300, 3)
    key = "file" if "file" in source else "root"
    inner = str(source[key]).removeprefix("images").lstrip("/")
    for move in (zipped, in_memory):
        shutil.copytree("images", "kept")
        moved = ingested(tmp_path, source | {key: move(tmp_path / "images", inner)})
        shutil.move("kept", "images")
        pd.testing.assert_frame_equal(moved.table, data.table)
        assert moved.image(3) == data.image(3)


def test_the_reviews_of_a_stations_parts_are_what_the_next_model_learns(
    tmp_path: Path, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = cells(tmp_path / "camera")
    keep = Keep(folder=Path("kept"), verdicts=("FAIL", "REVIEW"), pass_share=1)
    line = Line(
        station="west-1",
        recipe="cells",
        model=ModelSource(cache=Path("models")),
        source=replay.Config(type="replay", path=Path("camera")),
        ledger=Path("ledger.sqlite"),
        keep=keep,
    )
    clock, ledger = Clock(), Ledger(line.ledger, line.station)
    model = FixedModel(Inspector(sealed_bundle, threads=1), "cells/1", clock.now())
    put_together(line, open_cameras(line, clock), model, ledger, clock).run(threading.Event())
    records = {r.serial: r for r in ledger.records()}
    # People look at all parts but two, while the station is still there.
    truth = dict(rows[1:-1])
    with opened(line.ledger, line.station) as reviews:
        for serial, label in truth.items():
            reviews.add(records[serial].id, label, "A. Weber", "", datetime.now(UTC))
    ledger.close()
    data = ingested(tmp_path, {"type": "line", "ledger": "ledger.sqlite", "images": "kept"})
    learned = dict(zip(data.table["sample_id"], data.table["label"], strict=True))
    assert learned == {records[serial].id: label for serial, label in truth.items()}
    assert any(records[s].part_class != label for s, label in truth.items())
    shown = {records[s].id: (tmp_path / "camera" / s).read_bytes() for s in truth}
    assert {name: data.image(i) for i, name in enumerate(data.table["sample_id"])} == shown
