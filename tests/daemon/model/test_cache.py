"""Where a station's model comes from, and when it is refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.model.cache import LAST_GOOD, fetch_champion, tidy
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError, NoChampion, RegistryUnreachable
from pipeline.registry.store import Registry

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


def test_cached_bundle_that_was_altered_is_refused_by_name(line: Line, champion: Registry) -> None:
    bundle, _ = fetch_champion(line, champion)
    (bundle.folder / "operating_point.json").write_text('{"pass_below": 1.0, "fail_from": 1.1}')
    with pytest.raises(BundleError, match=r"operating_point\.json was altered .* then delete"):
        fetch_champion(line, champion)


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
    with pytest.raises(BundleError, match=r"model\.onnx was altered"):
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
