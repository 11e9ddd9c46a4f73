"""What a large ledger costs: audit (seconds, memory), start of a station, depth of an outbox.

`python -m benchmarks.ledger --records 10000000 --folder /tmp/ledger`; the folder must be empty, is
filled with about 350 MB a million records, and emptied again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contracts.records import Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.upkeep.archiving import archive

STATION = "west-1"
BEGIN = datetime(2026, 7, 1, tzinfo=UTC)
# A part a second: 2 % FAIL, 3 % NOT_INSPECTED, of one camera and one model.
FILL = """
INSERT INTO records (id, captured_at, serial, verdict, reason, part_class, defect_score, scores,
                     model_version, latency_ms, camera, frame_age_ms)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :records)
SELECT printf('%08x-%04x-7000-8000-%012x', n >> 16, n & 65535, n),
       strftime('%Y-%m-%dT%H:%M:%f000+00:00', :begin + n, 'unixepoch'), 'part-' || n,
       CASE WHEN n % 50 = 0 THEN 'FAIL' WHEN n % 33 = 0 THEN 'NOT_INSPECTED' ELSE 'PASS' END,
       CASE WHEN n % 33 = 0 THEN 'takt exceeded: it waited 312 ms'
            ELSE 'defect score 0.012 below pass limit 0.200' END,
       'good', 0.012, '{"good": 0.988, "defective": 0.012}', 'cells/1', 11.5, 'top', 3.2
FROM numbers
"""
AUDIT = """
import json, re, sys, time
from pathlib import Path
from pipeline.ledger.audit import audit
STATUS = Path("/proc/self/status")
begun = time.perf_counter()
found = audit(Path(sys.argv[1]), "west-1", None, None)
print(json.dumps({
    "triggers": found.triggers, "balances": found.balances,
    "seconds": time.perf_counter() - begun,
    "peak_mb": int(re.search("VmHWM:[^0-9]*(\\d+)", STATUS.read_text())[1]) / 1024,
}))
"""


def main() -> None:
    """Fill a ledger, measure, archive all but the last month, measure again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--no-archive", action="store_true", help="measure one file only")
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True)  # raises where it is there: nothing of others is removed
    try:
        path = wanted.folder / "ledger.sqlite"
        fill(path, wanted.records)
        print(f"{wanted.records} records, {path.stat().st_size / 1e6:.0f} MB")
        measure(path)
        if not wanted.no_archive:
            begun = time.perf_counter()
            moved = sum(m.moved for m in archive(path, STATION, datetime(2026, 10, 1, tzinfo=UTC)))
            print(f"archive: {moved} records in {time.perf_counter() - begun:.1f} s")
            measure(path)
    finally:
        shutil.rmtree(wanted.folder)


def fill(path: Path, records: int) -> None:
    """Make a ledger of closed records, each of them due for a sink."""
    Ledger(path, STATION).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute(FILL, {"records": records, "begin": int(BEGIN.timestamp())})
    os.sync()  # else the start would pay for what was written without waiting for the disk
    Ledger(path, STATION).close()


def measure(path: Path) -> None:
    """Print what the audit, the start and the depth of an outbox cost."""
    small = path.with_name("small.sqlite")
    Ledger(small, STATION).close()
    for name, file in (("empty", small), ("this", path)):
        done = subprocess.run(
            [sys.executable, "-c", AUDIT, str(file)], capture_output=True, text=True, check=True
        )
        print(f"audit of {name} ledger: {json.loads(done.stdout)}")
    begun = time.perf_counter()
    with closing(Ledger(path, STATION, {"mes": tuple(Verdict)})) as ledger:
        print(f"start: {(time.perf_counter() - begun) * 1e3:.1f} ms")
        outbox = Outbox(ledger, "mes")
        with ledger.writing() as db:
            db.execute(
                "INSERT INTO outbox (sink, record) SELECT 'mes', id FROM records LIMIT 2600000"
            )
        begun = time.perf_counter()
        depth = outbox.depth()
        print(f"depth {depth}: {(time.perf_counter() - begun) * 1e3:.3f} ms")
        with ledger.writing() as db:
            db.execute("DELETE FROM outbox")
        begun = time.perf_counter()
        with ledger.reading() as db:
            (found,) = db.execute("PRAGMA quick_check").fetchone()
        print(f"check of the whole file ({found}): {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
