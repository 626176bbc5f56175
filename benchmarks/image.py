"""Print what a container image weighs, part by part, against the baseline: `python -m benchmarks.image IMAGE`.

The baseline is the image of the usual way: pycaret, and the parameters in a pickle. Needs podman.
"""

import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

BASELINE_MEGABYTES = 1_200
LIMIT_MEGABYTES = 300
_BYTES_PER_MEGABYTE = 1_000_000
_SHOWN = 12


@contextmanager
def exported(image: str) -> Iterator[tarfile.TarFile]:
    """Open the file system of an image as a stream of an archive: each file's content is to be read as it comes.

    Args:
        image: name of an image that podman has.

    Raises:
        subprocess.CalledProcessError: podman has no such image.
    """
    created = subprocess.run(["podman", "create", image, "true"], check=True, capture_output=True, text=True)
    container = created.stdout.split()[-1]
    try:
        with subprocess.Popen(["podman", "export", container], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                yield archive
            process.stdout.read()
    finally:
        subprocess.run(["podman", "rm", container], check=True, capture_output=True)


def size_of(image: str) -> float:
    """Return the size of all layers of an image, in megabytes: what a machine stores, removed files included.

    Raises:
        subprocess.CalledProcessError: podman has no such image.
    """
    command = ["podman", "image", "inspect", "--format", "{{.Size}}", image]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(answer.stdout) / _BYTES_PER_MEGABYTE


def weigh(files: Iterable[tarfile.TarInfo]) -> dict[str, float]:
    """Return the part of the image -> its size, in megabytes (10^6 bytes)."""
    sizes: Counter[str] = Counter()
    for file in files:
        if file.isfile():
            sizes[_part(PurePosixPath(file.name))] += file.size
    return {part: size / _BYTES_PER_MEGABYTE for part, size in sizes.most_common()}


def _part(path: PurePosixPath) -> str:
    match path.parts:
        case ["opt", _, "packages", package, *_]:
            name = package.split(".")[0].split("-")[0]
            return f"package {name}"
        case ["opt", _, part, *_]:
            return part
        case _:
            return "base: Debian and Python"


def report(image: str) -> str:
    """Return the table.

    Raises:
        subprocess.CalledProcessError: podman has no such image.
    """
    with exported(image) as files:
        parts = weigh(files)
    total = sum(parts.values())
    layers = size_of(image)
    shown = list(parts.items())[:_SHOWN]
    others = total - sum(size for _, size in shown)
    rows = [*shown, (f"{len(parts) - len(shown)} others", others), ("in all", total), ("all layers", layers)]
    lines = [f"{part:<28} {size:8.1f} MB" for part, size in rows]
    lines.append(f"{'baseline':<28} {BASELINE_MEGABYTES:8.1f} MB, {BASELINE_MEGABYTES / layers:.1f} times as much")
    return "\n".join([f"{image} (limit {LIMIT_MEGABYTES} MB)", *lines])


def main(images: Sequence[str]) -> int:
    """Print the table of each image. Return the exit status: 0 done, 2 usage, no podman, or no such image."""
    if not images:
        print("Usage: python -m benchmarks.image IMAGE...", file=sys.stderr)
        return 2
    try:
        for image in images:
            print(report(image))
    except FileNotFoundError:
        print("Expected podman on the PATH, found none. Install it: apt-get install podman", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(str(error.stderr or error).strip(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
