"""Take from a base image what a running service must not have: `python3 harden.py`, as root, once, in the image.

These are the installers that come with Python, and every program's right to run as its owner or group.
"""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLERS = (
    *("pip", "pip-*", "pip3*", "setuptools", "setuptools-*", "wheel", "wheel-*", "pkg_resources", "_distutils_hack"),
    *("distutils-precedence.pth", "ensurepip", "python-wheels", "easy_install*"),
)
_PLACES = ("usr/bin", "usr/local/bin", "usr/share", "usr/lib/python3*", "usr/local/lib/python3*")
_PACKAGES = ("site-packages", "dist-packages")


def installers(root: Path) -> list[Path]:
    """Return what belongs to pip, setuptools and wheel in the usual places."""
    places = [place for pattern in _PLACES for place in root.glob(pattern)]
    places += [place / name for place in places for name in _PACKAGES]
    return sorted(found for place in places for pattern in INSTALLERS for found in place.glob(pattern))


def privileged(root: Path) -> Iterator[Path]:
    """Yield the files of this file system that run as their owner or group."""
    device = root.stat().st_dev
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if os.lstat(os.path.join(folder, name)).st_dev == device]
        for name in files:
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
                yield path


def harden(root: Path) -> None:
    """Remove the installers, and take away the rights.

    Raises:
        OSError: something cannot be removed or changed.
    """
    for path in installers(root):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in privileged(root):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_ISUID | stat.S_ISGID))


if __name__ == "__main__":
    harden(Path(sys.argv[1] if len(sys.argv) > 1 else "/"))
