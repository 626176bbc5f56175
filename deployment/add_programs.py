"""Install Debian's packages into an image: `python3 add_programs.py PACKAGE...`, as root, while the image is built.

What the installing leaves behind is removed. It needs the standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# What apt-get and dpkg leave that a running program never opens.
LEFT_BEHIND = (
    *("var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "var/log/apt", "var/log/dpkg.log"),
    *("usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/bash-completion"),
)
_DOCUMENTS = "usr/share/doc"
_LICENCE = "copyright"


def install(packages: list[str]) -> None:
    """Install packages, without those that are only recommended.

    Raises:
        subprocess.CalledProcessError: one cannot be had.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, check=True)


def clean(root: Path) -> None:
    """Remove what is left behind, and every document but licences.

    Raises:
        OSError: something cannot be removed.
    """
    for name in LEFT_BEHIND:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder, _, files in os.walk(root / _DOCUMENTS):
        for file in files:
            if file != _LICENCE:
                Path(folder, file).unlink()


if __name__ == "__main__":
    install(sys.argv[1:])
    clean(Path("/"))
