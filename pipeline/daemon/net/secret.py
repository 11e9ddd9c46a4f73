"""Passwords and keys: never in a YAML file, never in a message."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import ConfigError


def read_secret(what: str, env: str | None, file: Path | None) -> str | None:
    """Read a secret from an environment variable or a file; None if neither is named.

    Args:
        what: whose it is, for messages.
        env: name of the variable.
        file: UTF-8 text; a line break at its end does not belong to the secret.

    Raises:
        ConfigError: it is not there, or empty; the message never holds it.
    """
    if env is not None:
        value = os.environ.get(env, "")
        if not value:
            raise ConfigError(f"{what}: the environment variable {env} is not set; set it")
        return value
    if file is None:
        return None
    try:
        value = file.read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: {file} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{what}: {file} cannot be read: {error.strerror}") from None
    if not value:
        raise ConfigError(f"{what}: {file} is empty; write the secret into it")
    return value
