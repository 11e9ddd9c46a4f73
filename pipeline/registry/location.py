"""Where the files of a version lie, and which machines can have them from there.

A registry names a place for each version's files when it is registered. A folder of that machine
(`file:` or a path) is out of reach of a station elsewhere, even where it reaches the registry.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import RegistryError
from pipeline.registry.connection import redacted

HOW = 'docs/review.md, "Stations on other machines"'


def folder_of(source: str) -> Path | None:
    """The folder of one machine that holds the files, None for a server or an object store."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(source)


def require_within_reach(uri: str, source: str) -> None:
    """Raise RegistryError, with cause and remedy, where this machine cannot have the files.

    Args:
        uri: the registry, for the message.
        source: where the files lie, as the registry has it.
    """
    folder = folder_of(source)
    if folder is not None and not folder.is_dir():
        raise RegistryError(
            f"the files lie in {folder}, by the registry at {redacted(uri)}, and this machine has "
            "no such folder: it belongs to the machine where they were registered; register them "
            f"through a server that serves artifacts ({HOW}), or restore the folder if it was here"
        )


def out_of_reach_elsewhere(source: str) -> str:
    """Why stations on other machines cannot fetch what lies there; "" where they can."""
    folder = folder_of(source)
    if folder is None:
        return ""
    return (
        f"its files lie in {folder}, a folder of one machine: stations on other machines cannot "
        f"fetch them; to serve them see {HOW}"
    )
