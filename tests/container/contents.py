"""What must not be in an image: rules over the files of an archive of it."""

import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

COMPILERS = re.compile(r"(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|ld|as|make|rustc|cargo|go)(-?[0-9.]+)?")
INSTALLERS = re.compile(r"(pip[0-9.]*|setuptools|wheel|ensurepip|easy_install|conda|uv|poetry)([-_].*)?")
PRIVILEGE = frozenset({"sudo", "doas", "visudo"})
PARAMETERS = (".zip", ".pkl", ".joblib", ".onnx", ".dsse.json")
# A literal part, which is quick to look for, and the whole.
SECRETS = (
    (b"PRIVATE KEY-----", re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{20}")),
    (b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b")),
    (b"hmac-sha512:", re.compile(rb"\bhmac-sha512:[A-Za-z0-9+/=_-]{40,}")),
    (b'"private_key"', re.compile(rb'"private_key"\s*:\s*"[A-Za-z0-9+/=_-]{20,}"')),
    (b"/simple", re.compile(rb"https?://[^/\s:@\"'{}<>()$]+:[^/\s:@\"'{}<>()$%]+@[a-z0-9.-]+/simple")),
)
SECRET_FILES = re.compile(
    r"\.env|\.netrc|\.pypirc|\.npmrc|pip\.conf|credentials|id_(rsa|ed25519)|.*signing_key.*\.json|.*\.(key|p12)"
)
# Keys that everybody knows: GnuTLS has them in itself for its self-test.
_PUBLISHED = re.compile(r"/usr/lib/[^/]+/libgnutls\.so\.[0-9.]+")
_VOLUME = PurePosixPath("/data")  # where a volume comes: empty, and the one folder of the service's user
_LARGEST_TEXT = 4_000_000
_PROGRAMS = ("bin", "sbin")
_PACKAGES = ("packages", "site-packages", "dist-packages", "python-wheels")


def findings(archive: tarfile.TarFile) -> Iterator[str]:
    """Yield what breaks a rule, as "rule: path". The archive may be a stream, as each file is read as it comes."""
    for file in archive:
        path = PurePosixPath("/", file.name)
        if file.name.rpartition("/")[2].startswith(".wh."):  # a layer's mark for a file that was removed
            continue
        for rule in _broken_by_name(path, file):
            yield f"{rule}: {path}"
        if file.isfile() and file.size <= _LARGEST_TEXT and not _PUBLISHED.fullmatch(str(path)):
            content = archive.extractfile(file)
            if content is not None and holds_secret(content.read()):
                yield f"secret: {path}"


def holds_secret(content: bytes) -> bool:
    """Return whether some bytes look like a key or a password."""
    return any(literal in content and pattern.search(content) for literal, pattern in SECRETS)


def _broken_by_name(path: PurePosixPath, file: tarfile.TarInfo) -> Iterator[str]:
    folder, name = path.parent.name, path.name
    program = folder in _PROGRAMS and not file.isdir()
    if file.isfile() and file.mode & (stat.S_ISUID | stat.S_ISGID):
        yield "setuid"
    if not file.issym() and file.mode & stat.S_IWOTH and not (file.isdir() and file.mode & stat.S_ISVTX):
        yield "writable by all"
    if (file.uid == 10001 or file.gid == 10001) and not (file.isdir() and path == _VOLUME):
        yield "of the service's user"
    if program and COMPILERS.fullmatch(name):
        yield "compiler"
    if program and name in PRIVILEGE:
        yield "privilege"
    if (program or folder in (*_PACKAGES, "python3.11")) and INSTALLERS.fullmatch(name):
        yield "installer"
    if SECRET_FILES.fullmatch(name) and file.isfile():
        yield "secret"
    if name.endswith(PARAMETERS) and file.isfile():
        yield "parameters"
    if file.isdir() and name in ("tests", "test") and "packages" in path.parts:
        yield "tests"
    if path.parts[:2] == ("/", "opt") and name == ".git":
        yield "repository"
