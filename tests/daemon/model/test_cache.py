"""Where a station's model comes from, and when it is refused."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import fetch_champion, obtain, tidy
from pipeline.daemon.model.damage import damaged_copies
from pipeline.daemon.model.last_good import LAST_GOOD
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError, NoChampion, NoRoom, RegistryError, RegistryUnreachable
from pipeline.files import sha256
from pipeline.ledger.disk_reserve import SIZE_BYTES
from pipeline.registry.download import KEEP_FREE_BYTES
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version
from tests.daemon.fake_registry import FakeRegistry

AWAY = Registry("http://127.0.0.1:9")


def test_champion_is_pulled_into_a_folder_named_by_version_and_hash(
    line: Line, champion: Registry, sealed_bundle: Bundle
) -> None:
    bundle, version = fetch_champion(line, champion)
    assert version.name == "cells/1"
    assert bundle.folder == line.model.cache / f"1-{sealed_bundle.sha256[:12]}"


def test_cached_champion_is_not_pulled_again(
    line: Line, champion: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_champion(line, champion)
    monkeypatch.setattr(Registry, "pull", None)
    bundle, _ = fetch_champion(line, champion)
    assert bundle.model.is_file()


def test_a_cached_bundle_that_was_altered_is_set_aside_loudly_and_fetched_again(
    line: Line, champion: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, _ = fetch_champion(line, champion)
    altered = '{"pass_below": 1.0, "fail_from": 1.1}'
    (bundle.folder / "operating_point.json").write_text(altered)
    found: list[str] = []
    again, _ = fetch_champion(line, champion, on_damage=found.append)
    assert again == bundle
    aside = line.model.cache / f"damaged-001-{bundle.folder.name}"
    assert (aside / "operating_point.json").read_text() == altered
    assert "operating_point.json was altered" in found[0]
    assert f"kept as {aside.name}" in found[0]
    assert [r.levelname for r in caplog.records if found[0] in r.getMessage()] == ["ERROR"]
    tidy(line, again)
    assert aside.is_dir()


@pytest.mark.parametrize("size", [0, 100])
def test_a_torn_network_does_not_keep_a_station_down(
    line: Line, champion: Registry, size: int
) -> None:
    bundle, _ = fetch_champion(line, champion)
    os.truncate(bundle.model, size)
    assert fetch_champion(line, champion)[0].sha256 == bundle.sha256
    assert fetch_champion(line, AWAY)[0].sha256 == bundle.sha256


def test_a_disk_that_cannot_be_read_is_damage_too(
    line: Line, champion: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, _ = fetch_champion(line, champion)
    broken = bundle.folder / "taxonomy.json"

    def bad_sector(path: Path) -> str:
        if path == broken:
            monkeypatch.undo()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return sha256(path)

    monkeypatch.setattr("pipeline.contracts.bundle.sha256", bad_sector)
    found: list[str] = []
    fetch_champion(line, champion, on_damage=found.append)
    assert "cannot be read (Input/output error)" in found[0]


def test_a_damaged_copy_that_cannot_be_moved_is_named_with_what_to_do(
    line: Line, champion: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, _ = fetch_champion(line, champion)
    bundle.model.write_bytes(b"")

    def read_only(folder: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pipeline.daemon.model.cache.set_aside", read_only)
    with pytest.raises(BundleError, match=r"cannot be moved aside \(Read-only file system\): find"):
        fetch_champion(line, champion)


def test_a_bundle_of_another_format_is_refused_and_stays_where_it_is(
    line: Line, bundles: list[Bundle], there: FakeRegistry
) -> None:
    fetch_champion(line, there)
    (folder,) = (p for p in line.model.cache.iterdir() if p.is_dir())
    manifest = (folder / "manifest.json").read_text().replace('"format": 1', '"format": 2')
    (folder / "manifest.json").write_text(manifest)
    newer = folder.with_name(f"1-{hashlib.sha256(manifest.encode()).hexdigest()[:12]}")
    folder.rename(newer)
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    version = replace(there.versions("cells")[0], bundle_sha256=digest)
    with pytest.raises(BundleError, match="is not a manifest of format 1"):
        obtain(line, there, version)
    assert newer.is_dir()


def test_halves_of_fetches_that_were_cut_off_make_room_for_the_next(
    line: Line, there: FakeRegistry
) -> None:
    half = line.model.cache / ".7-0123456789ab.partial"
    half.mkdir(parents=True)
    (line.model.cache / ".mine.partial").mkdir()
    fetch_champion(line, there)
    assert not half.exists()
    assert (line.model.cache / ".mine.partial").is_dir()


@pytest.mark.parametrize("cause", ["away", "no room"])
def test_where_neither_the_registry_nor_the_last_good_model_helps_the_way_out_is_named(
    line: Line, there: FakeRegistry, cause: str
) -> None:
    bundle, _ = fetch_champion(line, there)
    bundle.model.write_bytes(b"")
    there.refuses[1] = NoRoom("no room on the disk", line.model.cache, sys.maxsize)
    expected = "does not answer" if cause == "away" else "no room on the disk"
    for _ in range(2):  # the second start finds the copy that the first has set aside
        with pytest.raises(
            RegistryError, match=rf"{expected}.*; nor is there a last good"
        ) as raised:
            fetch_champion(line, AWAY if cause == "away" else there)
        assert "damaged-001-1-" in str(raised.value)
        assert "then start again: a verified model is fetched then" in str(raised.value)


def test_a_champion_without_room_leaves_the_last_good_model_at_work(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(line, there)
    there.aliases["champion"] = 2
    there.refuses[2] = NoRoom("no room on the disk", line.model.cache, 10)
    assert fetch_champion(line, there)[1].name == "cells/1"
    assert "staying with the last good model, cells/1" in caplog.text


def test_damaged_copies_are_removed_before_a_station_stands_still_for_want_of_room(
    line: Line, there: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, _ = fetch_champion(line, there)
    bundle.model.write_bytes(b"")
    pull = there.pull

    def short_of_room(version: Version, into: Path, keep_free_bytes: int) -> Bundle:
        if damaged_copies(into.parent):
            raise NoRoom("no room on the disk", into.parent, 10)
        return pull(version, into, keep_free_bytes)

    monkeypatch.setattr(there, "pull", short_of_room)
    assert fetch_champion(line, there)[0].sha256 == bundle.sha256
    assert damaged_copies(line.model.cache) == []


def test_more_of_the_disk_stays_free_where_the_ledger_is_on_it_too(
    line: Line, there: FakeRegistry, tmp_path: Path
) -> None:
    fetch_champion(line, there)
    assert there.keeps_free_bytes == KEEP_FREE_BYTES + 2 * SIZE_BYTES
    elsewhere = line.model_copy(update={"ledger": Path("/proc/ledger.sqlite")})
    there.aliases["champion"] = 2
    fetch_champion(elsewhere, there)
    assert there.keeps_free_bytes == KEEP_FREE_BYTES


def test_station_starts_from_its_last_good_model_when_the_registry_is_away(
    line: Line, champion: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    good, _ = fetch_champion(line, champion)
    with caplog.at_level(logging.WARNING):
        bundle, version = fetch_champion(line, AWAY)
    assert (bundle.sha256, version.name) == (good.sha256, "cells/1")
    assert "OFFLINE" in caplog.text
    assert "does not answer" in caplog.text


def test_last_good_model_that_was_altered_is_refused_offline_too(
    line: Line, champion: Registry
) -> None:
    bundle, _ = fetch_champion(line, champion)
    bundle.model.write_bytes(b"another network")
    with pytest.raises(RegistryUnreachable, match=r"does not answer .*model\.onnx was altered"):
        fetch_champion(line, AWAY)


def test_a_cache_that_cannot_be_written_is_named(line: Line, champion: Registry) -> None:
    line.model.cache.parent.mkdir(parents=True, exist_ok=True)
    line.model.cache.write_text("a file where the folder should be")
    with pytest.raises(BundleError, match=r"cannot be written .*; model\.cache in the line file"):
        fetch_champion(line, champion)


def test_a_champion_that_fails_its_trial_is_not_remembered_as_good(
    line: Line, champion: Registry
) -> None:
    def fail(bundle: Bundle) -> None:
        raise BundleError("judged otherwise here")

    with pytest.raises(BundleError, match="judged otherwise here"):
        fetch_champion(line, champion, fail)
    with pytest.raises(RegistryUnreachable):
        fetch_champion(line, AWAY)


def test_only_bundles_that_are_not_needed_are_removed_from_the_cache(
    line: Line, champion: Registry
) -> None:
    good, _ = fetch_champion(line, champion)
    for name in ("2-0123456789ab", "3-0123456789ab", ".4-0123456789ab.former", "my-photos"):
        (line.model.cache / name).mkdir()
    (line.model.cache / "2-0123456789ab.signoff.json").write_text("{}")
    (line.model.cache / "3-0123456789ab.signoff.json").write_text("{}")
    tidy(line, replace(good, folder=line.model.cache / "3-0123456789ab"))
    assert {p.name for p in line.model.cache.iterdir()} == {
        good.folder.name,
        "3-0123456789ab",
        "3-0123456789ab.signoff.json",
        "my-photos",
        LAST_GOOD,
    }


def test_first_start_without_a_registry_is_refused(line: Line) -> None:
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        fetch_champion(line, AWAY)


def test_last_good_model_of_another_recipe_does_not_start_this_one(
    line: Line, champion: Registry
) -> None:
    fetch_champion(line, champion)
    with pytest.raises(RegistryUnreachable):
        fetch_champion(line.model_copy(update={"recipe": "strips"}), AWAY)


def test_withdrawn_champion_is_not_replaced_by_the_cache(line: Line, champion: Registry) -> None:
    fetch_champion(line, champion)
    champion.client.delete_registered_model_alias("cells", "champion")
    with pytest.raises(NoChampion):
        fetch_champion(line, champion)
