"""Signed model parameters: sign where you train, verify where you serve.

    import signed_parameters as sp

    key = sp.SigningKey.generate()
    sp.build_package("model.zip", files={"model.pkl": "artefacts/model.pkl"})
    sp.sign_package("model.zip", key=key, name="m", version="0.1.0", parameters_version="1", serial=1)

    policy = sp.TrustPolicy(name="m", keys=[key.verification_key])
    with sp.verify_package("model.zip", policy) as package:
        model = package.load_pickle("model.pkl")

The modules, in the order in which a package goes through them:

* `keys` (with `algorithms`): signing keys and verification keys. `keyring`: which are trusted, and when.
* `package` (with `layout`): build the zip.
* `statement`, `envelope`: what is signed, and what carries it. `digests` are theirs, `pickles` reads lists of globals.
* `signing`: the three above, put together.
* `storage`: where packages are kept.
* `policy`, `checks`: what the serving side demands.
* `verification`, `verified`: fetch, verify, read, load.
* `errors`, `limits`, `files`: the tree of errors, bounds on what is read, writing whole or not at all.
* `cli`: the commands.
* `local_server` (with `child_process`): an S3 server on this machine, for trying things out.
"""

from signed_parameters.errors import (
    AccessDenied,
    BadSignature,
    ConfigurationError,
    DigestMismatch,
    Expired,
    MalformedPackage,
    NameMismatch,
    NotFound,
    RevokedDigest,
    RevokedKey,
    RolledBack,
    SignedParametersError,
    StorageError,
    TooFewSignatures,
    TooLarge,
    Unavailable,
    UnknownKey,
    UnsafePickle,
    VerificationError,
)
from signed_parameters.keyring import Keyring, KeyStatus, TrustedKey
from signed_parameters.keys import SigningKey, VerificationKey
from signed_parameters.limits import Limits
from signed_parameters.package import build_package
from signed_parameters.policy import TrustPolicy
from signed_parameters.signing import sign_package
from signed_parameters.statement import Statement
from signed_parameters.verification import verify_package
from signed_parameters.verified import VerifiedPackage

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "BadSignature",
    "ConfigurationError",
    "DigestMismatch",
    "Expired",
    "KeyStatus",
    "Keyring",
    "Limits",
    "MalformedPackage",
    "NameMismatch",
    "NotFound",
    "RevokedDigest",
    "RevokedKey",
    "RolledBack",
    "SignedParametersError",
    "SigningKey",
    "Statement",
    "StorageError",
    "TooFewSignatures",
    "TooLarge",
    "TrustPolicy",
    "TrustedKey",
    "Unavailable",
    "UnknownKey",
    "UnsafePickle",
    "VerificationError",
    "VerificationKey",
    "VerifiedPackage",
    "build_package",
    "sign_package",
    "verify_package",
]
