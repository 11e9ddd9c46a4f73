"""A network camera that sends JPEG after JPEG over HTTP (`multipart/x-mixed-replace`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import ClassVar, Literal

import requests
import urllib3
from pydantic import Field
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources import Frame
from pipeline.daemon.sources._network import NetworkCamera
from pipeline.daemon.sources._url import NetworkCameraConfig
from pipeline.errors import DataError, SourceLost

HEADERS_BYTES = 16 * 1024  # of one part
ENDINGS = {"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/png": ".png", "image/bmp": ".bmp"}


class Config(NetworkCameraConfig):
    """Settings of an MJPEG camera."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")

    type: Literal["mjpeg"] = Field(description="mjpeg")
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) to trust for https, instead of the system's."
    )
    camera_clock: bool = Field(
        False,
        description="Take the time of capture from the camera's X-Timestamp header (seconds since "
        "1970), so that a frame's age includes its transfer; only where NTP keeps the camera's "
        "clock right.",
    )
    largest_mb: float = Field(
        32,
        gt=0,
        le=1024,
        description="Largest picture in megabytes (10^6 bytes); a larger one is refused.",
    )

    def open(self, clock: Clock) -> Mjpeg:
        """Read the password; connecting is for `frames`."""
        if self.ca_file is not None and not self.ca_file.is_file():
            raise DataError(f"source.ca_file {self.ca_file} is not a file")
        return Mjpeg(self, self.camera_url(), clock)


class Mjpeg(NetworkCamera[Config]):
    """A stream of image files, passed on as the camera made them."""

    @property
    def first_s(self) -> float:
        """Connecting and the first part."""
        return self._config.connect_timeout_s + self._config.read_timeout_s

    def _read(self) -> Iterator[Frame]:
        name = self._url.shown
        try:
            with closing(self._answer()) as answer:
                until_s = self._clock.monotonic_s() + self.first_s

                def read() -> bytes:
                    # A stream that trickles would keep this thread reading indefinitely.
                    if self._clock.monotonic_s() > until_s:
                        raise SourceLost(f"{name} sent no whole picture for {self.first_s:g} s")
                    chunk: bytes = answer.raw.read1(65536)
                    return chunk

                stream = ByteStream(read, int(self._config.largest_mb * 1e6))
                for headers, data in parts(stream, _boundary(answer.headers, name)):
                    yield self._frame(headers, data)
                    until_s = self._clock.monotonic_s() + self.first_s
        except _TooLarge as error:
            raise SourceLost(f"{name}: {error}") from None
        # The texts of these errors contain the whole URL.
        except requests.exceptions.SSLError:
            raise SourceLost(
                f"{name} has a certificate that is not trusted; give its issuer's as ca_file"
            ) from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise SourceLost(f"{name} does not answer in time") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise SourceLost(f"{name} cannot be read: {type(error).__name__}") from None

    def _answer(self) -> requests.Response:
        """The camera's answer, its body not read yet."""
        answer = self._get(None)
        if answer.status_code == 401 and self._url.user:
            digest = answer.headers.get("WWW-Authenticate", "").lower().startswith("digest")
            answer.close()
            way = HTTPDigestAuth if digest else HTTPBasicAuth
            answer = self._get(way(self._url.user, self._url.password))
        if answer.status_code != 200:
            answer.close()
            hint = "; check user and password" if answer.status_code in (401, 403) else ""
            raise SourceLost(
                f"{self._url.shown} answers {answer.status_code} {answer.reason}{hint}"
            )
        return answer

    def _get(self, auth: AuthBase | None) -> requests.Response:
        config = self._config
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no ~/.netrc for a camera
            return session.get(
                self._url.bare,
                auth=auth,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=(config.connect_timeout_s, config.read_timeout_s),
                verify=str(config.ca_file) if config.ca_file else True,
            )

    def _frame(self, headers: Message, data: bytes) -> Frame:
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        age_s = self._age_s(headers, at.timestamp())
        return Frame(
            at - timedelta(seconds=age_s),
            captured_s - age_s,
            serial="",
            pixels=None,
            data=data,
            ending=ENDINGS.get(headers.get_content_type(), ".jpg"),
        )

    def _age_s(self, headers: Message, now_s: float) -> float:
        """Seconds since the capture, by the camera's clock; 0 where the header is missing."""
        if not self._config.camera_clock:
            return 0.0
        try:
            # A camera clock a little ahead of ours must not give a capture time in the future.
            return min(max(0.0, now_s - float(headers["X-Timestamp"])), now_s)
        except (TypeError, ValueError):
            return 0.0


class _TooLarge(Exception):
    """A part, or its headers, has more bytes than is allowed."""


class ByteStream:
    """Bytes as they come, read by line, by number or up to a mark; never more than `largest`."""

    def __init__(self, read: Callable[[], bytes], largest: int) -> None:
        self._read = read
        self._largest = largest
        self._rest = bytearray()

    def line(self) -> bytes:
        """Up to the next line end, which is read, too; raises EOFError."""
        line = self.before(b"\n", HEADERS_BYTES).rstrip(b"\r")
        del self._rest[:1]
        return line

    def before(self, mark: bytes, largest: int | None = None) -> bytes:
        """Up to the next `mark`, which is not read; raises EOFError."""
        looked = 0
        while (at := self._rest.find(mark, looked)) < 0:
            looked = max(0, len(self._rest) - len(mark) + 1)
            self._more(largest or self._largest)
        return self._cut(at)

    def exactly(self, n: int) -> bytes:
        """So many bytes; raises EOFError."""
        if not 0 <= n <= self._largest:
            raise _TooLarge(f"a picture of {n:,} bytes; largest_mb allows {self._largest:,}")
        while len(self._rest) < n:
            self._more(self._largest)
        return self._cut(n)

    def _cut(self, n: int) -> bytes:
        found = bytes(self._rest[:n])
        del self._rest[:n]
        return found

    def _more(self, limit: int) -> None:
        if len(self._rest) > limit:
            raise _TooLarge(f"{len(self._rest):,} bytes without an end; {limit:,} are allowed")
        data = self._read()
        if not data:
            raise EOFError
        self._rest += data


def parts(stream: ByteStream, boundary: bytes) -> Iterator[tuple[Message, bytes]]:
    """The parts of a multipart body, each with its headers, until the body ends.

    Cameras disagree about the dashes before the boundary, and some end a part without a line end.
    """
    try:
        while True:
            while not (line := stream.line()):
                pass
            if line.endswith(boundary + b"--"):
                return
            headers = Message()
            while line := stream.line():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip()] = value.strip()
            if (length := headers.get("Content-Length", "")).isdecimal():
                yield headers, stream.exactly(int(length))
            else:
                data = stream.before(b"--" + boundary)
                yield headers, data.rstrip(b"-").removesuffix(b"\n").removesuffix(b"\r")
    except EOFError:
        return


def _boundary(headers: Mapping[str, str], name: str) -> bytes:
    """What separates the parts, without leading dashes."""
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise SourceLost(
            f"{name} answers {message.get_content_type()}, not multipart/x-mixed-replace; "
            "is it the URL of the camera's stream?"
        )
    return boundary.removeprefix("--").encode("latin-1")
