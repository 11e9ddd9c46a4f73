"""How long a station takes from its command to its first verdict, and how much memory.

Started three ways: `cold` fetches the model from the registry, `warm` finds it in its cache and
asks the registry which one to run, `offline` finds no registry. Needs `make repro`; give the
`lineside` of a plain `pip install .` to see what a station pays that has no training tools.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from pipeline.registry.connection import default_uri

PATIENCE_S = 60.0

console = Console()


def main() -> None:
    """Start stations, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--recipe", default="solar-cell")
    asked.add_argument("--registry", default=default_uri(Path.cwd()), help="database or server")
    asked.add_argument("--lineside", default=Path(sys.executable).with_name("lineside"))
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": [], "offline": []}
    with tempfile.TemporaryDirectory(prefix="lineside-start-") as folder:
        home = Path(folder)
        for _ in range(given.rounds):
            shutil.rmtree(home / "models", ignore_errors=True)
            for way, seen in found.items():
                registry = f"sqlite:///{home}/away.db" if way == "offline" else given.registry
                seen.append(_started(given.lineside, _line(home, given.recipe, registry), home))
    table = Table("start", "first verdict, s: median (least to most)", "resident, MB at most")
    for way, seen in found.items():
        seconds, megabytes = zip(*seen, strict=True)
        spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        table.add_row(way, spread, f"{max(megabytes):.0f}")
    console.print(table)


def _line(home: Path, recipe: str, registry: str) -> Path:
    """A line file whose station replays what evaluation kept aside."""
    shown = Path("data").absolute() / recipe / "evaluate/held_out"
    settings = {
        "station": "start",
        "recipe": recipe,
        "model": {"registry": registry, "alias": "challenger", "cache": str(home / "models")},
        "source": {"type": "replay", "path": str(shown), "rate_hz": 20, "loop": True},
        "ledger": str(home / "ledger.sqlite"),
    }
    path = home / "line.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def _started(lineside: Path, line: Path, home: Path) -> tuple[float, float]:
    """Seconds to the first verdict in the ledger, and the peak of resident memory in 10^6 bytes."""
    for file in home.glob("ledger.sqlite*"):
        file.unlink()
    began = time.perf_counter()
    command = [str(lineside), "run", str(line)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            while not _judged(home / "ledger.sqlite"):
                late = time.perf_counter() - began > PATIENCE_S
                if late or process.poll() is not None:
                    process.kill()
                    assert process.stdout is not None
                    sys.exit(f"no verdict: {process.stdout.read().decode()}")
                time.sleep(0.005)
            seconds = time.perf_counter() - began
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        finally:
            process.terminate()
            process.communicate()
    (peak,) = (row.split()[1] for row in status.splitlines() if row.startswith("VmHWM"))
    return seconds, int(peak) * 1024 / 1e6


def _judged(ledger: Path) -> bool:
    """Does a record bear a verdict?"""
    found = "SELECT 1 FROM records WHERE verdict IN ('PASS', 'FAIL', 'REVIEW') LIMIT 1"
    reader = f"{ledger.as_uri()}?mode=ro"
    # Until the station has made it, it cannot be read.
    with suppress(sqlite3.Error), closing(sqlite3.connect(reader, uri=True)) as db:
        return db.execute(found).fetchone() is not None
    return False


if __name__ == "__main__":
    main()
