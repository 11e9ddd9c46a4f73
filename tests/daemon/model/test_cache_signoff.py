"""`require_signoff: true`: a station runs only what somebody has signed off."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import config
from pipeline.contracts.bundle import Bundle
from pipeline.contracts.signoff import Signoff
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.model.last_good import LAST_GOOD
from pipeline.daemon.settings.line import Line, ModelSource
from pipeline.errors import (
    ConfigError,
    ModelWithdrawn,
    NoChampion,
    RegistryUnreachable,
    SignoffError,
)
from pipeline.files import read_model, write_model
from pipeline.registry.decisions.chain import HEAD
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.conftest import NOW, SealBundle
from tests.daemon.conftest import taking
from tests.judgements import bundle_file, judged
from tests.registries import copy_registry

AWAY = Registry("http://127.0.0.1:9")


@pytest.fixture
def strict(line: Line) -> Line:
    """The station, asking for sign-offs."""
    model = line.model.model_copy(update={"require_signoff": True})
    return line.model_copy(update={"model": model})


@pytest.fixture(scope="session")
def registered(
    promoted: Path, seal_bundle: SealBundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the registry of `challenged`."""
    home = tmp_path_factory.mktemp("challenged")
    copy_registry(promoted, home)
    second = seal_bundle(home / "second", fail_from=0.7)
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}")
    push(registry, "cells", second, judged(second, against="cells/1"))
    return home


@pytest.fixture
def challenged(registry: Registry, registered: Path, tmp_path: Path) -> Registry:
    """Version 1 is champion, version 2 waits."""
    copy_registry(registered, tmp_path)
    return registry


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


def test_an_alias_moved_by_hand_moves_no_station(
    strict: Line, challenged: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    with caplog.at_level(logging.WARNING):
        assert fetch_champion(strict, challenged)[1].name == "cells/1"
    assert "points to cells/2 (nobody has signed it off)" in caplog.text
    assert "running cells/1" in caplog.text


def test_an_alias_without_any_sign_off_starts_no_station(
    strict: Line, registry: Registry, sealed_bundle: Bundle
) -> None:
    push(registry, "cells", sealed_bundle, judged(sealed_bundle))
    with pytest.raises(NoChampion, match="sign one off"):
        fetch_champion(strict, registry)
    registry.client.set_registered_model_alias("cells", "champion", "1")
    with pytest.raises(SignoffError, match=r"cells/1 bears the alias champion without a sign-off"):
        fetch_champion(strict, registry)
    assert not strict.model.cache.exists()


@pytest.mark.parametrize("aliased", ["2", None], ids=["not yet moved", "gone"])
def test_a_station_starts_during_a_rollback_that_was_cut_off_before_its_alias(
    strict: Line, challenged: Registry, aliased: str | None
) -> None:
    Review(challenged, "cells").promote(2, "A. Weber", "fewer escapes")
    Review(challenged, "cells").rollback("B. Sato", "misses cracks")
    if aliased:
        challenged.client.set_registered_model_alias("cells", "champion", aliased)
    else:
        challenged.client.delete_registered_model_alias("cells", "champion")
    assert fetch_champion(strict, challenged)[1].name == "cells/1"


def test_a_champion_deleted_in_mlflow_is_obeyed_with_what_helps(
    strict: Line, challenged: Registry
) -> None:
    fetch_champion(strict, challenged)
    challenged.client.delete_model_version("cells", "1")
    with pytest.raises(NoChampion, match=r"cells/1, .* was deleted in MLflow; go back: lineside"):
        fetch_champion(strict, challenged)


def test_without_the_setting_the_alias_is_enough(line: Line, challenged: Registry) -> None:
    challenged.client.set_registered_model_alias("cells", "champion", "2")
    assert fetch_champion(line, challenged)[1].name == "cells/2"


def test_sign_offs_that_were_tampered_with_are_named_and_the_last_good_one_stays(
    strict: Line, champion: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(strict, champion)
    (record,) = SignoffLog(champion, "cells").read().records
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


@pytest.fixture(scope="session")
def rolled_back(registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the registry of `withdrawn` and its station's cache."""
    home = tmp_path_factory.mktemp("rolled_back")
    copy_registry(registered, home)
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}", now=lambda: NOW)
    source = ModelSource(registry=registry.uri, cache=home / "models", require_signoff=True)
    Review(registry, "cells").promote(2, "A. Weber", "fewer escapes")
    assert fetch_champion(taking(source), registry)[1].name == "cells/2"
    Review(registry, "cells").rollback("B. Sato", "misses cracks")
    return home


@pytest.fixture
def withdrawn(strict: Line, registry: Registry, rolled_back: Path, tmp_path: Path) -> Registry:
    """The station runs version 2, which is withdrawn for version 1."""
    copy_registry(rolled_back, tmp_path)
    shutil.copytree(rolled_back / "models", strict.model.cache)
    return registry


def forge(registry: Registry, place: int) -> None:
    """Change a record's reviewer by hand."""
    record = SignoffLog(registry, "cells").read().records[place - 1]
    forged = record.model_copy(update={"reviewer": "C. Forger"})
    registry.client.set_registered_model_tag(
        "cells", f"signoff.{record.name}", forged.model_dump_json()
    )


def lose(registry: Registry, place: int) -> None:
    """Delete a record by hand."""
    record = SignoffLog(registry, "cells").read().records[place - 1]
    registry.client.delete_registered_model_tag("cells", f"signoff.{record.name}")


@pytest.mark.parametrize(
    "harm",
    [
        lambda registry: forge(registry, 1),
        lambda registry: forge(registry, 2),
        lambda registry: lose(registry, 1),
        lambda registry: lose(registry, 2),
        lambda registry: registry.client.delete_registered_model_tag("cells", HEAD),
    ],
    ids=["first altered", "second altered", "first lost", "second lost", "head lost"],
)
def test_a_withdrawn_model_does_not_stay_however_the_sign_offs_were_broken(
    strict: Line, withdrawn: Registry, harm: Callable[[Registry], None]
) -> None:
    harm(withdrawn)
    with pytest.raises(SignoffError, match=r"not verify.* last good model cells/2 was withdrawn"):
        fetch_champion(strict, withdrawn)


def test_a_head_set_back_before_a_withdrawal_brings_nothing_back(
    strict: Line, withdrawn: Registry
) -> None:
    before = SignoffLog(withdrawn, "cells").read().records[1]
    withdrawn.client.set_registered_model_tag("cells", HEAD, before.name)
    with pytest.raises(SignoffError, match=r"set back.* cells/2 was withdrawn \(record 0003\."):
        fetch_champion(strict, withdrawn)


def test_a_model_withdrawn_once_and_signed_off_again_stays_when_an_older_record_is_lost(
    strict: Line, withdrawn: Registry
) -> None:
    Review(withdrawn, "cells").promote(2, "B. Sato", "the camera was at fault")
    fetch_champion(strict, withdrawn)
    lose(withdrawn, 1)
    assert fetch_champion(strict, withdrawn)[1].name == "cells/2"


def test_a_withdrawn_model_does_not_stay_where_the_one_restored_was_altered(
    strict: Line, withdrawn: Registry
) -> None:
    bundle_file(withdrawn, 1, "taxonomy.json").write_bytes(b"{}")
    with pytest.raises(SignoffError, match=r"taxonomy\.json was altered.* cells/2 was withdrawn"):
        fetch_champion(strict, withdrawn)


def test_a_withdrawn_model_does_not_stay_where_the_files_are_away(
    strict: Line, withdrawn: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RegistryUnreachable("the store of files stopped answering")

    monkeypatch.setattr(Registry, "pull", away)
    with pytest.raises(SignoffError, match=r"stopped answering; .* cells/2 was withdrawn"):
        fetch_champion(strict, withdrawn)


def test_a_bundle_altered_in_the_registry_leaves_the_last_good_one(
    strict: Line, challenged: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_champion(strict, challenged)
    Review(challenged, "cells").promote(2, "A. Weber", "fewer escapes")
    bundle_file(challenged, 2, "taxonomy.json").write_bytes(b"{}")
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


def test_a_last_good_bundle_that_was_altered_is_fetched_again_as_it_was_signed(
    strict: Line, champion: Registry
) -> None:
    bundle, _ = fetch_champion(strict, champion)
    bundle.model.write_bytes(b"another network")
    assert fetch_champion(strict, champion)[0].sha256 == bundle.sha256
    assert b"another network" not in [p.read_bytes() for p in bundle.folder.iterdir()]


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


class Signers:
    """Two persons with keys, of whom the station knows one, and its line."""

    def __init__(self, strict: Line, folder: Path) -> None:
        self.known = SigningKey.make(folder / "known.pem")
        self.other = SigningKey.make(folder / "other.pem")
        model = {"signers": {"B. Sato": self.known.public}}
        self.line = strict.model_copy(update={"model": strict.model.model_copy(update=model)})


@pytest.fixture
def signers(strict: Line, tmp_path: Path) -> Signers:
    return Signers(strict, tmp_path)


def test_a_station_that_knows_keys_runs_what_they_have_signed(
    signers: Signers, champion: Registry
) -> None:
    with pytest.raises(SignoffError, match=r"record 0001\.\w+ is not signed .*--key FILE"):
        fetch_champion(signers.line, champion)
    Review(champion, "cells", signers.known).promote(1, "B. Sato", "with my key")
    assert fetch_champion(signers.line, champion)[1].name == "cells/1"
    assert fetch_champion(signers.line, AWAY)[1].name == "cells/1"


def test_a_decision_signed_by_another_key_moves_no_station(
    signers: Signers, challenged: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    Review(challenged, "cells", signers.known).promote(1, "B. Sato", "with my key")
    fetch_champion(signers.line, challenged)
    Review(challenged, "cells", signers.other).promote(2, "B. Sato", "as if I were")
    with caplog.at_level(logging.WARNING):
        assert fetch_champion(signers.line, challenged)[1].name == "cells/1"
    assert "is not signed with the key of B. Sato that is known here" in caplog.text


def test_an_unsigned_withdrawal_stops_no_station_that_knows_keys(
    signers: Signers, champion: Registry
) -> None:
    Review(champion, "cells", signers.known).promote(1, "B. Sato", "with my key")
    fetch_champion(signers.line, champion)
    Review(champion, "cells").withdraw(1, "C. Forger", "to stop the line")
    assert fetch_champion(signers.line, champion)[1].name == "cells/1"
    Review(champion, "cells", signers.known).withdraw(1, "B. Sato", "misses cracks")
    with pytest.raises(ModelWithdrawn, match=r"withdrawn by B\. Sato"):
        fetch_champion(signers.line, champion)


def test_a_signed_withdrawal_that_is_taken_out_of_the_registry_is_noticed(
    signers: Signers, champion: Registry
) -> None:
    promoted = Review(champion, "cells", signers.known).promote(1, "B. Sato", "with my key").record
    fetch_champion(signers.line, champion)
    withdrawal = Review(champion, "cells", signers.known).withdraw(1, "B. Sato", "cracks").record
    with pytest.raises(ModelWithdrawn):
        fetch_champion(signers.line, champion)
    assert promoted is not None
    assert withdrawal is not None
    champion.client.delete_registered_model_tag("cells", f"signoff.{withdrawal.name}")
    champion.client.set_registered_model_tag("cells", HEAD, promoted.name)
    champion.client.delete_model_version_tag("cells", "1", "review.record")
    champion.client.set_registered_model_alias("cells", "champion", "1")
    with pytest.raises(ModelWithdrawn, match="which this station has seen, is not among them"):
        fetch_champion(signers.line, champion)


def test_offline_a_kept_sign_off_by_another_key_is_refused(
    strict: Line, signers: Signers, champion: Registry
) -> None:
    fetch_champion(strict, champion)  # before the station knew keys
    with pytest.raises(SignoffError, match=r"of the last good model cells/1: record .* not signed"):
        fetch_champion(signers.line, AWAY)


def test_where_a_login_is_required_a_sign_off_without_one_starts_no_station(
    strict: Line, champion: Registry
) -> None:
    model = strict.model.model_copy(update={"require_login": True})
    with pytest.raises(SignoffError, match=r"reviewer A\. Weber and it bears no login"):
        fetch_champion(strict.model_copy(update={"model": model}), champion)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("  require_signoff: true\n  signers: {B. Sato: AAAA}\n", "the key of B. Sato is not"),
        ("  require_login: true\n", "write require_signoff: true beside it"),
    ],
)
def test_a_line_file_with_wrong_keys_or_without_sign_offs_is_refused(
    line_file: Callable[..., Path], written: str, said: str
) -> None:
    path = line_file()
    path.write_text(path.read_text().replace("  cache:", f"{written}  cache:"))
    with pytest.raises(ConfigError, match=said):
        config.load(path, Line)
