"""Two registrations at once, and refused ones: one whole version in the end, or none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError, RegistryForbidden
from pipeline.registry import push as pushing
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import Registration
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import judge

Register = Callable[[Registry, Bundle], Registration]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if, when this registration looked, no other had come to its end yet."""
    monkeypatch.setattr(pushing, "_registered", lambda *_: None)
    monkeypatch.setattr(pushing, "_logged", lambda *_: None)
    monkeypatch.setattr(pushing, "_run", lambda *_: {"run_name": "another"})


def test_of_two_registrations_at_once_the_later_takes_its_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register, request: pytest.FixtureRequest
) -> None:
    first = register(registry, sealed_bundle)
    request.getfixturevalue("late")
    second = register(registry, sealed_bundle)
    assert (second.version, second.run_id, second.new) == (1, first.run_id, False)
    (version,) = registry.versions("cells")
    assert version.aliases == ("challenger",)
    home = registry.client.get_run(first.run_id).info.experiment_id
    assert [r.info.run_id for r in registry.client.search_runs([home])] == [first.run_id]
    assert len(registry.client.search_logged_models([home])) == 1


def test_a_duplicate_that_may_not_be_deleted_is_told_and_harmless(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object) -> None:
        raise MlflowException("API request failed with error code 403")

    register(registry, sealed_bundle)
    request.getfixturevalue("late")
    monkeypatch.setattr(MlflowClient, "delete_model_version", forbidden)
    assert register(registry, sealed_bundle).version == 1
    assert "cells/2 holds the same bundle as version 1" in caplog.text
    assert resolve(registry, "cells", "challenger").version.version == 1


def test_two_registrations_in_one_database_wait_for_each_other(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: register(Registry(registry.uri), sealed_bundle), range(2)))
    assert sorted(d.new for d in done) == [False, True]
    assert {d.version for d in done} == {1}
    assert len(registry.versions("cells")) == 1


def test_a_registration_refused_leaves_no_version(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 403")

    monkeypatch.setattr(MlflowClient, "create_registered_model", forbidden)
    with pytest.raises(RegistryForbidden):
        register(registry, sealed_bundle)
    assert registry.versions("cells") == []


def test_a_new_version_waits_for_review(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).tags["review.status"] == "pending"


def test_building_again_brings_no_rejected_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    Review(registry, "cells").reject(1, "B. Sato", "misses cracks")
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).aliases == ()
    with pytest.raises(RegistryError):
        resolve(registry, "cells", "challenger")


def test_building_again_brings_no_withdrawn_version_back(
    two_versions: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    Review(two_versions, "cells").promote(2, "A. Weber", "good", "seen by eye")
    judge(two_versions, 1, against="cells/2")
    Review(two_versions, "cells").promote(1, "A. Weber", "better")
    Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    register(two_versions, sealed_bundle)
    assert "challenger" not in two_versions.version("cells", 1).aliases
