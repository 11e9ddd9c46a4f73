"""A station that hangs as a whole is killed and restarted by systemd: a real one, of our own.

The user manager runs in a namespace of its own. It leaves empty control groups behind, therefore
not on a machine whose own systemd looks after them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import COMMAND, Plant, eventually

SYSTEMD = Path("/lib/systemd/systemd")
NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
MANAGER = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/xdg && chmod 700 /run/xdg || exit 1
export XDG_RUNTIME_DIR=/run/xdg XDG_CONFIG_HOME="$1"
{systemd} --user --unit=station.service
exit  # not exec: as the first process of all, systemd would not run for a user
"""
SHIPPED = Path(__file__).parents[2] / "deploy" / "lineside@.service"
# What only the system's own manager may give or take: users, folders, mounts, devices, memory.
SYSTEM_ONLY = (
    *("DynamicUser", "StateDirectory", "Protect", "Private", "Device", "Environment"),
    *("CapabilityBoundingSet", "AmbientCapabilities", "MemoryMax", "TasksMax", "RemoveIPC"),
)
# Other places, and less patience than a plant has.
HERE = """\
ExecStart={python} {home}/station.py run {file}
WorkingDirectory={home}
StandardOutput=append:{home}/log.txt
StandardError=append:{home}/log.txt
WatchdogSec=3
TimeoutAbortSec=1
RestartSec=0.2
"""
MOST_LOST = 18  # at each kill 16 may wait, one is being judged, and the camera has one in hand


def can_run() -> bool:
    """Is systemd here, idle, and may this user have namespaces of its own?"""
    if not SYSTEMD.exists() or Path("/run/systemd/system").exists():
        return False
    try:
        asked = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/run"], check=False)
    except OSError:
        return False
    return asked.returncode == 0


@pytest.mark.skipif(
    not can_run(), reason="no systemd here, or it is at work, or no namespaces for this user"
)
@pytest.mark.soak
def test_a_station_that_hangs_is_restarted_by_the_watchdog(
    plant: Plant, recovered: Callable[[str, float], None]
) -> None:
    config = plant.home / "config"
    unit = config / "systemd" / "user" / "station.service"
    unit.parent.mkdir(parents=True)
    (plant.home / "station.py").write_text(f"import sys\nsys.path[:0] = {sys.path}\n{COMMAND}\n")
    unit.write_text(service(plant, plant.line()))
    manager = subprocess.Popen(
        [*NAMESPACE, "bash", "-c", MANAGER.format(systemd=SYSTEMD), "manager", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        hung = eventually(lambda: plant.book.closed > 2 and station(plant), "the station inspects")
        os.kill(hung, signal.SIGSTOP)
        before, stopped = plant.book.closed, time.monotonic()
        eventually(lambda: plant.book.closed > before + 2, "it inspects again")
        recovered("SIGSTOP; next verdict", time.monotonic() - stopped)
        assert station(plant) != hung
    finally:
        manager.kill()
        manager.wait()
    again = plant.inspecting(plant.line())
    again.end()
    assert plant.book.count("reason = 'station restarted'") <= 2 * MOST_LOST


def service(plant: Plant, line: Path) -> str:
    """The unit that is shipped, as far as a manager without rights can follow it."""
    _, _, rest = SHIPPED.read_text("utf-8").partition("[Service]\n")
    settings, _, _ = rest.partition("[Install]\n")
    left_out = (*SYSTEM_ONLY, "#", *(part.partition("=")[0] + "=" for part in HERE.splitlines()))
    kept = [part for part in settings.splitlines() if part and not part.startswith(left_out)]
    here = HERE.format(home=plant.home, python=sys.executable, file=line)
    return "\n".join(["[Service]", *kept, here])


def station(plant: Plant) -> int:
    """The process id of the station as this namespace sees it; 0 while there is none."""
    wanted = str(plant.home / "station.py").encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "cmdline").read_bytes().split(b"\0"):
                return int(process.name)
        except OSError:
            continue
    return 0
