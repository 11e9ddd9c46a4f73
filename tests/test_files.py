"""Whole or not there: what lies on the disk after a failure."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pipeline.files import sha256, sole_writer, whole_file, whole_folder, write_json, write_whole
from tests.imports import ROOT, modules


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def write_half(out: Path, error: BaseException | type[BaseException]) -> None:
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


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    path, order = tmp_path / "new" / "file", list[str]()

    def second() -> None:
        with sole_writer(path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with sole_writer(path):
        waiting.start()
        with pytest.raises(TimeoutError, match="another program"), sole_writer(path, 0.05):
            order.append("never")
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]


def test_json_keeps_order_and_characters_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"z": "Bänder", "a": [1]})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert text == '{\n  "z": "Bänder",\n  "a": [\n    1\n  ]\n}\n'
    assert json.loads(text) == {"z": "Bänder", "a": [1]}


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_nothing_else_in_the_package_renames() -> None:
    """Else a power cut could leave a name without its content."""
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for module, path in modules().items()
        if module != "pipeline.files"
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and _renames(call)
    ]
    assert found == []


def _renames(call: ast.Call) -> bool:
    """Is it `os.replace`, `shutil.move`, or a `Path`'s method of such a name?"""
    if not isinstance(call.func, ast.Attribute):
        return False
    of = ast.unparse(call.func.value)
    if of in ("os", "shutil"):
        return call.func.attr in ("rename", "renames", "replace", "move")
    # A string's `replace` takes two arguments, and that of `dataclasses` and times takes names.
    return call.func.attr in ("rename", "replace") and len(call.args) == 1 and not call.keywords


def test_a_folder_that_a_power_cut_left_aside_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "stage"
    out.mkdir()
    (out / "old.txt").write_text("old")
    out.rename(tmp_path / ".stage.former")  # and then the power was cut
    with pytest.raises(ValueError, match="half"):
        write_half(out, ValueError("half"))
    assert names(tmp_path) == ["stage", "stage/old.txt"]


def test_a_file_bears_its_rights_before_it_has_any_content(tmp_path: Path) -> None:
    with whole_file(tmp_path / "secret", mode=0o600):
        (aside,) = tmp_path.iterdir()
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", files_only)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
