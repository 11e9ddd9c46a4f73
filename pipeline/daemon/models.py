"""The station's model: pulled by alias, verified at every start, kept for a start offline."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pydantic import ValidationError

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.signoff import Signoff
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.line import Line
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

log = logging.getLogger(__name__)


def fetch_champion(line: Line, registry: Registry) -> tuple[Bundle, Version]:
    """Find the version that the line's alias points to and open its bundle, verified.

    When the registry is away, the last good bundle in the cache is used, with a warning. A registry
    that answers "no champion" is obeyed: somebody has withdrawn the model.

    With `require_signoff` the sign-offs say which version is the champion, not the alias, which
    anybody may move and which a command that was cut off leaves behind. Where the sign-offs do not
    verify, or the champion's bundle does not, the last good one stays, unless a sign-off that is
    intact takes it back (`Chain.taken_back`).

    Raises:
        NoChampion: no version bears the alias, or the one signed off was deleted.
        RegistryUnreachable: the registry is away and nothing fitting is in the cache.
        SignoffError: the sign-offs do not verify and nothing signed off is in the cache, or it was
            taken back.
        BundleError: a file was altered, in the registry or in the cache.
    """
    chain: Chain | None = None
    approval: Signoff | None = None
    try:
        if line.model.require_signoff:
            chain = registry.signoffs(line.recipe).read()
            version, approval = _signed_off(chain, registry)
        else:
            version = registry.champion(line.recipe, line.model.alias)
        bundle = _cached(line, version) or _pulled(line, registry, version)
    except RegistryUnreachable as away:
        return _last_good_one(line, away, "starting OFFLINE from the last good model", chain)
    except (SignoffError, BundleError) as refused:
        if chain is None:
            raise
        return _last_good_one(line, refused, "staying with the last good model", chain)
    known = {
        "recipe": version.recipe,
        "alias": line.model.alias,
        "version": version.version,
        "bundle_sha256": version.bundle_sha256,
        "run_id": version.run_id,
    }
    try:
        if approval is not None:
            write_model(_kept_approval(line, version), approval)
        write_json(line.model.cache / LAST_GOOD, known)
    except OSError as error:
        log.warning("%s: a start without the registry will not be possible", error)
    return bundle, version


def cached_taxonomy(line: Line) -> Taxonomy | None:
    """The classes of the model that the station ran last, None where the cache holds none.

    Raises:
        BundleError: a file in the cache was altered.
    """
    last = _last_good(line)
    bundle = None if last is None else _cached(line, last)
    return None if bundle is None else bundle.taxonomy


def _signed_off(chain: Chain, registry: Registry) -> tuple[Version, Signoff]:
    """The version that the sign-offs name as the champion, and the record that made it so."""
    chain.check()
    signed = chain.standing.champion
    if signed is None:
        # Nobody has, or somebody has given the alias to a version: each has its message.
        aliased = registry.champion(chain.recipe)
        return aliased, chain.approval(aliased)
    versions = registry.versions(chain.recipe)
    bearer = next((v for v in versions if CHAMPION in v.aliases), None)
    apart = disagreement(chain, bearer, {v.version for v in versions})
    for version in versions:
        if version.version == signed:
            record = chain.approval(version)
            if apart:
                log.warning("%s; running %s", apart, version.name)
            return version, record
    raise NoChampion(apart)


def _kept_approval(line: Line, version: Version) -> Path:
    return line.model.cache / f"{_folder(line, version).name}.signoff.json"


def _last_good_one(
    line: Line, trouble: LinesideError, instead: str, chain: Chain | None
) -> tuple[Bundle, Version]:
    """The last good bundle, verified once more; raises `trouble` where there is none."""
    last = _last_good(line)
    kept = None if last is None else _cached(line, last)
    if last is None or kept is None:
        raise trouble
    if line.model.require_signoff:
        since = _checked_approval(line, last, trouble).seq
        if chain is not None and (said := chain.taken_back(last.version, since)):
            raise SignoffError(
                f"{trouble}; and the last good model {last.name} was {said}, so it does not stay"
            ) from trouble
    log.warning("%s", trouble)
    log.warning("%s, %s, in %s", instead, last.name, kept.folder)
    return kept, last


def _checked_approval(line: Line, last: Version, trouble: LinesideError) -> Signoff:
    """The sign-off kept with the last good model, which was verified when it was kept."""
    path = _kept_approval(line, last)
    try:
        record = read_model(path, Signoff)
    except (OSError, ValidationError) as error:
        raise SignoffError(
            f"{trouble}; and {path}, the sign-off of the last good model {last.name}, cannot be "
            "read: start once with the registry in reach, or without model.require_signoff"
        ) from error
    of = (record.recipe, record.version, record.bundle_sha256)
    intact = record.sha256 == record.expected_sha256 and record.act != "reject"
    if not intact or of != (last.recipe, last.version, last.bundle_sha256):
        raise SignoffError(
            f"{trouble}; and {path} is not the sign-off of the last good model {last.name}: it was "
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
