"""Makes the golden packages of version 1 of the format: `python tests/golden/make.py`. They are made once.

Every later version must verify them, so this refuses to make them anew. The Ed25519 key is made here and forgotten:
only its public key is kept. The HMAC key is no secret but a test vector, the bytes 0 to 63.
"""

import json
import pickle
import shutil
import sys
import tempfile
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path

import signed_parameters as sp
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.statement import ENVELOPE_SUFFIX

FOLDER = Path(__file__).parent / "v1"
HMAC_TEST_VECTOR = bytes(range(64))
CONTENTS = {
    "empty": b"",
    "model.pkl": pickle.dumps(OrderedDict(weight=1.5), 4),
    "plots/every_byte.bin": bytes(range(256)),
}
EXPIRES_IN = {"expiring": timedelta(days=90), "lasting": None}


def make(folder: Path) -> None:
    """Write the packages, their envelopes, and `keys.json` into a new folder."""
    folder.mkdir()
    keys = {
        "ed25519": sp.SigningKey.generate(),
        "hmac-sha512": sp.SigningKey(Algorithm.HMAC_SHA512, HMAC_TEST_VECTOR),
    }
    with tempfile.TemporaryDirectory() as temporary:
        files = {name: Path(temporary, str(number)) for number, name in enumerate(CONTENTS)}
        for name, path in files.items():
            path.write_bytes(CONTENTS[name])
        for algorithm, key in keys.items():
            for digest in ("blake3", "sha256"):
                for kind, expires_in in EXPIRES_IN.items():
                    package = sp.build_package(folder / f"{algorithm}-{digest}-{kind}.zip", files)
                    sp.sign_package(
                        package,
                        key=key,
                        name="golden",
                        version="0.1.0",
                        parameters_version="2026_11_21",
                        serial=7,
                        expires_in=expires_in,
                        digest=digest,
                    )
    make_others(folder, keys["ed25519"].verification_key, keys["hmac-sha512"])
    about = "TEST VECTORS. The hmac-sha512 key is the bytes 0 to 63, and protects nothing."
    texts = {algorithm: str(key.verification_key) for algorithm, key in keys.items()}
    (folder / "keys.json").write_text(json.dumps({"about": about, **texts}, indent=2) + "\n")


def make_others(folder: Path, ed25519: sp.VerificationKey, hmac: sp.SigningKey) -> None:
    """Write a package with two signatures, and a pointer to the lasting HMAC package."""
    for suffix in ("", ENVELOPE_SUFFIX):
        shutil.copyfile(folder / f"ed25519-blake3-lasting.zip{suffix}", folder / f"both-blake3-lasting.zip{suffix}")
    sp.resign(str(folder / "both-blake3-lasting.zip"), key=hmac, trusted=[ed25519])
    policy = sp.TrustPolicy("golden", [hmac.verification_key])
    sp.publish_latest(str(folder / "hmac-sha512-blake3-lasting.zip"), key=hmac, policy=policy)


if __name__ == "__main__":
    if FOLDER.exists():
        sys.exit(f"expected no {FOLDER.name} beside this script, found one: golden packages are never made anew")
    make(FOLDER)
