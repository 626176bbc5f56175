"""Keys, digests and keyrings: what is read has one text form, and all else is refused with an error of ours."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.keyring import Keyring, KeyStatus, TrustedKey
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.keys.verification_key import VerificationKey
from tests.fuzz import json_values
from tests.fuzz.harness import Finding, Harness

_PASSPHRASE = "four words are better"


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz_keys-")  # removed when the process ends


def _file(data: bytes) -> Path:
    path = Path(_folder().name, "any")
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def seeds() -> Iterator[bytes]:
    """Yield the text forms of keys and digests, and files of keys and keyrings."""
    first, second = SigningKey.generate(), SigningKey.generate("hmac-sha512")
    start, end = datetime(2026, 11, 21, tzinfo=UTC), datetime(2027, 11, 21, tzinfo=UTC)
    keyring = Keyring(
        (
            TrustedKey(first.verification_key, start, end, KeyStatus.RETIRED),
            TrustedKey(SigningKey.generate().verification_key),
        )
    )
    with TemporaryDirectory(prefix="fuzz_keys-") as folder:
        for number, key in enumerate((first, second)):
            yield str(key.verification_key).encode()
            key.save(Path(folder, f"{number}.json"))
            yield Path(folder, f"{number}.json").read_bytes()
        first.save(Path(folder, "encrypted.json"), _PASSPHRASE)
        yield Path(folder, "encrypted.json").read_bytes()
        keyring.save(Path(folder, "keyring.json"))
        good = Path(folder, "keyring.json").read_bytes()
        yield good
        fields = json.loads(good)
        fields["keys"][0] |= {"algorithm": "hmac-sha512", "key": "env:NO_SUCH_VARIABLE"}
        yield json.dumps(fields).encode()
    for algorithm in DigestAlgorithm:
        yield str(Digest(algorithm, "0a" * 32)).encode()
    yield from (b"", b":", b"ed25519:", b" ed25519:AAAA ", b"ed25519:" + b"A" * 43, b"hmac-sha512:" + b"_" * 86)


def check(data: bytes) -> None:
    """Read the bytes as each of these, and write what was read again."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ConfigurationError):
        if str(VerificationKey.parse(text)) != text.strip():
            raise Finding("a verification key is read that has another text form")
    with suppress(ValueError):
        if str(Digest.parse(text)) != text:
            raise Finding("a digest is read that has another text form")
    path = _file(data)
    with suppress(ConfigurationError):
        SigningKey.load(path)
    with suppress(ConfigurationError):
        keyring = Keyring.load(path, secrets=False)
        keyring.save(path)
        if Keyring.load(path, secrets=False) != keyring:
            raise Finding("a keyring is another after it was saved")


_MODULES = ("verification_key", "signing_key", "encryption", "keyring_file")
HARNESS = Harness(tuple(f"signed_parameters.keys.{name}" for name in _MODULES), seeds, check, json_values.mutate)
