"""The model at work: swapped between two frames, and there from the first one on."""

from __future__ import annotations

import pytest

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.records import Verdict
from pipeline.daemon.model.last_good import LAST_GOOD
from pipeline.daemon.model.serving import Serving
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError, ModelWithdrawn, NoChampion, SignoffError
from pipeline.registry.store import Registry
from pipeline.testing import FakeClock
from tests.daemon.conftest import picture
from tests.daemon.fake_registry import FakeRegistry
from tests.daemon.model.queries import (
    AWAY,
    IN_DOUBT,
    look,
    running,
    with_model,
)
from tests.golden_frames import with_golden_frame


@pytest.fixture
def line(line: Line) -> Line:
    """The station, looking for new models as often as it can."""
    return with_model(line, poll_s=0.01)


def test_a_start_gives_the_champion_warm_and_named(line: Line, champion: Registry) -> None:
    clock = FakeClock()
    serving = Serving.start(line, champion, clock)
    assert (serving.current.version, serving.current.since) == ("cells/1", clock.now())
    assert serving.current.inspector.inspect(picture(200)).decision.verdict is Verdict.PASS
    assert serving.status.alarm == ""
    assert serving.status.signed_by == "A. Weber"


def test_a_new_alias_is_live_between_two_frames(line: Line, there: FakeRegistry) -> None:
    serving = Serving.start(line, there, Clock())
    judged: list[tuple[str, Verdict]] = []
    with running(serving):
        for n in range(100_000):
            loaded = serving.current
            verdict = loaded.inspector.inspect(IN_DOUBT).decision.verdict
            judged.append((loaded.version, verdict))
            if n == 20:
                there.aliases["champion"] = 2
            if loaded.version == "cells/2":
                break
    assert set(judged) == {("cells/1", Verdict.REVIEW), ("cells/2", Verdict.FAIL)}
    assert judged[-1] == ("cells/2", Verdict.FAIL)
    assert serving.status.version == "cells/2"


def test_a_hung_worker_is_replaced_with_an_inspector_of_its_own(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    hung = serving.current
    serving.renew()
    fresh = serving.current
    assert fresh.inspector is not hung.inspector
    assert (fresh.version, fresh.since) == (hung.version, hung.since)


def test_a_model_that_cannot_be_loaded_again_stays(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving.start(line, there, Clock())
    hung = serving.current
    hung.bundle.model.unlink()
    serving.renew()
    assert serving.current is hung
    assert "cells/1 could not be loaded again" in caplog.text


def test_a_start_without_the_registry_takes_the_last_good_model(
    line: Line, there: FakeRegistry
) -> None:
    Serving.start(line, there, Clock())
    there.failure = AWAY
    serving = Serving.start(line, there, Clock())
    assert serving.current.version == "cells/1"
    assert "started with the last good model, cells/1" in serving.status.alarm


def test_what_came_while_it_ran_starts_it_without_the_registry(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    there.aliases["champion"] = 2
    look(serving)
    there.failure = AWAY
    assert Serving.start(line, there, Clock()).current.version == "cells/2"


@pytest.mark.parametrize("fault", ["damaged", "golden"])
def test_a_start_with_a_bad_champion_takes_the_last_good_model(
    line: Line, bundles: list[Bundle], fault: str
) -> None:
    if fault == "golden":
        with_golden_frame(bundles[1], IN_DOUBT, verdict="PASS")
    there = FakeRegistry(bundles[0], open_bundle(bundles[1].folder), champion=1)
    there.damaged = {2} if fault == "damaged" else set()
    Serving.start(line, there, Clock())
    there.aliases["champion"] = 2
    assert Serving.start(line, there, Clock()).current.version == "cells/1"
    assert '"version": 1' in (line.model.cache / LAST_GOOD).read_text()


def test_a_first_start_with_a_bad_champion_is_refused(line: Line, bundles: list[Bundle]) -> None:
    odd = with_golden_frame(bundles[0], IN_DOUBT, verdict="PASS")
    with pytest.raises(BundleError, match="judged otherwise here"):
        Serving.start(line, FakeRegistry(odd, champion=1), Clock())
    assert not (line.model.cache / LAST_GOOD).exists()


def test_a_withdrawn_model_starts_no_station(line: Line, there: FakeRegistry) -> None:
    Serving.start(line, there, Clock())
    there.aliases.clear()
    with pytest.raises(NoChampion):
        Serving.start(line, there, Clock())


@pytest.fixture
def strict(line: Line) -> Line:
    """The station, asking for sign-offs."""
    return with_model(line, require_signoff=True)


def test_a_model_withdrawn_at_work_judges_no_further_frame_until_one_is_promoted(
    strict: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    there.sign(1)
    serving = Serving.start(strict, there, Clock())
    events: list[str] = []
    serving.follower.on_event = lambda kind, detail: events.append(kind)
    there.sign(1, "withdraw")
    for _ in range(2):
        look(serving)
    with pytest.raises(ModelWithdrawn, match=r"cells/1 was withdrawn by A\. Weber"):
        _ = serving.current
    status = serving.status
    assert (status.version, status.bundle_sha256) == ("", "")
    assert status.missing.startswith("cells/1 was withdrawn by A. Weber")
    assert caplog.text.count("no part is inspected") == 1
    serving.renew()
    there.sign(1)
    look(serving)
    assert serving.current.version == "cells/1"
    assert (serving.status.alarm, serving.status.missing) == ("", "")
    assert events == ["model withdrawn", "model live"]
    assert there.pulled == [1]


def test_a_start_with_a_withdrawn_model_goes_on_without_one_until_one_is_promoted(
    strict: Line, there: FakeRegistry
) -> None:
    there.sign(1)
    Serving.start(strict, there, Clock())
    there.sign(1, "withdraw")
    serving = Serving.start(strict, there, Clock())
    assert serving.status.missing.startswith("cells/1 was withdrawn by A. Weber")
    there.sign(2)
    look(serving)
    assert serving.current.version == "cells/2"


@pytest.mark.parametrize("noticed", ["at work", "at a start"])
def test_a_model_known_to_be_withdrawn_does_not_come_back_without_the_registry(
    strict: Line, there: FakeRegistry, noticed: str
) -> None:
    there.sign(1)
    serving = Serving.start(strict, there, Clock())
    there.sign(1, "withdraw")
    if noticed == "at work":
        look(serving)
    else:
        Serving.start(strict, there, Clock())
    there.failure = AWAY
    serving = Serving.start(strict, there, Clock())
    assert serving.status.missing.startswith("cells/1 was withdrawn by A. Weber")
    there.failure = None
    there.sign(1)
    look(serving)
    there.failure = AWAY
    assert Serving.start(strict, there, Clock()).current.version == "cells/1"


def test_a_withdrawal_that_never_reached_the_station_does_not_stop_it_offline(
    strict: Line, there: FakeRegistry
) -> None:
    there.sign(1)
    Serving.start(strict, there, Clock())
    there.sign(1, "withdraw")
    there.failure = AWAY
    assert Serving.start(strict, there, Clock()).current.version == "cells/1"


def test_a_first_start_without_sign_off_is_refused(line: Line, there: FakeRegistry) -> None:
    with pytest.raises(SignoffError, match="nobody has signed it off"):
        Serving.start(with_model(line, require_signoff=True), there, Clock())
