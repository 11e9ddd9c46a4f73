"""The URL of a network camera; its password goes to the camera only, never into a message."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field, model_validator

from pipeline.daemon.net.secret import read_secret
from pipeline.daemon.sources import SourceConfig


@dataclass(frozen=True)
class CameraUrl:
    """Where a camera is, and the credentials for it.

    Attributes:
        shown: the URL for messages: no user, no password, no query.
        bare: the URL without user and password.
        user, password: "" where none is needed.
    """

    shown: str
    bare: str = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def full(self) -> str:
        """The URL with user and password in it, as FFmpeg takes it."""
        if not self.user:
            return self.bare
        scheme, _, rest = self.bare.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"


class NetworkCameraConfig(SourceConfig):
    """Settings of a network camera."""

    schemes: ClassVar[tuple[str, ...]] = ()

    url: str = Field(
        repr=False,
        description="URL of the stream; give user and password apart, not in it.",
    )
    user: str | None = Field(None, description="User name at the camera; none: the one in the URL.")
    password_env: str | None = Field(
        None, description="Environment variable that holds the password."
    )
    password_file: Path | None = Field(None, description="File that holds the password.")
    connect_timeout_s: float = Field(
        3, gt=0, le=60, description="Seconds that a camera has to answer before it counts as away."
    )
    read_timeout_s: float = Field(
        1.5,
        gt=0,
        le=600,
        description="Seconds without data after which the connection counts as lost and is made "
        "again; must be longer than the time between two pictures.",
    )

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        # Not a validator of the field: its message would repeat the url.
        parts = _split(self.url)
        if parts is None or parts.scheme not in self.schemes or not parts.hostname:
            shown = " or ".join(f"{s}://host:port/path" for s in self.schemes)
            raise ValueError(f"`url` is not of the form {shown}")
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password needs a `user`")
        return self

    def camera_url(self) -> CameraUrl:
        """The URL with its credentials; the password is read now.

        Raises:
            ConfigError: the password is not where it should be.
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        shown = f"{parts.scheme}://{host}{parts.path}"
        bare = shown + (f"?{parts.query}" if parts.query else "")
        what = f"the password for {shown}"
        password = read_secret(what, self.password_env, self.password_file)
        return CameraUrl(
            shown,
            bare,
            self.user or unquote(parts.username or ""),
            password or unquote(parts.password or ""),
        )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError where it is not a number
    except ValueError:
        return None
    return parts
