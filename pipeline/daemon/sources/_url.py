"""The address of a camera on the network; its password is told to nobody but the camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field, model_validator

from pipeline.daemon.net.secret import read_secret
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


class AddressConfig(SourceConfig):
    """Settings of a camera on the network."""

    schemes: ClassVar[tuple[str, ...]] = ()

    url: str = Field(
        repr=False,
        description="Address of the stream; better without user and password in it.",
    )
    user: str | None = Field(None, description="Our name to the camera; none: the one in the url.")
    password_env: str | None = Field(
        None, description="Environment variable that holds the password."
    )
    password_file: Path | None = Field(None, description="File that holds the password.")
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
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password needs a `user`")
        return self

    def address(self) -> Address:
        """The address; the password is read now.

        Raises:
            ConfigError: the password is not where it should be.
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        shown = f"{parts.scheme}://{host}{parts.path}"
        bare = shown + (f"?{parts.query}" if parts.query else "")
        what = f"the password for {shown}"
        password = read_secret(what, self.password_env, self.password_file)
        return Address(
            shown,
            bare,
            self.user or unquote(parts.username or ""),
            password or unquote(parts.password or ""),
        )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is looked at only when asked for
    except ValueError:
        return None
    return parts
