"""Remove from a folder of installed packages what a service never opens: `python3 remove_unused.py FOLDER`.

It runs while an image is built, needs the standard library only, and says how much it removed of what.
"""

import shutil
import sys
from pathlib import Path

# What it is -> where it is, below the folder.
UNUSED = {
    "tests": ("**/tests", "**/test", "Crypto/SelfTest", "numpy/conftest.py", "numpy/core/_simd.*.so"),
    "sources and stubs for compilers and type checkers": (
        *("**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.h", "**/*.c", "**/*.a"),
        *("numpy/f2py", "numpy/distutils"),
    ),
    "examples, some with keys that look real": ("boto3/examples", "botocore/data/*/*/examples-1.json"),
    "commands": ("bin",),
    "tools that make ONNX models": tuple(
        f"onnxruntime/{tool}" for tool in ("transformers", "quantization", "tools", "datasets")
    ),
    # Python's module has the whole engine in itself and does not link to this second copy.
    "the C library of onnxruntime": ("onnxruntime/capi/libonnxruntime.so.*",),
}


def remove(folder: Path) -> dict[str, int]:
    """Remove what is unused, and return what it was -> bytes.

    Raises:
        OSError: something cannot be removed.
    """
    removed: dict[str, int] = {}
    for what, patterns in UNUSED.items():
        for path in sorted(found for pattern in patterns for found in folder.glob(pattern)):
            removed[what] = removed.get(what, 0) + _size(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return removed


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    for kind, size in remove(Path(sys.argv[1])).items():
        print(f"removed {size / 1e6:6.1f} MB: {kind}")
