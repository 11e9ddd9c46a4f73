"""The address of a camera on the network; its password is told to nobody but the camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field, model_validator

from pipeline.daemon.login import Login
from pipeline.daemon.sources import SourceConfig


@dataclass(frozen=True)
class Address:
    """Where a camera is, and how to be let in.

    Attributes:
        shown: the address for messages: no user, no password, no query.
        bare: the address without user and password.
        user, password: "" where none is needed.
    """

    shown: str
    bare: str = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def full(self) -> str:
        """The address with user and password in it, as FFmpeg takes it."""
        if not self.user:
            return self.bare
        scheme, _, rest = self.bare.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"


class AddressConfig(Login, SourceConfig):
    """Settings of a camera on the network."""

    schemes: ClassVar[tuple[str, ...]] = ()

    url: str = Field(
        repr=False,
        description="Address of the stream; better without user and password in it.",
    )
    connect_timeout_s: float = Field(
        3, gt=0, le=60, description="A camera that takes longer to answer is away."
    )
    read_timeout_s: float = Field(
        1.5,
        gt=0,
        le=600,
        description="A camera that sends nothing so long is lost, and connected anew; longer than "
        "the time between two pictures.",
    )

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        # Not the url field's own validator: the message of that one would repeat the url.
        parts = _split(self.url)
        if parts is None or parts.scheme not in self.schemes or not parts.hostname:
            shown = " or ".join(f"{s}://host:port/path" for s in self.schemes)
            raise ValueError(f"`url` is not of the form {shown}")
        return self

    def address(self) -> Address:
        """The address; the password is read now.

        Raises:
            ConfigError: the environment variable is not set, or the file cannot be read.
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        shown = f"{parts.scheme}://{host}{parts.path}"
        bare = shown + (f"?{parts.query}" if parts.query else "")
        user = self.user or unquote(parts.username or "")
        return Address(shown, bare, user, self.password() or unquote(parts.password or ""))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is looked at only when asked for
    except ValueError:
        return None
    return parts
