"""The worker behind challenge runs: takes them up, ends them, warns, and writes causes down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from pipeline.contracts.records import Record, RecordKind, Verdict
from pipeline.daemon.challenge.due import FIRST, MODEL, START, next_deadline
from pipeline.daemon.challenge.guard import REMEDY, ChallengeGuard
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.worker import InspectionWorker
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sources import Frame
from pipeline.errors import LedgerError
from pipeline.ledger.challenge.runs import (
    Cause,
    ChallengeRun,
    add_cause,
    causes_after,
    end,
    open_run,
    recent,
    records_of,
    take_up,
)
from pipeline.ledger.ledger import Ledger

EVERY_S = 1.0
EVENT = "challenge run"

log = logging.getLogger(__name__)

Found = list[tuple[int | None, Record]]


class ChallengeWatch:
    """Looks every second, and at once after a record of the open run."""

    name = "challenge"
    idle = True
    status = None

    def __init__(
        self,
        rules: Challenge,
        shifts: Sequence[str],
        ledger: Ledger,
        clock: Clock,
        version: Callable[[], str],
    ) -> None:
        """Take up what the ledger has, and note that the station was started.

        Args:
            rules: of the line file.
            shifts: when shifts begin, as `06:00`, in local time.
            ledger: of the station.
            clock: of the station.
            version: of the model at work, "" for none.

        Raises:
            LedgerError: the ledger cannot be read or written.
        """
        self.guard = ChallengeGuard(ledger.elapsed)
        self._rules, self._shifts, self._ledger, self._clock = rules, shifts, ledger, clock
        self._model = version
        self._reported = ""
        self._add(START, "", ledger.elapsed.now_s())
        with ledger.reading() as db:
            known = recent(db, 1, passed=True) or causes_after(db, -1.0)
            begun = any(not isinstance(k, Cause) or k.kind == FIRST for k in known)
        if not begun:
            self._add(FIRST, "", ledger.elapsed.now_s())
        self.look()

    def closed(self, record: Record, frame: Frame | None) -> None:
        """A record was closed; called in the thread that inspects."""
        if record.kind is RecordKind.CHALLENGE:
            self.guard.wake.set()

    def run(self, heartbeat: Heartbeat) -> None:
        """Look until asked to stop."""
        while not heartbeat.stopping:
            heartbeat.beat()
            self._clock.wait(self.guard.wake, EVERY_S)
            self.guard.wake.clear()
            try:
                self.look()
            except LedgerError as error:
                log.warning("challenge runs wait for the ledger: %s", error)

    def look(self) -> None:
        """Bring the ledger and the guard up to date.

        Raises:
            LedgerError: the ledger cannot be read or written.
        """
        while self.guard.versions:
            version, at_s = self.guard.versions[0]
            self._add(MODEL, version, at_s)
            self.guard.versions.pop(0)
        now_s = self._ledger.elapsed.now_s()
        with self._ledger.reading() as db:
            run = open_run(db)
            found = [] if run is None else records_of(db, run.id, self._ledger.station)
        if run is not None and run.started_s is None:
            run = self._taken_up(run, now_s)
        elif run is not None and (ended := outcome(run, found, now_s)) is not None:
            self._end(run, ended, now_s)
            run, found = None, []
        self._refresh(run, found, now_s)

    def _taken_up(self, run: ChallengeRun, now_s: float) -> ChallengeRun | None:
        with self._ledger.writing() as db:
            take_up(db, run.id, now_s, self._model())
        self._note(f"{run.id} of {run.started_by} is open: present {len(run.parts)} parts")
        with self._ledger.reading() as db:
            return open_run(db)

    def _end(self, run: ChallengeRun, reason: str, now_s: float) -> None:
        with self._ledger.writing(safe=True) as db:
            end(db, run.id, self._clock.now(), now_s, not reason, reason)
        self._note(f"{run.id} of {run.started_by} {f'failed: {reason}' if reason else 'passed'}")

    def _refresh(self, run: ChallengeRun | None, found: Found, now_s: float) -> None:
        with self._ledger.reading() as db:
            passed = next(iter(recent(db, 1, passed=True)), None)
            last = next(iter(recent(db, 1)), None)
            since_s = -1.0 if passed is None or passed.started_s is None else passed.started_s
            causes = causes_after(db, since_s)
        now = self._clock.now()
        deadline = next_deadline(self._rules, self._shifts, passed, causes, now, now_s)
        models = [cause.detail for cause in causes if cause.kind == MODEL]
        proven = passed.model_version if passed is not None else None
        grace_s = self._rules.grace_min * 60 if self._rules.after_model_change else None
        self.guard.update(
            *(run, [part for part, _ in found if part is not None]),
            failed=last.reason if last is not None and not last.passed else "",
            deadline=deadline,
            version=models[-1] if models else proven,
            model_grace_s=grace_s,
        )
        left_s = None if deadline is None else deadline.at_s - now_s
        if why := self.guard.withheld():
            self._report("withheld", f"no part gets PASS: {why}")
        elif deadline and left_s is not None and left_s <= self._rules.warn_min * 60:
            minutes = max(0.0, left_s / 60)
            self._report("due", f"due within {minutes:.0f} min, since {deadline.why}; {REMEDY}")
        else:
            self._report("", "parts may get PASS again")

    def _report(self, state: str, text: str) -> None:
        """Log and note a change of the state, once."""
        if state == self._reported or (not state and self._reported != "withheld"):
            self._reported = state
            return
        self._reported = state
        log.warning("challenge run: %s", text)
        self._note(text)

    def _note(self, text: str) -> None:
        self._ledger.note_event(self._clock.now(), EVENT, text)

    def _add(self, kind: str, detail: str, at_s: float) -> None:
        with self._ledger.writing() as db:
            add_cause(db, Cause(kind, detail, self._clock.now().isoformat(), at_s))


def outcome(run: ChallengeRun, found: Found, now_s: float) -> str | None:
    """How a run that was taken up ends: "" passed, else why not; None while it goes on.

    The first verdict on a part counts. One that was not inspected may be presented again, but not
    where triggers have no serials: then it is not known any more which part comes next.

    Args:
        run: the run.
        found: its closed records, each with which part it was, in the order of their triggers.
        now_s: as of `Elapsed`.
    """
    first: dict[int, Record] = {}
    wrong = []
    for part, record in found:
        if part is None:
            continue
        if record.verdict is Verdict.NOT_INSPECTED:
            if not record.serial:
                return f"{run.parts[part].serial} was not inspected ({record.reason})"
            continue
        first.setdefault(part, record)
    for i, record in sorted(first.items()):
        known = run.parts[i]
        if record.model_version != run.model_version:
            wrong.append(f"{known.serial} was judged by another model, {record.model_version}")
        elif not known.met_by(record):
            seen = f"{record.verdict} {record.part_class}".strip()
            wrong.append(f"{known.serial} must be {known.expected} and was {seen}")
    missing = [known.serial for i, known in enumerate(run.parts) if i not in first]
    if not missing:
        return "; ".join(wrong)
    assert run.started_s is not None
    if now_s - run.started_s <= run.within_s:
        return None
    late = f"not presented within {run.within_s / 60:g} min: {', '.join(missing)}"
    return "; ".join([*wrong, late])


def challenge_workers(
    line: Line,
    ledger: Ledger,
    clock: Clock,
    version: Callable[[], str],
    recorder: Recorder,
    inspection: InspectionWorker,
) -> tuple[ChallengeWatch, ...]:
    """The worker of a station whose line file has challenge runs, and what it changes; else none.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    if line.challenge is None:
        return ()
    watch = ChallengeWatch(line.challenge, line.shifts, ledger, clock, version)
    recorder.presented, inspection.finish = watch.guard.presented, watch.guard.judged
    recorder.counters.withheld = watch.guard.withheld
    recorder.subscribe(watch.closed)
    return (watch,)
