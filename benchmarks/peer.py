"""Time OpenSSF's `model_signing` on one file, in a process of its own: `python -m benchmarks.peer FOLDER SCRATCH`.

It is used as its documentation shows it: SHA-256 of each file, and an elliptic key.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Bit 29 of the word that OpenSSL reads from the processor: the instructions for SHA. See OPENSSL_ia32cap(3).
_WITHOUT_SHA = {"OPENSSL_ia32cap": ":~0x20000000"}


def processor_has_sha() -> bool:
    """Tell whether this processor has instructions for SHA-256, which speed up `model_signing`, and not BLAKE3."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return bool({"sha_ni", "sha2"} & set(line.partition(":")[2].split()))
    return False


def time_in_child(folder: Path, scratch: Path, *, without_sha: bool) -> Mapping[str, float]:
    """Return how long `model_signing` takes to "sign" and to "verify" a folder, in seconds.

    Args:
        folder: what is signed.
        scratch: where keys and the signature are put.
        without_sha: whether OpenSSL is told to leave the processor's SHA instructions alone.
    """
    environment = {**os.environ, **(_WITHOUT_SHA if without_sha else {})}
    command = [sys.executable, "-m", "benchmarks.peer", str(folder), str(scratch)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"model_signing failed: {done.stderr.strip()}")
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def main() -> int:
    """Sign and verify, and print the seconds as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scratch", type=Path)
    options = parser.parse_args()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing import signing, verifying

    options.scratch.mkdir(exist_ok=True)
    private, public, signature = (options.scratch / name for name in ("private.pem", "public.pem", "signature"))
    key = ec.generate_private_key(ec.SECP256R1())
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    sign: Any = signing.Config  # the library has no types
    verify: Any = verifying.Config
    begun = time.perf_counter()
    sign().use_elliptic_key_signer(private_key=private).sign(options.folder, signature)
    signed = time.perf_counter()
    verify().use_elliptic_key_verifier(public_key=public).verify(options.folder, signature)
    print(json.dumps({"sign": signed - begun, "verify": time.perf_counter() - signed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
