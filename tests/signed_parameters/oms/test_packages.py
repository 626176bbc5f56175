"""Packages of ours, unpacked with a bundle for the tools of others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters import oms

MakePackage = Callable[..., Path]
Refused = Callable[..., Any]
CONTENT = {"model.onnx": b"a graph", "plots/auc.png": b"an image"}


@pytest.fixture
def package(make_package: MakePackage, policy: sp.TrustPolicy) -> Any:
    with sp.verify_package(make_package(CONTENT), policy) as verified:
        yield verified


def test_a_package_becomes_a_folder_that_others_tools_verify(
    package: sp.VerifiedPackage, pair: Any, model_signing: Any, tmp_path: Path
) -> None:
    bundle = oms.write_bundle(package, tmp_path / "unpacked", pair.private)
    assert bundle == tmp_path / "unpacked" / "model.sig"
    found = {path.relative_to(bundle.parent).as_posix() for path in bundle.parent.rglob("*") if path.is_file()}
    assert found == {*CONTENT, "model.sig"}
    done = model_signing("verify", "key", "unpacked", "--signature", bundle, "--public_key", pair.public)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    assert oms.verify_bundle(bundle.parent, pair.public, package.statement) == tuple(CONTENT)


def test_a_bundle_beside_the_folder(package: sp.VerifiedPackage, pair: Any, tmp_path: Path) -> None:
    beside = oms.write_bundle(package, tmp_path / "unpacked", pair.private).rename(tmp_path / "s")
    assert oms.verify_bundle(tmp_path / "unpacked", pair.public, package.statement, signature=beside) == tuple(CONTENT)


def test_another_package_s_folder_is_refused_though_its_bundle_holds(
    package: sp.VerifiedPackage,
    pair: Any,
    make_package: MakePackage,
    policy: sp.TrustPolicy,
    tmp_path: Path,
    refused: Refused,
) -> None:
    for number, content in enumerate(({**CONTENT, "model.onnx": b"a grapx"}, {"other.onnx": b"a graph"})):
        with sp.verify_package(make_package(content, name=f"{number}.zip"), policy) as other:
            folder = oms.write_bundle(other, tmp_path / str(number), pair.private).parent
        assert oms.verify_folder(folder, pair.public, folder / "model.sig") == tuple(sorted(content))
        with refused(sp.DigestMismatch):
            oms.verify_bundle(folder, pair.public, package.statement)


def test_a_folder_whose_bundle_is_by_another_is_refused_though_the_files_are_right(
    package: sp.VerifiedPackage, pair: Any, make_pair: Any, tmp_path: Path, refused: Refused
) -> None:
    folder = oms.write_bundle(package, tmp_path / "unpacked", make_pair("other").private).parent
    with refused(sp.UnknownKey):
        oms.verify_bundle(folder, pair.public, package.statement)


def test_nothing_is_left_of_a_folder_that_could_not_be_written(
    make_package: MakePackage, policy: sp.TrustPolicy, pair: Any, make_pair: Any, tmp_path: Path, refused: Refused
) -> None:
    path = make_package(CONTENT)
    (tmp_path / "work").mkdir()
    target = tmp_path / "work" / "unpacked"
    with sp.verify_package(path, policy) as package:
        with refused(sp.ConfigurationError, match="private key"):
            oms.write_bundle(package, target, tmp_path / "absent")
        with path.open("r+b") as file:
            file.seek(path.read_bytes().index(b"an image"))
            file.write(b"AN IMAGE")
        with refused(sp.DigestMismatch):
            oms.write_bundle(package, target, pair.private)
    assert list(target.parent.iterdir()) == []


def test_a_folder_is_never_written_over(package: sp.VerifiedPackage, pair: Any, tmp_path: Path) -> None:
    for taken in ("file", "folder", "link"):
        path = tmp_path / taken
        {"file": path.touch, "folder": path.mkdir, "link": lambda path=path: path.symlink_to("nowhere")}[taken]()
        with pytest.raises(sp.ConfigurationError, match="exists already"):
            oms.write_bundle(package, path, pair.private)
    for absent in (tmp_path / "absent" / "unpacked", f"{tmp_path}/null\0"):
        with pytest.raises(sp.ConfigurationError, match="cannot be written"):
            oms.write_bundle(package, absent, pair.private)


def test_a_package_with_a_file_in_the_bundle_s_place_is_refused(
    make_package: MakePackage, policy: sp.TrustPolicy, pair: Any, tmp_path: Path
) -> None:
    with (
        sp.verify_package(make_package({"model.sig": b"x"}), policy) as package,
        pytest.raises(sp.ConfigurationError, match=r"model\.sig"),
    ):
        oms.write_bundle(package, tmp_path / "unpacked", pair.private)
