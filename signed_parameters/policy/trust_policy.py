"""The trust policy: what the serving side demands of a package. It is configuration, kept under review."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from packaging.specifiers import SpecifierSet

from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.keyring import TrustedKey
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.limits import DEFAULT_LIMITS, Limits

KEY_ID = re.compile(r"[0-9a-f]{32}")
_GLOBAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class TrustPolicy:
    """Which packages may be loaded.

    Attributes:
        name: the model's qualified name.
        keys: the trusted keys: VerificationKey, or TrustedKey where a key counts for some time only, or a Keyring.
        threshold: how many distinct keys have to have signed.
        minimum_serial: packages with a smaller serial are refused. Raise it when you ship, lower it to roll back.
        revoked_keys: ids of keys whose signatures count no more.
        revoked_digests: packages that are refused whoever signed them, as `blake3:HEXADECIMAL` or `sha256:...`.
        version: range of versions of the model's code, such as ">=0.1,<0.2" (PEP 440); empty for any.
        parameters_version: the one version of the parameters that is asked for; None for any.
        package_digest: the one package that is accepted, as `blake3:HEXADECIMAL` or `sha256:...`; None for any. A
            Digest is kept as its text. Where others may sign too, only this says which bytes are loaded.
        maximum_age: time after its creation from which a package is refused; None for never.
        allowed_globals: what pickles may import at the most, as `module:name`, whatever their signed lists say; None
            for whatever these say.
        signature_algorithms: algorithms by which a signature counts.
        digest_algorithms: algorithms that a package may be digested with.
        limits: what is read at the most.

    Raises:
        ConfigurationError: a value is not usable, so that a mistake cannot weaken the policy in silence.
    """

    name: str
    keys: Iterable[VerificationKey | TrustedKey]
    minimum_serial: int = 0
    revoked_keys: Sequence[str] = ()
    revoked_digests: Sequence[str] = ()
    version: str = ""
    parameters_version: str | None = None
    threshold: int = 1
    maximum_age: timedelta | None = None
    allowed_globals: Sequence[str] | None = None
    signature_algorithms: Sequence[Algorithm] = tuple(Algorithm)
    digest_algorithms: Sequence[DigestAlgorithm] = tuple(DigestAlgorithm)
    limits: Limits = field(default=DEFAULT_LIMITS)
    package_digest: Digest | str | None = None

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
        self._check_keys()
        if not isinstance(self.minimum_serial, int) or isinstance(self.minimum_serial, bool) or self.minimum_serial < 0:
            raise ConfigurationError(
                "minimum_serial is not usable", expected="a whole number from 0", found=repr(self.minimum_serial)
            )
        if self.maximum_age is not None and not (
            isinstance(self.maximum_age, timedelta) and self.maximum_age > timedelta(0)
        ):
            raise ConfigurationError(
                "maximum_age is not usable", expected="a timedelta above zero", found=repr(self.maximum_age)
            )
        if self.allowed_globals is not None:
            object.__setattr__(self, "allowed_globals", _listed("allowed_globals", self.allowed_globals))
            for name in self.allowed_globals:
                if not isinstance(name, str) or not _GLOBAL.fullmatch(name):
                    raise ConfigurationError(
                        "allowed_globals is not usable",
                        expected="exact names, as module:name",
                        found=repr(name),
                    )
        for key_id in self.revoked_keys:
            if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
                raise ConfigurationError(
                    "revoked_keys is not usable", expected="key ids of 32 hexadecimal digits", found=repr(key_id)
                )
        _parse("version", SpecifierSet, self.version, 'a range such as ">=0.1,<0.2"')
        for digest in self.revoked_digests:
            _parse("revoked_digests", Digest.parse, digest, "digests such as blake3:HEXADECIMAL")
        if self.package_digest is not None:
            text = str(self.package_digest) if isinstance(self.package_digest, Digest) else self.package_digest
            _parse("package_digest", Digest.parse, text, "a digest such as blake3:HEXADECIMAL")
            object.__setattr__(self, "package_digest", text)
        for algorithm in self.signature_algorithms:
            _parse("signature_algorithms", Algorithm, algorithm, f"some of {', '.join(Algorithm)}")
        for digest_algorithm in self.digest_algorithms:
            _parse("digest_algorithms", DigestAlgorithm, digest_algorithm, f"some of {', '.join(DigestAlgorithm)}")

    def _check_keys(self) -> None:
        if not all(isinstance(key, VerificationKey | TrustedKey) for key in self.keys):
            raise ConfigurationError(
                "the trust policy's keys are not usable",
                expected="a list of VerificationKey",
                remedy="Read each with VerificationKey.parse.",
            )
        trusted = {key.key_id for key in self.trusted_keys}
        if not trusted:
            raise ConfigurationError(
                "the trust policy trusts no key", expected="at least one verification key", remedy="Set `keys`."
            )
        entries = {key.key_id: key for key in self.trusted_keys}
        if twice := next((key for key in self.trusted_keys if key != entries[key.key_id]), None):
            raise ConfigurationError(
                f"key {twice.key_id} is among the trust policy's keys twice",
                expected="each key once, with one time and status",
                remedy="Leave away the entry that does not hold.",
            )
        if not isinstance(self.threshold, int) or isinstance(self.threshold, bool) or self.threshold < 1:
            raise ConfigurationError(
                "threshold is not usable", expected="a whole number from 1", found=repr(self.threshold)
            )
        if self.threshold > len(trusted):
            raise ConfigurationError(
                "no package could reach the threshold",
                expected=f"at least {self.threshold} distinct keys",
                found=str(len(trusted)),
                remedy="Add the keys of all who have to sign, or lower `threshold`.",
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TrustPolicy":
        """Read a policy file, in YAML. Its JSON Schema says what may stand in it: `signed-parameters policy --schema`.

        Raises:
            ConfigurationError: it cannot be read, or something in it is not usable.
        """
        from signed_parameters.policy.file import load_policy  # which is built on this module

        return load_policy(path)

    @property
    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The keys, each with the time in which it counts."""
        return tuple(key if isinstance(key, TrustedKey) else TrustedKey(key) for key in self.keys)


def _listed(name: str, values: Iterable[object]) -> tuple[object, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} is not usable", expected="a list", found=type(values).__name__)
    return tuple(values)


def _parse(name: str, parser: Callable[[str], object], value: str, expected: str) -> None:
    try:
        parser(value)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{name} is not usable", expected=expected, found=repr(value)) from None
