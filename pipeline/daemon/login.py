"""Who the station is to a camera or a broker; the password stands in no line file and no log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.plugins import Strict


class Login(Strict):
    """Settings of whatever asks for a user and a password."""

    user: str = Field("", description="User; none: anonymous.")
    password_env: str = Field("", description="Environment variable that holds the password.")
    password_file: Path | None = Field(
        None, description="File that holds the password, such as one of systemd's credentials."
    )

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password needs its `user`")
        return self

    def password(self) -> str:
        """The password as it is now, "" for none.

        Raises:
            ConfigError: the environment variable is not set, or the file cannot be read.
        """
        if self.password_env:
            if self.password_env not in os.environ:
                raise ConfigError(
                    f"password_env: the environment variable {self.password_env} is not set"
                )
            return os.environ[self.password_env]
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            why = error.strerror
        except UnicodeDecodeError:  # whose text holds a part of it
            why = "it is not UTF-8"
        raise ConfigError(f"password_file {self.password_file} cannot be read: {why}")
