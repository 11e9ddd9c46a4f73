"""Damaged models are kept, a few of them."""

from __future__ import annotations

from pathlib import Path

from pipeline.daemon.model.damage import KEPT, damaged_copies, make_room, set_aside


def damaged(cache: Path, name: str) -> Path:
    """Where a damaged bundle was set aside."""
    (cache / name).mkdir()
    (cache / name / "model.onnx").write_text(name)
    return set_aside(cache / name)


def test_the_newest_copies_stay_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    names = [f"{n}-0123456789ab" for n in (7, 3, 9, 3, 1)]
    made = [damaged(tmp_path, name) for name in names]
    assert damaged_copies(tmp_path) == made[-KEPT:]
    assert [(p / "model.onnx").read_text() for p in made[-KEPT:]] == names[-KEPT:]
    assert made[-1].name == "damaged-005-1-0123456789ab"


def test_after_more_than_999_the_order_is_still_that_of_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "damaged-999-1-0123456789ab").mkdir()
    newest = damaged(tmp_path, "2-0123456789ab")
    assert newest.name == "damaged-1000-2-0123456789ab"
    assert damaged_copies(tmp_path)[-1] == newest


def test_room_is_made_of_copies_only(tmp_path: Path) -> None:
    assert not make_room(tmp_path, 0)
    copy = damaged(tmp_path, "1-0123456789ab")
    size = (copy / "model.onnx").stat().st_size
    assert not make_room(tmp_path, size + 1)
    assert copy.is_dir()
    (tmp_path / "2-0123456789ab").mkdir()
    assert make_room(tmp_path, size)
    assert [p.name for p in tmp_path.iterdir()] == ["2-0123456789ab"]
