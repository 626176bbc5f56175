"""Private keys under a passphrase: scrypt makes a key of it, and AES-256-GCM encrypts with that.

The algorithm and the id of the signing key are authenticated with it. What scrypt costs stands in the file and is
bounded when it is read, so that a file of somebody else's cannot take gigabytes or minutes.
"""

import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Mapping

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.verification_key import decode, encode

Passphrase = str | Callable[[], str] | None

MEMBER = "encrypted_private_key"
MINIMUM_PASSPHRASE = 8
_CIPHER = "aes-256-gcm"
_DERIVATION = "scrypt"
_COST = 2**17  # 128 MiB, and under a second
_COSTS = tuple(2**exponent for exponent in range(14, 19))
_BLOCK_SIZE = 8
_PARALLELISM = 1
_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY_BYTES = 32
_BACKUP = "Take it from your backup, or make and distribute a new one."


def encrypt(private_key: bytes, algorithm: str, key_id: str, passphrase: Passphrase) -> dict[str, object]:
    """Return the members of the file of an encrypted signing key.

    Raises:
        ConfigurationError: the passphrase is too short, or the machine has too little memory.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    text = _ask(passphrase)
    if len(text) < MINIMUM_PASSPHRASE:
        raise ConfigurationError(
            "the passphrase is too short",
            expected=f"at least {MINIMUM_PASSPHRASE} characters",
            found=f"{len(text)}",
            remedy="Take several words.",
        )
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(_derive(text, salt, _COST)).encrypt(nonce, private_key, _context(algorithm, key_id))
    fields: dict[str, object] = {
        "algorithm": str(algorithm),
        "key_id": key_id,
        MEMBER: {
            "cipher": _CIPHER,
            "ciphertext": encode(ciphertext),
            "derivation": _DERIVATION,
            "n": _COST,
            "nonce": encode(nonce),
            "p": _PARALLELISM,
            "r": _BLOCK_SIZE,
            "salt": encode(salt),
        },
    }
    return fields | {"checksum": _checksum(fields)}


def decrypt(fields: Mapping[str, object], passphrase: Passphrase, what: str) -> bytes:
    """Return the private key of a file's members.

    Args:
        fields: what `encrypt` returned; `algorithm` and `key_id` are known to be texts.
        passphrase: the passphrase, or what asks for it, which is called only when it is needed.
        what: the key, as errors name it.

    Raises:
        ConfigurationError: the file is damaged or asks for too much work, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parts = _parts(fields, what)
    if fields["checksum"] != _checksum({name: value for name, value in fields.items() if name != "checksum"}):
        raise ConfigurationError(
            f"{what} is damaged", expected="what its checksum was taken of", found="other content", remedy=_BACKUP
        )
    if parts["n"] not in _COSTS or (parts["r"], parts["p"]) != (_BLOCK_SIZE, _PARALLELISM):
        raise ConfigurationError(
            f"{what} asks for another amount of work than is allowed",
            expected=f"n a power of two from {_COSTS[0]} to {_COSTS[-1]}, r {_BLOCK_SIZE}, p {_PARALLELISM}",
            found=f"n {str(parts['n'])[:20]}, r {str(parts['r'])[:20]}, p {str(parts['p'])[:20]}",
            remedy="Do not use it: this command did not write it.",
        )
    salt, nonce, ciphertext = (decode(str(parts[name]), what) for name in ("salt", "nonce", "ciphertext"))
    if (len(salt), len(nonce)) != (_SALT_BYTES, _NONCE_BYTES):
        raise ConfigurationError(
            f"{what} is damaged",
            expected=f"a salt of {_SALT_BYTES} bytes and a nonce of {_NONCE_BYTES}",
            remedy=_BACKUP,
        )
    if not passphrase:
        raise ConfigurationError(
            f"{what} is encrypted, and no passphrase was given",
            remedy="Give `passphrase`, or set SIGNING_KEY_PASSPHRASE for the command.",
        )
    key = _derive(_ask(passphrase), salt, int(str(parts["n"])))
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _context(str(fields["algorithm"]), str(fields["key_id"])))
    except InvalidTag:
        raise ConfigurationError(
            f"the passphrase of {what} is wrong", remedy="Try again. If you are sure of it, somebody changed the file."
        ) from None


def _parts(fields: Mapping[str, object], what: str) -> Mapping[str, object]:
    texts, numbers = {"cipher", "ciphertext", "derivation", "nonce", "salt"}, {"n", "p", "r"}
    parts = fields.get(MEMBER)
    if (
        set(fields) != {"algorithm", "checksum", "key_id", MEMBER}
        or not isinstance(parts, dict)
        or set(parts) != texts | numbers
        or not all(type(parts[name]) is str for name in texts)
        or not all(type(parts[name]) is int for name in numbers)
        or (parts["cipher"], parts["derivation"]) != (_CIPHER, _DERIVATION)
    ):
        raise ConfigurationError(
            f"{what} is not usable",
            expected=f"what `keygen --encrypt` writes, with {_DERIVATION} and {_CIPHER}",
            remedy=_BACKUP,
        )
    return parts


def _ask(passphrase: Passphrase) -> str:
    return passphrase() if callable(passphrase) else passphrase or ""


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # One form, because keyboards differ in how they send an accented letter.
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCK_SIZE, p=_PARALLELISM).derive(secret)
    except MemoryError:
        raise ConfigurationError(
            "there is too little memory for the passphrase of a signing key",
            expected=f"{128 * cost * _BLOCK_SIZE >> 20} MiB",
        ) from None


def _context(algorithm: str, key_id: str) -> bytes:
    return f"signed_parameters signing key v1\0{algorithm}\0{key_id}".encode("utf-8", "surrogatepass")


def _checksum(fields: Mapping[str, object]) -> str:
    """Tell damage from a wrong passphrase. It guards against accidents; the cipher guards against people."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]
