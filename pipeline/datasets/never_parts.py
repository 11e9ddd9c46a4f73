"""Names that are never parts: what systems, file servers and editors put beside images."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from pipeline.errors import printable

HIDDEN = "hidden (.*)"
SHOWN = 20

# In small letters: Synology and QNAP, Windows, macOS, Linux, and who makes thumbnails.
_FOLDERS = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "system volume information", "found.000"),
        *("__macosx", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd"),
        *("lost+found", ".ipynb_checkpoints", "__pycache__"),
        *("thumbnails", ".thumbnails", "thumbs", ".thumbs", ".@__thumb", ".picasaoriginals"),
    }
)
_FILES = (
    (re.compile(r"\._"), "._* (macOS)"),
    (re.compile(r"(ehthumbs(_vista)?|thumbs)\.db(:|$)", re.I), "Thumbs.db"),
    (re.compile(r"desktop\.ini$", re.I), "desktop.ini"),
    (re.compile(r"\.ds_store$", re.I), ".DS_Store"),
    (re.compile(r"syno(photo|index|file|video)_", re.I), "SYNO*_*"),
    (re.compile(r".*:zone\.identifier$", re.I), "Zone.Identifier"),
    (re.compile(r"~\$"), "~$*"),
)


def kind_of(name: str) -> str:
    """What a file or folder of this name is called in reports, "" for one that may be a part."""
    if name.lower() in _FOLDERS:
        return printable(name)
    for pattern, kind in _FILES:
        if pattern.match(name):
            return kind
    return HIDDEN if name.startswith(".") else ""


class PassedOver:
    """The files of a tree that were not taken as parts, each with its kind."""

    def __init__(self) -> None:
        self._kinds: dict[PurePosixPath, str] = {}

    def add(self, path: PurePosixPath, kind: str) -> None:
        """Note a file, or a hidden folder as one; a second time changes nothing."""
        self._kinds.setdefault(path, kind)

    def __len__(self) -> int:
        return len(self._kinds)

    def report(self) -> dict[str, Any]:
        """Their number, the number of each kind and the first paths, as plain data."""
        return {
            "n": len(self),
            "kinds": dict(Counter(self._kinds.values()).most_common()),
            "shown": [printable(str(path)) for path in sorted(self._kinds)[:SHOWN]],
        }

    def sentence(self) -> str:
        """One line for people, "" where there are none."""
        if not self._kinds:
            return ""
        kinds = Counter(self._kinds.values()).most_common()
        return (
            f"{len(self)} file(s) passed over, never parts: "
            f"{', '.join(f'{kind} {n}' for kind, n in kinds)}; "
            f"such as {printable(str(min(self._kinds)))}"
        )
