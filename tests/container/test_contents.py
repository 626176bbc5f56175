"""The rules about what must not be in an image find what is planted, and nothing in what is fine."""

import io
import tarfile
from pathlib import Path

import pytest

from signed_parameters import SigningKey
from tests.container.contents import findings


def _archive(
    name: str, content: bytes = b"x", *, mode: int = 0o644, uid: int = 0, folder: bool = False
) -> tarfile.TarFile:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        file = tarfile.TarInfo(name)
        file.mode, file.uid, file.size = mode, uid, 0 if folder else len(content)
        file.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
        archive.addfile(file, io.BytesIO(content))
    stream.seek(0)
    return tarfile.open(fileobj=stream, mode="r|")


@pytest.mark.parametrize(
    ("rule", "name", "mode", "uid", "folder"),
    [
        ("setuid", "usr/bin/mount", 0o4755, 0, False),
        ("setuid", "usr/bin/wall", 0o2755, 0, False),
        ("writable by all", "opt/service/packages/a.py", 0o666, 0, False),
        ("writable by all", "srv", 0o777, 0, True),
        ("of the service's user", "opt/service/application/a.py", 0o644, 10001, False),
        ("of the service's user", "data/a.db", 0o600, 10001, False),
        ("of the service's user", "opt/data", 0o700, 10001, True),
        ("compiler", "usr/bin/gcc", 0o755, 0, False),
        ("compiler", "usr/bin/x86_64-linux-gnu-g++-12", 0o755, 0, False),
        ("privilege", "usr/bin/sudo", 0o755, 0, False),
        ("installer", "usr/local/bin/pip3.11", 0o755, 0, False),
        ("installer", "usr/local/lib/python3.11/site-packages/setuptools", 0o755, 0, True),
        ("installer", "usr/lib/python3.11/ensurepip", 0o755, 0, True),
        ("installer", "usr/share/python-wheels/pip-23.0.1-py3-none-any.whl", 0o644, 0, False),
        ("secret", "app/.env", 0o644, 0, False),
        ("secret", "etc/pip.conf", 0o644, 0, False),
        ("secret", "opt/my_signing_key.json", 0o644, 0, False),
        ("parameters", "opt/model.onnx", 0o644, 0, False),
        ("parameters", "opt/m-1-2.zip", 0o644, 0, False),
        ("tests", "opt/service/packages/numpy/tests", 0o755, 0, True),
        ("repository", "opt/service/.git", 0o755, 0, True),
    ],
)
def test_what_is_planted_is_found(rule: str, name: str, mode: int, uid: int, folder: bool) -> None:
    assert list(findings(_archive(name, mode=mode, uid=uid, folder=folder))) == [f"{rule}: /{name}"]


@pytest.mark.parametrize(
    "parts",
    [
        ("-----BEGIN ", "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA"),
        ("-----BEGIN RSA ", "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA"),
        ("AK", "IAIOSFODNN7EXAMPLE"),
        ("hmac-", f"sha512:{'A' * 86}"),
        ("https://me:", "secret@mirror.example/simple"),
    ],
)
def test_secrets_are_found_in_any_file(parts: tuple[str, str]) -> None:
    found = list(findings(_archive("usr/share/notes.txt", f"a\n{''.join(parts)}\n".encode())))
    assert found == ["secret: /usr/share/notes.txt"]


@pytest.mark.parametrize("algorithm", ["ed25519", "hmac-sha512"])
def test_a_signing_key_is_found_under_any_name(algorithm: str, tmp_path: Path) -> None:
    key = SigningKey.generate(algorithm)
    key.save(tmp_path / "key")
    assert list(findings(_archive("srv/notes", (tmp_path / "key").read_bytes()))) == ["secret: /srv/notes"]
    public = str(key.verification_key).encode()
    assert list(findings(_archive("srv/notes", public))) == ([] if algorithm == "ed25519" else ["secret: /srv/notes"])


@pytest.mark.parametrize(
    ("name", "mode", "folder"),
    [
        ("tmp", 0o1777, True),
        ("usr/bin/python3.11", 0o755, False),
        ("opt/service/packages/pydantic/main.py", 0o644, False),
        ("usr/lib/python3.11/asyncio/base_events.py", 0o644, False),
    ],
)
def test_what_is_fine_is_not(name: str, mode: int, folder: bool) -> None:
    assert list(findings(_archive(name, mode=mode, folder=folder))) == []
