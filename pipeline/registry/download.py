"""A bundle's files from where MLflow keeps them into a folder: room first, then every hash."""

from __future__ import annotations

import errno
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contracts.bundle import (
    MANIFEST,
    BundleManifest,
    FileSeal,
    open_bundle,
    read_part,
)
from pipeline.errors import BundleError, NoRoom, RegistryError
from pipeline.registry.connection import redacted, set_defaults, translate_errors
from pipeline.registry.location import require_within_reach

if TYPE_CHECKING:
    from mlflow.entities import FileInfo
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

BUNDLE_FOLDER = "extra_files"  # where MLflow keeps files that come with a model
KEEP_FREE_BYTES = 64 * 2**20  # of the disk, whatever is downloaded to it
BLOCK_BYTES = 4096  # by which file systems hand out their space
FULL = (errno.ENOSPC, errno.EDQUOT)

_planning = threading.Lock()
_under_way: Counter[int] = Counter()  # bytes of downloads under way in this process, by device


def download(
    uri: str, source: str, into: Path, sha256: str, keep_free_bytes: int = KEEP_FREE_BYTES
) -> None:
    """Fill the empty folder `into` with the bundle of a logged model.

    How large it is is asked first, and nothing is downloaded that would leave less than
    `keep_free_bytes` on the disk of `into`. Nothing is written elsewhere.

    Args:
        uri: the registry.
        source: where the logged model's artifacts lie.
        into: an empty folder.
        sha256: the bundle's identity, as the registry has it.
        keep_free_bytes: of the disk, for others.

    Raises:
        BundleError: a file was altered, is missing or was added; it is named without `into`.
        NoRoom: the disk has no room for it, or was filled by others on the way.
        RegistryError: there is no bundle, or it cannot be had.
    """
    require_within_reach(uri, source)
    set_defaults()
    with translate_errors(uri):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        there = get_artifact_repository(
            f"{source.rstrip('/')}/{BUNDLE_FOLDER}", tracking_uri=uri, registry_uri=uri
        )
        listed = list(_files(there))
    if not listed:
        raise RegistryError(f"{redacted(source)} holds no folder {BUNDLE_FOLDER}")
    size = _size(uri, there, listed, into)
    with _room(into, size, keep_free_bytes):
        try:
            with translate_errors(uri):
                there.download_artifacts("", str(into))  # type: ignore[no-untyped-call]
        except RegistryError as error:
            if not _disk_was_full(error):
                raise
            raise NoRoom(
                f"the disk of {into.parent} was filled by others while {megabytes(size)} were "
                "downloaded to it; make room there",
                into.parent,
            ) from error
    try:
        open_bundle(into, sha256)
    except BundleError as error:
        raise type(error)(str(error).replace(f"{into}/", "")) from error


def megabytes(size: int) -> str:
    """A size for people, as `1.5 MB` (10^6 bytes)."""
    return f"{size / 1e6:,.1f} MB"


def _files(there: ArtifactRepository, path: str | None = None) -> Iterator[FileInfo]:
    """All files below a folder of an artifact store."""
    for entry in there.list_artifacts(path):
        if entry.is_dir:
            if entry.path != path:  # some stores list a folder in itself
                yield from _files(there, entry.path)
        else:
            yield entry


def _size(uri: str, there: ArtifactRepository, listed: list[FileInfo], into: Path) -> int:
    """What these files take on a disk, in bytes.

    A server leaves out the size of an empty file, and some stores leave out all: there the
    manifest's sizes count.
    """
    sealed: dict[str, FileSeal] = {}
    if any(entry.file_size is None for entry in listed):
        with translate_errors(uri):
            there.download_artifacts(MANIFEST, str(into))  # type: ignore[no-untyped-call]
        with suppress(BundleError):  # `open_bundle` reports it, with what else is wrong
            sealed = read_part(into, MANIFEST, BundleManifest).files
    sizes = [
        sealed[entry.path].bytes
        if entry.file_size is None and entry.path in sealed
        else entry.file_size or 0
        for entry in listed
    ]
    return sum(-(-size // BLOCK_BYTES) * BLOCK_BYTES for size in sizes)


@contextmanager
def _room(into: Path, size: int, keep_free_bytes: int) -> Iterator[None]:
    """Hold room for a download, so that another one at the same time does not count on it."""
    device = into.stat().st_dev
    with _planning:
        free = shutil.disk_usage(into).free
        needed = size + keep_free_bytes
        if free < needed + _under_way[device]:
            others = _under_way[device]
            also = f", {megabytes(others)} are for another download" if others else ""
            raise NoRoom(
                f"no room on the disk of {into.parent}: the bundle has {megabytes(size)} and "
                f"{megabytes(keep_free_bytes)} stay free for records and others{also}, but only "
                f"{megabytes(free)} are free; make room there",
                into.parent,
                needed,
            )
        _under_way[device] += size
    try:
        yield
    finally:
        with _planning:
            _under_way[device] -= size


def _disk_was_full(error: BaseException | None) -> bool:
    """Is it, or was it caused by, a disk or a quota that is full?

    MLflow downloads in threads and hands on only the texts of what they raised.
    """
    while error is not None:
        text = str(error)
        if any(getattr(error, "errno", None) == n or f"[Errno {n}]" in text for n in FULL):
            return True
        error = error.__cause__
    return False
