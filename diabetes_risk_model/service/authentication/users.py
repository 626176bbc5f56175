"""The users file: names, and hashes of passwords. JSON, for its owner alone, written by `diabetes-risk-model users`.

{"type": "urn:diabetes-risk-model:users:v1", "users": {"ana": "$argon2id$v=19$m=65536,t=3,p=4$..."}}`.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diabetes_risk_model.service.authentication.passwords import is_hash
from signed_parameters import ConfigurationError
from signed_parameters.files import locked_folder, replacement
from signed_parameters.keys.files import KeyText

TYPE = "urn:diabetes-risk-model:users:v1"
MAXIMUM_BYTES = 1_048_576
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NAME_FORM = "1 to 64 of the letters a to z, digits, and . _ @ -, beginning with a letter or digit"
_ADD = "Make one with `diabetes-risk-model users add FILE NAME`."


@dataclass(frozen=True)
class Users:
    """The users of a file.

    Attributes:
        hashes: of the passwords, by the users' names.
        version: the state of the file when it was read, as `file_version` returns it.
    """

    hashes: Mapping[str, str]
    version: tuple[int, ...]

    def credential(self, name: str) -> str | None:
        """Return what stands for a user's password in tokens: it is another one after each change. None: no user."""
        encoded = self.hashes.get(name)
        return None if encoded is None else hashlib.sha256(encoded.encode()).hexdigest()[:32]


def is_name(name: str) -> bool:
    """Return whether a user can have this name. Such a name is harmless in a log."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return a user's name.

    Raises:
        ConfigurationError: no user can have it.
    """
    if not is_name(name):
        raise ConfigurationError("the user's name is not usable", expected=_NAME_FORM, found=repr(name[:100]))
    return name


def read_users(path: Path) -> Users:
    """Read a users file of at most 1 MiB.

    Raises:
        ConfigurationError: it cannot be read, is open to others, or is not what the command writes.
    """
    what = f"the users file {path}"
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise ConfigurationError(f"{what} cannot be read", found=_reason(error), remedy=_ADD) from None
    KeyText("", what, path, status).check_private()
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError(f"{what} is too large", expected=f"at most {MAXIMUM_BYTES:,} bytes", found="more")
    return Users(_parse(data, what), file_version(status))


def file_version(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when the file that a status is of is exchanged, written to, or opened to others."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def change_users(path: Path, change: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """Change a users file, or make it, whole or not at all. One writer at a time reads and writes.

    Args:
        path: the file. A link stays one.
        change: gets the hashes by name, and changes them. What it raises is raised, and nothing is written.

    Returns:
        The hashes as they were written.

    Raises:
        ConfigurationError: the file cannot be read or written, or would be too large.
    """
    try:
        target = Path(os.path.realpath(path))
        with locked_folder(target.parent):
            hashes = dict(read_users(target).hashes) if target.exists() else {}
            change(hashes)
            data = json.dumps({"type": TYPE, "users": dict(sorted(hashes.items()))}, indent=1).encode() + b"\n"
            if len(data) > MAXIMUM_BYTES:
                raise ConfigurationError(f"the users file {path} is full", expected=f"at most {MAXIMUM_BYTES:,} bytes")
            with replacement(target, mode=0o600) as file:
                file.write(data)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the users file {path} cannot be written", found=_reason(error)) from None
    return hashes


def _parse(data: bytes, what: str) -> dict[str, str]:
    try:
        document = json.loads(data.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):  # among them what is not UTF-8
        raise _unusable(what, "JSON in UTF-8, with each name once") from None
    if not isinstance(document, dict) or document.keys() != {"type", "users"} or document["type"] != TYPE:
        raise _unusable(what, f'an object with "type", which is "{TYPE}", and "users"')
    users = document["users"]
    if not isinstance(users, dict):
        raise _unusable(what, 'an object as "users"')
    for name, encoded in users.items():
        if not is_name(name):
            raise _unusable(what, f"names of {_NAME_FORM}", repr(name[:100]))
        if not is_hash(encoded):
            raise _unusable(what, f"the hash of a password, as `users add` writes it, for {name}", "something else")
    return users


def _unusable(what: str, expected: str, found: str = "") -> ConfigurationError:
    return ConfigurationError(f"{what} is not usable", expected=expected, found=found, remedy=_ADD)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError
    return fields


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
