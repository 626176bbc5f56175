"""Git's own program, run with care: nothing of the machine's configuration, no hook, no question, and not for ever."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from diabetes_risk_model.promotion import ssh
from signed_parameters import ConfigurationError, NotFound, StorageError, TooLarge, Unavailable

_SECONDS = 120.0
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "credential.interactive=false",
    "transfer.credentialsInUrl=die",
    "commit.gpgSign=false",
)
_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "NO_PROXY",
)
# Where a hook finds the objects of a push that is not taken yet.
_OF_A_PUSH = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
_PLAIN = ("100644", "100755")


class Git:
    """A repository on this machine, whose objects are read.

    Attributes:
        folder: where it is.
        address: what messages call it.
        broken: whether a command was killed, which may have left locks behind.
    """

    def __init__(self, folder: str, address: str = "", *, seconds: float = _SECONDS, kept: Sequence[str] = ()) -> None:
        """Describe it; nothing is run yet.

        Args:
            folder: of the repository: a bare one, or a `.git`.
            address: what messages call it; the folder by default.
            seconds: how long one command may take. It ends then, with all that it has started.
            kept: variables of the environment that Git is to see, besides the usual ones.
        """
        self.folder = folder
        self.broken = False
        self.address = address or folder
        self._seconds = seconds
        self._environment = {name: os.environ[name] for name in (*_KEPT, *kept) if name in os.environ} | {
            "GIT_DIR": folder,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:ssh:https",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_SSH_COMMAND": ssh.command(os.environ.get("GIT_SSH_COMMAND", "")),
            "LC_ALL": "C",
        }

    def find(self, commit: str) -> str:
        """Return the id of a commit that is named in any way that Git knows.

        Raises:
            NotFound: there is none.
        """
        done = self.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{commit}^{{commit}}")
        if done.returncode:
            raise NotFound(
                f"the repository {self.address} has no commit {commit!r}",
                found="; ".join(done.stderr.decode(errors="replace").split("\n"))[:200].strip("; ") or "nothing",
                remedy="Name one that is there, as HEAD or by its id; in CI, fetch it first.",
            )
        return done.stdout.decode().strip()

    def read(self, commit: str, path: str, maximum: int) -> bytes:
        """Return a file of a commit, of at most `maximum` bytes.

        Raises:
            NotFound: there is none.
            TooLarge: it is larger.
        """
        listed = self.listed("ls-tree", "--long", "-z", commit, "--", path)
        if len(listed) != 1 or listed[0][1][0] not in _PLAIN:
            raise NotFound(
                f"the repository {self.address} has no file {path}",
                expected=f"one at commit {commit[:12]}",
                remedy="Commit it, after a review.",
            )
        _, _, blob, size = listed[0][1]
        if int(size) > maximum:
            raise TooLarge(f"{path} in the repository is too large", expected=f"at most {maximum} bytes", found=size)
        return self.ask("cat-file", "blob", blob)

    def files(self, commit: str, folder: str, maximum: int) -> dict[str, bytes | None]:
        """Return the files below a folder of a commit, by their paths.

        The content is None where it is no plain file, or makes more than `maximum` bytes with those before it.
        """
        contents: dict[str, bytes | None] = {}
        for path, (mode, _, blob, size) in self.listed("ls-tree", "-r", "--long", "-z", commit, "--", f"{folder}/"):
            small = mode in _PLAIN and int(size) <= maximum
            contents[path] = self.ask("cat-file", "blob", blob) if small else None
            maximum -= int(size) if small else 0
        return contents

    def listed(self, *arguments: str) -> list[tuple[str, tuple[str, str, str, str]]]:
        """Return what `ls-tree --long -z` tells: paths, each with mode, type, id and size."""
        entries = self.ask(*arguments).decode(errors="surrogateescape").split("\0")[:-1]
        pairs = (entry.split("\t", 1) for entry in entries)
        return [(path, tuple(fields.split())) for fields, path in pairs]  # type: ignore[misc]  # four, says Git

    def ask(self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        """Return what a command prints.

        Raises:
            StorageError: it failed.
        """
        done = self.run(*arguments, given=given, extra=extra)
        if done.returncode:
            raise self.failure(f"cannot be worked with: git {arguments[0]} failed", done)
        return done.stdout

    def run(
        self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end, whatever that is.

        Raises:
            Unavailable: it takes too long.
            ConfigurationError: there is no Git here.
        """
        options = [part for option in _OPTIONS for part in ("-c", option)]
        command, pipe = ["git", *options, *arguments], subprocess.PIPE
        try:
            # In a session of its own nothing can ask on the terminal, and all that Git starts can be ended with it.
            process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env={**self._environment, **(extra or {})},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ConfigurationError("the program git is missing", remedy="Install git.") from None
        except OSError as error:
            raise Unavailable("git cannot be started", found=error.strerror or type(error).__name__) from None
        with process:
            try:
                output, complaints = process.communicate(given, timeout=self._seconds)
            except BaseException as error:
                self.broken = True
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise Unavailable(
                    f"the repository {self.address} does not answer",
                    expected=f"git {arguments[0]} to end in {self._seconds:g} s",
                ) from None
        return subprocess.CompletedProcess(command, process.returncode, output, complaints)

    def failure(self, what: str, done: "subprocess.CompletedProcess[bytes]") -> StorageError:
        """Return the error that a command's complaints amount to."""
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        if refused := ssh.refusal(self.address, lines):
            return refused
        return Unavailable(
            f"the repository {self.address} {what}",
            found="; ".join([*ssh.reasons(lines), *_reasons(lines)])[:500],
            remedy="Check its address, the branch, the key and the known hosts.",
        )


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder that only this user can enter. It is removed when it is cleaned up, or this process ends.

    Raises:
        Unavailable: there is no place for it.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="promotion-", ignore_cleanup_errors=True)
    except OSError as error:
        raise Unavailable(
            "no temporary folder can be made",
            found=error.strerror or type(error).__name__,
            remedy="Let TMPDIR name a folder that this user may write to, with room in it.",
        ) from None


def local() -> Git:
    """Return the repository that the working folder is in, or that GIT_DIR names, as it does in a hook.

    Raises:
        NotFound: there is none.
    """
    if named := os.environ.get("GIT_DIR"):
        return Git(os.path.abspath(named), kept=_OF_A_PUSH)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".git").exists():
            return Git(str(folder / ".git"))
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            return Git(str(folder))
    raise NotFound(f"there is no Git repository in {here}", remedy="Change to a clone of it, or leave --commit away.")


def _reasons(lines: Sequence[str]) -> Sequence[str]:
    return [line for line in lines if line.startswith(("fatal:", "error:", " !", "remote:"))] or lines
