"""Measure giving many packages the signature of a new key, in one run: `python -m benchmarks.resigning`.

`resign` reads and writes envelopes only. The storage here notes every name that it is asked for, and so shows that not
one package was read. The alternative is to fetch each package and sign it anew, one after the other.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.verification import NAME, ROOT, parse_size
from diabetes_risk_model.progress import step
from signed_parameters.local_server import LocalS3Server
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Download, FileStorage, Storage
from signed_parameters.storage.s3 import S3Settings, S3Storage

_BUCKET = "benchmark"


class NotingFileStorage(FileStorage):
    """A folder that notes the name of everything that is opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opened: list[str] = []

    def open_in_place(self, name: str) -> int:
        """Open a file; `stream` comes by here too."""
        self.opened.append(name)
        return super().open_in_place(name)


class NotingS3Storage(S3Storage):
    """A bucket that notes the name of everything that is read."""

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        super().__init__(bucket, settings=settings)
        self.opened: list[str] = []

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        """Open an object for reading."""
        self.opened.append(name)
        with super().stream(name) as download:
            yield download


@dataclass(frozen=True)
class Resigning:
    """What was measured in one place. Times in seconds.

    Attributes:
        place: the kind of storage.
        packages: how many got the new key's signature, and are verified by it.
        packages_read: how many of them were read for that.
        seconds: how long `resign` took.
        seconds_anew: how long it took to fetch each package and sign it anew.
    """

    place: str
    packages: int
    packages_read: int
    seconds: float
    seconds_anew: float


def build_packages(folder: Path, count: int, size: int, key: sp.SigningKey) -> None:
    """Write packages of random bytes into a folder, and sign them."""
    content = folder.parent / "model.bin"
    folder.mkdir(parents=True)
    for number in range(count):
        content.write_bytes(os.urandom(size))
        built = sp.build_package(folder / f"{NAME}-1-{number:05}.zip", files={content.name: content})
        _sign(built, key, number)
    content.unlink()


def _sign(package: Path, key: sp.SigningKey, serial: int) -> Path:
    return sp.sign_package(package, key=key, name=NAME, version="1", parameters_version="1", serial=serial)


def measure(
    place: str, storage: NotingFileStorage | NotingS3Storage, old: sp.SigningKey, new: sp.SigningKey, scratch: Path
) -> Resigning:
    """Sign every package of a storage with a new key, verify all by it, then fetch and sign all anew."""
    names = sorted(set(storage.names()) - set(storage.names(ENVELOPE_SUFFIX)))
    storage.opened.clear()
    started = time.perf_counter()
    done = sp.resign("", key=new, trusted=[old.verification_key], storage=storage)
    seconds = time.perf_counter() - started
    read = set(storage.opened) & set(names)
    if len(done.signed) != len(names):
        raise RuntimeError(f"Expected {len(names)} packages to be signed; found {len(done.signed)}: {done.failed}")
    policy = sp.TrustPolicy(name=NAME, keys=[new.verification_key])
    for name in names:
        sp.verify_package(name, policy, storage=storage).close()
    started = time.perf_counter()
    for number, name in enumerate(names):
        _sign_anew(storage, name, new, number, scratch)
    return Resigning(place, len(names), len(read), seconds, time.perf_counter() - started)


def _sign_anew(storage: Storage, name: str, key: sp.SigningKey, serial: int, scratch: Path) -> None:
    copy = scratch / name
    with storage.stream(name) as download, copy.open("wb") as file:
        for chunk in download.chunks:
            file.write(chunk)
    envelope = _sign(copy, key, serial)
    storage.write(name + ENVELOPE_SUFFIX, envelope, overwrite=True)
    copy.unlink()
    envelope.unlink()


def print_table(measured: list[Resigning]) -> None:
    """Print the measurements, with their ratios."""
    table = Table(title=f"{measured[0].packages:,} packages get a new key's signature")
    for heading in ("place", "packages read", "packages/s", "signed anew, packages/s", "times as fast"):
        table.add_column(heading, justify="left" if heading == "place" else "right", no_wrap=True)
    for one in measured:
        table.add_row(
            one.place,
            str(one.packages_read),
            f"{one.packages / one.seconds:,.0f}",
            f"{one.packages / one.seconds_anew:,.0f}",
            f"{one.seconds_anew / one.seconds:.1f}",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def missed_targets(measured: list[Resigning]) -> list[str]:
    """Return where a package was read, one sentence each."""
    return [
        f"{one.place}: {one.packages_read} packages were read; expected none." for one in measured if one.packages_read
    ]


def main() -> int:
    """Measure, print, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resigning", description=__doc__)
    parser.add_argument("--packages", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--size", type=parse_size, default="64KiB", help="of the file in each (default: 64KiB)")
    options = parser.parse_args()
    scratch = ROOT / "build" / "benchmarks"
    scratch.mkdir(parents=True, exist_ok=True)
    old, new = sp.SigningKey.generate(), sp.SigningKey.generate()
    measured: list[Resigning] = []
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        folder = Path(temporary)
        with step(f"Build {2 * options.packages:,} packages"):
            build_packages(folder / "folder", options.packages, options.size, old)
            build_packages(folder / "server" / _BUCKET, options.packages, options.size, old)
        with step("Sign those of a folder"):
            measured.append(measure("folder", NotingFileStorage(folder / "folder"), old, new, folder))
        with step("Sign those of a local S3 server"), LocalS3Server(folder / "server") as server:
            settings = S3Settings(server.url, server.access_key, server.secret_key)
            measured.append(measure("local S3 server", NotingS3Storage(_BUCKET, settings), old, new, folder))
    print_table(measured)
    missed = missed_targets(measured)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
