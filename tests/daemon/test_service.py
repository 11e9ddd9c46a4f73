"""What a reload looks at before it stops the station that is at work."""

from __future__ import annotations

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import prepare
from pipeline.daemon.model import serving
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError, RegistryUnreachable
from pipeline.registry.store import Registry


def test_a_champion_that_fails_its_trial_at_a_reload_is_not_remembered_as_good(
    line: Line, champion: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(bundle: Bundle, threads: int) -> None:
        raise BundleError("judged otherwise here")

    monkeypatch.setattr(serving, "load", fail)
    with pytest.raises(BundleError, match="judged otherwise here"):
        prepare(line, Clock())
    with pytest.raises(RegistryUnreachable):
        fetch_champion(line, Registry("http://127.0.0.1:9"))
