"""Signatures of sign-offs (Ed25519): who holds the key of a file has written the record.

Uses the package cryptography (extra `sign`), which is imported when a key or a signature is used.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contracts.signoff import Signoff
from pipeline.errors import MissingExtra, RegistryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KIND = "ed25519:"  # what a public key begins with as text
KEY_BYTES = 32
PRIVATE = 0o600


class SigningKey:
    """A person's private key, which signs records."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def load(cls, path: Path, password: str = "") -> SigningKey:
        """Read a key from a file.

        Raises:
            RegistryError: it cannot be read, others may read it, it needs another password, or
                holds no Ed25519 key.
            MissingExtra: cryptography is not installed.
        """
        _require_library("a key for sign-offs")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            content, mode = path.read_bytes(), path.stat().st_mode
        except OSError as error:
            raise RegistryError(
                f"the key {path} cannot be read ({error.strerror}); give the file of your key with "
                "--key, or make one: lineside key new FILE"
            ) from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RegistryError(f"others may read the key {path}; run: chmod 600 {path}")
        try:
            private = load_pem_private_key(content, password.encode() or None)
        except TypeError as error:  # a password is needed, or given for a key that has none
            wanted = "needs no password" if password else "needs a password"
            raise RegistryError(
                f"the key {path} {wanted}; it is asked for on a terminal and taken from "
                "LINESIDE_KEY_PASSWORD elsewhere"
            ) from error
        except ValueError as error:
            raise RegistryError(
                f"{path} cannot be read as a private key in PEM, or the password is wrong "
                f"({str(error).split(';')[0][:100]}); a new one: lineside key new FILE"
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise RegistryError(f"{path} holds a key of another kind; lineside key new FILE")
        return cls(private)

    @classmethod
    def make(cls, path: Path, password: str = "") -> SigningKey:
        """Make a key and write it to a new file that only this user may read.

        Raises:
            RegistryError: the file is there already, or cannot be written.
            MissingExtra: cryptography is not installed.
        """
        _require_library("lineside key new")
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.generate()
        encryption: form.KeySerializationEncryption = form.NoEncryption()
        if password:
            encryption = form.BestAvailableEncryption(password.encode())
        content = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption)
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
            with os.fdopen(number, "wb") as file:
                file.write(content)
        except FileExistsError as error:
            raise RegistryError(
                f"{path} is there already and stays; give another name, or show its public key: "
                f"lineside key show {path}"
            ) from error
        except OSError as error:
            raise RegistryError(
                f"{path} cannot be written ({error.strerror}); give another"
            ) from error
        return cls(private)

    @property
    def public(self) -> str:
        """The public key, as records and line files have it: `ed25519:` and Base64."""
        return KIND + base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def signed(self, record: Signoff) -> Signoff:
        """The record with this key, its hash and the signature over that."""
        sealed = record.model_copy(update={"key": self.public}).sealed()
        signature = base64.b64encode(self._private.sign(_message(sealed))).decode()
        return sealed.model_copy(update={"signature": signature})


def is_encrypted(path: Path) -> bool:
    """Does a file hold a key that needs a password? One that cannot be read does not."""
    try:
        return b"ENCRYPTED" in path.read_bytes()[:100]
    except OSError:
        return False


def public_bytes(key: str) -> bytes:
    """The 32 bytes of a public key as text.

    Raises:
        ValueError: it is not one.
    """
    try:
        found = base64.b64decode(key.removeprefix(KIND), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if not key.startswith(KIND) or len(found) != KEY_BYTES:
        raise ValueError(f"not {KIND} and {KEY_BYTES} bytes in Base64")
    return found


def is_genuine(record: Signoff) -> bool:
    """Does a record bear its own hash and a signature over that by the key it names?

    Raises:
        MissingExtra: cryptography is not installed.
    """
    if not record.signature or record.sha256 != record.expected_sha256:
        return False
    _require_library("verifying the signature of a sign-off")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(public_bytes(record.key))
        public.verify(base64.b64decode(record.signature, validate=True), _message(record))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(record: Signoff) -> bytes:
    """What is signed: the hash, which covers all but the signature, and what it is the hash of."""
    return f"lineside sign-off {record.sha256}".encode()


def _require_library(needed_by: str) -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtra("cryptography", needed_by, "sign") from error
