"""Measure signing and verifying a large package against hashing alone, in one run: `python -m benchmarks.verification`.

In each round the same file is hashed by the `blake3` package (its memory map, all cores) and verified by
`signed_parameters`, which hashes it too. The ratio says what all the rest costs: envelope, signature, policy, archive.
"""

import argparse
import hashlib
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from diabetes_risk_model.progress import step

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "blake3 alone"
SHARE_OF_BLAKE3, GROWTH_MEGABYTES = 0.80, 64.0
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BLOCK_BYTES = 2**20
_SAMPLE_SECONDS = 0.002


@dataclass
class Growth:
    """How far the anonymous memory of this process grew at its peak, in megabytes (10^6 bytes)."""

    megabytes: float = 0.0


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "1GiB", "256MiB" or "1000000". Raises ArgumentTypeError for anything else."""
    match = re.fullmatch(r"([0-9]+)([KMG]iB|)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"expected a size such as 1GiB, 256MiB or 1000000; found {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def write_random(path: Path, size: int) -> None:
    """Write `size` bytes that differ from block to block."""
    block = bytearray(os.urandom(_BLOCK_BYTES))
    with path.open("wb") as file:
        for offset in range(0, size, _BLOCK_BYTES):
            block[:8] = offset.to_bytes(8, "big")
            file.write(block[: size - offset])


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


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def hash_alone(path: Path) -> None:
    """Hash a file with nothing but the `blake3` package."""
    blake3(max_threads=blake3.AUTO).update_mmap(path).digest()


def hash_with_sha256(path: Path) -> None:
    """Hash a file with the standard library's SHA-256."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256").digest()


def main() -> int:
    """Measure, print, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=__doc__)
    parser.add_argument("--size", type=parse_size, default="1GiB", help="size of the package (default: 1GiB)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; their median counts (default: 7)")
    options = parser.parse_args()
    scratch = ROOT / "build" / "benchmarks"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return _measure(Path(folder), options.size, options.rounds)


def _measure(folder: Path, size: int, rounds: int) -> int:
    key = sp.SigningKey.generate()
    policy = sp.TrustPolicy(name="benchmark", keys=[key.verification_key])
    content, package = folder / "model.bin", folder / "package.zip"
    with step(f"Write a package of {size / 2**30:.2f} GiB"):
        write_random(content, size)
        sp.build_package(package, files={"model.bin": content})
        content.unlink()

    def sign() -> None:
        sp.sign_package(package, key=key, name="benchmark", version="0.1.0", parameters_version="1", serial=1)

    def verify() -> None:
        sp.verify_package(package, policy).close()

    calls: dict[str, Callable[[], object]] = {
        BASELINE: lambda: hash_alone(package),
        "verify": verify,
        "sign": sign,
        "sha256 alone": lambda: hash_with_sha256(package),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    growth: dict[str, Growth] = {}
    with step("Sign, hash and verify") as progress:
        sign()
        # The memory is watched in a round of its own: the sampling would disturb the times, and this round, which
        # starts the threads and fills the page cache, would disturb them too.
        for name, call in calls.items():
            progress.update(f"memory of {name}")
            with watched_memory() as growth[name]:
                call()
        for number in range(1, rounds + 1):
            progress.update(f"round {number} of {rounds}")
            for name, call in calls.items():
                times[name].append(timed(call))
    return _report(times, growth, package.stat().st_size)


def _report(times: dict[str, list[float]], growth: dict[str, Growth], size: int) -> int:
    medians = {name: statistics.median(values) for name, values in times.items()}
    # Of the same round, because the speed of a machine changes from one round to another.
    shares = {
        name: statistics.median(alone / value for alone, value in zip(times[BASELINE], values, strict=True))
        for name, values in times.items()
    }
    table = Table(title=f"{size / 2**30:.2f} GiB, {os.cpu_count()} cores, median of {len(times['sign'])} rounds")
    for heading in ("", "seconds", "GiB/s", "of blake3's speed", "anonymous memory (MB)"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, seconds in medians.items():
        table.add_row(
            name,
            f"{seconds:.3f}",
            f"{size / 2**30 / seconds:.2f}",
            f"{shares[name]:.0%}",
            f"+{growth[name].megabytes:.1f}",
        )
    Console().print(table)
    missed = []
    if shares["verify"] < SHARE_OF_BLAKE3:
        missed.append(f"verify: {shares['verify']:.0%} of blake3's speed; expected at least {SHARE_OF_BLAKE3:.0%}.")
    if growth["verify"].megabytes > GROWTH_MEGABYTES:
        missed.append(
            f"verify: memory grew by {growth['verify'].megabytes:.0f} MB; expected at most {GROWTH_MEGABYTES:g} MB."
        )
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
