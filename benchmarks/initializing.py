"""Measure filling a model server's folder, against downloading alone: `python -m benchmarks.initializing`.

Both fetch the same package from a local S3 server with the same client, each in a process of its own, whose time and
largest resident memory are those that the system counted. Downloading alone checks nothing and makes sure of nothing.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.verification import NAME, ROOT, parse_size, server_folder
from diabetes_risk_model.progress import step
from signed_parameters.local_server import LocalS3Server

BUCKET = "benchmark"
PACKAGE = "package.zip"
MEGABYTES, TIMES_A_DOWNLOAD = 100.0, 1.15
_BLOCK_BYTES = 8 << 20
_DOWNLOAD = """
import sys
from signed_parameters.storage.s3 import S3Settings
S3Settings.from_environment().client().fget_object(sys.argv[1], sys.argv[2], sys.argv[3])
"""


@dataclass(frozen=True)
class Run:
    """What a process took: seconds, and megabytes (10^6 bytes) of resident memory at its largest."""

    seconds: float
    megabytes: float


def run(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {said.decode(errors='replace').strip()}")
    return Run(time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e6)


def build(folder: Path, bucket: Path, size: int) -> Path:
    """Write a signed package of random bytes into a bucket's folder; return the policy file that takes it."""
    content = folder / "model.bin"
    with content.open("wb") as file:
        for start in range(0, size, _BLOCK_BYTES):
            file.write(os.urandom(min(_BLOCK_BYTES, size - start)))
    key = sp.SigningKey.generate()
    package = sp.build_package(bucket / PACKAGE, files={content.name: content})
    sp.sign_package(package, key=key, name=NAME, version="1", parameters_version="1", serial=1)
    content.unlink()
    policy = folder / "policy.yaml"
    policy.write_text(f"name: {NAME}\nkeys: ['{key.verification_key}']\n")
    return policy


def main() -> int:
    """Measure, print, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.initializing", description=__doc__)
    parser.add_argument("--size", type=parse_size, default=2 << 30, help="of the model (default: 2GiB)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; their median counts (default: 5)")
    options = parser.parse_args()
    runs: dict[str, list[Run]] = {"download alone": [], "initialize": []}
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name, LocalS3Server() as server:
        folder = Path(name)
        with step("Build and sign the package"):
            policy = build(folder, server_folder(server), options.size)
        environment = {**os.environ, **server.environment()}
        target, program = folder / "models", Path(sys.executable).with_name("signed-parameters")
        commands = {
            "download alone": [sys.executable, "-c", _DOWNLOAD, BUCKET, PACKAGE, str(target / PACKAGE)],
            "initialize": [
                str(program),
                "initialize",
                f"s3://{BUCKET}/{PACKAGE}",
                str(target),
                "--policy",
                str(policy),
            ],
        }
        with step("Measure") as progress:
            for number in range(options.rounds):
                progress.update(f"round {number + 1} of {options.rounds}")
                for what, command in commands.items():
                    runs[what].append(run(command, environment))
                    shutil.rmtree(target)
                    os.sync()  # so that neither pays for what the other has left to be written
    alone = statistics.median(one.seconds for one in runs["download alone"])
    times = statistics.median(
        mine.seconds / theirs.seconds for mine, theirs in zip(runs["initialize"], runs["download alone"], strict=True)
    )
    memory = max(one.megabytes for one in runs["initialize"])
    table = Table(
        "", "seconds", "against the download", "resident, MB", title=f"A model of {options.size:,} bytes, from S3"
    )
    table.add_row(
        "download alone", f"{alone:.2f}", "1.00", f"{max(one.megabytes for one in runs['download alone']):.0f}"
    )
    seconds = statistics.median(one.seconds for one in runs["initialize"])
    table.add_row("initialize", f"{seconds:.2f}", f"{times:.2f}", f"{memory:.0f}")
    console = Console()
    console.print(table)
    met = times <= TIMES_A_DOWNLOAD and memory <= MEGABYTES
    target_text = f"at most {TIMES_A_DOWNLOAD} times the download, at most {MEGABYTES:.0f} MB"
    console.print(f"Target: {target_text}: {'met' if met else 'missed'}.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
