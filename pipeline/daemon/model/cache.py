"""The station's model: pulled by alias, verified at every start, kept for a start offline."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.signoff import Signoff
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.settings.line import Line
from pipeline.errors import (
    BundleError,
    LinesideError,
    NoChampion,
    RegistryUnreachable,
    SignoffError,
)
from pipeline.files import read_model, write_json, write_model
from pipeline.registry.alias import disagreement
from pipeline.registry.chain import Chain
from pipeline.registry.store import CHAMPION, Registry, Version

LAST_GOOD = "last_good.json"
# A bundle's folder, the sign-off beside it, and what a download that was cut off has left.
CACHED = re.compile(r"\.?(\d+-[0-9a-f]{12})(\.signoff\.json)?(\.partial|\.former)?")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """The version that a line wants.

    Attributes:
        version: which.
        approval: the verified record that made it the champion; None where the line asks for none.
        doubt: what does not fit though it may run, "" for nothing.
    """

    version: Version
    approval: Signoff | None = None
    doubt: str = ""


def fetch_champion(
    line: Line, registry: Registry, try_out: Callable[[Bundle], object] = lambda _: None
) -> tuple[Bundle, Version]:
    """Find the version that the line's alias points to and open its bundle, verified.

    When the registry is away, the last good bundle in the cache is used, with a warning. A registry
    that answers "no champion" is obeyed: somebody has withdrawn the model.

    With `require_signoff` the sign-offs say which version is the champion, not the alias, which
    anybody may move and which a command that was cut off leaves behind. Where the sign-offs do not
    verify, or the champion's bundle does not, or it fails its trial, the last good one stays,
    unless a sign-off that is intact takes it back (`Chain.taken_back`).

    Args:
        line: the station.
        registry: where its model comes from.
        try_out: is given the champion's bundle before that counts as good; raises BundleError.

    Raises:
        NoChampion: no version bears the alias, or the one signed off was deleted.
        RegistryUnreachable: the registry is away and nothing fitting is in the cache.
        SignoffError: the sign-offs do not verify and nothing signed off is in the cache, or it was
            taken back.
        BundleError: the bundle is altered or fails its trial, and nothing good is in the cache.
    """
    chain: Chain | None = None
    try:
        chain = _sign_offs(line, registry)
        wanted = _wanted(line, registry, chain)
        bundle = obtain(line, registry, wanted.version)
        try_out(bundle)
    except RegistryUnreachable as away:
        return _last_good_one(line, away, "starting OFFLINE from the last good model", chain)
    except (SignoffError, BundleError) as refused:
        if chain is None and _is_withdrawn(line, registry):
            raise
        return _last_good_one(line, refused, "staying with the last good model", chain)
    if wanted.doubt:
        log.warning("%s; running %s", wanted.doubt, wanted.version.name)
    remember(line, wanted)
    return bundle, wanted.version


def ask(line: Line, registry: Registry) -> Wanted:
    """Which version the line wants now; nothing is downloaded.

    Raises:
        NoChampion, RegistryUnreachable, SignoffError: as `fetch_champion`.
    """
    return _wanted(line, registry, _sign_offs(line, registry))


def obtain(line: Line, registry: Registry, version: Version) -> Bundle:
    """The verified bundle of a version, from the cache or else from the registry.

    Raises:
        RegistryUnreachable: the registry is away.
        BundleError: a file was altered, in the registry or in the cache.
    """
    return _cached(line, version) or _pulled(line, registry, version)


def remember(line: Line, wanted: Wanted) -> None:
    """Note that a version is good: it starts the station when the registry is away."""
    version = wanted.version
    known = {
        "recipe": version.recipe,
        "alias": line.model.alias,
        "version": version.version,
        "bundle_sha256": version.bundle_sha256,
        "run_id": version.run_id,
    }
    try:
        if wanted.approval is not None:
            write_model(_kept_approval(line, version), wanted.approval)
        write_json(line.model.cache / LAST_GOOD, known)
    except OSError as error:
        log.warning("%s: a start without the registry will not be possible", error)


def tidy(line: Line, *needed: Bundle) -> None:
    """Remove from the cache all bundles but those needed and the last good one.

    What does not bear the name of a bundle is left alone: the folder may not be ours alone.
    """
    last = _last_good(line)
    kept = {bundle.folder.name for bundle in needed}
    if last is not None:
        kept.add(_folder(line, last).name)
    try:
        for path in list(line.model.cache.iterdir()):
            of = CACHED.fullmatch(path.name)
            if of is None or (of[1] in kept and not path.name.startswith(".")):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        log.warning("an old model cannot be removed: %s", error)


def cached_taxonomy(line: Line) -> Taxonomy | None:
    """The classes of the model that the station ran last, None where the cache holds none.

    Raises:
        BundleError: a file in the cache was altered.
    """
    last = _last_good(line)
    bundle = None if last is None else _cached(line, last)
    return None if bundle is None else bundle.taxonomy


def _sign_offs(line: Line, registry: Registry) -> Chain | None:
    """The sign-offs as they stand; None where the line asks for none."""
    return registry.signoffs(line.recipe).read() if line.model.require_signoff else None


def _wanted(line: Line, registry: Registry, chain: Chain | None) -> Wanted:
    if chain is not None:
        return _signed_off(chain, registry)
    return Wanted(registry.champion(line.recipe, line.model.alias))


def _is_withdrawn(line: Line, registry: Registry) -> bool:
    """Do sign-offs that verify say of the last good model that it may not run any more?"""
    last = _last_good(line)
    try:
        chain = registry.signoffs(line.recipe).read()
    except RegistryUnreachable:
        return False
    said = "" if last is None else chain.standing.status.get(last.version)
    return not chain.faults and said in ("withdrawn", "rejected")


def _signed_off(chain: Chain, registry: Registry) -> Wanted:
    """The version that the sign-offs name as the champion, and the record that made it so."""
    chain.check()
    signed = chain.standing.champion
    if signed is None:
        # Nobody has, or somebody has given the alias to a version: each has its message.
        aliased = registry.champion(chain.recipe)
        return Wanted(aliased, chain.approval(aliased))
    versions = registry.versions(chain.recipe)
    bearer = next((v for v in versions if CHAMPION in v.aliases), None)
    apart = disagreement(chain, bearer, {v.version for v in versions})
    for version in versions:
        if version.version == signed:
            return Wanted(version, chain.approval(version), apart)
    raise NoChampion(apart)


def _kept_approval(line: Line, version: Version) -> Path:
    return line.model.cache / f"{_folder(line, version).name}.signoff.json"


def _last_good_one(
    line: Line, cause: LinesideError, instead: str, chain: Chain | None
) -> tuple[Bundle, Version]:
    """The last good bundle, verified once more; raises `cause` where there is none."""
    last = _last_good(line)
    kept = None if last is None else _cached(line, last)
    if last is None or kept is None:
        raise cause
    if line.model.require_signoff:
        since = _checked_approval(line, last, cause).seq
        if chain is not None and (act := chain.taken_back(last.version, since)):
            raise SignoffError(
                f"{cause}; and the last good model {last.name} was {act}, so it does not stay"
            ) from cause
    log.warning("%s", cause)
    log.warning("%s, %s, in %s", instead, last.name, kept.folder)
    return kept, last


def _checked_approval(line: Line, last: Version, cause: LinesideError) -> Signoff:
    """The sign-off kept with the last good model, which was verified when it was kept."""
    path = _kept_approval(line, last)
    try:
        record = read_model(path, Signoff)
    except (OSError, ValidationError) as error:
        raise SignoffError(
            f"{cause}; and {path}, the sign-off of the last good model {last.name}, cannot be "
            "read: start once with the registry in reach, or without model.require_signoff"
        ) from error
    of = (record.recipe, record.version, record.bundle_sha256)
    intact = record.sha256 == record.expected_sha256 and record.act != "reject"
    if not intact or of != (last.recipe, last.version, last.bundle_sha256):
        raise SignoffError(
            f"{cause}; and {path} is not the sign-off of the last good model {last.name}: it was "
            "altered; start once with the registry in reach"
        )
    return record


def _folder(line: Line, version: Version) -> Path:
    return line.model.cache / f"{version.version}-{version.bundle_sha256[:12]}"


def _pulled(line: Line, registry: Registry, version: Version) -> Bundle:
    folder = _folder(line, version)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return registry.pull(version, folder)
    except OSError as error:
        raise BundleError(
            f"{folder} cannot be written ({error.strerror}); model.cache in the line file must "
            "name a folder with room that this user may write to"
        ) from error


def _cached(line: Line, version: Version) -> Bundle | None:
    folder = _folder(line, version)
    if not version.bundle_sha256 or not folder.is_dir():
        return None
    try:
        return open_bundle(folder, version.bundle_sha256)
    except BundleError as error:
        # Not healed in silence: somebody or some disk has changed a signed-off model.
        raise BundleError(
            f"{error}; find out why, then delete {folder} to have it downloaded again"
        ) from error


def _last_good(line: Line) -> Version | None:
    try:
        known = json.loads((line.model.cache / LAST_GOOD).read_bytes())
        same = known["recipe"] == line.recipe and known["alias"] == line.model.alias
        return (
            Version(
                recipe=known["recipe"],
                version=int(known["version"]),
                bundle_sha256=known["bundle_sha256"],
                run_id=known["run_id"],
                aliases=(known["alias"],),
            )
            if same
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
