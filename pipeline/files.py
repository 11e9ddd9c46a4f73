"""Where the project is, and files in it that are either whole or not there. Calls nothing of ours.

What is written aside is on the disk (fsync) before it is renamed, and its new name before the
caller goes on: so it is whole or not there after a power cut too. Nothing else in `pipeline`
renames (a test says so).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
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
    All its files are on the disk before it gets its name. Where it replaces a folder, a power cut
    between the two renames leaves the former one aside, and the next call puts it back.
    """
    aside = out.with_name(f".{out.name}.partial")
    former = out.with_name(f".{out.name}.former")
    if former.exists() and not out.exists():
        move(former, out)
    if not resumable:
        shutil.rmtree(aside, ignore_errors=True)
    make_folder(aside)
    try:
        yield aside
        _sync_tree(aside)
    except BaseException:
        if not resumable:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(former, ignore_errors=True)
    if out.exists():
        out.rename(former)
    move(aside, out)
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def whole_file(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a file to write, so that a reader sees the old content or the new, never half of it.

    Args:
        path: where it gets its name once it is on the disk; missing folders are made.
        mode: its rights from its first moment on, before the umask takes its share.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.partial")
    try:
        aside.unlink(missing_ok=True)  # another process may hold that one open, or own it
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        move(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def put_in_place(made: Path, path: Path) -> None:
    """Give a file or folder that another program has written the name where it is looked for.

    As `whole_file` and `whole_folder` do: after a power cut there is all of it or nothing.

    Args:
        made: on the same disk; whatever it holds is on the disk before the name changes.
        path: replaced where it is a file, or an empty folder.
    """
    _sync_tree(made)
    move(made, path)


def move(path: Path, to: Path) -> None:
    """Rename a file or folder, so that a power cut does not undo it once this returns."""
    path.replace(to)
    sync_folder(to.parent)
    if path.parent != to.parent:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no such call: there a folder is in the server's care.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _sync_tree(path: Path) -> None:
    """Have a file, or all that a folder holds, outlive a power cut; not its own name."""
    if not path.is_dir():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        return
    for inner in path.iterdir():
        if not inner.is_symlink():
            _sync_tree(inner)
    sync_folder(path)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of which outlives a power cut."""
    if not folder.is_dir():
        if not folder.parent.exists():
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def sole_writer(path: Path, within_s: float = 10.0) -> Iterator[None]:
    """Let no other program change a file between reading and replacing it, if it asks here too.

    The lock is on the file's folder: it leaves no lock file behind that somebody could remove, and
    the file itself, which is replaced, is another one each time.

    Raises:
        TimeoutError: another program holds it for longer than `within_s`.
        OSError: the folder cannot be opened, or its file system has no locks.
    """
    make_folder(path.parent)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until_s = time.monotonic() + within_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise TimeoutError(
                        errno.ETIMEDOUT, f"another program changes it for over {within_s:g} s"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


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
