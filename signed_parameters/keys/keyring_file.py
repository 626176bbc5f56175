"""Keyring files: JSON that is public, reviewed, and may be edited by hand as well as by the commands.

    {"type": "urn:signed-parameters:keyring:v1",
     "keys": [{"key_id": "...", "algorithm": "ed25519", "key": "ed25519:...", "status": "active",
               "not_before": "2027-01-01T00:00:00Z", "not_after": "2028-01-01T00:00:00Z", "comment": "trainer"}]}

The times and the comment may be left out. For HMAC-SHA-512 `key` says where the secret is: `env:NAME`, or `file:PATH`,
which starts from the keyring's folder.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signed_parameters.errors import ConfigurationError
from signed_parameters.files import locked_folder, replacement
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.keyring import Keyring, KeyStatus, TrustedKey
from signed_parameters.keys.references import KeyReference
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.times import EXPECTED, format_time, parse_time

TYPE = "urn:signed-parameters:keyring:v1"
MAXIMUM_BYTES = 1_048_576
_REQUIRED = ("key_id", "algorithm", "key", "status")
_OPTIONAL = ("not_before", "not_after", "comment")


def read_keyring(path: str | os.PathLike[str], *, secrets: bool = True) -> Keyring:
    """Read a keyring file of at most 1 MiB; with `secrets`, look up those of the HMAC keys that still count.

    Raises:
        ConfigurationError: it cannot be read, is no keyring, or a secret is not where it says.
    """
    keyring = _parse(_read(Path(path)), path)
    if not secrets:
        return keyring
    folder = Path(path).parent
    with _named(path):
        now = datetime.now(UTC)
        return Keyring(tuple(_with_secret(key, folder, now) for key in keyring))


def write_keyring(keyring: Keyring, path: str | os.PathLike[str]) -> None:
    """Write a keyring to a new file, or in the place of one that it follows from.

    Raises:
        ConfigurationError: it cannot be written, holds a secret, or would undo what the file says.
    """
    data = _data(keyring, path)
    written = _parse(data, path)  # as it will be read: times lose their fractions
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError(
            f"keyring {os.fspath(path)} would be too large",
            expected=f"at most {MAXIMUM_BYTES} bytes",
            found=f"{len(data)} bytes",
            remedy="Begin a new keyring.",
        )
    try:
        target = Path(os.path.realpath(path))  # a link stays one
        with locked_folder(target.parent):
            mode = 0o644
            if target.exists():
                _check_follows(written, _parse(_read(target), path), path)
                mode = target.stat().st_mode & 0o777
            with replacement(target, mode=mode) as file:
                file.write(data)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"keyring {os.fspath(path)} cannot be written", found=found) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"keyring {path} cannot be read", found=found, remedy="Begin one with `signed-parameters keygen --keyring`."
        ) from None
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError(f"keyring {path} is too large", expected=f"at most {MAXIMUM_BYTES} bytes")
    return data


def _parse(data: bytes, path: str | os.PathLike[str]) -> Keyring:
    with _named(path):
        try:
            content = json.loads(data.decode(), object_pairs_hook=_members)
        except (ValueError, RecursionError):
            raise ConfigurationError("it is not usable", expected="JSON in UTF-8") from None
        fields = _checked(content, ("type", "keys"), (), "its top")
        if fields["type"] != TYPE:
            raise ConfigurationError("it is of another type", expected=TYPE, found=repr(fields["type"])[:100])
        if not isinstance(fields["keys"], list):
            raise ConfigurationError("keys is not usable", expected="a list")
        return Keyring(tuple(_entry(entry, f"keys.{index}") for index, entry in enumerate(fields["keys"])))


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name in fields if counts[name] > 1)
        raise ConfigurationError(
            f"{twice[:100]} is there twice", expected="each member once", remedy="Remove the one that is not meant."
        )
    return fields


def _checked(fields: object, required: tuple[str, ...], optional: tuple[str, ...], where: str) -> dict[str, Any]:
    known = ", ".join(required) + (f", and perhaps {', '.join(optional)}" if optional else "")
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{where} is not usable", expected=f"an object of {known}")
    if wrong := sorted(set(required) - set(fields)):
        raise ConfigurationError(f"{where} is not complete", expected=known, found=f"no {', '.join(wrong)}")
    if wrong := sorted(set(fields) - set(required) - set(optional)):
        raise ConfigurationError(
            f"{where} has what is not known", expected=known, found=", ".join(wrong)[:100], remedy="Mind the spelling."
        )
    return fields


def _entry(content: object, where: str) -> TrustedKey:
    fields = _checked(content, _REQUIRED, _OPTIONAL, where)
    for name in (*_REQUIRED, "comment"):
        if not isinstance(fields.get(name, ""), str):
            raise ConfigurationError(f"{where}.{name} is not usable", expected="a text")
    try:
        key = _key(fields["key"], fields["algorithm"], fields["key_id"])
        return TrustedKey(
            key,
            _time(fields, "not_before"),
            _time(fields, "not_after"),
            fields["status"],
            fields.get("comment", ""),
        )
    except ConfigurationError as error:
        raise _within(where, error) from None


def _key(text: str, algorithm: str, key_id: str) -> VerificationKey | KeyReference:
    if text.startswith(f"{Algorithm.HMAC_SHA512}:"):
        raise ConfigurationError(
            "the HMAC secret stands there in clear",
            expected="env:NAME or file:PATH, which hold it",
            remedy="Whoever has read this file can sign: revoke the key, and make a new one.",
        )
    key: VerificationKey | KeyReference
    key = KeyReference(text, key_id) if text.startswith(("env:", "file:")) else VerificationKey.parse(text)
    if key.algorithm != algorithm:
        raise ConfigurationError("algorithm is not the key's", expected=str(key.algorithm), found=repr(algorithm)[:100])
    if key.key_id != key_id:
        raise ConfigurationError(
            "key_id is not the key's",
            expected=key.key_id,
            found=repr(key_id)[:100],
            remedy="Ask its owner for the key again: one of the two was changed.",
        )
    return key


def _time(fields: dict[str, object], name: str) -> datetime | None:
    text = fields.get(name)
    if text is None:
        return None
    try:
        return parse_time(str(text))
    except ValueError:
        raise ConfigurationError(f"{name} is not usable", expected=EXPECTED, found=repr(text)[:100]) from None


def _with_secret(key: TrustedKey, folder: Path, now: datetime) -> TrustedKey:
    over = key.status is KeyStatus.REVOKED or (key.not_after is not None and now >= key.not_after)
    if isinstance(key.key, KeyReference) and not over:  # the secret of a key that is over may be gone
        return replace(key, key=key.key.looked_up(folder))
    return key


def _data(keyring: Keyring, path: str | os.PathLike[str]) -> bytes:
    try:
        with _named(path):
            return (json.dumps(_fields(keyring), indent=2, ensure_ascii=False) + "\n").encode()
    except OverflowError:
        raise ConfigurationError(f"keyring {os.fspath(path)} cannot be written", expected="times in UTC") from None


def _fields(keyring: Keyring) -> dict[str, object]:
    entries = []
    for key in keyring:
        if isinstance(key.key, VerificationKey) and key.key.algorithm is Algorithm.HMAC_SHA512:
            raise ConfigurationError(
                f"the secret of key {key.key_id} would stand in a public file",
                expected="a KeyReference to env:NAME or file:PATH",
                remedy="Add it as such, or take an Ed25519 key.",
            )
        entry = {
            "key_id": key.key_id,
            "algorithm": key.key.algorithm,
            "key": key.key.source if isinstance(key.key, KeyReference) else str(key.key),
            "status": key.status,
            "not_before": key.not_before and format_time(key.not_before),
            "not_after": key.not_after and format_time(key.not_after),
            "comment": key.comment,
        }
        entries.append({name: value for name, value in entry.items() if value})
    return {"type": TYPE, "keys": entries}


def _check_follows(after: Keyring, before: Keyring, path: str | os.PathLike[str]) -> None:
    """Refuse what would lose a key, or undo a change, that the file has: so no edit is lost, and nothing revived."""
    keys = {key.key_id: key for key in after}
    for old in before:
        if not _follows(keys.get(old.key_id), old):
            raise ConfigurationError(
                f"keyring {os.fspath(path)} says something else of key {old.key_id} than when it was read",
                expected="no change by others meanwhile, and no step back",
                found=f"it {old.status}" + (f" until {format_time(old.not_after)}" if old.not_after else ""),
                remedy="Read it again, and make your change to that.",
            )


def _follows(new: TrustedKey | None, old: TrustedKey) -> bool:
    if new is None or (new.key, new.not_before, new.comment) != (old.key, old.not_before, old.comment):
        return False
    statuses = list(KeyStatus)
    if statuses.index(new.status) < statuses.index(old.status):
        return False
    if new.status is KeyStatus.RETIRED:
        return new.not_after is not None and (old.not_after is None or new.not_after <= old.not_after)
    return new.not_after == old.not_after


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise _within(f"keyring {os.fspath(path)}", error) from None


def _within(where: str, error: ConfigurationError) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {error.problem}", expected=error.expected, found=error.found, remedy=error.remedy
    )
