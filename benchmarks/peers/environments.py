"""An environment for each peer, made by uv from a lock file with digests."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.load import LoadError
from benchmarks.services import ROOT

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / "build" / "peers"
_DONE = "installed"


def made_environment(name: str, locks: Path = HERE) -> Path | None:
    """Return the folder of an environment; None where it is missing, or of another lock file.

    Args:
        name: of the environment.
        locks: folder that holds its own, with its `requirements.txt`.
    """
    folder = ENVIRONMENTS / name
    done = folder / _DONE
    return folder if done.exists() and done.read_text() == _digest(name, locks) else None


def environment_of(name: str, locks: Path = HERE) -> Path:
    """Return the folder of an environment; make it where it is missing, or of another lock file.

    Args:
        name: of the environment: that of a peer, unless `locks` is given.
        locks: as for `made_environment`.

    Raises:
        LoadError: it cannot be made.
    """
    if found := made_environment(name, locks):
        return found
    folder, lock = ENVIRONMENTS / name, locks / name / "requirements.txt"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise LoadError("The peers are installed by uv, which is not on the PATH. Install it: pip install uv")
    _run(name, [uv, "venv", "--quiet", "--clear", "--python", "3.11", str(folder)])
    python = str(folder / "bin" / "python")
    _run(name, [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(lock)])
    (folder / _DONE).write_text(_digest(name, locks))
    return folder


def _digest(name: str, locks: Path) -> str:
    return hashlib.sha256((locks / name / "requirements.txt").read_bytes()).hexdigest()


def _run(name: str, command: list[str]) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise LoadError(f"The environment of {name} could not be made: {found.stderr.strip()[-2_000:]}")
