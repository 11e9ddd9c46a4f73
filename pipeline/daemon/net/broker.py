"""Settings of an MQTT broker, for the MQTT sink and the MQTT trigger."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.plugins import Strict


class Broker(Strict):
    """Address of an MQTT broker, and the credentials for it."""

    host: str = Field(min_length=1, description="The broker's host name or address.")
    port: int | None = Field(
        None, ge=1, le=65535, description="The broker's port; none: 8883 with TLS, 1883 without."
    )
    tls: bool = Field(
        False,
        description="Encrypt the connection; always on where `ca_file` or `cert_file` is given.",
    )
    ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) of the authority that signs the broker's; none: those "
        "that this machine trusts.",
    )
    cert_file: Path | None = Field(
        None, description="The station's client certificate (PEM), if the broker asks for one."
    )
    key_file: Path | None = Field(
        None, description="Private key of `cert_file`, if it is in a file of its own."
    )
    user: str | None = Field(
        None, description="The station's user name at the broker; none: anonymous."
    )
    password_env: str | None = Field(
        None, description="Environment variable that holds the password."
    )
    password_file: Path | None = Field(None, description="File that holds the password.")
    insecure: bool = Field(
        False,
        description="For trials: accept any certificate, and send a password unencrypted.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Broker:
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password needs a `user`")
        if self.key_file and not self.cert_file:
            raise ValueError("`key_file` needs a `cert_file`")
        local = self.host in ("localhost", "::1") or self.host.startswith("127.")
        secret = self.password_env or self.password_file
        if secret and not (self.encrypted or local or self.insecure):
            raise ValueError(
                f"the password would go to {self.host} in the clear; set `tls: true`, or "
                "`insecure: true` if everyone on that network may read it"
            )
        return self

    @property
    def encrypted(self) -> bool:
        """Is the connection encrypted by TLS?"""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def address(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.at_port}"

    @property
    def at_port(self) -> int:
        """Its port: the given one, else the default."""
        return self.port or (8883 if self.encrypted else 1883)

    def context(self) -> ssl.SSLContext | None:
        """How to encrypt; None for an unencrypted connection.

        Raises:
            ConfigError: a file that is missing or holds no certificate or key.
        """
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                # Without this OpenSSL would ask at the terminal for the password of a key.
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(f) for f in (self.ca_file, self.cert_file, self.key_file) if f)
            raise ConfigError(
                f"broker {self.address}: {files} cannot be used as certificate or key ({error})"
            ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
