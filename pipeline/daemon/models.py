"""The station's model: pulled by alias, verified at every start, kept for a start offline."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.line import Line
from pipeline.errors import BundleError, RegistryUnreachable
from pipeline.files import write_json
from pipeline.registry.store import Registry, Version

LAST_GOOD = "last_good.json"

log = logging.getLogger(__name__)


def fetch_champion(line: Line, registry: Registry) -> tuple[Bundle, Version]:
    """Find the version that the line's alias points to and open its bundle, verified.

    When the registry is away, the last good bundle in the cache is used, with a warning. A registry
    that answers "no champion" is obeyed: somebody has withdrawn the model.

    Raises:
        NoChampion: no version bears the alias.
        RegistryUnreachable: the registry is away and nothing fitting is in the cache.
        BundleError: a file was altered, in the registry or in the cache.
    """
    try:
        version = registry.champion(line.recipe, line.model.alias)
        bundle = _cached(line, version) or _pulled(line, registry, version)
    except RegistryUnreachable as away:
        last = _last_good(line)
        if last is None:
            raise
        kept = _cached(line, last)
        if kept is None:
            raise
        log.warning("%s", away)
        log.warning("starting OFFLINE from the last good model, %s, in %s", last.name, kept.folder)
        return kept, last
    known = {
        "recipe": version.recipe,
        "alias": line.model.alias,
        "version": version.version,
        "bundle_sha256": version.bundle_sha256,
        "run_id": version.run_id,
    }
    try:
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
