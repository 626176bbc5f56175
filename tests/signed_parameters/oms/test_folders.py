"""Folders that are signed with OpenSSF model signing, by us and by its own command; and attacks on them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from model_signing import hashing, signing

import signed_parameters as sp
from signed_parameters import oms

Refused = Callable[..., Any]
FILES = ("model.onnx", "plots/auc.png")


# What works


def test_a_folder_that_we_sign_verifies_with_us_and_with_the_library_s_command(
    folder: Path, pair: Any, signature: Path, model_signing: Any
) -> None:
    assert oms.verify_folder(folder, pair.public, signature) == FILES
    done = model_signing("verify", "key", folder, "--signature", signature, "--public_key", pair.public)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr


@pytest.mark.parametrize("place", ["model.sig", "model/model.sig"])
def test_a_folder_that_the_library_s_command_signs_verifies_with_us(
    folder: Path, pair: Any, model_signing: Any, tmp_path: Path, place: str
) -> None:
    done = model_signing("sign", "key", folder, "--signature", place, "--private_key", pair.private)
    assert done.returncode == 0, done.stderr
    assert oms.verify_folder(folder, pair.public, tmp_path / place) == FILES


def test_the_bundle_may_be_put_into_the_folder_and_the_command_still_verifies_it(
    folder: Path, pair: Any, signature: Path, model_signing: Any
) -> None:
    inside = signature.rename(folder / "model.sig")
    assert oms.verify_folder(folder, pair.public, inside) == FILES
    done = model_signing("verify", "key", folder, "--signature", inside, "--public_key", pair.public)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_every_curve_of_the_library_works(folder: Path, make_pair: Any, tmp_path: Path, curve: Any) -> None:
    pair = make_pair("curve", ec.generate_private_key(curve))
    assert oms.verify_folder(folder, pair.public, oms.sign_folder(folder, pair.private, tmp_path / "s")) == FILES


def test_an_encrypted_key(folder: Path, make_pair: Any, tmp_path: Path, refused: Refused) -> None:
    passphrase = os.urandom(8).hex()
    pair = make_pair("locked", password=passphrase.encode())
    for wrong, says in ((None, "no passphrase"), ("", "no passphrase"), ("wrong", "the passphrase that it is")):
        with refused(sp.ConfigurationError, match=says):
            oms.sign_folder(folder, pair.private, tmp_path / "s", passphrase=wrong)
    assert not (tmp_path / "s").exists()
    signed = oms.sign_folder(folder, pair.private, tmp_path / "s", passphrase=lambda: passphrase)
    assert oms.verify_folder(folder, pair.public, signed) == FILES


def test_a_passphrase_is_not_asked_for_where_a_key_has_none(folder: Path, pair: Any, tmp_path: Path) -> None:
    oms.sign_folder(folder, pair.private, tmp_path / "s", passphrase=lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    "how",
    [
        {"hashing_algorithm": "blake3"},
        {"hashing_algorithm": "blake2"},
        {"hashing_algorithm": "sha256", "shard_size": 3},
    ],
    ids=str,
)
def test_every_way_of_hashing_of_the_library_verifies(
    folder: Path, pair: Any, tmp_path: Path, how: dict[str, Any], refused: Refused
) -> None:
    config = hashing.Config()
    config = config.use_shard_serialization(**how) if "shard_size" in how else config.use_file_serialization(**how)
    signer = signing.Config().use_elliptic_key_signer(private_key=pair.private)
    signer.set_hashing_config(config).sign(folder, tmp_path / "s")
    assert oms.verify_folder(folder, pair.public, tmp_path / "s") == FILES
    (folder / "model.onnx").write_bytes(b"a grapx")
    with refused(sp.DigestMismatch):
        oms.verify_folder(folder, pair.public, tmp_path / "s")


# Changed folders


def _write(name: str, data: bytes = b"x") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_write("model.onnx", b"a grapx"), id="changed"),
        pytest.param(_write("other.onnx"), id="added"),
        pytest.param(lambda folder: (folder / "model.onnx").unlink(), id="removed"),
        pytest.param(lambda folder: (folder / "model.onnx").rename(folder / "n"), id="renamed"),
        pytest.param(_write(".git/hooks/post-checkout"), id="planted below .git"),
        pytest.param(_write(".gitattributes"), id="planted as .gitattributes"),
        pytest.param(_write(".github/a/b"), id="planted below .github"),
        pytest.param(_write("plots/.hidden"), id="hidden"),
    ],
)
def test_a_folder_that_was_changed_is_refused(
    folder: Path, pair: Any, signature: Path, refused: Refused, change: Callable[[Path], object]
) -> None:
    change(folder)
    with refused(sp.DigestMismatch):
        oms.verify_folder(folder, pair.public, signature)


def test_a_file_that_the_signed_bundle_says_to_ignore_is_refused_unless_the_caller_says_so_too(
    folder: Path, pair: Any, tmp_path: Path, model_signing: Any, refused: Refused
) -> None:
    (folder / "ignored").mkdir()
    (folder / "ignored" / "sitecustomize.py").write_text("")
    arguments = ("--signature", tmp_path / "s", "--ignore-paths", folder / "ignored")
    assert model_signing("sign", "key", folder, *arguments, "--private_key", pair.private).returncode == 0
    with refused(sp.DigestMismatch, match="does not cover.*ignored/sitecustomize.py"):
        oms.verify_folder(folder, pair.public, tmp_path / "s")
    assert oms.verify_folder(folder, pair.public, tmp_path / "s", unsigned=["ignored"]) == FILES


def test_what_stays_unsigned_is_said_by_who_signs_too(
    folder: Path, pair: Any, tmp_path: Path, model_signing: Any, refused: Refused
) -> None:
    (folder / ".gitattributes").write_text("*.onnx filter=lfs")
    (folder / "notes.txt").write_text("draft")
    with refused(sp.ConfigurationError, match=r"\.gitattributes in .* would not be signed"):
        oms.sign_folder(folder, pair.private, tmp_path / "s")
    unsigned = [".gitattributes", "notes.txt"]
    oms.sign_folder(folder, pair.private, tmp_path / "s", unsigned=unsigned)
    done = model_signing("verify", "key", folder, "--signature", "s", "--public_key", pair.public)
    assert done.returncode == 0, done.stderr
    assert oms.verify_folder(folder, pair.public, tmp_path / "s", unsigned=unsigned) == FILES
    with refused(sp.DigestMismatch, match=r"\.gitattributes"):
        oms.verify_folder(folder, pair.public, tmp_path / "s", unsigned=["notes.txt"])


@pytest.mark.parametrize("name", ["..", "../model", "/etc", "", ".", "a/../.."])
def test_what_stays_unsigned_is_in_the_folder(folder: Path, pair: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="stays unsigned"):
        oms.sign_folder(folder, pair.private, tmp_path / "s", unsigned=[name])


def test_links_and_pipes_are_refused(folder: Path, pair: Any, signature: Path, refused: Refused) -> None:
    for make in (os.mkfifo, lambda path: os.symlink("model.onnx", path), lambda path: os.symlink("/", path)):
        make(folder / "odd")
        with refused(sp.MalformedPackage, match="odd"):
            oms.verify_folder(folder, pair.public, signature)
        with refused(sp.ConfigurationError, match="odd"):
            oms.sign_folder(folder, pair.private, signature)
        (folder / "odd").unlink()
    assert oms.verify_folder(folder, pair.public, signature) == FILES


def test_a_folder_below_that_cannot_be_read_is_not_passed_over(
    folder: Path, pair: Any, signature: Path, permissions_count: None
) -> None:
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "planted").write_text("")
    hidden.chmod(0)
    try:
        with pytest.raises(sp.ConfigurationError, match="Permission denied"):
            oms.verify_folder(folder, pair.public, signature)
    finally:
        hidden.chmod(0o700)


# Keys, folders and libraries that are not usable


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["Ed25519", "RSA", "secp256k1"],
)
def test_a_key_of_another_kind_is_refused(
    folder: Path, make_pair: Any, signature: Path, refused: Refused, key: Any
) -> None:
    pair = make_pair("other", key)
    for use, file in ((oms.sign_folder, pair.private), (oms.verify_folder, pair.public)):
        with refused(sp.ConfigurationError, match="an elliptic-curve key"):
            use(folder, file, signature)


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(
    folder: Path, signature: Path, tmp_path: Path, refused: Refused, content: bytes
) -> None:
    file = tmp_path / "key.pem"
    file.touch(0o600)
    file.write_bytes(content)
    for use in (oms.sign_folder, oms.verify_folder):
        with refused(sp.ConfigurationError, match="not usable"):
            use(folder, file, signature)


def test_the_halves_of_a_key_are_not_mixed_up(folder: Path, pair: Any, signature: Path, refused: Refused) -> None:
    pair.public.chmod(0o600)
    with refused(sp.ConfigurationError, match="private key"):
        oms.sign_folder(folder, pair.public, signature)
    with refused(sp.ConfigurationError, match="public key"):
        oms.verify_folder(folder, pair.private, signature)


def test_a_private_key_that_others_may_read_is_refused(folder: Path, pair: Any, signature: Path) -> None:
    pair.private.chmod(0o644)
    with pytest.raises(sp.ConfigurationError, match=r"open to others.*chmod 600"):
        oms.sign_folder(folder, pair.private, signature)


def test_what_is_not_there_is_named(folder: Path, pair: Any, signature: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for use, arguments, error in (
        (oms.sign_folder, (absent, pair.private, signature), sp.ConfigurationError),
        (oms.sign_folder, (folder, absent, signature), sp.ConfigurationError),
        (oms.sign_folder, (folder, pair.private, absent / "s"), sp.ConfigurationError),
        (oms.sign_folder, (folder / "model.onnx", pair.private, signature), sp.ConfigurationError),
        (oms.verify_folder, (absent, pair.public, signature), sp.ConfigurationError),
        (oms.verify_folder, (folder, absent, signature), sp.ConfigurationError),
        (oms.verify_folder, (folder, pair.public, absent), sp.NotFound),
        (oms.verify_folder, (f"{folder}\0", pair.public, signature), sp.ConfigurationError),
        (oms.verify_folder, (folder, f"{absent}\0", signature), sp.ConfigurationError),
        (oms.verify_folder, (folder, pair.public, f"{absent}\0"), sp.ConfigurationError),
    ):
        with pytest.raises(error, match=r"absent|model\.onnx|null"):
            use(*arguments)  # type: ignore[operator]


def test_an_empty_folder_is_not_signed(pair: Any, tmp_path: Path) -> None:
    (tmp_path / "empty" / "below").mkdir(parents=True)
    with pytest.raises(sp.ConfigurationError, match="a folder with files"):
        oms.sign_folder(tmp_path / "empty", pair.private, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("missing", ["model_signing", "OpenSSL"])
def test_without_the_extra_the_error_says_how_to_get_it(folder: Path, pair: Any, missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from signed_parameters import ConfigurationError, oms
try:
    oms.sign_folder({str(folder)!r}, {str(pair.private)!r}, "s")
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'signed-parameters[oms]'" in done.stdout, done.stderr


def test_importing_these_functions_does_not_import_the_library() -> None:
    code = "import sys, signed_parameters.oms; print([m for m in sys.modules if m in ('model_signing', 'sigstore')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
