"""Bundles on this disk: pulled by alias, verified at every start, kept for a start offline.

A bundle that is not as it was sealed (a torn write, a dying disk, somebody) is never used: it is
set aside, and a verified one fetched in its place.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.model.damage import damaged_copies, make_room, set_aside
from pipeline.daemon.model.last_good import (
    checked_approval,
    folder_of,
    last_good,
    look_at,
    note_withdrawal,
    remember,
    withdrawal,
)
from pipeline.daemon.settings.line import Line
from pipeline.errors import (
    BundleError,
    DamagedBundle,
    ModelWithdrawn,
    NoChampion,
    NoRoom,
    RegistryError,
    RegistryUnreachable,
)
from pipeline.files import make_folder
from pipeline.ledger import disk_reserve
from pipeline.registry.download import KEEP_FREE_BYTES
from pipeline.registry.resolution import Resolution
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version

# A bundle's folder, its sign-off, and the remains of an interrupted download.
CACHED = re.compile(r"\.?(\d+-[0-9a-f]{12})(\.signoff\.json)?(\.partial|\.former)?")

log = logging.getLogger(__name__)


def fetch_champion(
    line: Line,
    registry: Registry,
    try_out: Callable[[Bundle], object] = lambda _: None,
    on_damage: Callable[[str], object] = lambda _: None,
) -> tuple[Bundle, Version]:
    """Find the version that the line's alias points to and open its bundle, verified.

    When the registry is away, the last good bundle in the cache is used, with a warning. A registry
    that answers "no champion" is obeyed: the model was withdrawn.

    With `require_signoff` the sign-offs name the champion, not the alias. Where the sign-offs do
    not verify, or the champion's bundle does not, or it fails its trial, the last good one stays,
    unless a sign-off that is intact revokes it (`Resolution.revocation`). One that was revoked
    while the station ran does not come back when the registry is away.

    Args:
        line: the station.
        registry: where its model comes from.
        try_out: validates the champion's bundle before it counts as good; raises BundleError.
        on_damage: called with what was found where a cached bundle was damaged and set aside.

    Raises:
        ModelWithdrawn: the champion, or what is in the cache instead of it, was revoked.
        NoChampion: no version bears the alias, or the one signed off was deleted.
        RegistryUnreachable: the registry is away and nothing fitting is in the cache.
        SignoffError: the sign-offs do not verify and nothing signed off is in the cache.
        BundleError: the bundle is altered or fails its trial, and nothing good is in the cache.
        RegistryError: the bundle cannot be had, as where the disk has no room for it (NoRoom), and
            nothing good is in the cache.
    """
    look = look_at(registry, line)
    try:
        wanted = look.resolve()
        bundle = obtain(line, registry, wanted.version, on_damage)
        try_out(bundle)
    except RegistryUnreachable as away:
        instead = "starting OFFLINE from the last good model"
        return _last_good_one(line, away, instead, look, on_damage)
    except ModelWithdrawn as withdrawn:
        note_withdrawal(line, withdrawn.reason)
        raise
    except NoChampion:
        raise
    except (RegistryError, BundleError) as refused:
        if not line.model.require_signoff and _is_withdrawn(line, look):
            raise
        return _last_good_one(line, refused, "staying with the last good model", look, on_damage)
    if wanted.warning:
        log.warning("%s; running %s", wanted.warning, wanted.version.name)
    remember(line, wanted)
    return bundle, wanted.version


def obtain(
    line: Line,
    registry: Registry,
    version: Version,
    on_damage: Callable[[str], object] = lambda _: None,
) -> Bundle:
    """The verified bundle of a version, from the cache or else from the registry.

    One in the cache that is damaged is set aside, and reported to `on_damage`.

    Raises:
        RegistryUnreachable: the registry is away.
        NoRoom: the cache's disk has no room for it.
        RegistryError: the registry has no such files.
        BundleError: a file was altered in the registry, or the cache cannot be used.
    """
    return _intact(line, version, on_damage) or _pulled(line, registry, version)


def tidy(line: Line, *needed: Bundle) -> None:
    """Remove from the cache all bundles but those needed and the last good one.

    Files that are not named like a bundle stay: others may use the folder too.
    """
    last = last_good(line)
    kept = {bundle.folder.name for bundle in needed}
    if last is not None:
        kept.add(folder_of(line, last).name)
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
    """The classes of the model that the station ran last, None where the cache has none.

    Raises:
        BundleError: a file in the cache was altered.
    """
    found = cached_model(line)
    return None if found is None else found[0].taxonomy


def cached_model(line: Line) -> tuple[Bundle, Version] | None:
    """The model that the station ran last, None where the cache has none.

    Raises:
        BundleError: a file in the cache was altered.
    """
    last = last_good(line)
    bundle = None if last is None else _cached(line, last)
    return None if last is None or bundle is None else (bundle, last)


def _is_withdrawn(line: Line, look: Resolution) -> bool:
    """Do sign-offs that verify withdraw or reject the last good model?"""
    last = last_good(line)
    return last is not None and look.revocation(last) != ""


def _last_good_one(
    line: Line,
    cause: RegistryError | BundleError,
    instead: str,
    look: Resolution,
    on_damage: Callable[[str], object],
) -> tuple[Bundle, Version]:
    """The last good bundle, verified once more; raises `cause` where there is none."""
    last = last_good(line)
    if last is None:
        raise cause
    if line.model.require_signoff and (why := withdrawal(line)):
        raise ModelWithdrawn(f"{cause}; and no model may run in its place: {why}", why) from cause
    damage: list[str] = []
    kept = _intact(line, last, damage.append)
    for found in damage:
        on_damage(found)
    if kept is None:
        aside = ", ".join(path.name for path in damaged_copies(line.model.cache))
        gone = f"{folder_of(line, last)} is not there" + (
            f" (damaged copies: {aside})" * bool(aside)
        )
        kind = RegistryError if isinstance(cause, NoRoom) else type(cause)
        raise kind(
            f"{cause}; nor is there a last good model: {damage[0] if damage else gone}; put the "
            "former right, then start again: a verified model is fetched then"
        ) from cause
    if line.model.require_signoff:
        since = checked_approval(line, last, cause).seq
        if revoked := look.revocation(last, since):
            why = f"{last.name} was {revoked}"
            note_withdrawal(line, why)
            raise ModelWithdrawn(
                f"{cause}; and the last good model {why}, so it does not stay", why
            ) from cause
    log.warning("%s", cause)
    log.warning("%s, %s, in %s", instead, last.name, kept.folder)
    return kept, last


def _pulled(line: Line, registry: Registry, version: Version) -> Bundle:
    folder = folder_of(line, version)
    try:
        make_folder(folder.parent)
        _remove_halves(line)
        try:
            return registry.pull(version, folder, _keep_free_bytes(line))
        except NoRoom as error:
            lacking = (error.needed_bytes or 0) - shutil.disk_usage(folder.parent).free
            if not make_room(folder.parent, lacking):  # to inspect is worth more than the traces
                raise
            return registry.pull(version, folder, _keep_free_bytes(line))
    except OSError as error:
        raise BundleError(
            f"{folder} cannot be written ({error.strerror}); model.cache in the line file must "
            "name a folder with room that this user may write to"
        ) from error


def _remove_halves(line: Line) -> None:
    """Remove what fetches that were cut off have left, which takes the room of the next."""
    for path in line.model.cache.glob(".*.partial"):
        if CACHED.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _keep_free_bytes(line: Line) -> int:
    """What of the cache's disk no model may take: the ledger needs more where it is the same."""
    same = _device(line.model.cache) == _device(line.ledger)
    return KEEP_FREE_BYTES + (2 * disk_reserve.SIZE_BYTES if same else 0)


def _device(path: Path) -> int:
    """The disk that a path is on or, if it is not there yet, will be on."""
    while not path.exists():
        path = path.absolute().parent
    return path.stat().st_dev


def _cached(line: Line, version: Version) -> Bundle | None:
    """A version's bundle in the cache, None where there is none.

    Raises:
        DamagedBundle: it is not as it was sealed.
        BundleError: it does not fit this version of Lineside, or may not be read.
    """
    folder = folder_of(line, version)
    if not version.bundle_sha256 or not folder.is_dir():
        return None
    try:
        return open_bundle(folder, version.bundle_sha256)
    except PermissionError as error:
        raise BundleError(f"{error.filename} may not be read by this user") from error
    except OSError as error:  # as of a sector that cannot be read
        raise DamagedBundle(f"{folder} cannot be read ({error.strerror})") from error


def _intact(line: Line, version: Version, on_damage: Callable[[str], object]) -> Bundle | None:
    """As `_cached`; a damaged bundle is set aside and counts as none."""
    try:
        return _cached(line, version)
    except DamagedBundle as error:
        folder = folder_of(line, version)
        try:
            aside = set_aside(folder)
        except OSError as fault:
            raise BundleError(
                f"{error}; and {folder} cannot be moved aside ({fault.strerror}): find out why it "
                "is damaged, then remove it to have it downloaded again"
            ) from error
        found = f"{version.name}: {error}; kept as {aside.name}, find out why it changed"
        log.error("the cached model %s", found)
        on_damage(found)
        return None
