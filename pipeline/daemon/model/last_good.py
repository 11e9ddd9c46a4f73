"""The model that a station ran last, noted in its cache: it starts the station offline.

With it stand its sign-off and, where a person took the model back, that it must not run again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.contracts.signoff import Signoff
from pipeline.daemon.settings.line import Line
from pipeline.errors import LinesideError, SignoffError
from pipeline.files import make_folder, read_model, write_json, write_model
from pipeline.registry.decisions.trust import Trust
from pipeline.registry.resolution import Resolution, Resolved
from pipeline.registry.store import Registry
from pipeline.registry.versions import REVIEW_TAG, SIGNER_TAG, Version

LAST_GOOD = "last_good.json"
SEEN = "signoffs.json"  # the last record of the verified sign-offs that this station has seen
WITHDRAWN = "withdrawn"  # the key in it that says why the model must not run again

log = logging.getLogger(__name__)


def look_at(registry: Registry, line: Line) -> Resolution:
    """A look at the registry for this line; what it sees of sign-offs is kept in its cache."""
    return Resolution(
        *(registry, line.recipe, line.model.alias),
        require_signoff=line.model.require_signoff,
        trust=trust_of(line),
    )


def trust_of(line: Line) -> Trust:
    """What this line wants of sign-offs."""
    model = line.model
    return Trust(model.signers, model.require_login, _seen(line), lambda last: _see(line, last))


def folder_of(line: Line, version: Version) -> Path:
    """Where the cache keeps a version's bundle."""
    return line.model.cache / f"{version.version}-{version.bundle_sha256[:12]}"


def remember(line: Line, wanted: Resolved) -> None:
    """Note that a version is good: it starts the station when the registry is away."""
    version = wanted.version
    known = {
        "recipe": version.recipe,
        "alias": line.model.alias,
        "version": version.version,
        "bundle_sha256": version.bundle_sha256,
        "run_id": version.run_id,
        "signed_by": wanted.signed_by,
    }
    try:
        if wanted.approval is not None:
            write_model(_approval_path(line, version), wanted.approval)
        write_json(line.model.cache / LAST_GOOD, known)
    except OSError as error:
        log.warning("%s: a start without the registry will not be possible", error)


def note_withdrawal(line: Line, why: str) -> None:
    """Note that the last good model must not run again, also when the registry is away."""
    known = _read(line)
    if known is None or known.get(WITHDRAWN) == why:
        return
    path = line.model.cache / LAST_GOOD
    try:
        write_json(path, known | {WITHDRAWN: why})
    except OSError as error:
        log.error("%s: a start without the registry would run a withdrawn model: remove it", error)


def last_good(line: Line) -> Version | None:
    """The last good model, None where none is known."""
    known = _read(line)
    if known is None:
        return None
    by = str(known.get("signed_by", ""))
    return Version(
        recipe=known["recipe"],
        version=known["version"],
        bundle_sha256=known["bundle_sha256"],
        run_id=known["run_id"],
        aliases=(known["alias"],),
        tags={REVIEW_TAG: "approved", SIGNER_TAG: by} if by else {},
    )


def signer(line: Line, version: Version) -> str:
    """Who signed off a version that this station runs, "" where nobody did.

    Where sign-offs are required it is the one of the verified record that was kept.
    """
    if not line.model.require_signoff:
        return version.signed_by
    try:
        return read_model(_approval_path(line, version), Signoff).reviewer
    except (OSError, ValidationError):
        return ""


def withdrawal(line: Line) -> str:
    """Why the last good model must not run again, "" where it may."""
    known = _read(line)
    return "" if known is None else str(known.get(WITHDRAWN, ""))


def approval_seq(line: Line, version: Version) -> int:
    """The place in the chain of the sign-off kept with a version, 0 where none is."""
    try:
        return read_model(_approval_path(line, version), Signoff).seq
    except (OSError, ValidationError):
        return 0


def checked_approval(line: Line, last: Version, cause: LinesideError) -> Signoff:
    """The sign-off kept with the last good model, which was verified when it was kept.

    Raises:
        SignoffError: it cannot be read, or is of another model; `cause` is named first.
    """
    path = _approval_path(line, last)
    try:
        record = read_model(path, Signoff)
    except (OSError, ValidationError) as error:
        raise SignoffError(
            f"{cause}; and {path}, the sign-off of the last good model {last.name}, cannot be "
            "read: start once with the registry in reach, or without model.require_signoff"
        ) from error
    of = (record.recipe, record.version, record.bundle_sha256)
    intact = record.sha256 == record.expected_sha256 and record.makes_champion
    if not intact or of != (last.recipe, last.version, last.bundle_sha256):
        raise SignoffError(
            f"{cause}; and {path} is not the sign-off of the last good model {last.name}: it was "
            "altered; start once with the registry in reach"
        )
    trust = trust_of(line)
    if objection := trust.objection(record):
        raise SignoffError(f"{cause}; and of the last good model {last.name}: {objection}")
    trust.check_login(record)
    return record


def _seen(line: Line) -> tuple[int, str]:
    """Place and hash of the last record that was seen, (0, "") for none of this recipe."""
    path = line.model.cache / SEEN
    try:
        known = json.loads(path.read_bytes())
        same = known["recipe"] == line.recipe
        return (int(known["seq"]), str(known["sha256"])) if same else (0, "")
    except FileNotFoundError:
        return 0, ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("%s cannot be read (%r): sign-offs set back are not noticed", path, error)
        return 0, ""


def _see(line: Line, last: Signoff) -> None:
    """Note the last record; only stations that know whose sign-offs count compare with it."""
    if not line.model.signers or _seen(line) == (last.seq, last.sha256):
        return
    known = {"recipe": line.recipe, "seq": last.seq, "sha256": last.sha256}
    try:
        make_folder(line.model.cache)
        write_json(line.model.cache / SEEN, known)
    except OSError as error:
        log.warning("%s: sign-offs that are set back will not be noticed", error)


def _approval_path(line: Line, version: Version) -> Path:
    return line.model.cache / f"{folder_of(line, version).name}.signoff.json"


def _read(line: Line) -> dict[str, Any] | None:
    """What is known of the last good model of this recipe and alias."""
    path = line.model.cache / LAST_GOOD
    try:
        known: dict[str, Any] = json.loads(path.read_bytes())
        same = known["recipe"] == line.recipe and known["alias"] == line.model.alias
        found = {"version": int(known["version"])} | {
            k: known[k] for k in ("bundle_sha256", "run_id")
        }
        return known | found if same else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("%s cannot be read (%r): no last good model is known", path, error)
        return None
