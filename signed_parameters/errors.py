"""Every error that this package raises on purpose, in one tree.

    SignedParametersError
    ├── ConfigurationError          a key, policy, or setting is not usable           exit code 2
    ├── StorageError                the bytes could not be had                        exit code 3
    │   ├── NotFound                no such bucket, object, file
    │   ├── AccessDenied            wrong or missing credentials, no permission
    │   ├── Unavailable             server down, broken off, too slow: a retry can help
    │   └── TooLarge                larger than the limit for its kind
    └── VerificationError           the bytes were had, and are refused               exit code 1
        ├── BadSignature            a trusted key's signature does not hold
        ├── UnknownKey              no signature by a trusted key, or its algorithm is not allowed
        ├── RevokedKey              signed by a key that has been revoked
        ├── TooFewSignatures        good signatures, but by fewer keys than the policy's threshold
        ├── RevokedDigest           this very package has been revoked
        ├── DigestMismatch          the bytes are not those that were signed
        ├── NameMismatch            another model, version, or parameters version
        ├── RolledBack              older than the policy's minimum serial
        ├── Expired                 signed for a time that is over
        ├── MalformedPackage        an envelope, statement, or package that breaks the format
        └── UnsafePickle            a pickle that asks for what was not signed

Each message says what was expected, what was found, and what to do next, on one line. What cannot be printed is shown
escaped, because an attacker may have chosen it: a message must not forge a line of a log or steer a terminal.
"""


class SignedParametersError(Exception):
    """Base of every error of this package.

    Args:
        problem: what went wrong, with the name of the thing that it concerns.
        expected: what would have been right.
        found: what there was instead.
        remedy: what the reader can do next, as a sentence.
    """

    exit_code = 2

    def __init__(self, problem: str, *, expected: str = "", found: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.remedy = remedy
        details = ", ".join(f"{label} {text}" for label, text in (("expected", expected), ("found", found)) if text)
        message = f"{problem}: {details}" if details else problem
        super().__init__(_printable(f"{message}. {remedy}" if remedy else message))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ConfigurationError(SignedParametersError):
    """A key, a policy, or a setting is not usable."""


class StorageError(SignedParametersError):
    """The bytes could not be had."""

    exit_code = 3


class NotFound(StorageError):
    """There is no such bucket, object, or file."""


class AccessDenied(StorageError):
    """The credentials are wrong or missing, or do not permit this."""


class Unavailable(StorageError):
    """The storage does not answer, broke off, or took too long. Trying again can help."""


class TooLarge(StorageError):
    """The object is larger than the limit for its kind."""


class VerificationError(SignedParametersError):
    """The package is refused. Nothing of it was unpickled."""

    exit_code = 1


class BadSignature(VerificationError):
    """A signature that claims a trusted key does not hold."""


class UnknownKey(VerificationError):
    """No signature is by a key that the policy trusts."""


class RevokedKey(VerificationError):
    """The only signatures are by keys that have been revoked."""


class TooFewSignatures(VerificationError):
    """There are good signatures, but by fewer distinct keys than the policy's threshold."""


class RevokedDigest(VerificationError):
    """The policy revokes this very package."""


class DigestMismatch(VerificationError):
    """The bytes are not those that were signed."""


class NameMismatch(VerificationError):
    """The package is another model's, or another version than the one that was asked for."""


class RolledBack(VerificationError):
    """The package's serial is below the policy's minimum."""


class Expired(VerificationError):
    """The statement's time is over."""


class MalformedPackage(VerificationError):
    """The envelope, the statement, or the package breaks the format."""


class UnsafePickle(VerificationError):
    """The pickle asks for something that is not on its signed list, or can never be allowed."""
