"""Measure how far the anonymous memory of a process grows while it signs or verifies: `python -m benchmarks.memory`.

The process is a child of its own, so that nothing that ran before has left memory to use again.
"""

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import signed_parameters as sp

_SAMPLE_SECONDS = 0.002


@dataclass
class Growth:
    """How far the anonymous memory of this process grew at its peak, in megabytes (10^6 bytes)."""

    megabytes: float = 0.0


def anonymous_bytes() -> int:
    """Return the anonymous resident memory of this process. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("Expected a line RssAnon in /proc/self/status; found none. This needs Linux 4.5 or later.")


@contextmanager
def watched_memory() -> Iterator[Growth]:
    """Watch the anonymous memory from a thread while the block runs; the growth so far is there at any time."""
    growth = Growth()
    before = anonymous_bytes()
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            growth.megabytes = max(growth.megabytes, (anonymous_bytes() - before) / 1e6)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield growth
    finally:
        ended.set()
        sampler.join()
        growth.megabytes = max(growth.megabytes, (anonymous_bytes() - before) / 1e6)


def growth_in_child(what: str, uri: str, key: Path, name: str, environment: Mapping[str, str]) -> float:
    """Return how far the memory of a child process grows, in megabytes (10^6 bytes).

    Args:
        what: "sign" or "verify".
        uri: address of the package.
        key: file of the signing key.
        name: the model's name.
        environment: of the child, which says how to reach S3.
    """
    command = [sys.executable, "-m", "benchmarks.memory", what, uri, "--key", str(key), "--name", name]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"The measurement of the memory failed: {done.stderr.strip()}")
    return float(json.loads(done.stdout)["megabytes"])


def main() -> int:
    """Sign or verify a package, and print the growth as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("what", choices=["sign", "verify"])
    parser.add_argument("uri", help="address of the package; to sign, its path")
    parser.add_argument("--key", required=True, help="file of the signing key")
    parser.add_argument("--name", required=True, help="the model's name")
    options = parser.parse_args()
    key = sp.SigningKey.load(options.key)
    policy = sp.TrustPolicy(name=options.name, keys=[key.verification_key])

    def sign() -> None:
        sp.sign_package(options.uri, key=key, name=options.name, version="1", parameters_version="1", serial=1)

    calls: dict[str, Callable[[], None]] = {
        "sign": sign,
        "verify": lambda: sp.verify_package(options.uri, policy).close(),
    }
    with watched_memory() as growth:
        calls[options.what]()
    print(json.dumps({"megabytes": growth.megabytes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
