"""`require_signoff: true`: a station runs only what somebody has signed off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest

from pipeline import config
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.signoff import Signoff
from pipeline.daemon.line import Line
from pipeline.daemon.models import LAST_GOOD, fetch_champion
from pipeline.errors import BundleError, ConfigError, RegistryUnreachable, SignoffError
from pipeline.files import read_model, write_model
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.judgements import judged

AWAY = Registry("http://127.0.0.1:9")


@pytest.fixture
def strict(line: Line) -> Line:
    """The station, asking for sign-offs."""
    model = line.model.model_copy(update={"require_signoff": True})
    return line.model_copy(update={"model": model})


@pytest.fixture
def challenged(champion: Registry, seal_bundle: Callable[..., Bundle], tmp_path: Path) -> Registry:
    """Version 1 is champion, version 2 waits."""
    second = seal_bundle(tmp_path / "second", fail_from=0.7)
    push(champion, "cells", second, judged(second, against="cells/1"))
    return champion


def kept(line: Line) -> Path:
    (path,) = line.model.cache.glob("*.signoff.json")
    return path


def test_a_champion_that_was_signed_off_runs_and_its_sign_off_is_kept(
    strict: Line, champion: Registry, sealed_bundle: Bundle
) -> None:
    _, version = fetch_champion(strict, champion)
    assert version.name == "cells/1"
    record = read_model(kept(strict), Signoff)
    assert (record.reviewer, record.bundle_sha256) == ("A. Weber", sealed_bundle.sha256)


def test_an_alias_moved_by_hand_starts_no_station_anew(strict: Line, challenged: Registry) -> None:
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    with pytest.raises(SignoffError, match=r"cells/2 bears the alias champion, but nobody has sig"):
        fetch_champion(strict, challenged)
    assert not strict.model.cache.exists()


def test_without_the_setting_the_alias_is_enough(line: Line, challenged: Registry) -> None:
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    assert fetch_champion(line, challenged)[1].name == "cells/2"


def test_where_the_champion_is_not_signed_off_the_last_good_one_stays(
    strict: Line, challenged: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(strict, challenged)
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    with caplog.at_level(logging.WARNING):
        assert fetch_champion(strict, challenged)[1].name == "cells/1"
    assert "nobody has signed it off" in caplog.text
    assert "staying with the last good model, cells/1" in caplog.text


def test_sign_offs_that_were_tampered_with_are_named_and_the_last_good_one_stays(
    strict: Line, champion: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(strict, champion)
    (record,) = champion.signoffs("cells").read().records
    forged = record.model_copy(update={"reviewer": "C. Forger"})
    champion.client.set_registered_model_tag(
        "cells", f"signoff.{record.name}", forged.model_dump_json()
    )
    with caplog.at_level(logging.WARNING):
        fetch_champion(strict, champion)
    assert f"record {record.name} was altered" in caplog.text
    (strict.model.cache / LAST_GOOD).unlink()
    with pytest.raises(SignoffError, match=rf"record {record.name} was altered"):
        fetch_champion(strict, champion)


def test_a_withdrawn_model_does_not_stay(strict: Line, challenged: Registry) -> None:
    challenged.promote("cells", 2, "A. Weber", "fewer escapes")
    fetch_champion(strict, challenged)
    challenged.rollback("cells", "B. Sato", "misses cracks")
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    with pytest.raises(SignoffError, match=r"cells/2 bears the alias champion, but it was withdr"):
        fetch_champion(strict, challenged)


def test_a_bundle_altered_in_the_registry_leaves_the_last_good_one(
    strict: Line, challenged: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(strict, challenged)
    challenged.promote("cells", 2, "A. Weber", "fewer escapes")
    source = challenged.client.get_model_version_download_uri("cells", "2")
    file = Path(urlparse(source).path) / "extra_files" / "taxonomy.json"
    file.write_bytes(b"{}")
    with caplog.at_level(logging.WARNING):
        assert fetch_champion(strict, challenged)[1].name == "cells/1"
    assert "taxonomy.json was altered" in caplog.text


def test_a_bundle_swapped_together_with_its_tag_is_refused(
    strict: Line, challenged: Registry
) -> None:
    other = challenged.version("cells", 2).bundle_sha256
    challenged.client.set_model_version_tag("cells", "1", "bundle_sha256", other)
    with pytest.raises(SignoffError, match="somebody changed the version"):
        fetch_champion(strict, challenged)


def test_a_last_good_bundle_that_was_altered_does_not_stay(
    strict: Line, champion: Registry
) -> None:
    bundle, _ = fetch_champion(strict, champion)
    bundle.model.write_bytes(b"another network")
    with pytest.raises(BundleError, match=r"model\.onnx was altered"):
        fetch_champion(strict, champion)


def test_offline_the_kept_sign_off_starts_the_station(strict: Line, champion: Registry) -> None:
    fetch_champion(strict, champion)
    assert fetch_champion(strict, AWAY)[1].name == "cells/1"


def test_offline_a_model_fetched_without_sign_off_is_refused(
    line: Line, strict: Line, champion: Registry
) -> None:
    fetch_champion(line, champion)
    with pytest.raises(SignoffError, match=r"signoff\.json, the sign-off of .*cannot be read"):
        fetch_champion(strict, AWAY)


@pytest.mark.parametrize("change", [{"version": 2}, {"bundle_sha256": "other"}, {"reviewer": "C"}])
def test_offline_a_kept_sign_off_that_was_altered_is_refused(
    strict: Line, champion: Registry, change: dict[str, object]
) -> None:
    fetch_champion(strict, champion)
    record = read_model(kept(strict), Signoff)
    write_model(kept(strict), record.model_copy(update=change))
    with pytest.raises(SignoffError, match="altered; start once with the registry in reach"):
        fetch_champion(strict, AWAY)


def test_a_first_start_without_a_registry_is_refused(strict: Line) -> None:
    with pytest.raises(RegistryUnreachable):
        fetch_champion(strict, AWAY)


def test_a_challenger_cannot_be_asked_for_its_sign_off(line_file: Callable[..., Path]) -> None:
    path = line_file()
    asked = "  alias: challenger\n  require_signoff: true\n  cache:"
    path.write_text(path.read_text().replace("  cache:", asked))
    with pytest.raises(ConfigError, match=r"line\.yaml:6 model\.require_signoff .*a challenger is"):
        config.load(path, Line)
