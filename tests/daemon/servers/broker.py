"""A real MQTT broker, Debian's mosquitto, on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

DEADLINE_S = 10.0


def why_not() -> str:
    """Why no broker can be started here; "" when one can."""
    missing = [p for p in ("mosquitto", "mosquitto_passwd", "openssl") if not _program(p)]
    return f"not installed here: {', '.join(missing)}" if missing else ""


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


class Mosquitto:
    """A broker that can be killed and started again on the same port.

    Attributes:
        port: where it listens.
        ca_file: the certificate to trust, with TLS.
    """

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None, tls: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.ca_file = folder / "ca.crt"
        lines = [f"listener {self.port} 127.0.0.1", "max_queued_messages 0"]
        if tls:
            certificates(folder)
            lines += [f"certfile {folder / 'broker.crt'}", f"keyfile {folder / 'broker.key'}"]
        lines.append(f"allow_anonymous {'false' if users else 'true'}")
        if users:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            for user, password in users.items():
                _run(_program("mosquitto_passwd"), "-b", str(passwords), user, password)
            lines.append(f"password_file {passwords}")
        self._file = folder / "mosquitto.conf"
        self._file.write_text("user root\nper_listener_settings false\n" + "\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_program("mosquitto")), "-c", str(self._file)], stdout=log, stderr=log
            )
        until_s = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, self._log.read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def certificates(folder: Path) -> None:
    """An authority's certificate, and the broker's, signed by it."""
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca, key = str(folder / "ca.crt"), str(folder / "ca.key")
    _run("openssl", *new, "-x509", "-keyout", key, "-out", ca, "-days", "2", "-subj", "/CN=ca")
    request, broker_key = str(folder / "broker.csr"), str(folder / "broker.key")
    _run("openssl", *new, "-keyout", broker_key, "-out", request, "-subj", "/CN=localhost")
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    signing = ("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial")
    out = str(folder / "broker.crt")
    _run("openssl", *signing, "-out", out, "-days", "2", "-extfile", str(names))


def _run(program: str | None, *arguments: str) -> None:
    subprocess.run([str(program), *arguments], check=True, capture_output=True)
