"""Recognition of a folder's layout: its files, listed once, and what an adapter makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from pipeline.datasets.location import Place, content, files
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import DataError, printable
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import PluginConfig


@dataclass(frozen=True)
class Recognition:
    """How a folder can be read.

    Attributes:
        source: settings of an adapter, as `source` in ingest.yaml gives them.
        reason: why this adapter, in words.
    """

    source: PluginConfig
    reason: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as ingest.yaml writes them: plain values, defaults left out."""
        return self.source.model_dump(mode="json", exclude_defaults=True)


class Tree:
    """The files of a folder, for adapters that look whether it is theirs.

    Attributes:
        home: the folder, opened.
        passed_over: files in it that never are parts; complete once `files` was asked for.
    """

    def __init__(self, home: Place) -> None:
        self.home = home
        self.passed_over = PassedOver()
        self._parsed: dict[PurePosixPath, Any] = {}

    @cached_property
    def files(self) -> tuple[PurePosixPath, ...]:
        """All files that may belong to the data set, relative to the folder, in name order."""
        return tuple(files(self.home, self.passed_over.add))

    @cached_property
    def images(self) -> tuple[PurePosixPath, ...]:
        """Those that an image's name ends."""
        return tuple(p for p in self.files if p.suffix.lower() in SUFFIXES)

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders directly in the folder that have a file, in name order."""
        return tuple(dict.fromkeys(p.parts[0] for p in self.files if len(p.parts) > 1))

    def ending(self, *suffixes: str, depth: int | None = None) -> list[PurePosixPath]:
        """Files whose names end with one of the suffixes, in small letters.

        Args:
            suffixes: such as `.json`.
            depth: how many folders at most they lie below; None: any.
        """
        return [
            p
            for p in self.files
            if p.suffix.lower() in suffixes and (depth is None or len(p.parts) <= depth + 1)
        ]

    def images_below(self, folder: str) -> list[PurePosixPath]:
        """The images in a folder and its folders."""
        parts = PurePosixPath(folder).parts
        return [p for p in self.images if p.parts[: len(parts)] == parts and len(p.parts) > 1]

    def json(self, path: PurePosixPath) -> Any:
        """The content of a JSON file; None where it is not JSON or cannot be read."""
        if path not in self._parsed:
            try:
                self._parsed[path] = json.loads(self.bytes(path))
            except (DataError, ValueError, RecursionError):
                self._parsed[path] = None
        return self._parsed[path]

    def bytes(self, path: PurePosixPath) -> bytes:
        """The content of a file without a byte order mark; raises DataError if it is unreadable."""
        try:
            return content(self.home / path.as_posix()).removeprefix(b"\xef\xbb\xbf")
        except OSError as error:
            name = printable(f"{self.home}/{path}")
            raise DataError(
                f"{name} cannot be read: {error.strerror}; grant the right to"
            ) from None
