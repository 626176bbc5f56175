"""Git, by its own program, without a working tree: a commit is built from objects, and pushed.

Everything is in a temporary repository that nobody else uses. A process that ends at any moment leaves at most unused
objects there. The one step that others see is the push, which is never forced: Git takes it whole or not at all.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

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


class Repository:
    """A branch of a Git repository, wherever that is. Use it as a context manager."""

    def __init__(
        self,
        address: str,
        branch: str,
        *,
        author: str = "Promotion",
        email: str = "promotion@localhost",
        seconds: float = _SECONDS,
    ) -> None:
        """Describe it; nothing is asked yet.

        Args:
            address: as `git fetch` takes it. Over SSH, GIT_SSH_COMMAND says which key, and which hosts are known.
            branch: is read and pushed to.
            author: name of the commits' author.
            email: of the commits' author.
            seconds: how long one command of Git may take. It ends then, with all that it has started.
        """
        self._seconds = seconds
        self._address = os.path.abspath(address) if os.path.isdir(address) else address
        self._branch = f"refs/heads/{branch}"
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:ssh:https",
            "LC_ALL": "C",
            **{f"GIT_{role}_NAME": author for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": email for role in ("AUTHOR", "COMMITTER")},
        }
        self._environment["GIT_SSH_COMMAND"] = ssh.command(os.environ.get("GIT_SSH_COMMAND", ""))

    def fetch(self) -> str:
        """Return the commit that the branch has now, which can be read then.

        Raises:
            Unavailable: the repository does not answer, or has no such branch.
            AccessDenied: its host is not known, or refuses the key.
        """
        done = self._run("fetch", "--quiet", "--depth=1", "--no-tags", "--", self._address, self._branch)
        if done.returncode:
            raise self._failure("cannot be read", done)
        return self._git("rev-parse", "--verify", "FETCH_HEAD^{commit}").decode().strip()

    def read(self, commit: str, path: str, maximum: int) -> bytes:
        """Return a file of a commit, of at most `maximum` bytes.

        Raises:
            NotFound: there is none.
            TooLarge: it is larger.
        """
        listed = self._git("ls-tree", "--long", "-z", commit, "--", path).decode(errors="replace").split("\0")[0]
        fields = listed.split("\t")[0].split()
        if len(fields) != 4 or fields[:2] not in (["100644", "blob"], ["100755", "blob"]):
            raise NotFound(
                f"the repository {self._address} has no file {path}",
                expected=f"one at commit {commit[:12]}",
                remedy="Commit it, after a review.",
            )
        if int(fields[3]) > maximum:
            raise TooLarge(
                f"{path} in the repository is too large", expected=f"at most {maximum} bytes", found=fields[3]
            )
        return self._git("cat-file", "blob", fields[2])

    def commit(self, parent: str, files: Mapping[str, bytes], message: str) -> str:
        """Make a commit that changes files, and return it. Nobody sees it until it is pushed.

        Args:
            parent: the commit that it follows.
            files: content by path.
            message: what it says.
        """
        index = {"GIT_INDEX_FILE": str(Path(self._place()) / "promotion.index")}
        self._git("read-tree", parent, extra=index)
        for path, content in files.items():
            blob = self._git("hash-object", "-w", "--stdin", given=content).decode().strip()
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", extra=index)
        tree = self._git("write-tree", extra=index).decode().strip()
        return self._git("commit-tree", tree, "-p", parent, "-F", "-", given=message.encode()).decode().strip()

    def push(self, commit: str, parent: str) -> bool:
        """Push a commit to the branch, unless somebody else was faster.

        Returns:
            Whether it is there now. If not, the branch has another commit than `parent`: fetch, and look again.

        Raises:
            Unavailable: the repository does not answer, or refuses.
            AccessDenied: its host is not known, or refuses the key.
        """
        done = self._run("push", "--quiet", "--", self._address, f"{commit}:{self._branch}")
        if done.returncode == 0:
            return True
        if self.fetch() != parent:
            return False
        raise self._failure("takes no commit", done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _place(self) -> str:
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(prefix="promotion-", ignore_cleanup_errors=True)
            self._folder = folder
            self._git("init", "--quiet", "--bare", "--template=")
        return self._folder.name

    def _git(self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        done = self._run(*arguments, given=given, extra=extra)
        if done.returncode:
            raise self._failure(f"cannot be worked with: git {arguments[0]} failed", done)
        return done.stdout

    def _run(
        self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        options = [part for option in _OPTIONS for part in ("-c", option)]
        environment = {**self._environment, "GIT_DIR": self._place(), **(extra or {})}
        command = ["git", *options, *arguments]
        pipe = subprocess.PIPE
        try:
            # In a session of its own nothing can ask on the terminal, and all that Git starts can be ended with it.
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
        except FileNotFoundError:
            raise ConfigurationError("the program git is missing", remedy="Install git.") from None
        with process:
            try:
                output, complaints = process.communicate(given, timeout=self._seconds)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise Unavailable(
                    f"the repository {self._address} does not answer",
                    expected=f"git {arguments[0]} to end in {self._seconds:g} s",
                ) from None
        return subprocess.CompletedProcess(command, process.returncode, output, complaints)

    def _failure(self, what: str, done: "subprocess.CompletedProcess[bytes]") -> StorageError:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        if refused := ssh.refusal(self._address, lines):
            return refused
        reasons = [line for line in lines if line.startswith(("fatal:", "error:", " !", "remote:"))] or lines
        return Unavailable(
            f"the repository {self._address} {what}",
            found="; ".join([*ssh.reasons(lines), *reasons])[:500],
            remedy="Check its address, the branch, the key and the known hosts.",
        )
