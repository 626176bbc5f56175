"""The trust policy: what the serving side demands of a package. It is configuration, kept under review."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet

from signed_parameters.algorithms import Algorithm
from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import ConfigurationError
from signed_parameters.keys import VerificationKey
from signed_parameters.limits import DEFAULT_LIMITS, Limits

_KEY_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class TrustPolicy:
    """Which packages may be loaded.

    Attributes:
        name: the model's qualified name.
        keys: the trusted verification keys; one good signature by one of them is needed.
        minimum_serial: packages with a smaller serial are refused. Raise it when you ship, lower it to roll back.
        revoked_keys: ids of keys whose signatures count no more.
        revoked_digests: packages that are refused whoever signed them, as `blake3:HEXADECIMAL` or `sha256:...`.
        version: range of versions of the model's code, such as ">=0.1,<0.2" (PEP 440); empty for any.
        parameters_version: the one version of the parameters that is asked for; None for any.
        signature_algorithms: algorithms by which a signature counts.
        digest_algorithms: algorithms that a package may be digested with.
        limits: what is read at the most.

    Raises:
        ConfigurationError: a value is not usable, so that a mistake cannot weaken the policy in silence.
    """

    name: str
    keys: Sequence[VerificationKey]
    minimum_serial: int = 0
    revoked_keys: Sequence[str] = ()
    revoked_digests: Sequence[str] = ()
    version: str = ""
    parameters_version: str | None = None
    signature_algorithms: Sequence[Algorithm] = tuple(Algorithm)
    digest_algorithms: Sequence[DigestAlgorithm] = tuple(DigestAlgorithm)
    limits: Limits = field(default=DEFAULT_LIMITS)

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise ConfigurationError("the trust policy names no model", remedy="Set `name`, to a text.")
        if not isinstance(self.version, str):
            raise ConfigurationError("version is not usable", expected="a text", found=repr(self.version))
        if not isinstance(self.parameters_version, str | None):
            raise ConfigurationError(
                "parameters_version is not usable",
                expected="a text",
                found=repr(self.parameters_version),
                remedy="Put it in quotes: YAML reads 2026_11_21 as a number.",
            )
        # Tuples, because a list could be changed behind the checks, and an iterator is used up by them.
        for name in ("keys", "revoked_keys", "revoked_digests", "signature_algorithms", "digest_algorithms"):
            object.__setattr__(self, name, _listed(name, getattr(self, name)))
        if not all(isinstance(key, VerificationKey) for key in self.keys):
            raise ConfigurationError(
                "the trust policy's keys are not usable",
                expected="a list of VerificationKey",
                remedy="Read each with VerificationKey.parse.",
            )
        if not self.keys:
            raise ConfigurationError(
                "the trust policy trusts no key", expected="at least one verification key", remedy="Set `keys`."
            )
        if not isinstance(self.minimum_serial, int) or isinstance(self.minimum_serial, bool) or self.minimum_serial < 0:
            raise ConfigurationError(
                "minimum_serial is not usable", expected="a whole number from 0", found=repr(self.minimum_serial)
            )
        for key_id in self.revoked_keys:
            if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
                raise ConfigurationError(
                    "revoked_keys is not usable", expected="key ids of 32 hexadecimal digits", found=repr(key_id)
                )
        _parse("version", SpecifierSet, self.version, 'a range such as ">=0.1,<0.2"')
        for digest in self.revoked_digests:
            _parse("revoked_digests", Digest.parse, digest, "digests such as blake3:HEXADECIMAL")
        for algorithm in self.signature_algorithms:
            _parse("signature_algorithms", Algorithm, algorithm, f"some of {', '.join(Algorithm)}")
        for digest_algorithm in self.digest_algorithms:
            _parse("digest_algorithms", DigestAlgorithm, digest_algorithm, f"some of {', '.join(DigestAlgorithm)}")


def _listed(name: str, values: Iterable[object]) -> tuple[object, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} is not usable", expected="a list", found=type(values).__name__)
    return tuple(values)


def _parse(name: str, parser: Callable[[str], object], value: str, expected: str) -> None:
    try:
        parser(value)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{name} is not usable", expected=expected, found=repr(value)) from None
