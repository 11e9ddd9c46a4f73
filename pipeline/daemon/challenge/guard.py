"""By which parts are judged: is PASS withheld, and is a trigger one of a challenge run?"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from pipeline.contracts.records import ChallengePart, Record, Verdict
from pipeline.daemon.challenge.due import Deadline
from pipeline.ledger.challenge.runs import ChallengeRun
from pipeline.ledger.elapsed import Elapsed

WITHHELD = "challenge run"  # kind of reason of parts that would have passed
REMEDY = (
    "start one on the page Challenge or with `lineside challenge LINE.yaml start`, and present its "
    "parts"
)


class ChallengeGuard:
    """State in memory, for each part; the `watch` keeps it up to date. Thread-safe.

    Attributes:
        versions: of models that have judged and are not written down yet, with when.
        wake: set when a record of the open run was closed.
    """

    def __init__(self, elapsed: Elapsed) -> None:
        """Withhold nothing until `update`."""
        self.versions: list[tuple[str, float]] = []
        self.wake = threading.Event()
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._run: ChallengeRun | None = None
        self._given: set[int] = set()
        self._failed = ""
        self._deadline: Deadline | None = None
        self._version: str | None = None
        self._model_grace_s: float | None = None

    def update(
        self,
        run: ChallengeRun | None,
        given: Sequence[int],
        failed: str,
        deadline: Deadline | None,
        version: str | None,
        model_grace_s: float | None,
    ) -> None:
        """Take the state as the ledger has it.

        Args:
            run: that is open and was taken up.
            given: which of its parts were presented.
            failed: why the last run has not passed, "" where it has.
            deadline: when the next one must have passed.
            version: of the model that needs no further run; None for any.
            model_grace_s: how long after another model took over; None: it needs no run.
        """
        with self._lock:
            same = self._run is not None and run is not None and self._run.id == run.id
            self._given = self._given | set(given) if same else set(given)
            self._run, self._failed, self._deadline = run, failed, deadline
            self._version, self._model_grace_s = version, model_grace_s

    def withheld(self) -> str:
        """Why no part gets PASS now, "" where parts may."""
        with self._lock:
            if self._failed:
                return f"{WITHHELD} failed: {self._failed}; {REMEDY}"
            deadline = self._deadline
        if deadline is None or self._elapsed.now_s() < deadline.at_s:
            return ""
        minutes = (self._elapsed.now_s() - deadline.at_s) / 60
        return f"{WITHHELD} overdue: for {minutes:.0f} min, since {deadline.why}; {REMEDY}"

    def judged(self, record: Record) -> Record:
        """The record as it is to be closed: PASS becomes REVIEW while PASS is withheld."""
        self._note_version(record.model_version)
        if record.verdict is not Verdict.PASS or not (why := self.withheld()):
            return record
        return replace(record, verdict=Verdict.REVIEW, reason=f"{why} (it was: {record.reason})")

    def presented(self, camera: str, serial: str) -> ChallengePart | None:
        """What a trigger belongs to in the open run; None for a part of the line."""
        with self._lock:
            run = self._run
            if run is None or run.started_s is None:
                return None
            if self._elapsed.now_s() - run.started_s > run.within_s:
                return None
            known = list(enumerate(run.parts))
            if serial:
                same = [(i, part) for i, part in known if part.serial == serial]
                if not same:
                    return None
                here = next((i for i, part in same if part.camera in ("", camera)), None)
            else:
                left = (i for i, p in known if i not in self._given and p.camera in ("", camera))
                here = next(left, None)
                if here is None:
                    return None
            if here is not None:
                self._given.add(here)
            return ChallengePart(run.id, here)

    def _note_version(self, version: str) -> None:
        """Another model than the proven one: a run is needed from this part on."""
        with self._lock:
            if self._model_grace_s is None or self._version in (None, version) or not version:
                return
            at_s = self._elapsed.now_s()
            self._version = version
            self.versions.append((version, at_s))
            due_s = at_s + self._model_grace_s
            if self._deadline is None or due_s < self._deadline.at_s:
                self._deadline = Deadline(due_s, f"another model took over {version}")
        self.wake.set()
