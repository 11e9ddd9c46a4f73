"""Finds the images that a list names, whichever system and folder the list was made on.

A path may have backslashes, another prefix, another Unicode normal form or other capitals. It
means a file on disk where exactly one fits; that it was found so is noted, never silent.
"""

from __future__ import annotations

import os.path
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.datasets.listings.listing import some
from pipeline.datasets.location import Place, can_be_listed, files
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, printable
from pipeline.imaging.codec import SUFFIXES

Key = tuple[str, ...]


class Named(NamedTuple):
    """An image as a list names it.

    Attributes:
        given: its path, relative to the root or absolute, with / or \\, or an address.
        where: what messages call the place in the list.
    """

    given: str
    where: str


@dataclass(frozen=True)
class Found:
    """The images of a list on disk.

    Attributes:
        paths: of each named image, relative to the root; of one that is missing as it was given,
            so that the scan quarantines it.
        notes: sentences on paths that were found in another place than given, and on missing ones.
        unlisted: images beside those, in the folder that holds them all and its folders, in name
            order, that no path means.
        passed_over: files there that never are parts.
    """

    paths: list[str]
    notes: list[str]
    unlisted: list[str]
    passed_over: PassedOver = field(default_factory=PassedOver)


def find(root: Place, file: Place, named: Sequence[Named], also: Collection[Named] = ()) -> Found:
    """Find the images of a list below a root.

    Args:
        root: the folder that they must be in, opened.
        file: the list, for messages.
        named: its images.
        also: images that the list names but that are not wanted; they are not `unlisted`.

    Raises:
        DataError: a path is empty, two or more files fit one, one that leads out of the root fits
            none, or no image is there at all.
    """
    wanted = [relative(root, image) for image in named]
    if not can_be_listed(root):
        for image, path in zip(named, wanted, strict=True):
            if path is None:
                raise _outside(root, image)
        return Found([path for path in wanted if path is not None], [], [])
    tree = _FilesBelow(root)
    there = {path for path in wanted if path is not None and tree.holds(path)}
    moved: dict[str, str] = {}
    missing: list[str] = []
    paths: list[str] = []
    for image, path in zip(named, wanted, strict=True):
        if path in there:
            paths.append(path)
            continue
        match = tree.fitting(image, path, there)
        if match is not None:
            moved[image.given] = match
        elif path is not None:
            missing.append(path)
        else:
            raise _outside(root, image)
        paths.append(match or path or "")
    if missing and len(missing) == len(named):
        raise DataError(
            f"none of the {len(named)} image(s) that {file} names is in {root}: {some(missing, 3)}"
            "; set source.root in ingest.yaml to the folder that holds them"
        )
    left = {path for image in also for path in tree.fits(image, relative(root, image), there)}
    unlisted = tree.beside(set(paths).difference(missing), {*paths, *left})
    return Found(paths, _notes(root, file, moved, missing), unlisted, tree.passed_over)


def relative(root: Place, image: Named) -> str | None:
    """A named path as a POSIX path relative to the root; None where it leads out of it.

    Raises:
        DataError: it cannot be a path.
    """
    path = image.given.strip().replace("\\", "/")
    if not path or "\0" in path:
        raise DataError(f"{image.where} has no usable path of an image (it reads {image.given!r})")
    if isinstance(root, Path):
        home = os.path.normpath(root.absolute())
    else:
        home, path = "/root", path.removeprefix(f"{str(root).rstrip('/')}/")
    full = os.path.normpath(PurePosixPath(home, path))
    strange = PureWindowsPath(path).drive or "://" in path
    if strange or not full.startswith(home.rstrip("/") + "/"):
        return None
    return PurePosixPath(full).relative_to(home).as_posix()


def _without_address(given: str) -> str:
    return unquote(urlsplit(given).path) if "://" in given else given


def _outside(root: Place, image: Named) -> DataError:
    fetch = "fetch the images into it, " if "://" in image.given else ""
    return DataError(
        f"{image.where} names {image.given}, which is not in {root}; {fetch}write paths relative "
        "to that folder or set source.root in ingest.yaml to one that holds all images"
    )


def _notes(root: Place, file: Place, moved: dict[str, str], missing: list[str]) -> list[str]:
    notes = []
    if moved:
        given, path = next(iter(moved.items()))
        notes.append(
            f"{len(moved)} path(s) of {file} stand for a file of another path, the only one that "
            f"fits: {printable(given)} is {printable(path)} in {root}"
        )
    if missing:
        notes.append(f"{len(missing)} image(s) of {file} are not in {root}: {some(missing)}")
    return notes


def _key(path: PurePosixPath | str) -> Key:
    """What two spellings of one path share: neither capitals nor the Unicode normal form matter."""
    parts = PurePosixPath(path).parts
    return tuple(unicodedata.normalize("NFC", p).casefold() for p in parts if p != "/")


class _FilesBelow:
    """The files below a root, listed when first asked for."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self._counterparts: dict[Key, set[PurePosixPath] | None] = {}
        self.passed_over = PassedOver()

    def holds(self, path: str) -> bool:
        """Is there such a file, or a link or folder of that name?"""
        if isinstance(self._root, Path):
            return os.path.lexists(self._root / path)
        return PurePosixPath(path) in self._all

    def fitting(self, image: Named, path: str | None, taken: set[str]) -> str | None:
        """The one file that a path means that is not there as given; None where none does.

        Raises:
            DataError: more than one fits.
        """
        found = self.fits(image, path, taken)
        if len(found) > 1:
            raise DataError(
                f"{image.where} names {image.given}, which is not in {self._root}, and "
                f"{len(found)} files there fit: {some(found, 5)}; write the path relative to that "
                "folder, or set source.root in ingest.yaml to the one that is meant"
            )
        return found[0] if found else None

    def fits(self, image: Named, path: str | None, taken: set[str]) -> list[str]:
        """The files that a path may mean: those that share most parts with it, from the end."""
        if path is not None and self.holds(path):
            return [path]
        given = PurePosixPath(path or _without_address(image.given.strip().replace("\\", "/")))
        key, homes = _key(given), self._homes(_key(given.parent))
        if not key:
            return []
        if homes is None:
            candidates = self._by_name.get(key[-1], [])
        else:
            candidates = [file for home in homes for file in self._in_folder(home, key[-1])]
        ranks = {
            file: (_shared(_key(file), key), file.name == given.name)
            for file in candidates
            if str(file) not in taken
        }
        best = max(ranks.values(), default=(0, False))
        return sorted(str(file) for file, rank in ranks.items() if rank == best)

    def _homes(self, given: Key) -> set[PurePosixPath] | None:
        """The folders of images that a folder means, None where it has no counterpart on disk.

        Where it has one, a file of the same name in another folder is another part's.
        """
        if given not in self._counterparts:
            homes = self._image_folders.get(given[-1:], [])
            shared = {home: _shared(_key(home), given) for home in homes}
            most = max(shared.values(), default=0)
            self._counterparts[given] = {h for h, n in shared.items() if n == most} or None
        return self._counterparts[given]

    def _in_folder(self, home: PurePosixPath, name: str) -> list[PurePosixPath]:
        return self._by_folder.get((home, name), [])

    def beside(self, listed: set[str], known: set[str]) -> list[str]:
        """Images in the folder that holds all those listed, and in its folders, but not known."""
        if not listed:
            return []
        home = PurePosixPath(os.path.commonpath([str(PurePosixPath(p).parent) for p in listed]))
        images = (str(home / p) for p in self._below(home) if p.suffix.lower() in SUFFIXES)
        return [path for path in images if path not in known]

    def _below(self, home: PurePosixPath) -> list[PurePosixPath]:
        def note(path: PurePosixPath, kind: str) -> None:
            self.passed_over.add(home / path, kind)

        place = self._root / str(home) if home.parts else self._root
        return files(place, note, strict=False)

    @cached_property
    def _all(self) -> set[PurePosixPath]:
        return set(self._below(PurePosixPath()))

    @cached_property
    def _by_name(self) -> dict[str, list[PurePosixPath]]:
        found: dict[str, list[PurePosixPath]] = {}
        for path in self._all:
            found.setdefault(_key(path.name)[0], []).append(path)
        return found

    @cached_property
    def _by_folder(self) -> dict[tuple[PurePosixPath, str], list[PurePosixPath]]:
        found: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = {}
        for path in self._all:
            found.setdefault((path.parent, _key(path.name)[0]), []).append(path)
        return found

    @cached_property
    def _image_folders(self) -> dict[Key, list[PurePosixPath]]:
        """The folders that hold images, by the last part of their key, () for the root."""
        found: dict[Key, list[PurePosixPath]] = {}
        for home in {path.parent for path in self._all if path.suffix.lower() in SUFFIXES}:
            found.setdefault(_key(home)[-1:], []).append(home)
        return found


def _shared(one: Key, other: Key) -> int:
    """How many parts two paths share, from their end."""
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n
