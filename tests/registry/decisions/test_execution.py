"""What MLflow shows of a decision: aliases, tags and a copy, whatever happens meanwhile."""

from __future__ import annotations

import logging

import pytest
from mlflow.tracking import MlflowClient

from pipeline.registry.decisions.execution import carry_out, is_carried_out
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry


def test_a_copy_that_cannot_be_kept_undoes_no_decision(
    two_versions: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(MlflowClient, "log_text", full)
    with caplog.at_level(logging.WARNING):
        Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    assert resolve(two_versions, "cells").version.version == 1
    assert "the decision stands" in caplog.text
    assert "No space left" in caplog.text


def test_an_older_decision_carried_out_late_leaves_the_aliases_to_the_chain(
    two_versions: Registry,
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    late = Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks").record
    Review(two_versions, "cells").promote(2, "A. Weber", "fewer escapes")
    assert late is not None
    carry_out(two_versions, SignoffLog(two_versions, "cells"), late, two_versions.versions("cells"))
    assert resolve(two_versions, "cells").version.version == 2


def test_a_withdrawal_is_carried_out_once_its_version_bears_its_name_and_no_alias(
    two_versions: Registry,
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    done = Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks")
    assert done.record is not None
    assert is_carried_out(done.record, done.version)
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    assert not is_carried_out(done.record, two_versions.version("cells", 1))
