"""Keys of persons and the signatures that they make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.contracts.signoff import Signoff
from pipeline.errors import MissingExtra, RegistryError
from pipeline.registry.decisions.keys import SigningKey, is_encrypted, is_genuine, public_bytes
from tests.registry.decisions.test_chain import FIRST


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.make(tmp_path / "weber.pem")


def test_a_key_comes_back_from_its_file_which_nobody_else_may_read(
    key: SigningKey, tmp_path: Path
) -> None:
    path = tmp_path / "weber.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public == key.public
    assert len(public_bytes(key.public)) == 32


def test_a_signed_record_is_genuine_and_survives_json(key: SigningKey) -> None:
    record = key.signed(FIRST)
    assert record.key == key.public
    assert is_genuine(record)
    assert is_genuine(Signoff.model_validate_json(record.model_dump_json()))
    assert not is_genuine(FIRST)


@pytest.mark.parametrize(
    "changed",
    [
        {"reviewer": "C. Forger"},
        {"version": 2},
        {"parent": "e" * 64},
        {"login": "forger"},
        {"signature": "AAAA"},
        {"signature": "not Base64!"},
        {"key": "ed25519:AAAA"},
    ],
)
def test_no_change_leaves_a_signature_genuine(key: SigningKey, changed: dict[str, Any]) -> None:
    altered = key.signed(FIRST).model_copy(update=changed)
    assert not is_genuine(altered)
    assert not is_genuine(altered.sealed())


def test_another_key_put_in_place_is_not_genuine(key: SigningKey, tmp_path: Path) -> None:
    other = SigningKey.make(tmp_path / "other.pem")
    assert not is_genuine(key.signed(FIRST).model_copy(update={"key": other.public}).sealed())


def test_a_password_encrypts_the_file_and_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "weber.pem"
    made = SigningKey.make(path, "secret")
    assert is_encrypted(path)
    assert SigningKey.load(path, "secret").public == made.public
    with pytest.raises(RegistryError, match=r"needs a password; .*LINESIDE_KEY_PASSWORD"):
        SigningKey.load(path)
    with pytest.raises(RegistryError, match="or the password is wrong"):
        SigningKey.load(path, "other")


def test_a_password_for_a_key_without_one_is_refused(key: SigningKey, tmp_path: Path) -> None:
    assert not is_encrypted(tmp_path / "weber.pem")
    assert not is_encrypted(tmp_path / "nowhere.pem")
    with pytest.raises(RegistryError, match="needs no password"):
        SigningKey.load(tmp_path / "weber.pem", "secret")


def test_a_key_is_never_overwritten(key: SigningKey, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"is there already and stays; .*lineside key show"):
        SigningKey.make(tmp_path / "weber.pem")
    assert SigningKey.load(tmp_path / "weber.pem").public == key.public


def test_a_key_that_others_may_read_is_refused(key: SigningKey, tmp_path: Path) -> None:
    (tmp_path / "weber.pem").chmod(0o640)
    with pytest.raises(RegistryError, match=r"others may read the key .*chmod 600"):
        SigningKey.load(tmp_path / "weber.pem")


def test_files_that_hold_no_such_key_are_refused_with_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "some.pem"
    with pytest.raises(RegistryError, match=r"cannot be read .No such file.*lineside key new FILE"):
        SigningKey.load(path)
    path.touch(0o600)
    with pytest.raises(RegistryError, match="cannot be read as a private key in PEM"):
        SigningKey.load(path)
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(RegistryError, match="holds a key of another kind"):
        SigningKey.load(path)
    with pytest.raises(RegistryError, match="cannot be written"):
        SigningKey.make(tmp_path / "no folder" / "key.pem")


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "ssh-ed25519 AAAA", "ed25519:ö"])
def test_what_is_not_a_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        public_bytes(text)


def test_without_the_package_the_extra_is_named(
    key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = key.signed(FIRST)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for use in (
        lambda: SigningKey.load(tmp_path / "weber.pem"),
        lambda: SigningKey.make(tmp_path / "new.pem"),
        lambda: is_genuine(record),
    ):
        with pytest.raises(MissingExtra, match=r"cryptography.*\.\[sign\]"):
            use()
    assert not is_genuine(FIRST)  # an unsigned one needs no package
