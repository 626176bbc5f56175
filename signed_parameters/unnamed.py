"""Files without a name, which nobody finds before they are whole."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_UNKNOWN_HERE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
_WAITING = ".incoming-"
_LEFT_BEHIND = re.compile(r"\.incoming-[0-9a-f]{16}")
_OPEN_FILES = "/proc/self/fd"  # the one place by which a file without a name can be given one


class UnnamedFile:
    """A file in a folder, without a name until `publish`. Where the file system has no such files, it is hidden.

    Use it in a `with` block. What was not published is gone at its end, and, where the file system knows files without
    a name, also when the process is killed.
    """

    def __init__(self, folder: Path, size: int) -> None:
        """Make the file.

        Args:
            folder: of the file, or above it.
            size: in bytes. Room for it is reserved where the file system can.

        Raises:
            OSError: there is no room, or no permission.
        """
        self._folder = folder
        self._hidden: Path | None = None
        self._descriptor = self._open()
        try:
            if size:
                with _where_supported():
                    os.posix_fallocate(self._descriptor, 0, size)
        except BaseException:
            self.close()
            raise

    def write(self, part: memoryview) -> None:
        """Add bytes. Raises OSError where they cannot be written."""
        while part:
            part = part[os.write(self._descriptor, part) :]

    def publish(self, target: Path, mode: int = 0o644) -> None:
        """Give the file its name; a file of that name is replaced.

        Raises:
            OSError: it cannot be named so.
        """
        os.fchmod(self._descriptor, mode)
        os.fsync(self._descriptor)
        waiting = self._hidden
        if waiting is None:
            # Not beside the target, which may be in a folder below: `clear_left_behind` looks into the one folder only.
            waiting = self._folder / f"{_WAITING}{secrets.token_hex(8)}"
            # With a folder's descriptor Python makes the call that follows the link; without, one that does not.
            descriptors = os.open(_OPEN_FILES, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.link(str(self._descriptor), waiting, src_dir_fd=descriptors, follow_symlinks=True)
            finally:
                os.close(descriptors)
        self._hidden = waiting
        os.replace(waiting, target)
        self._hidden = None

    def close(self) -> None:
        """Let go of the file; it is gone if it was not published."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if self._hidden is not None:
            with suppress(OSError):
                os.unlink(self._hidden)
            self._hidden = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> int:
        if hasattr(os, "O_TMPFILE") and os.path.isdir(_OPEN_FILES):
            try:
                return os.open(self._folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno not in _UNKNOWN_HERE or not self._folder.is_dir():
                    raise
        self._hidden = self._folder / f"{_WAITING}{secrets.token_hex(8)}"
        return os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)


def clear_left_behind(folder: Path) -> None:
    """Remove hidden files that a process which was killed has left in a folder."""
    for name in os.listdir(folder):
        if _LEFT_BEHIND.fullmatch(name):
            with suppress(OSError):
                os.unlink(folder / name)


@contextmanager
def _where_supported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNKNOWN_HERE:
            raise
