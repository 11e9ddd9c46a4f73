"""A new version is validated in the background; a worse one never replaces the model at work."""

from __future__ import annotations

import sys
import weakref
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Verdict
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.model.follower import RETRY_S, SLOW_AFTER_S
from pipeline.daemon.model.serving import Serving
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.errors import NoRoom, RegistryError, RegistryUnreachable
from pipeline.registry.decisions.keys import SigningKey
from pipeline.registry.decisions.review import Review
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.store import Registry
from pipeline.testing import FakeClock
from tests.daemon.conftest import picture
from tests.daemon.fake_registry import FakeRegistry
from tests.daemon.model.queries import (
    AWAY,
    IN_DOUBT,
    folders,
    look,
    looks,
    running,
    with_model,
)
from tests.daemon.waiting import until
from tests.golden_frames import with_golden_frame


@pytest.fixture
def line(line: Line) -> Line:
    """The station, looking for new models as often as it can."""
    return with_model(line, poll_s=0.01)


def test_an_alias_that_stays_downloads_nothing(line: Line, there: FakeRegistry) -> None:
    serving = Serving.start(line, there, Clock())
    before = serving.current
    look(serving)
    assert there.pulled == [1]
    assert serving.current is before


def test_the_model_before_is_freed_at_the_next_look_and_not_by_the_inspection(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    before = weakref.ref(serving.current.inspector)
    there.aliases["champion"] = 2
    look(serving)
    assert before() is not None
    look(serving)
    assert before() is None


def test_going_back_to_the_version_before_needs_no_download(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    for number in (2, 1):
        there.aliases["champion"] = number
        look(serving)
    assert serving.current.version == "cells/1"
    assert there.pulled == [1, 2]


def test_a_damaged_version_is_refused_once_and_the_old_one_stays(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving.start(line, there, Clock())
    events: list[tuple[str, str]] = []
    serving.follower.on_event = lambda kind, detail: events.append((kind, detail))
    there.aliases["champion"] = 2
    there.damaged = {2}
    for _ in range(3):
        look(serving)
    assert serving.current.version == "cells/1"
    assert serving.status.alarm == "cells/2 is refused: cells/2: model.onnx was altered"
    assert events == [("model refused", serving.status.alarm)]
    assert caplog.text.count("cells/2 is refused") == 1
    assert there.pulled == [1, 2]


def test_a_file_that_was_restored_is_downloaded_after_a_while(
    line: Line, there: FakeRegistry
) -> None:
    clock = FakeClock()
    serving = Serving.start(line, there, clock)
    there.aliases["champion"], there.damaged = 2, {2}
    look(serving)
    there.damaged = set()
    look(serving)
    assert serving.current.version == "cells/1"
    clock.advance(RETRY_S)
    look(serving)
    assert serving.current.version == "cells/2"
    assert serving.status.alarm == ""


def test_a_version_without_room_is_fetched_once_there_is_room_and_raises_one_alarm(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving.start(line, there, FakeClock())
    events: list[tuple[str, str]] = []
    serving.follower.on_event = lambda kind, detail: events.append((kind, detail))
    there.aliases["champion"] = 2
    no_room = NoRoom("no room: 300.0 MB, 20.0 MB are free", line.model.cache, sys.maxsize)
    there.refuses[2] = no_room
    for _ in range(3):
        look(serving)
    assert there.pulled == [1, 2]
    assert serving.current.version == "cells/1"
    assert serving.status.alarm == f"cells/2 is refused: {no_room}"
    assert events == [("model refused", serving.status.alarm)]
    assert caplog.text.count("cells/2 is refused") == 1
    no_room.needed_bytes = 1  # as if others had made room
    del there.refuses[2]
    look(serving)
    assert (serving.current.version, serving.status.alarm) == ("cells/2", "")


def test_after_a_version_without_room_the_next_version_is_taken(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    there.refuses[2] = NoRoom("no room", line.model.cache, sys.maxsize)
    for number in (2, 3):
        there.aliases["champion"] = number
        look(serving)
    assert (serving.current.version, serving.status.alarm) == ("cells/3", "")


@pytest.mark.parametrize("known", ["no room", "no such files"])
def test_a_fetch_that_fails_on_the_way_is_not_tried_at_each_look(
    line: Line, there: FakeRegistry, known: str
) -> None:
    clock = FakeClock()
    serving = Serving.start(line, there, clock)
    there.aliases["champion"] = 2
    there.refuses[2] = NoRoom(known, line.model.cache) if "room" in known else RegistryError(known)
    for _ in range(3):
        look(serving)
    assert there.pulled == [1, 2]
    assert serving.status.alarm == f"cells/2 is refused: {known}"
    del there.refuses[2]
    clock.advance(RETRY_S)
    look(serving)
    assert serving.current.version == "cells/2"


def test_a_cached_version_that_was_damaged_meanwhile_is_fetched_again_as_an_event(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    first = serving.current.bundle
    there.aliases["champion"] = 2
    look(serving)
    first.model.write_bytes(b"")
    events: list[str] = []
    serving.follower.on_event = lambda kind, detail: events.append(kind)
    there.aliases["champion"] = 1
    look(serving)
    assert serving.current.version == "cells/1"
    assert there.pulled == [1, 2, 1]
    assert events == ["model damaged", "model live"]


def test_a_version_that_judges_its_golden_frame_otherwise_is_refused_for_good(
    line: Line, bundles: list[Bundle]
) -> None:
    clock = FakeClock()
    odd = with_golden_frame(bundles[1], IN_DOUBT, verdict="PASS")
    there = FakeRegistry(bundles[0], odd, champion=1)
    serving = Serving.start(line, there, clock)
    there.aliases["champion"] = 2
    for _ in range(2):
        look(serving)
        clock.advance(RETRY_S)
    assert serving.current.version == "cells/1"
    assert "cells/2 is refused" in serving.status.alarm
    assert "judged otherwise here than in evaluation: FAIL for PASS" in serving.status.alarm
    assert there.pulled == [1, 2]
    assert folders(line) == {"1"}


def test_after_a_refusal_the_next_version_is_taken(line: Line, there: FakeRegistry) -> None:
    serving = Serving.start(line, there, Clock())
    there.damaged = {2}
    for number in (2, 3):
        there.aliases["champion"] = number
        look(serving)
    assert (serving.current.version, serving.status.alarm) == ("cells/3", "")


def test_an_unsigned_version_waits_until_somebody_signs_it(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    there.sign(1)
    serving = Serving.start(with_model(line, require_signoff=True), there, Clock())
    there.aliases["champion"] = 2
    for _ in range(2):
        look(serving)
    assert serving.current.version == "cells/1"
    assert "cells/2" in serving.status.alarm
    assert "nobody has signed it off" in serving.status.alarm
    assert caplog.text.count("nobody has signed it off") == 1
    assert there.pulled == [1]
    there.sign(2)
    look(serving)
    assert (serving.current.version, serving.status.alarm) == ("cells/2", "")


def test_a_registry_that_goes_away_is_reported_once_and_queried_again(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving.start(line, there, Clock())
    there.failure = RegistryUnreachable("no route to host, attempt 1")
    look(serving)
    there.failure = RegistryUnreachable("no route to host, attempt 2")
    look(serving)
    assert serving.status.alarm == "no route to host, attempt 2"
    assert caplog.text.count("no route to host") == 1
    there.failure, there.aliases["champion"] = None, 2
    look(serving)
    assert (serving.current.version, serving.status.alarm) == ("cells/2", "")


def test_a_champion_without_its_alias_goes_on_and_raises_an_alarm(
    line: Line, champion: Registry
) -> None:
    serving = Serving.start(line, champion, Clock())
    champion.client.delete_registered_model_alias("cells", "champion")
    look(serving)
    assert serving.current.version == "cells/1"
    assert "cells/1, which was signed off, has lost the alias" in serving.status.alarm
    assert serving.status.alarm.endswith("; cells/1 stays")


def test_a_champion_that_was_deleted_goes_on_and_raises_an_alarm(
    line: Line, champion: Registry
) -> None:
    serving = Serving.start(line, champion, Clock())
    champion.client.delete_model_version("cells", "1")
    look(serving)
    assert serving.current.inspector.inspect(picture(50)).decision.verdict is Verdict.FAIL
    assert 'has no version with alias "champion"' in serving.status.alarm


def test_a_sign_off_that_was_tampered_with_raises_an_alarm(line: Line, champion: Registry) -> None:
    serving = Serving.start(with_model(line, require_signoff=True), champion, Clock())
    (record,) = SignoffLog(champion, "cells").read().records
    forged = record.model_copy(update={"reviewer": "C. Forger"})
    champion.client.set_registered_model_tag(
        "cells", f"signoff.{record.name}", forged.model_dump_json()
    )
    look(serving)
    assert serving.current.version == "cells/1"
    assert f"record {record.name} was altered" in serving.status.alarm


def test_a_model_revoked_by_sign_offs_that_were_then_broken_does_not_stay_at_work(
    line: Line, champion: Registry
) -> None:
    serving = Serving.start(with_model(line, require_signoff=True), champion, Clock())
    (first,) = SignoffLog(champion, "cells").read().records
    Review(champion, "cells").withdraw(1, "B. Sato", "misses cracks")
    champion.client.delete_registered_model_tag("cells", f"signoff.{first.name}")
    look(serving)
    assert "do not verify" in serving.status.alarm
    assert serving.status.missing.startswith("cells/1 was withdrawn (record 0002.")


def test_nobody_without_a_known_key_takes_a_model_from_work(
    line: Line, champion: Registry, tmp_path: Path
) -> None:
    key = SigningKey.make(tmp_path / "sato.pem")
    Review(champion, "cells", key).promote(1, "B. Sato", "with my key")
    signers = {"B. Sato": key.public}
    strict = with_model(line, require_signoff=True, signers=signers)
    serving = Serving.start(strict, champion, Clock())
    Review(champion, "cells").withdraw(1, "C. Forger", "to stop the line")
    look(serving)
    assert serving.current.version == "cells/1"
    assert "is not signed" in serving.status.alarm
    Review(champion, "cells", key).withdraw(1, "B. Sato", "misses cracks")
    look(serving)
    assert serving.status.missing.startswith("cells/1 was withdrawn by B. Sato")


@pytest.mark.parametrize("refused", ["damaged", "judges otherwise"])
def test_a_model_rolled_back_does_not_stay_at_work_where_the_one_restored_cannot_be_had(
    line: Line, bundles: list[Bundle], refused: str
) -> None:
    there = FakeRegistry(*bundles, champion=2)
    there.sign(1)
    there.sign(2)
    serving = Serving.start(with_model(line, require_signoff=True), there, Clock())
    if refused == "damaged":
        there.damaged = {1}
    else:
        there.replace(1, with_golden_frame(bundles[0], IN_DOUBT, verdict="PASS"))
    there.sign(1, "rollback")
    for _ in range(2):
        look(serving)
    assert serving.status.alarm.startswith("cells/1 is refused")
    assert serving.status.missing.startswith("cells/2 was withdrawn (record 0003.")


def test_whatever_a_look_meets_the_next_one_is_made(
    line: Line, there: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving.start(line, there, Clock())
    there.failure = ZeroDivisionError("a bug")
    with running(serving):
        until(lambda: serving.status.alarm == "ZeroDivisionError: a bug")
        there.failure, there.aliases["champion"] = None, 2
        until(lambda: serving.current.version == "cells/2")
    assert "Traceback" in caplog.text


def test_a_registry_that_does_not_answer_stops_neither_heartbeat_nor_shutdown(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    there.answers.clear()
    with running(serving) as heartbeat:
        until(lambda: there.asked == 2)
        beats = heartbeat.beats
        until(lambda: heartbeat.beats >= beats + 3)
        assert there.asked == 2
    # The worker has ended; its query is abandoned and swaps in nothing any more.
    (left,) = looks()
    there.aliases["champion"] = 2
    there.answers.set()
    left.join()
    assert there.pulled == [1, 2]
    assert serving.current.version == "cells/1"


def test_a_slow_registry_raises_an_alarm(line: Line, there: FakeRegistry) -> None:
    clock = FakeClock()
    serving = Serving.start(line, there, clock)
    there.answers.clear()
    heartbeat = Heartbeat(clock)
    serving.follower.tick(heartbeat)
    clock.advance(SLOW_AFTER_S)
    serving.follower.tick(heartbeat)
    assert "has not answered for 30 s" in serving.status.alarm
    there.answers.set()
    until(lambda: serving.status.alarm == "")


def test_a_line_that_never_polls_never_asks(line: Line, there: FakeRegistry) -> None:
    clock = FakeClock()
    serving = Serving.start(with_model(line, poll_s=0), there, clock)
    there.answers.clear()
    clock.advance(10_000)
    serving.follower.tick(Heartbeat(clock))
    assert looks() == []


def test_the_cache_keeps_the_model_at_work_and_the_one_before(
    line: Line, there: FakeRegistry
) -> None:
    serving = Serving.start(line, there, Clock())
    (line.model.cache / "notes").mkdir()
    (line.model.cache / ".7-0123456789ab.partial").mkdir()
    for number in (2, 3):
        there.aliases["champion"] = number
        look(serving)
    assert folders(line) == {"3", "2", "notes"}


def test_the_sign_off_of_a_model_goes_with_it(line: Line, there: FakeRegistry) -> None:
    strict = with_model(line, require_signoff=True)
    there.sign(1)
    serving = Serving.start(strict, there, Clock())
    for number in (2, 3):
        there.sign(number)
        there.aliases["champion"] = number
        look(serving)
    kept = {p.name.split("-")[0] for p in line.model.cache.glob("*.signoff.json")}
    assert kept == {"3", "2"}
    there.failure = AWAY
    assert fetch_champion(strict, there)[1].name == "cells/3"
