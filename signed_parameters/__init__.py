"""Signed model parameters: sign where you train, verify where you serve.

    import signed_parameters as sp

    key = sp.SigningKey.generate()
    uri = sp.sign_model(model, "s3://models", key=key, name="m", version="0.1.0", parameters_version="1")

    policy = sp.TrustPolicy(name="m", keys=[key.verification_key])
    model = sp.load_model(uri, policy)

The same in steps, for packages of any files:

    sp.build_package("model.zip", files={"model.pkl": "artefacts/model.pkl"})
    sp.sign_package("model.zip", key=key, name="m", version="0.1.0", parameters_version="1", serial=1)
    with sp.verify_package("model.zip", policy) as package:
        model = package.load_pickle("model.pkl")

The modules, in the order in which a package goes through them:

* `keys`: signing keys, verification keys, and the keyring that says which are trusted, and when.
* `package` (with `layout`): build the zip.
* `statement`, `envelope`: what is signed, and what carries it. `digests` (with `reading`) are theirs.
* `formats`: the kinds of model file.
* `signing`: the three above, put together.
* `storage`: where packages are kept.
* `policy`, `checks`: what the serving side demands.
* `verification` (with `receiving`), `verified`: fetch, verify, read, load.
* `extraction` (with `unnamed`): verified files in a folder, for programs that load models by themselves.
* `models`, `mixin`: one line on each side.
* `pointer`, `latest`: the signed pointer to the package to load, and publishing it.
* `serials`: the next serial of a model's line. `resigning`: new signatures for old envelopes. `threads` is theirs.
* `inline`: the older form, for who moves from it. `oms`: bundles of OpenSSF model signing. Import them by name.
* `errors`, `limits`, `files`: the tree of errors, bounds on what is read, writing whole or not at all.
* `strict_yaml`, `times`, `durations`: what people write in files and options, read in one way only.
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
from signed_parameters.extraction import extract_package
from signed_parameters.keys.keyring import Keyring, KeyStatus, TrustedKey
from signed_parameters.keys.references import KeyReference
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.latest import publish_latest
from signed_parameters.limits import Limits
from signed_parameters.mixin import SignedParameters
from signed_parameters.models import load_model, sign_model
from signed_parameters.package import BuiltPackage, build_package
from signed_parameters.pointer import Pointer
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.resigning import Resigned, resign
from signed_parameters.serials import next_serial
from signed_parameters.signing import sign_package
from signed_parameters.statement import Statement
from signed_parameters.verification import verify_package
from signed_parameters.verified import VerifiedPackage

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "BadSignature",
    "BuiltPackage",
    "ConfigurationError",
    "DigestMismatch",
    "Expired",
    "KeyReference",
    "KeyStatus",
    "Keyring",
    "Limits",
    "MalformedPackage",
    "NameMismatch",
    "NotFound",
    "Pointer",
    "Resigned",
    "RevokedDigest",
    "RevokedKey",
    "RolledBack",
    "SignedParameters",
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
    "extract_package",
    "load_model",
    "next_serial",
    "publish_latest",
    "resign",
    "sign_model",
    "sign_package",
    "verify_package",
]
