"""Measure signing and verifying against hashing alone, for several sizes: `python -m benchmarks.verification`.

In each round the same file is hashed by the `blake3` package (memory-mapped, all cores), and signed and verified by
`signed_parameters`, which hashes it too. OpenSSF's `model_signing` does the same with the same bytes. The package is
then verified from a local S3 server, against downloading it alone. Ratios are of the same round where they can be,
because a machine's speed changes.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from blake3 import blake3

import signed_parameters as sp
from benchmarks.memory import growth_in_child
from benchmarks.peer import processor_has_sha, time_in_child
from benchmarks.verification_report import (
    BASELINE,
    BOTH,
    DOWNLOAD,
    ENVELOPE,
    SIGNATURE,
    VERIFY,
    Results,
    Times,
    draw,
    missed_targets,
    print_report,
)
from diabetes_risk_model.progress import Step, step
from signed_parameters.files import replacement
from signed_parameters.local_server import LocalS3Server
from signed_parameters.statement import ENVELOPE_SUFFIX

ROOT = Path(__file__).resolve().parents[1]
NAME = "benchmark"
SIZES, QUICK_SIZES = "1MiB,16MiB,256MiB,1GiB,4GiB", "1MiB,16MiB"
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BLOCK_BYTES = 2**20
_BUCKET = "benchmark"
_PEER_MAXIMUM_BYTES = 2**30
_PEER_ROUNDS = 3
_SMALL_BYTES = 2**26
_SMALL_CALLS, _SMALL_DOWNLOADS = 20, 3


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "1GiB", "256MiB" or "1000000". Raises ArgumentTypeError for anything else."""
    match = re.fullmatch(r"([0-9]+)([KMG]iB|)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"expected a size such as 1GiB, 256MiB or 1000000; found {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def parse_sizes(text: str) -> list[int]:
    """Return the bytes of sizes with commas between. Raises ArgumentTypeError for anything else."""
    return sorted({parse_size(part.strip()) for part in text.split(",")})


def write_random(path: Path, size: int) -> None:
    """Write `size` bytes that differ from block to block."""
    block = bytearray(os.urandom(_BLOCK_BYTES))
    with path.open("wb") as file:
        for offset in range(0, size, _BLOCK_BYTES):
            block[:8] = offset.to_bytes(8, "big")
            file.write(block[: size - offset])


def timed(call: Callable[[], object], times: int = 1) -> float:
    """Return how long a call takes, in seconds: the mean, where it is done several times."""
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


def hash_alone(path: Path, threads: int = blake3.AUTO) -> None:
    """Hash a file with nothing but the `blake3` package."""
    blake3(max_threads=threads).update_mmap(path).digest()


def have_memory(size: int) -> None:
    """Use some bytes of memory, and let go of them.

    A virtual machine may have given its free memory back to the host. Whatever is kept next would wait for it.
    """
    used = b"1" * size
    del used


def measure_rounds(
    calls: Mapping[str, Callable[[], object]], rounds: int, repeats: int, progress: Step, memory: int = 0
) -> Times:
    """Time each call in every round, after a round that does not count, in another order each time.

    Args:
        calls: to be timed.
        rounds: that count.
        repeats: how often each is called in a round. The mean counts.
        progress: of all this.
        memory: how many bytes each of them is about to keep.
    """
    times: Times = {name: [] for name in calls}
    shuffler = random.Random(0)
    for number in range(rounds + 1):
        progress.update(f"round {number} of {rounds}" if number else "warming up")
        for name in shuffler.sample(list(calls), len(calls)):
            have_memory(memory)
            seconds = timed(calls[name], repeats)
            if number:
                times[name].append(seconds)
    return times


class Bench:
    """A key, a folder that is the bucket of a local S3 server too, and a package in it."""

    def __init__(self, folder: Path, server: LocalS3Server) -> None:
        self._folder = folder
        self._server = server
        self._key = sp.SigningKey.generate()
        self._key_file = folder / "key.json"
        self._key.save(self._key_file)
        self._policy = sp.TrustPolicy(name=NAME, keys=[self._key.verification_key])

    def measure(self, size: int, rounds: int, *, with_s3: bool) -> Results:
        """Build a package of a size, and measure everything that is done with it."""
        place = server_folder(self._server) / f"{size}.zip"
        content = self._folder / "model.bin"
        small = size <= _SMALL_BYTES
        with step(f"{size / 2**20:,.0f} MiB: build"):
            write_random(content, size)
            built = sp.build_package(place, files={"model.bin": content})
        with step(f"{size / 2**20:,.0f} MiB: local file") as progress:
            times = measure_rounds(self._local_calls(built), rounds, _SMALL_CALLS if small else 1, progress)
        with step(f"{size / 2**20:,.0f} MiB: model_signing") as progress:
            peers = self._measure_peer(content, progress) if size <= _PEER_MAXIMUM_BYTES else {}
        content.unlink()
        downloads: Times = {}
        if with_s3:
            with step(f"{size / 2**20:,.0f} MiB: S3") as progress:
                downloads = measure_rounds(
                    self._s3_calls(built.name), rounds, _SMALL_DOWNLOADS if small else 1, progress, size
                )
        with step(f"{size / 2**20:,.0f} MiB: memory"):
            growth = self._measure_memory(built, with_s3)
        place.unlink()
        return Results(size, times, peers, downloads, growth)

    def _local_calls(self, built: sp.BuiltPackage) -> dict[str, Callable[[], object]]:
        def sign(package: str | Path) -> None:
            sp.sign_package(package, key=self._key, name=NAME, version="1", parameters_version="1", serial=1)

        message = bytes(1000)
        signature = self._key.sign(message)
        sign(built)
        return {
            BASELINE: lambda: hash_alone(built),
            "blake3 alone, one core": lambda: hash_alone(built, 1),
            "verify": lambda: sp.verify_package(built, self._policy).close(),
            "sign, after building": lambda: sign(built),
            "sign, another's package": lambda: sign(str(built)),
            SIGNATURE: lambda: self._key.verification_key.signature_holds(message, signature),
            ENVELOPE: lambda: self._write(self._folder / "signature", self._key.sign(message)),
        }

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        with replacement(path) as file:
            file.write(data)

    def _measure_peer(self, content: Path, progress: Step) -> dict[str, Times]:
        folder = self._folder / "peer"
        folder.mkdir()
        os.link(content, folder / content.name)
        kinds = {"as it is": False} | ({"without SHA instructions": True} if processor_has_sha() else {})
        measured: dict[str, Times] = {kind: {"sign": [], "verify": []} for kind in kinds}
        for number in range(1, _PEER_ROUNDS + 1):
            progress.update(f"round {number} of {_PEER_ROUNDS}")
            for kind, without_sha in kinds.items():
                seconds = time_in_child(folder, self._folder / "peer keys", without_sha=without_sha)
                for what, found in seconds.items():
                    measured[kind][what].append(found)
        (folder / content.name).unlink()
        folder.rmdir()
        return measured

    def _s3_calls(self, name: str) -> dict[str, Callable[[], object]]:
        from signed_parameters.storage.s3 import S3Settings, S3Storage

        settings = S3Settings(self._server.url, self._server.access_key, self._server.secret_key)
        client, storage = settings.client(), S3Storage(_BUCKET, settings=settings)

        def download(keep: bool, name: str = name) -> None:
            response = client.get_object(_BUCKET, name)
            try:
                with tempfile.TemporaryFile() as copy:
                    for chunk in response.stream(_BLOCK_BYTES):
                        if keep:
                            copy.write(chunk)
            finally:
                response.close()
                response.release_conn()

        def download_both() -> None:
            download(True, name + ENVELOPE_SUFFIX)
            download(True)

        target = str(self._folder / "downloaded.zip")
        return {
            DOWNLOAD: lambda: download(True),
            BOTH: download_both,
            "download alone, nothing kept": lambda: download(False),
            "download by the client's fget_object": lambda: client.fget_object(_BUCKET, name, target),
            VERIFY: lambda: sp.verify_package(name, self._policy, storage=storage).close(),
        }

    def _measure_memory(self, built: Path, with_s3: bool) -> dict[str, float]:
        environment = {**os.environ, **self._server.environment()}
        uris = {"sign": ("sign", str(built)), "verify": ("verify", str(built))}
        if with_s3:
            uris[VERIFY] = ("verify", f"s3://{_BUCKET}/{built.name}")
        return {
            name: growth_in_child(what, uri, self._key_file, NAME, environment) for name, (what, uri) in uris.items()
        }


def server_folder(server: LocalS3Server) -> Path:
    """Return the folder of the bucket, which is where the packages are built: so nothing need be uploaded."""
    folder = server.folder / _BUCKET
    folder.mkdir(exist_ok=True)
    return folder


def main() -> int:
    """Measure, print, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=__doc__)
    parser.add_argument("--sizes", type=parse_sizes, default=None, help=f"of the packages (default: {SIZES})")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; their median counts (default: 5)")
    parser.add_argument("--quick", action="store_true", help=f"sizes {QUICK_SIZES} and 2 rounds, to see that it runs")
    parser.add_argument("--no-s3", action="store_true", help="leave the S3 server out")
    options = parser.parse_args()
    sizes = options.sizes or parse_sizes(QUICK_SIZES if options.quick else SIZES)
    rounds = 2 if options.quick else options.rounds
    scratch = ROOT / "build" / "benchmarks"
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        LocalS3Server(Path(folder) / "s3") as server,
    ):
        bench = Bench(Path(folder), server)
        results = [bench.measure(size, rounds, with_s3=not options.no_s3) for size in sizes]
    print_report(results, processor_has_sha())
    draw(results, scratch / "verification.png")
    missed = missed_targets(results)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
