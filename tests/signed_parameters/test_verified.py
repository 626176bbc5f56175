import gc
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

Make = Callable[..., Path]
FILES = {"a.txt": b"hello", "model.pkl": pickle.dumps({"w": [1, 2]}, 4), "empty": b""}


@pytest.fixture
def package(make_package: Make, policy: sp.TrustPolicy) -> sp.VerifiedPackage:
    return sp.verify_package(make_package(FILES), policy)


def _descriptors(path: Path) -> int:
    """Return how many descriptors of a file this process holds."""
    held = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # of the listing itself, or closed by another thread
            held += os.path.samestat(os.stat(f"/proc/self/fd/{descriptor}"), path.stat())
    return held


def test_files_are_read(package: sp.VerifiedPackage) -> None:
    assert {name: package.read(name) for name in package.names} == FILES
    assert package.names == ("a.txt", "empty", "model.pkl")


def test_a_pickle_is_loaded(package: sp.VerifiedPackage) -> None:
    assert package.load_pickle("model.pkl") == {"w": [1, 2]}


def test_who_signed_it_is_told(package: sp.VerifiedPackage, key: sp.SigningKey) -> None:
    assert package.key_id == key.key_id
    assert package.statement.package_name == "m-0.1.0-1.zip"


@pytest.mark.parametrize("name", ["missing", "", "../a.txt", "/etc/passwd", "A.TXT"])
def test_a_file_that_is_not_in_it_is_refused(package: sp.VerifiedPackage, name: str) -> None:
    for method in (package.read, package.load_pickle):
        with pytest.raises(sp.ConfigurationError, match=r"expected one of a\.txt, empty, model\.pkl"):
            method(name)


def test_a_file_without_a_signed_list_is_not_unpickled(workshop: Any, refused: Any) -> None:
    workshop.put_signed({"model.pkl": FILES["model.pkl"], "b": b"N."}, pickles={"b": ()})
    with workshop.verify() as package, refused(sp.UnsafePickle, match="has no signed list of globals"):
        package.load_pickle("model.pkl")


def test_a_file_that_changes_after_verification_is_not_handed_out(make_package: Make, policy: sp.TrustPolicy) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        content = path.read_bytes()
        at = content.index(b"hello")
        for change in (b"jello", b"hell\0"):
            with path.open("r+b") as file:
                file.seek(at)
                file.write(change)
            with pytest.raises(sp.DigestMismatch, match=r"a.txt in the package is not what was signed"):
                package.read("a.txt")
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"hello")
        assert package.read("a.txt") == b"hello"


def test_a_pickle_that_changes_after_verification_is_not_unpickled(
    make_package: Make, policy: sp.TrustPolicy, refused: Any
) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        content = path.read_bytes()
        exploit = b"cos\nsystem\n(V:\ntR."
        path.write_bytes(content.replace(FILES["model.pkl"], exploit.ljust(len(FILES["model.pkl"]))))
        with refused(sp.DigestMismatch):
            package.load_pickle("model.pkl")


@pytest.mark.parametrize("length", [0, 40])
def test_a_file_that_is_cut_after_verification_is_not_handed_out(
    make_package: Make, policy: sp.TrustPolicy, length: int
) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        os.truncate(path, length)
        with pytest.raises(sp.DigestMismatch):
            package.read("model.pkl")


def test_another_file_in_its_place_after_verification_is_not_seen(make_package: Make, policy: sp.TrustPolicy) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        os.replace(make_package({"a.txt": b"other"}, name="other.zip"), path)
        assert package.read("a.txt") == b"hello"


def test_a_closed_package_hands_out_nothing(package: sp.VerifiedPackage, tmp_path: Path) -> None:
    package.close()
    package.close()
    with pytest.raises(sp.ConfigurationError, match="is closed"):
        package.read("a.txt")
    with pytest.raises(sp.ConfigurationError, match="is closed"):
        package.save(tmp_path / "copy.zip")


def test_no_descriptor_stays_open(make_package: Make, policy: sp.TrustPolicy) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        assert _descriptors(path) == 1
        package.read("a.txt")
    assert _descriptors(path) == 0
    sp.verify_package(path, policy)
    gc.collect()
    assert _descriptors(path) == 0


def test_a_saved_package_verifies(make_package: Make, policy: sp.TrustPolicy, tmp_path: Path) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        assert package.save(tmp_path / "copy.zip") == tmp_path / "copy.zip"
    assert (tmp_path / "copy.zip").read_bytes() == path.read_bytes()
    with sp.verify_package(tmp_path / "copy.zip", policy) as package:
        assert package.read("a.txt") == b"hello"


@pytest.mark.parametrize("change", [b"hellO", b""])
def test_a_package_that_changed_after_verification_is_not_saved(
    make_package: Make, policy: sp.TrustPolicy, tmp_path: Path, change: bytes
) -> None:
    path = make_package(FILES)
    with sp.verify_package(path, policy) as package:
        path.write_bytes(path.read_bytes().replace(b"hello", change) + (b"" if change else b"more"))
        with pytest.raises(sp.DigestMismatch):
            package.save(tmp_path / "copy.zip")
    assert list(tmp_path.glob("*copy.zip*")) == []


def test_a_package_cannot_be_saved_where_there_is_no_folder(package: sp.VerifiedPackage, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be written"):
        package.save(tmp_path / "no folder" / "copy.zip")
