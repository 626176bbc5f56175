"""Keys of OpenSSF model signing: elliptic-curve keys in PEM files."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from signed_parameters.errors import ConfigurationError, StorageError
from signed_parameters.keys.encryption import Passphrase
from signed_parameters.keys.files import read_key
from signed_parameters.storage import FileStorage

_MAXIMUM_BYTES = 16_384
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_KIND = "an elliptic-curve key (P-256, P-384 or P-521) in PEM"
_MAKE = "Make one with `openssl ecparam -name prime256v1 -genkey -noout -out KEY.pem`."
_DERIVE = "Make it of the private key with `openssl ec -in KEY.pem -pubout`."


def check_private_key(path: Path, passphrase: Passphrase) -> bytes | None:
    """Check that a file holds a private key that the library can sign with.

    Returns:
        The key's passphrase, asked for where need be; None where it has none.

    Raises:
        ConfigurationError: it holds no such key, is open to others, or the passphrase is missing or wrong.
    """
    try:
        key_text = read_key(f"file:{path}", "private key")
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, found=error.found, remedy=_MAKE) from None
    key_text.check_private()
    used = None
    try:
        try:
            key = load_pem_private_key(key_text.text.encode(), None)
        except TypeError:
            used = (passphrase() if callable(passphrase) else passphrase or "").encode()
            key = load_pem_private_key(key_text.text.encode(), used)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"{key_text.origin} is not usable",
            expected=_KIND if used is None else "the passphrase that it is encrypted with",
            found=str(error) if used else "" if used is None else "no passphrase",
            remedy=_MAKE if used is None else "Give its passphrase; the command takes SIGNING_KEY_PASSPHRASE.",
        ) from None
    _check_kind(path, key, key.curve if isinstance(key, ec.EllipticCurvePrivateKey) else None, _MAKE)
    return used


def read_public_key(path: Path) -> bytes:
    """Return a public key in the one form that bundles name keys by.

    Raises:
        ConfigurationError: the file cannot be read, or holds no public key that the library can verify with.
    """
    try:
        key = load_pem_public_key(FileStorage(path.parent).read(path.name, _MAXIMUM_BYTES))
    except StorageError as error:
        raise ConfigurationError(f"public key {path} cannot be read", found=error.problem, remedy=_DERIVE) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"public key {path} is not usable", expected=_KIND, remedy=_DERIVE) from None
    _check_kind(path, key, key.curve if isinstance(key, ec.EllipticCurvePublicKey) else None, _DERIVE)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _check_kind(path: Path, key: object, curve: ec.EllipticCurve | None, remedy: str) -> None:
    if not isinstance(curve, _CURVES):
        found = curve.name if curve else type(key).__name__
        raise ConfigurationError(f"key {path} is not usable", expected=_KIND, found=found, remedy=remedy)
