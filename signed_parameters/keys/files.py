"""Where keys are kept: files of their own, environment variables, and what an orchestrator mounts."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from signed_parameters.errors import ConfigurationError
from signed_parameters.files import replacement

KEYGEN = "Make one with `signed-parameters keygen`."
_MAXIMUM_BYTES = 16_384


@dataclass(frozen=True)
class KeyText:
    """The text of a key.

    Attributes:
        text: what was read.
        origin: what it is and where it was, as errors name it.
        path: the file; None for an environment variable.
        status: the file's, when it was read.
    """

    text: str
    origin: str
    path: Path | None = None
    status: os.stat_result | None = None

    def check_private(self) -> None:
        """Refuse a file that others could read or change.

        Its group may read what belongs to another user, or what nobody writes: so a pod gets a mounted secret.

        Raises:
            ConfigurationError: it is open to others.
        """
        if self.status is None:
            return
        mode = self.status.st_mode
        open_to_group = mode & stat.S_IRGRP and mode & stat.S_IWUSR and self.status.st_uid == os.geteuid()
        if mode & (stat.S_IWGRP | stat.S_IRWXO) or open_to_group:
            raise ConfigurationError(
                f"{self.origin} is open to others",
                expected="mode 0600",
                found=f"{stat.S_IMODE(mode):04o}",
                remedy=f"Run `chmod 600 {self.path}` (for a volume of Kubernetes, set defaultMode: 0400), and consider "
                "whether somebody has read it.",
            )


def read_key(source: str | os.PathLike[str], what: str, folder: Path | None = None) -> KeyText:
    """Read the text of a key from `env:NAME`, `file:PATH` or `PATH`.

    Args:
        source: where it is.
        what: "signing key" or "verification key", as errors call it.
        folder: what a relative path starts from; None for the working folder.

    Raises:
        ConfigurationError: there is no such variable or file.
    """
    name = os.fspath(source)
    if name.startswith("env:"):
        return KeyText(_read_variable(name.removeprefix("env:"), what), f"{what} in {name}")
    path = (folder or Path()) / name.removeprefix("file:")
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_MAXIMUM_BYTES)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{what} {path} cannot be read", found=found, remedy=KEYGEN) from None
    return KeyText(data.decode("utf-8", "replace"), f"{what} {path}", path, status)


def write_key(path: Path, text: str) -> None:
    """Write a signing key to a new file that only its owner may read (mode 0600), whole or not at all.

    Raises:
        ConfigurationError: the file exists (a key is never overwritten) or cannot be written.
    """
    try:
        with replacement(path, overwrite=False, mode=0o600) as file:
            file.write(text.encode())
    except FileExistsError:
        raise ConfigurationError(
            f"signing key {path} exists already",
            remedy="Choose another name: a key that signed something is not to be overwritten.",
        ) from None
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"signing key {path} cannot be written", found=found) from None


def _read_variable(name: str, what: str) -> str:
    if not name:
        raise ConfigurationError(
            f"the source env: of a {what} names no variable", expected="env:NAME, as in env:SIGNING_KEY"
        )
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"{what} in env:{name} is missing", remedy=f"Set {name} to the text of a {what}'s file."
        )
    return value
