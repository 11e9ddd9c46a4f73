"""Whole or not there: what lies on the disk after a failure."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.files import sha256, whole_folder, write_json, write_whole


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def write_half(out: Path, error: type[BaseException]) -> None:
    with whole_folder(out) as aside:
        (aside / "half.txt").write_text("half")
        raise error


def test_a_folder_appears_only_when_the_block_has_succeeded(tmp_path: Path) -> None:
    out = tmp_path / "stage"
    with whole_folder(out) as aside:
        (aside / "a.txt").write_text("new")
        assert not out.exists()
    assert names(tmp_path) == ["stage", "stage/a.txt"]


def test_new_content_replaces_the_old_wholly(tmp_path: Path) -> None:
    out = tmp_path / "stage"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with whole_folder(out) as aside:
        (aside / "new.txt").write_text("new")
    assert names(tmp_path) == ["stage", "stage/new.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_old_content_stays_and_nothing_else_when_the_block_raises(
    tmp_path: Path, error: type[BaseException]
) -> None:
    out = tmp_path / "stage"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(error):
        write_half(out, error)
    assert names(tmp_path) == ["stage", "stage/old.txt"]
    assert (out / "old.txt").read_text() == "old"


def test_what_a_killed_run_left_aside_does_not_reach_the_new_folder(tmp_path: Path) -> None:
    killed = whole_folder(tmp_path / "stage")
    aside = killed.__enter__()
    (aside / "half.txt").write_text("half")
    with whole_folder(tmp_path / "stage") as fresh:
        assert names(fresh) == []
    assert names(tmp_path) == ["stage"]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "b"):
        pass
    write_whole(tmp_path / "c" / "d.txt", b"")
    assert names(tmp_path) == ["a", "a/b", "c", "c/d.txt"]


def test_a_file_holds_the_new_bytes_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old and long")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.json"]


def test_old_bytes_stay_and_nothing_else_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_json_keeps_order_and_letters_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"z": "Bänder", "a": [1]})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert text == '{\n  "z": "Bänder",\n  "a": [\n    1\n  ]\n}\n'
    assert json.loads(text) == {"z": "Bänder", "a": [1]}


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
