"""Fuzz every harness for a bounded time: `python -m tests.fuzz --seconds 20`.

Exit status: 0 nothing was found, 1 a finding (its input is saved), 2 wrong usage, 3 atheris cannot run here.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.drive import LAST, NO_ATHERIS, last_input
from tests.fuzz.harness import Harness

_ROOT = Path(__file__).parents[2]
_KINDS = ("crash-", "timeout-", "oom-", "slow-unit-")
_SECONDS_FOR_ONE_INPUT = 10
_MEBIBYTES = 1024


@dataclass(frozen=True)
class Outcome:
    """What came of a harness: libFuzzer's status, the inputs tried and edges reached, and the inputs of findings."""

    status: int
    executions: int
    edges: int
    findings: tuple[Path, ...]


def find_harnesses() -> list[str]:
    """Return the modules of all harnesses beside this one."""
    return sorted(f"tests.fuzz.{path.stem}" for path in Path(__file__).parent.glob("fuzz_*.py"))


def fuzz(module: str, seconds: int, folder: Path, seed: int) -> Outcome:
    """Fuzz one harness in a process of its own. `folder` keeps the corpus from run to run, and the findings."""
    harness: Harness = importlib.import_module(module).HARNESS
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in harness.seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:40]).write_bytes(data)
    before = set(folder.iterdir())
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_SECONDS_FOR_ONE_INPUT}",
        f"-rss_limit_mb={_MEBIBYTES}",
        f"-seed={seed}",
        f"-artifact_prefix={folder}{os.sep}",
        "-print_final_stats=1",
        "-report_slow_units=5",
    ]
    command = [sys.executable, "-m", "tests.fuzz.drive", module, *options, str(corpus)]
    log = folder / "log.txt"
    with (
        log.open("wb") as output,
        TemporaryDirectory() as temporary,
    ):  # libFuzzer ends the process, which tidies nothing
        environment = {**os.environ, "TMPDIR": temporary}
        done = subprocess.run(command, cwd=_ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    executions = re.findall(r"^stat::number_of_executed_units: (\d+)", text, re.MULTILINE)
    edges = re.findall(r"\bcov: (\d+)", text)
    findings = sorted(path for path in set(folder.iterdir()) - before if path.name.startswith(_KINDS))
    last = folder / LAST
    if last.exists():
        if done.returncode < 0 and not findings:  # the interpreter itself crashed, and libFuzzer with it
            findings = [folder / f"crash-{hashlib.sha256(last_input(last)).hexdigest()[:40]}"]
            findings[0].write_bytes(last_input(last))
        last.unlink()
    return Outcome(
        done.returncode, int(executions[-1]) if executions else 0, int(edges[-1]) if edges else 0, tuple(findings)
    )


def describe_lines(module: str, folder: Path) -> str | None:
    """Return how many lines of each target the corpus reaches, or None where it shows a finding."""
    command = [sys.executable, "-m", "tests.fuzz.lines", module, str(folder / "corpus")]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    counts: dict[str, list[int]] = json.loads(done.stdout)
    return ", ".join(
        f"{name.removeprefix('signed_parameters.')} {got} of {all_}" for name, (got, all_) in counts.items()
    )


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz every harness for a bounded time.")
    parser.add_argument("harness", nargs="*", help="as in fuzz_pickle or its module's name; all by default")
    parser.add_argument("--seconds", type=int, default=20, help="for each harness (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "fuzz", help="for corpus, logs and findings")
    options = parser.parse_args(arguments)
    if options.seconds < 1:
        parser.error(f"expected --seconds of 1 or more, found {options.seconds}")
    known = find_harnesses()
    chosen = [name if "." in name else f"tests.fuzz.{name}" for name in options.harness] or known
    for name in chosen:
        if not _exists(name):
            parser.error(f"there is no harness {name}: expected {', '.join(known)}")
    status = 0
    for module in chosen:
        name = module.rpartition(".")[2]
        print(f"{name}: {options.seconds} seconds", flush=True)
        folder = options.folder.resolve() / name
        outcome = fuzz(module, options.seconds, folder, options.seed)
        if outcome.status == NO_ATHERIS or (outcome.status == 0 and outcome.edges == 0):
            print("  atheris cannot run here, or sees no code, so nothing was fuzzed: install the extra `development`")
            return NO_ATHERIS
        print(f"  {outcome.executions} executions, {outcome.executions // options.seconds} per second", flush=True)
        lines = None
        if outcome.status == 0 and not outcome.findings:  # what was found could hang, or end, whoever tries it again
            lines = describe_lines(module, folder)
        print(f"  {outcome.edges} edges; lines reached: {lines or 'not counted, as an input fails'}", flush=True)
        if lines is None:
            status = 1
            print(f"  FOUND SOMETHING (status {outcome.status}); the trace is in {folder / 'log.txt'}")
            for path in outcome.findings:
                print(f"  run it again: python -m tests.fuzz.drive {module} {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
