"""Settings of the web service in a line file."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from pydantic import Field, model_validator

from pipeline.plugins import Strict


class ReviewSettings(Strict):
    """How people review parts at the station."""

    second_share: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of the reviewed parts of which a second person is asked, who does not "
        "see the first answer; parts that two people judge differently are listed.",
    )
    enough: int = Field(
        50,
        ge=1,
        le=100_000,
        description="Reviewed parts with a kept frame that each class should have before the next "
        "training; the review page counts up to it.",
    )


class Http(Strict):
    """The station's web service: `lineside token` makes its access tokens."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen at. Every address but loopback needs `tokens`, and TLS "
        "or `plain`.",
    )
    port: int = Field(
        8711, ge=0, le=65535, description="Port to listen at; 0: a free one, which the log names."
    )
    tokens: Path | None = Field(
        None,
        description="File with the hashes of the tokens, which `lineside token new` makes; "
        "none: requests to trigger or to see records and frames are refused.",
    )
    open_on_loopback: bool = Field(
        False,
        description="Let every program on this machine trigger and see records and frames "
        "without a token; for trials.",
    )
    tls_cert: Path | None = Field(None, description="PEM file with the certificate and its chain.")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key.")
    plain: str | None = Field(
        None,
        min_length=10,
        description="Reason why an address other than loopback needs no TLS, such as `a proxy "
        "on this machine adds it`. Tokens and frames then cross the network unencrypted.",
    )
    hosts: tuple[str, ...] = Field(
        (),
        description="Further host names by which a proxy or a browser may address this machine.",
    )
    address: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Address by which people reach the station's pages, such as "
        "https://west-1.plant; messages of sinks carry that of the record below it. None: made "
        "of `host` and `port`.",
    )
    max_upload_mb: float = Field(
        40, gt=0, le=1000, description="Largest uploaded picture in megabytes (10^6 bytes)."
    )
    max_megapixels: float = Field(
        50,
        gt=0,
        le=1000,
        description="Largest picture in millions of pixels, by its header. A small file may "
        "claim many pixels, and each takes 3 bytes of memory.",
    )
    upload_within_s: float = Field(
        10, gt=0, le=300, description="Seconds that a client has for sending its picture."
    )
    answer_within_s: float = Field(
        10,
        gt=0,
        le=300,
        description="Seconds to wait for a verdict before answering that it is late.",
    )
    connections: int = Field(
        32,
        ge=1,
        le=1000,
        description="Largest number of clients that wait for verdicts; further ones get HTTP 503.",
    )

    uploads_per_token: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Largest number of pictures that are being received with one token, so that "
        "no program keeps all others out; further ones get HTTP 429. None: half of `connections`.",
    )

    review: ReviewSettings = Field(
        ReviewSettings(), description="How people review parts at the station."
    )

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Http:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("`tls_cert` and `tls_key` belong together; give both or none")
        if self.loopback:
            return self
        if self.open_on_loopback:
            raise ValueError(
                f'`open_on_loopback` is for 127.0.0.1 only, and `host` is "{self.host}"; '
                "make a token instead: lineside token new"
            )
        if self.tokens is None:
            raise ValueError(
                f'others reach `host` "{self.host}"; name a file of `tokens`, or use 127.0.0.1'
            )
        if self.tls_cert is None and self.plain is None:
            raise ValueError(
                f'others reach `host` "{self.host}"; give `tls_cert` and `tls_key`, or '
                "in `plain` the reason why it is safe without"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Is it reached by programs on this machine only?"""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "http" if self.tls_cert is None else "https"

    @property
    def records_at(self) -> str:
        """The address below which people find each record, "" where it is not known."""
        if self.address is not None:
            return f"{self.address.rstrip('/')}/records/"
        if self.port == 0:
            return ""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/records/"

    @property
    def most_uploads_per_token(self) -> int:
        """The largest number of pictures that are being received with one token."""
        return self.uploads_per_token or (self.connections + 1) // 2

    @property
    def max_upload_bytes(self) -> int:
        """The largest picture as a file, in bytes."""
        return int(self.max_upload_mb * 1e6)

    @property
    def max_pixels(self) -> int:
        """The largest picture, in pixels."""
        return int(self.max_megapixels * 1e6)
