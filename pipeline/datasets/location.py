"""Location of data: a path on disk or, with the extra `remote`, any place that fsspec reaches.

`s3://bucket/parts`, `gs://...`, `memory://...`, a table's `https://...`, or the inside of an
archive: `zip://images::parts.zip`, and `parts.zip` alone for all of it.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

from pydantic import PlainSerializer, PlainValidator

from pipeline.datasets import archives
from pipeline.datasets.never_parts import HIDDEN, kind_of
from pipeline.errors import DataError, MissingExtra, UnreadableImage, printable
from pipeline.imaging import codec

if TYPE_CHECKING:
    from upath import UPath

    Place: TypeAlias = Path | UPath
else:
    Place = Path  # what `locate` returns beside it is loaded only where it is used

Note = Callable[[PurePosixPath, str], None]

# An archive is one open file, whose members are read one after the other.
_archive = threading.Lock()
# What stands before a `::`: a way to read or keep what the rest names, and perhaps a member.
_OUTER = re.compile(
    r"(?:(?:zip|tar|libarchive|dir|simplecache|filecache|blockcache)://(?:(?!::).)*|\w+)::", re.I
)
# `key:secret@`, where the secret may hold slashes and `::`, a token alone before the host, or one
# behind a #. In `github://org:repo@branch/` and git's addresses neither is a secret.
_SECRET = re.compile(
    r"(?!git(?:hub)?://)[\w+.-]+://[^/:@]*:[^@]*@|https?://(?:[^/]*@|[^#]*#)", re.I | re.DOTALL
)


def _drop(path: PurePosixPath, kind: str) -> None:
    """Note nothing."""


def locate(given: object) -> Place:
    """What a configuration names: a path, or an address with `://` or the ending .zip.

    Raises:
        ValueError: it is not text, or an address of a protocol that fsspec does not know or keeps
            the host apart from.
        DataError: it holds credentials.
        MissingExtra: it is an address and universal-pathlib is not installed.
    """
    given = _written(cast(Any, given)) if hasattr(given, "storage_options") else given
    if not isinstance(given, str | os.PathLike):
        raise ValueError("expected a path or an address such as s3://bucket/folder")
    text = os.fspath(given)
    if not isinstance(text, str):
        raise ValueError("expected text, not bytes")
    if "://" not in text and not text.lower().endswith(".zip"):
        return Path(text)
    # Not a ValueError: its message would come with the text as given.
    if any(_SECRET.match(link) or "?" in link for link in _links(text)):
        raise DataError(
            f"{_masked(text)} holds a password, a key, a query or a #; write the address without "
            "it and give credentials in the environment, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or in the store's own configuration file"
        )
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingExtra("universal-pathlib", text, "remote") from error
    try:
        place = UPath(text if "://" in text else f"zip://::{text}")
    except ValueError as error:
        reason = str(error)
        raise ValueError(f"{reason[:1].lower()}{reason[1:]}; such as s3, gs, https, zip") from None
    if "://" in text and _address(place).rstrip("/") != text.rstrip("/"):
        # Later stages read it as it was written down, and would look elsewhere.
        raise ValueError(
            f"write it as {place} and give the rest in the environment, as fsspec reads it: "
            f"FSSPEC_{place.protocol.upper()}_HOST, ..._USERNAME and so on"
        )
    return place


def _links(text: str) -> Iterator[str]:
    """The parts of a chain: `zip://images::s3://bucket/parts.zip` has two."""
    while outer := _OUTER.match(text):
        yield outer[0]
        text = text[outer.end() :]
    yield text


def _masked(text: str) -> str:
    return re.sub(
        r"([?#]).*", r"\1***", re.sub(r"(?<=://)[^:]*:?.*@", "***@", text), flags=re.DOTALL
    )


def _written(place: Place) -> str:
    """What `locate` reads as the same place: the text it was given, or a shorter one."""
    text = _address(place)
    return re.sub(r"^zip://::((?:(?!::|://).)*\.zip)$", r"\1", text, flags=re.IGNORECASE)


def _address(place: Place) -> str:
    """The place as text, with the repository, which universal-pathlib keeps apart on GitHub."""
    if isinstance(place, Path) or place.protocol != "github":
        return str(place)
    kept = place.storage_options
    at = f"@{kept['sha']}" if kept.get("sha") else ""
    home = f"{kept['org']}:{kept['repo']}{at}/" if {"org", "repo"} <= set(kept) else ""
    return f"github://{home}{place.path}"


Location = Annotated[Place, PlainValidator(locate), PlainSerializer(_written, return_type=str)]


def opened(place: Place) -> Place:
    """The same place, connected once for all paths that are made from it.

    Raises:
        DataError: the archive does not exist, is not an archive, unpacks to far more than it holds,
            or its protocol needs another package.
    """
    if not isinstance(place, Path):
        with _reached(place):
            try:
                _ = place.fs
            except FileNotFoundError:
                raise DataError(f"{place} is missing; check the address") from None
            if place.protocol in archives.KINDS:
                archives.check(place)
    return place


def content(place: Place) -> bytes:
    """The bytes of a file. Many threads may read at once.

    Raises:
        OSError: on disk; elsewhere it is FileNotFoundError.
        DataError: the place cannot be reached, or refuses; UnreadableImage: it is a member of an
            archive that is larger than any image.
    """
    if isinstance(place, Path):
        return place.read_bytes()
    with _reached(place):
        if place.protocol in archives.KINDS:
            archives.check_member(place)
        # Not read_bytes(), for which a web server that is away is a file that is missing.
        data: bytes = place.fs.cat_file(place.path)
    return data


def image(place: Place, name: str) -> bytes:
    """The encoded bytes of an image, called `name` in messages.

    Raises:
        UnreadableImage: the file does not exist, or is not a file (a pipe is not waited for).
        DataError: the place cannot be reached, or refuses.
    """
    if isinstance(place, Path):
        return codec.content(place, name)
    try:
        return content(place)
    except FileNotFoundError as error:
        raise UnreadableImage(f"{name} cannot be read: {error.strerror}") from None


def files(home: Place, note: Note = _drop, strict: bool = True) -> list[PurePosixPath]:
    """All files in a folder and its folders that may be parts, relative to it, in name order.

    Args:
        home: the folder.
        note: called with the path and kind of each file that never is a part (`never_parts`).
        strict: fail where a folder cannot be listed or is a link, which might lead in a circle;
            otherwise such a folder is noted.

    Raises:
        DataError: as above, and where the place cannot be reached.
    """
    if isinstance(home, Path):
        return sorted(map(PurePosixPath, _walk(home, note, strict)))
    with _reached(home):
        top = home.path.rstrip("/")
        found = [name[len(top) :].lstrip("/") for name in home.fs.find(home.path)]
    return sorted(p for p in map(PurePosixPath, found) if _may_be_part(p, note))


def _may_be_part(path: PurePosixPath, note: Note) -> bool:
    for i, name in enumerate(path.parts, 1):
        if kind := kind_of(name):
            note(PurePosixPath(*path.parts[:i]) if kind == HIDDEN else path, kind)
            return False
    return True


def _walk(home: Path, note: Note, strict: bool) -> Iterator[str]:
    def fault(error: OSError) -> None:
        if strict:
            _refuse(error)
        note(PurePosixPath(os.path.relpath(error.filename, home)), "cannot be listed")

    for folder, inner, names in os.walk(home, onerror=fault):
        below = PurePosixPath(Path(folder).relative_to(home).as_posix())

        def beneath(path: PurePosixPath, kind: str, below: PurePosixPath = below) -> None:
            note(below / path, kind)

        inner[:] = _parts_among(Path(folder), inner, beneath)
        names = _parts_among(Path(folder), names, beneath)
        for name in list(inner):
            if not Path(folder, name).is_symlink():
                continue
            if strict:
                raise DataError(
                    f"{printable(str(Path(folder, name)))} is a link to a folder; put the folder "
                    "itself there, or name it in a source of its own"
                )
            note(below / name, "link to a folder")
            inner.remove(name)
        # A folder named like an image is listed, and fails when it is read.
        odd = [name for name in inner if Path(name).suffix.lower() in codec.SUFFIXES]
        yield from ((below / name).as_posix() for name in [*names, *odd])


def _parts_among(home: Place, names: Iterable[str], note: Note) -> list[str]:
    """The names in a folder that may be parts; of the others what is in them is noted."""
    kept = []
    for name in names:
        kind = kind_of(name)
        if not kind:
            kept.append(name)
        elif kind == HIDDEN:
            note(PurePosixPath(name), kind)
        else:
            for path in _all_in(home, name):
                note(path, kind)
    return kept


def _all_in(home: Place, name: str) -> Iterator[PurePosixPath]:
    """All files in a folder of `home`, or the file of that name."""
    if isinstance(home, Path):
        if not Path(home, name).is_dir():
            yield PurePosixPath(name)
        for folder, _, names in os.walk(home / name):
            yield from (PurePosixPath(os.path.relpath(Path(folder, n), home)) for n in names)
    else:
        top = home.path.strip("/")
        for found in home.fs.find((home / name).path) or [f"{top}/{name}"]:
            yield PurePosixPath(found.strip("/").removeprefix(top).strip("/"))


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{printable(str(error.filename))} cannot be listed ({error.strerror}); grant the "
        "right to read it, or move it away"
    ) from None


def entries(home: Place, note: Note = _drop) -> tuple[list[str], list[str]]:
    """The names of the folders and files in a folder that may be parts, each in name order.

    Args:
        home: the folder.
        note: called with the path and kind of each file in it that never is a part.

    Raises:
        DataError: it cannot be listed.
    """
    found: dict[str, bool] = {}
    if isinstance(home, Path):
        try:
            found = {p.name: p.is_dir() for p in home.iterdir()}
        except OSError as error:
            _refuse(error)
        kept = _parts_among(home, sorted(found), note)
    else:
        with _reached(home):
            top = home.path.strip("/")
            found = {
                PurePosixPath(e["name"]).name: e["type"] == "directory"
                for e in home.fs.ls(home.path, detail=True)
                if e["name"].strip("/") != top
            }
            kept = _parts_among(home, sorted(found), note)
    return [name for name in kept if found[name]], [name for name in kept if not found[name]]


def can_be_listed(place: Place) -> bool:
    """Can the files in a place be asked for? A web server only gives what is named."""
    return isinstance(place, Path) or place.protocol not in ("http", "https")


def is_folder(place: Place) -> bool:
    """Is there a folder? Raises DataError where access is denied."""
    if isinstance(place, Path):
        with _seen(place):
            return place.is_dir()
    with _reached(place):
        return bool(place.fs.isdir(place.path))


def is_file(place: Place) -> bool:
    """Is there a file? Raises DataError where access is denied."""
    if isinstance(place, Path):
        with _seen(place):
            return place.is_file()
    with _reached(place):
        return bool(place.fs.isfile(place.path))


@contextmanager
def _seen(place: Path) -> Iterator[None]:
    # Path itself answers False only where there is nothing.
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{printable(str(place))} cannot be looked at ({error.strerror}); check its name and "
            "the rights of the folders above it"
        ) from None


@contextmanager
def _reached(place: Any) -> Iterator[None]:
    with _archive if place.protocol in archives.KINDS else nullcontext():
        try:
            yield
        except DataError:
            raise
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place)) from None
        except ImportError as error:
            raise DataError(
                f"{place} needs one more package, which is not installed: {error} (with pip)"
            ) from error
        except Exception as error:  # every store raises types of its own
            raise DataError(
                f"{place} cannot be read ({type(error).__name__}: {error}); check the address, the "
                "rights and the connection"
            ) from error
