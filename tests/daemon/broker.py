"""A real mosquitto on loopback, for tests of what talks to a broker."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep

import pytest

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
PATIENCE_S = 20


class Mosquitto:
    """A broker that can be killed, frozen and started again on the same port."""

    def __init__(self, folder: Path, *settings: str, tls: bool = False) -> None:
        if not Path(MOSQUITTO).exists():
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "user root", *settings]
        if tls:
            certify(folder)
            lines += [f"cafile {folder / 'ca.crt'}", f"certfile {folder / 'server.crt'}"]
            lines += [f"keyfile {folder / 'server.key'}"]
        if not any(line.startswith("allow_anonymous") for line in settings):
            lines.append("allow_anonymous true")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.start()

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        until_s = monotonic() + PATIENCE_S
        while monotonic() < until_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                sleep(0.02)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def save(self) -> None:
        """Have it write down who listens and what is retained, which it does now and then."""
        assert self.process is not None
        kept = self.folder / "mosquitto.db"
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        until_s = monotonic() + PATIENCE_S
        self.process.send_signal(signal.SIGUSR1)
        while not kept.exists() or kept.stat().st_mtime_ns == before:
            assert monotonic() < until_s, "it saved nothing"
            sleep(0.02)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def certify(folder: Path, names: str = "DNS:localhost") -> None:
    """Make `ca.crt`, another authority `other.crt`, and `server.crt` with `server.key`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        out = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        openssl("req", "-x509", *key, *out, "-days", "2", "-subj", f"/CN=test-{name}")
    out = ("-keyout", "server.key", "-out", "server.csr")
    openssl("req", *key, *out, "-subj", "/CN=localhost")
    (folder / "ext").write_text(f"subjectAltName={names}\n")
    sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", "server.csr", *sign, "-out", "server.crt", "-extfile", "ext")


def passwords(folder: Path, user: str, password: str) -> Path:
    """A password file for mosquitto."""
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed: apt-get install mosquitto")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "passwords"
    subprocess.run([tool, "-c", "-b", path, user, password], check=True, capture_output=True)
    path.chmod(0o600)
    return path
