"""The ledger's file format: what the station writes and what training reads of it (SQLite).

A record bears its verdict from the moment it is closed, unchanged. Beside it stand the image that
the station kept, noted once, and the reviews of people, of which none is ever changed or removed.
Undelivered records of each sink stand in the outbox, from the transaction that closed the record
until the receiver has acknowledged them. When each camera could receive triggers is noted too: what
came at any other time has no record.
"""

from __future__ import annotations

from pipeline.contracts.records import Verdict

APPLICATION_ID = 0x4C6E5364  # marks the file as ours: "LnSd"

_VERDICTS = ", ".join(f"'{v}'" for v in Verdict)
_VERSION_1 = f"""
CREATE TABLE station (name TEXT NOT NULL);
-- AUTOINCREMENT never gives a number twice: a deleted record leaves a gap that the account shows.
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    captured_at TEXT NOT NULL,
    serial TEXT NOT NULL,
    verdict TEXT CHECK (verdict IN ({_VERDICTS})),
    reason TEXT NOT NULL DEFAULT '',
    part_class TEXT NOT NULL DEFAULT '',
    defect_score REAL,
    scores TEXT NOT NULL DEFAULT '{{}}',
    model_version TEXT NOT NULL DEFAULT '',
    latency_ms REAL
);
CREATE INDEX records_open ON records (seq) WHERE verdict IS NULL;
CREATE INDEX records_serial ON records (serial);
CREATE TRIGGER records_are_final BEFORE UPDATE ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
"""
_VERSION_2 = """
-- The file is written after the verdict, which waits for no disk, and named here once it is there.
ALTER TABLE records ADD COLUMN image TEXT NOT NULL DEFAULT '';
CREATE INDEX records_kept ON records (seq) WHERE image != '';
DROP TRIGGER records_are_final;
CREATE TRIGGER records_are_final BEFORE UPDATE OF seq, id, captured_at, serial, verdict, reason,
    part_class, defect_score, scores, model_version, latency_ms
ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
-- It may be forgotten, before the file is removed, but not replaced.
CREATE TRIGGER records_keep_their_image BEFORE UPDATE OF image ON records
WHEN OLD.image != '' AND NEW.image != ''
BEGIN SELECT RAISE(ABORT, 'the record has its image already'); END;
CREATE TABLE reviews (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL REFERENCES records (id),
    reviewed_at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    part_class TEXT NOT NULL,
    comment TEXT NOT NULL DEFAULT ''
);
CREATE INDEX reviews_record ON reviews (record);
CREATE TRIGGER reviews_are_final BEFORE UPDATE ON reviews
BEGIN SELECT RAISE(ABORT, 'a review is not changed: add another'); END;
CREATE TRIGGER reviews_stay BEFORE DELETE ON reviews
BEGIN SELECT RAISE(ABORT, 'a review is not removed: add another'); END;
"""
_VERSION_3 = f"""
ALTER TABLE records ADD COLUMN camera TEXT NOT NULL DEFAULT '';
-- Trigger minus capture; none where there was no frame.
ALTER TABLE records ADD COLUMN frame_age_ms REAL;
CREATE INDEX records_captured ON records (captured_at);
DROP TRIGGER records_are_final;
CREATE TRIGGER records_are_final BEFORE UPDATE OF seq, id, captured_at, serial, verdict, reason,
    part_class, defect_score, scores, model_version, latency_ms, camera, frame_age_ms
ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    record TEXT NOT NULL REFERENCES records (id),
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1))
);
CREATE INDEX outbox_due ON outbox (sink, dead, seq);
-- Decisions of a shadow model on frames that the first one judged.
CREATE TABLE shadows (
    record TEXT NOT NULL REFERENCES records (id),
    model_version TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ({_VERDICTS})),
    reason TEXT NOT NULL,
    part_class TEXT NOT NULL,
    defect_score REAL,
    PRIMARY KEY (record, model_version)
) WITHOUT ROWID;
-- What happened to the station itself: started, camera lost, model live, ...
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""
_VERSION_4 = """
-- When each camera could receive triggers. `until` is written while it does, so that the last row
-- of a station that was killed ends where it was last known to be alive.
CREATE TABLE listening (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    camera TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL,
    began TEXT NOT NULL DEFAULT '',  -- what became of triggers sent before `since`, where known
    ended TEXT NOT NULL DEFAULT ''  -- why; none while it goes on, or where nobody could write it
);
CREATE INDEX listening_camera ON listening (camera, seq);
-- A scale of seconds that nobody can set, for ages: see `elapsed`.
CREATE TABLE elapsed (
    boot TEXT PRIMARY KEY,  -- of the machine
    base_s REAL NOT NULL,  -- where the scale was when it began
    seen_s REAL NOT NULL,  -- where it was last seen
    seen_at TEXT NOT NULL  -- and the time of day then
);
ALTER TABLE outbox ADD COLUMN queued_s REAL;  -- on that scale
-- What the latency consists of, in milliseconds by name.
ALTER TABLE records ADD COLUMN steps TEXT NOT NULL DEFAULT '{}';
DROP TRIGGER records_are_final;
CREATE TRIGGER records_are_final BEFORE UPDATE OF seq, id, captured_at, serial, verdict, reason,
    part_class, defect_score, scores, model_version, latency_ms, camera, frame_age_ms, steps
ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
-- How many entries each sink has, due and dead: to count millions of them took most of a second.
CREATE TABLE outbox_depths (
    sink TEXT NOT NULL,
    dead INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (sink, dead)
) WITHOUT ROWID;
INSERT INTO outbox_depths SELECT sink, dead, count(*) FROM outbox GROUP BY sink, dead;
CREATE TRIGGER outbox_counts_new AFTER INSERT ON outbox BEGIN
    INSERT INTO outbox_depths VALUES (NEW.sink, NEW.dead, 1)
    ON CONFLICT (sink, dead) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER outbox_counts_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_depths SET n = n - 1 WHERE sink = OLD.sink AND dead = OLD.dead;
END;
CREATE TRIGGER outbox_counts_changed AFTER UPDATE OF sink, dead ON outbox
WHEN OLD.sink != NEW.sink OR OLD.dead != NEW.dead BEGIN
    UPDATE outbox_depths SET n = n - 1 WHERE sink = OLD.sink AND dead = OLD.dead;
    INSERT INTO outbox_depths VALUES (NEW.sink, NEW.dead, 1)
    ON CONFLICT (sink, dead) DO UPDATE SET n = n + 1;
END;
-- Files beside this one, which took over closed records of past months: see `upkeep`.
CREATE TABLE archives (
    name TEXT PRIMARY KEY,  -- of the file
    first INTEGER NOT NULL,  -- number of its records
    last INTEGER NOT NULL,
    last_id TEXT NOT NULL,
    n INTEGER NOT NULL  -- of records removed from this file
);
"""
_VERSION_5 = """
-- The few among the many, by verdict and time. A query that is to use it repeats the condition.
CREATE INDEX records_not_passed ON records (verdict, captured_at) WHERE verdict != 'PASS';
"""
_VERSION_6 = """
-- Of the whole file; none while it is written to, and of one from before there were any.
ALTER TABLE archives ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
"""
_VERSION_7 = """
-- What each person thinks of a part now: the last review, unless that one has no class, which
-- withdraws those before it.
CREATE VIEW standing_reviews AS
SELECT seq, record, reviewed_at, reviewer, part_class, comment FROM reviews AS given
WHERE part_class != '' AND NOT EXISTS (
    SELECT 1 FROM reviews AS later
    WHERE later.record = given.record AND later.reviewer = given.reviewer AND later.seq > given.seq
);
"""
_VERSION_8 = """
-- Closed records by a quarter of an hour: rates of months need not read millions of records. A
-- worker of the station fills it behind them, up to the number in `counted`.
CREATE TABLE verdict_counts (
    period TEXT NOT NULL,  -- its beginning in UTC, such as 2026-11-28T14:45
    camera TEXT NOT NULL,
    model_version TEXT NOT NULL,
    verdict TEXT NOT NULL,
    label TEXT NOT NULL,  -- the class; of NOT_INSPECTED the kind of reason
    n INTEGER NOT NULL,
    score_sum REAL NOT NULL,
    PRIMARY KEY (period, camera, model_version, verdict, label)
) WITHOUT ROWID;
CREATE TABLE counted (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL);
-- Weighted means of scores and novelty of the model at work, at the end of each such period.
CREATE TABLE drift_samples (
    period TEXT NOT NULL,
    model_version TEXT NOT NULL,
    parts INTEGER NOT NULL,
    score REAL,
    score_first REAL,
    novelty REAL,
    novelty_first REAL,
    PRIMARY KEY (period, model_version)
) WITHOUT ROWID;
-- Limits of control charts as people have set them; the last one of a chart counts.
CREATE TABLE baselines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    set_at TEXT NOT NULL,
    set_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    camera TEXT NOT NULL,
    per TEXT NOT NULL,
    size INTEGER NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL,
    subgroups INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    fails INTEGER NOT NULL,
    model_version TEXT NOT NULL,
    chart TEXT NOT NULL CHECK (chart IN ('p', 'p_prime')),
    centre REAL NOT NULL,
    sigma_z REAL NOT NULL
);
CREATE TRIGGER baselines_are_final BEFORE UPDATE ON baselines
BEGIN SELECT RAISE(ABORT, 'a baseline is not changed: set another'); END;
CREATE TRIGGER baselines_stay BEFORE DELETE ON baselines
BEGIN SELECT RAISE(ABORT, 'a baseline is not removed: set another'); END;
-- Events with data are delivered to the sinks, too; one key is noted once.
ALTER TABLE events ADD COLUMN data TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN key TEXT NOT NULL DEFAULT '';
CREATE INDEX events_delivered ON events (seq) WHERE data != '';
CREATE UNIQUE INDEX events_key ON events (key) WHERE key != '';
CREATE TABLE event_deliveries (sink TEXT PRIMARY KEY, delivered INTEGER NOT NULL);
"""
_VERSION_9 = """
-- What the trigger was for: a part of the line, or a known part of a challenge run.
ALTER TABLE records ADD COLUMN kind TEXT NOT NULL DEFAULT 'part';
DROP TRIGGER records_are_final;
CREATE TRIGGER records_are_final BEFORE UPDATE OF seq, id, captured_at, serial, verdict, reason,
    part_class, defect_score, scores, model_version, latency_ms, camera, frame_age_ms, steps, kind
ON records WHEN OLD.verdict IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the record is closed already'); END;
CREATE TABLE challenge_runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at TEXT NOT NULL,
    started_s REAL,  -- as of `elapsed`; none until the station has taken it up
    started_by TEXT NOT NULL,
    model_version TEXT NOT NULL DEFAULT '',
    within_s REAL NOT NULL,  -- how long it may take
    parts TEXT NOT NULL,  -- JSON: the known parts, as the line file had them
    ended_at TEXT NOT NULL DEFAULT '',  -- none while it is open
    ended_s REAL,
    passed INTEGER CHECK (passed IN (0, 1)),
    reason TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX challenge_run_open ON challenge_runs (ended_at) WHERE ended_at = '';
CREATE TRIGGER challenge_runs_are_final BEFORE UPDATE ON challenge_runs WHEN OLD.ended_at != ''
BEGIN SELECT RAISE(ABORT, 'the challenge run has ended already'); END;
CREATE TRIGGER challenge_runs_stay BEFORE DELETE ON challenge_runs
BEGIN SELECT RAISE(ABORT, 'a challenge run is not removed: start another'); END;
CREATE TABLE challenge_records (
    record TEXT PRIMARY KEY REFERENCES records (id),
    run INTEGER NOT NULL REFERENCES challenge_runs (seq),
    part INTEGER  -- which of the known parts, from 0; none where the camera need not see it
) WITHOUT ROWID;
CREATE INDEX challenge_records_run ON challenge_records (run);
-- After what a run is needed: challenge runs were set up, the station started, another model.
CREATE TABLE challenge_causes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL,
    at_s REAL NOT NULL  -- as of `elapsed`
);
"""
# What each version adds to the one before; a new file takes all of them.
STEPS = (
    *(_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7),
    *(_VERSION_8, _VERSION_9),
)
VERSION = len(STEPS)
