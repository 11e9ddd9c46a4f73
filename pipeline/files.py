"""Where the project is, and files in it that are either whole or not there. Calls nothing of ours.

Writing is done aside, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def project(root: Path = Path()) -> Path:
    """The project's folder, absolute: `root`, unless DVC says which.

    `dvc exp run --queue` and `--temp` work in a copy without what git ignores; there `DVC_ROOT`
    still names the project itself.
    """
    return Path(os.environ.get("DVC_ROOT") or root).absolute()


def cache_folder(name: str) -> Path:
    """`.cache/<name>` of the project: what can be computed again, shared by all experiments."""
    return project() / ".cache" / name


@contextmanager
def whole_folder(out: Path, *, resumable: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `out` that takes its place only if the block succeeds.

    A resumable one stays when the block fails or is killed, and the next call yields it as it is.
    """
    aside = out.with_name(f".{out.name}.partial")
    if not resumable:
        shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=resumable)
    try:
        yield aside
    except BaseException:
        if not resumable:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    former = out.with_name(f".{out.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    if out.exists():
        out.rename(former)
    aside.rename(out)
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, so that a reader sees the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    try:
        with aside.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write these bytes as a `whole_file`."""
    with whole_file(path) as handle:
        handle.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and for diffs: indented, in the order given, newline at the end."""
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_model(path: Path, model: BaseModel) -> None:
    """Write a pydantic model as JSON."""
    write_json(path, model.model_dump(mode="json", by_alias=True))


def read_model(path: Path, model: type[M]) -> M:
    """Read what `write_model` wrote; raises FileNotFoundError or pydantic's ValidationError."""
    return model.model_validate_json(path.read_bytes())


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
