from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.https import HttpsStorage

QUICK = sp.Limits(connect_seconds=0.5, read_seconds=0.5)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CA_BUNDLE", "CA_BUNDLE_VOLUME_MOUNT_POINT", "PVC_MOUNT_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trusted(web_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The web server, whose authority the environment names."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(web_server.authority))
    return web_server


def test_a_package_is_verified_from_a_web_server(trusted: Any, make_package: Any, policy: sp.TrustPolicy) -> None:
    path = make_package({"a": b"hello"}, name="with blank.zip")
    for file in (path, Path(f"{path}.dsse.json")):
        (trusted.folder / file.name).write_bytes(file.read_bytes())
    with sp.verify_package(f"{trusted.url}/with%20blank.zip", policy) as package:
        assert package.read("a") == b"hello"
    assert trusted.requests == ["/with%20blank.zip.dsse.json", "/with%20blank.zip"]


def test_the_authority_may_be_mounted_as_kserve_does(
    web_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cabundle.crt").write_bytes(web_server.authority.read_bytes())
    monkeypatch.setenv("CA_BUNDLE_VOLUME_MOUNT_POINT", str(tmp_path))
    (web_server.folder / "a").write_bytes(b"hello")
    assert open_storage(web_server.url).read("a", 100) == b"hello"


def test_a_server_of_an_unknown_authority_is_not_asked(web_server: Any) -> None:
    (web_server.folder / "a").write_bytes(b"hello")
    with pytest.raises(sp.Unavailable, match="SSLError"):
        open_storage(web_server.url).read("a", 100)
    assert web_server.requests == []


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none.zip", sp.NotFound, "HTTP 404"),
        ("private.zip", sp.AccessDenied, "HTTP 403"),
        ("broken.zip", sp.Unavailable, "HTTP 500"),
        ("moved.zip", sp.StorageError, r"expected HTTP 200, found HTTP 302.*Redirects are not followed"),
    ],
)
def test_what_the_server_says_is_told(trusted: Any, name: str, error: type[sp.StorageError], message: str) -> None:
    (trusted.folder / "target.zip").write_bytes(b"hello")
    with pytest.raises(error, match=message):
        open_storage(trusted.url).read(name, 100)
    assert "/target.zip" not in trusted.requests


def test_an_object_that_drips_in_is_given_up(trusted: Any) -> None:
    storage = open_storage(trusted.url, limits=sp.Limits(download_seconds=0.5))
    with pytest.raises(sp.Unavailable, match=r"/drip\.zip took too long to come: .* within 0\.5 seconds"):
        storage.read("drip.zip", 2_000_000)


def test_a_web_server_is_for_reading(trusted: Any, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"")
    storage = open_storage(trusted.url)
    for action in (
        lambda: storage.write("a", tmp_path / "source"),
        lambda: storage.write_bytes("a", b""),
        lambda: list(storage.names()),
    ):
        with pytest.raises(sp.ConfigurationError, match="for reading packages only"):
            action()
    for other, message in (
        (lambda: storage.find("a"), "does not tell the state"),
        (lambda: storage.read_range("a", 0, 1), "is not read in parts"),
        (lambda: storage.remove("a"), "is for reading only"),
    ):
        with pytest.raises(sp.ConfigurationError, match=f"^{trusted.url}/ {message}"):
            other()


@pytest.mark.parametrize(
    "address",
    [
        *("http://example.org/folder", "https://", "https:///folder", "https://name:password@example.org/folder"),
        *("https://example.org/folder?token=abc", "https://example.org/folder#part", "https://example.org:x/folder"),
    ],
)
def test_an_address_that_is_not_usable_is_refused(address: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="not usable") as caught:
        open_storage(address)
    assert "password" not in str(caught.value).replace("without a password", "")
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://h.invalid/p.zip?sig=SECRET", "https://h.invalid/p.zip#SECRET"])
@pytest.mark.parametrize("host", ["h.invalid", "account.blob.core.windows.net"])
def test_an_address_with_a_token_is_neither_asked_nor_shown(
    address: str, host: str, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=abc")
    with pytest.raises(sp.ConfigurationError, match="Tokens are given by the environment") as caught:
        sp.verify_package(address.replace("h.invalid", host), policy)
    assert "SECRET" not in str(caught.value)


def test_a_server_that_is_away_is_named() -> None:
    with pytest.raises(sp.Unavailable, match=r"does not answer, or broke off, at http://127\.0\.0\.1:9/a"):
        HttpsStorage("http://127.0.0.1:9", QUICK).read("a", 100)


def test_a_claim_is_read_where_it_is_mounted(
    tmp_path: Path, make_package: Any, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package({"a": b"hello"})
    monkeypatch.setenv("PVC_MOUNT_PATH", str(tmp_path.parent))
    with sp.verify_package(f"pvc://claim/{tmp_path.name}/package.zip", policy) as package:
        assert package.read("a") == b"hello"
    monkeypatch.delenv("PVC_MOUNT_PATH")
    assert open_storage("pvc://claim/folder").address("a") == "/mnt/pvc/folder/a"


@pytest.mark.parametrize(
    "address", ["pvc://", "pvc:///folder", "pvc://claim/../folder", "pvc://claim//etc", "pvc://claim/a/../../b"]
)
def test_a_claim_cannot_be_left(address: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="pvc://CLAIM/FOLDER"):
        open_storage(address)
