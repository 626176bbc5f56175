"""Give the number that a container runs as a name: `python3 add_user.py NAME`, as root, once, in the image.

Programs such as ssh ask who runs them, and end where nobody knows. The user has no password, no shell and no home.
"""

import sys
from pathlib import Path

NUMBER = 10001


def add(root: Path, name: str) -> None:
    """Write the user and the group of that name.

    Raises:
        OSError: the files cannot be written.
        ValueError: the name or the number is taken.
    """
    entries = {
        "etc/passwd": f"{name}:x:{NUMBER}:{NUMBER}::/nonexistent:/usr/sbin/nologin",
        "etc/group": f"{name}:x:{NUMBER}:",
    }
    for file, entry in entries.items():
        path = root / file
        lines = path.read_text().splitlines()
        for line in lines:
            taken, _, number = line.split(":")[:3]
            if name == taken or number == str(NUMBER):
                raise ValueError(f"/{file} has {line!r} already")
        path.write_text("\n".join([*lines, entry, ""]))


if __name__ == "__main__":
    add(Path("/"), sys.argv[1])
