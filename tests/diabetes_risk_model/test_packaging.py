"""From the files that training wrote to a signed package."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from diabetes_risk_model import __version__
from diabetes_risk_model.packaging import check_parameters_version, package_parameters, trained_files

PICKLE = b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."
Artefacts = Callable[..., Path]


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    """`artefacts(manifest)` makes a folder such as training writes."""

    def make(manifest: bytes = b'{"parameters_version": "2026_11_21"}') -> Path:
        folder = tmp_path / "artefacts"
        (folder / "plots").mkdir(parents=True)
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "model.pkl").write_bytes(PICKLE)
        (folder / "plots" / "auc.png").write_bytes(b"an image")
        return folder

    return make


def test_what_training_wrote_is_found(artefacts: Artefacts) -> None:
    folder = artefacts()
    files, parameters_version = trained_files(folder)
    assert files == {name: folder / name for name in ("manifest.json", "model.pkl", "plots/auc.png")}
    assert parameters_version == "2026_11_21"


@pytest.mark.parametrize("manifest", [b"", b"{", b"{}", b"[]", b"1", b"null", b'"text"', b"\xff", b"[" * 100_000])
def test_a_folder_without_a_manifest_is_refused(artefacts: Artefacts, manifest: bytes) -> None:
    with pytest.raises(sp.ConfigurationError, match="does not hold a trained model"):
        trained_files(artefacts(manifest))


@pytest.mark.parametrize("path", ["missing", "file", "artefacts/manifest.json"])
def test_what_is_no_folder_is_refused(artefacts: Artefacts, tmp_path: Path, path: str) -> None:
    artefacts()
    (tmp_path / "file").touch()
    with pytest.raises(sp.ConfigurationError, match="does not hold a trained model"):
        trained_files(tmp_path / path)


@pytest.mark.parametrize("version", ["", ".", "../x", "a/b", "a b", "a\nb", "-x", "é", "x" * 129, None, 20261121, True])
def test_a_parameters_version_that_is_not_usable(artefacts: Artefacts, tmp_path: Path, version: object) -> None:
    with pytest.raises(sp.ConfigurationError, match="the parameters version is not usable"):
        check_parameters_version(version)
    with pytest.raises(sp.ConfigurationError, match="the parameters version is not usable"):
        trained_files(artefacts(json.dumps({"parameters_version": version}).encode()))


def test_a_package_is_written_and_signed_under_the_model_s_name(artefacts: Artefacts, tmp_path: Path) -> None:
    files, parameters_version = trained_files(artefacts())
    key = sp.SigningKey.generate()
    package = package_parameters(
        files,
        tmp_path / "new" / "packages",
        key=key,
        parameters_version=parameters_version,
        serial=3,
        expires_in=timedelta(days=2),
    )
    assert package.name == f"diabetes_risk_model-{__version__}-2026_11_21.zip"
    with sp.verify_package(package, sp.TrustPolicy("diabetes_risk_model", [key.verification_key])) as verified:
        statement = verified.statement
        assert verified.names == tuple(sorted(files))
        assert verified.read("plots/auc.png") == b"an image"
    assert (statement.version, statement.parameters_version, statement.serial) == (__version__, "2026_11_21", 3)
    assert statement.package_name == package.name
    assert statement.expires is not None
    assert statement.expires - statement.created == timedelta(days=2)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"parameters_version": "../../x"}, sp.ConfigurationError),
        ({"files": {}}, sp.ConfigurationError),
        ({"files": {"a": Path("/nowhere/a")}}, sp.ConfigurationError),
        ({"serial": -1}, sp.ConfigurationError),
        ({"expires_in": timedelta(0)}, sp.ConfigurationError),
        ({"folder": "file/below"}, sp.ConfigurationError),
        ({"folder": "file"}, sp.ConfigurationError),
    ],
    ids=str,
)
def test_nothing_is_signed_that_is_not_usable(
    artefacts: Artefacts, tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    files, _ = trained_files(artefacts())
    what = {"files": files, "folder": "out", "parameters_version": "1", "serial": 1, **changes}
    with pytest.raises(error):
        package_parameters(what.pop("files"), tmp_path / what.pop("folder"), key=sp.SigningKey.generate(), **what)
    assert list(tmp_path.rglob("*.dsse.json")) == []


def test_a_pickle_that_runs_commands_is_not_signed(artefacts: Artefacts, tmp_path: Path) -> None:
    folder = artefacts()
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    files, version = trained_files(folder)
    with pytest.raises(sp.UnsafePickle, match="os:system"):
        package_parameters(files, tmp_path / "out", key=sp.SigningKey.generate(), parameters_version=version, serial=1)
    assert list(tmp_path.rglob("*.dsse.json")) == []
