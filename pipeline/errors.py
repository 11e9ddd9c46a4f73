"""Every failure that a person can act on.

    LinesideError
    ├── ConfigError       a YAML file: unknown key, wrong type, value out of range
    ├── DataError         images, labels, folders
    │   ├── UnreadableImage   one image that cannot be decoded
    │   └── SourceLost        a camera or trigger that is away; the station tries again
    ├── BundleError       a model bundle that is incomplete, altered or of another format
    │   └── DamagedBundle     its files are not those that were sealed
    ├── RegistryError     the MLflow registry: unreachable, no such version, refused promotion
    │   ├── RegistryUnreachable   it does not answer, or not to us: a station may start offline
    │   │   └── RegistryForbidden     it knows this user or address and refuses (403)
    │   ├── NoRoom           the disk has no room for a bundle that is to be downloaded
    │   ├── SignoffError      sign-offs that do not verify, or were made at the same moment
    │   │   └── ModelWithdrawn    the sign-offs take the champion back and name no other
    │   └── NoChampion        no model of this recipe is signed off yet
    ├── LedgerError       a station's record file that cannot be used
    ├── StationError      a station that cannot go on in this process
    ├── TrainingError     training or export that cannot go on
    └── MissingExtra      an optional package that is not installed

The message says where, what was given, what is allowed and what to do; the commands print it
without a traceback and end with exit code 2. Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path


class LinesideError(Exception):
    """Base of all errors whose message is written for the user."""


class ConfigError(LinesideError):
    """A YAML file that cannot be used as given."""


class DataError(LinesideError):
    """Images, labels or folders that cannot be used as given."""


class UnreadableImage(DataError):
    """One image that cannot be decoded."""


class SourceLost(DataError):
    """A camera, or what triggers it, is not connected or does not answer any more."""


class BundleError(LinesideError):
    """A model bundle that is incomplete, altered or of another format."""


class DamagedBundle(BundleError):
    """A bundle whose files are not those that were sealed: altered, missing, added or torn."""


class RegistryError(LinesideError):
    """The model registry is unreachable or refuses what was asked."""


class RegistryUnreachable(RegistryError):
    """The registry does not answer, or not to this host or user."""


class RegistryForbidden(RegistryUnreachable):
    """The registry refuses this user or address."""


class NoRoom(RegistryError):
    """The disk has no room for a bundle that is to be downloaded.

    Attributes:
        folder: on that disk.
        needed_bytes: a new attempt makes sense once so much is free there; None where there was
            enough and others took it.
    """

    def __init__(self, message: str, folder: Path, needed_bytes: int | None = None) -> None:
        super().__init__(message)
        self.folder = folder
        self.needed_bytes = needed_bytes


class SignoffError(RegistryError):
    """A recipe's sign-offs do not verify, or another person decided at the same moment."""


class ModelWithdrawn(SignoffError):
    """A model was withdrawn or rejected, and the sign-offs name no other that can run in its place.

    Attributes:
        reason: what happened to it, in a few words for the record of a part.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NoChampion(RegistryError):
    """The recipe has no version that a person has promoted."""


class LedgerError(LinesideError):
    """A station's ledger that cannot be opened or written."""


class StationError(LinesideError):
    """A station that cannot go on in this process; a new process may."""


class TrainingError(LinesideError):
    """Training or export that cannot go on."""


class MissingExtra(LinesideError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, needed_by: str, extra: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {package}, which is not installed; "
            f"in your copy of Lineside run: pip install -c constraints.txt '.[{extra}]'"
        )


def choices(given: str, allowed: Iterable[str]) -> str:
    """Name the nearest allowed spelling, then all of them: `did you mean "a"? choose a, b`."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return f"{hint}choose {', '.join(names)}"


# Messages quote addresses of cameras, brokers, receivers and registries, which come with secrets.
_ADDRESS = re.compile(r"""\b([a-z][a-z0-9+.-]*)://([^\s"'<>`]+)""", re.IGNORECASE)
_LOCAL = {"file", "sqlite", "models", "runs"}  # schemes without a server, so without a password
# A password may have a slash, a question mark and an @: with a colon all goes up to the last @.
_USER = re.compile(r"^(?:[^/?#]*:.*|[^/?#]*)@", re.DOTALL)
_TOKEN = re.compile(r"(?=.*\d)(?=.*[a-z])[^/]{16,}", re.IGNORECASE)  # a part of a path
_SETTING = re.compile(
    r"(?i)(\b|_)(password|passwd|pwd|secret|token|api_?key|access_?key|signature)=[^&;,/\s]+"
)
_BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def hidden(text: str, *, paths: bool = False) -> str:
    """The text without what may be a secret in any address in it.

    Gone are user and password, the values of a query, the fragment, and parts of a path that are as
    long and mixed as tokens are; also the value of `password=...` and the like anywhere.

    Args:
        text: of a message.
        paths: hide paths as a whole; for settings, where a short token may stand in one.
    """
    text = _ADDRESS.sub(lambda found: _hidden_address(found[1], found[2], paths), text)
    return _SETTING.sub(r"\1\2=***", text)


def _hidden_address(scheme: str, rest: str, paths: bool) -> str:
    if scheme.lower() in _LOCAL:
        return f"{scheme}://{rest}"
    place, mark, more = re.match(r"([^?#]*)(.?)(.*)", _USER.sub("***@", rest), re.DOTALL).groups()  # type: ignore[union-attr]
    host, slash, path = place.partition("/")
    if paths:
        path, mark = ("..." if path or mark else ""), ""
        slash = slash or ("/" if path else "")
    else:
        path = "/".join("***" if _TOKEN.fullmatch(part) else part for part in path.split("/"))
    if mark and more:
        keys = [pair.partition("=") for pair in more.partition("#")[0].split("&")]
        mark += "&".join(f"{key}=***" if equals else "***" for key, equals, _ in keys)
    return f"{scheme}://{host}{slash}{path}{mark}"


def printable(name: str) -> str:
    """A file's name, or other text from outside, that can be printed and written as UTF-8.

    Escaped stand bytes that are not UTF-8, and all that a terminal would obey: control characters,
    line breaks of every kind, changes of the direction of writing.
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if is_obeyed(c) else c for c in text)


def is_obeyed(character: str) -> bool:
    """Would a terminal obey a character rather than show it, or could it not be written?"""
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _BIDIRECTIONAL
    )


def printable_lines(text: str) -> str:
    """A message of one or more lines, each `printable`, all but the first indented.

    So no text from outside that is quoted in it can look like a message of its own.
    """
    return "\n    ".join(map(printable, text.split("\n")))
