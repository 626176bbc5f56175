"""A branch of a Git repository elsewhere, without a working tree: a commit is built from objects, and pushed.

Everything is in a temporary repository that nobody else uses. A process that ends at any moment leaves at most unused
objects there. The one step that others see is the push, which is never forced: Git takes it whole or not at all.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from diabetes_risk_model.promotion.git import Git, temporary_folder
from signed_parameters import AccessDenied

_SECONDS = 120.0
_SEEN = "refs/promotion/seen"  # what was fetched last: the next fetch brings what is new since


_BY_CHANCE = re.compile(r"cannot lock ref|failed to update ref|incorrect old value")  # two pushes at once


class CommitRefused(AccessDenied):
    """A rule or a hook of the Git server refuses a commit."""


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
        self._git: Git | None = None
        self._identity = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author), ("EMAIL", email))
        }

    @property
    def git(self) -> Git:
        """The temporary repository: made when it is asked for first, and anew where a command was killed in it."""
        if self._git is not None and self._git.broken:
            self._remove()
        if self._git is None:
            self._folder = temporary_folder()
            self._git = Git(self._folder.name, self._address, seconds=self._seconds)
            self._git.ask("init", "--quiet", "--bare", "--template=")
        return self._git

    def fetch(self) -> str:
        """Return the commit that the branch has now, which can be read then.

        Raises:
            Unavailable: the repository does not answer, or has no such branch.
            AccessDenied: its host is not known, or refuses the key.
        """
        wanted = f"+{self._branch}:{_SEEN}"
        done = self.git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", self._address, wanted)
        if done.returncode:
            raise self.git.failure("cannot be read", done)
        return self.git.find(_SEEN)

    def commit(self, parent: str, folder: str, files: Mapping[str, bytes], message: str) -> str:
        """Make a commit that gives a folder other content, and return it. Nobody sees it until it is pushed.

        Args:
            parent: the commit that it follows.
            folder: has these files afterwards, and no others.
            files: content by path in the repository.
            message: what it says.
        """
        index = {"GIT_INDEX_FILE": str(Path(self.git.folder) / "promotion.index")}
        self.git.ask("read-tree", parent, extra=index)
        gone = self.git.ask("ls-files", "-z", "--", f"{folder}/", extra=index).split(b"\0")[:-1]
        nothing = "0" * len(parent)
        changes = [f"0 {nothing}\t".encode() + path for path in gone]
        for path, content in files.items():
            blob = self.git.ask("hash-object", "-w", "--stdin", given=content).decode().strip()
            changes.append(f"100644 {blob}\t{path}".encode())
        self.git.ask("update-index", "-z", "--index-info", given=b"\0".join([*changes, b""]), extra=index)
        tree = self.git.ask("write-tree", extra=index).decode().strip()
        made = self.git.ask("commit-tree", tree, "-p", parent, "-F", "-", given=message.encode(), extra=self._identity)
        return made.decode().strip()

    def push(self, commit: str, parent: str) -> bool:
        """Push a commit to the branch, unless somebody else was faster.

        Returns:
            Whether it is there now. If not, the branch has another commit than `parent`: fetch, and look again.

        Raises:
            Unavailable: the repository does not answer.
            CommitRefused: a rule or a hook of its server refuses this commit.
            AccessDenied: its host is not known, or refuses the key.
        """
        done = self.git.run("push", "--quiet", "--", self._address, f"{commit}:{self._branch}")
        if done.returncode == 0:
            return True
        if self.fetch() != parent:
            return False
        said = done.stderr.decode(errors="replace").splitlines()
        if any(line.startswith(" ! [remote rejected]") and not _BY_CHANCE.search(line) for line in said):
            told = [line for line in said if line.startswith(("remote:", " !"))]
            raise CommitRefused(
                f"the repository {self._address} refuses the commit",
                expected="that this key may push to the branch",
                found="; ".join(" ".join(line.split()) for line in told)[:500],
                remedy="Look at the rules and hooks of its server.",
            )
        raise self.git.failure("takes no commit", done)

    def _remove(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = self._git = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()
