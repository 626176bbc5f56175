import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

import signed_parameters as sp
from signed_parameters.keys.algorithms import Algorithm

ALGORITHMS = list(Algorithm)


@pytest.fixture(params=ALGORITHMS)
def any_key(request: pytest.FixtureRequest) -> sp.SigningKey:
    return sp.SigningKey.generate(request.param)


def _secret_text(key: sp.SigningKey) -> str:
    return json.loads(_saved_text(key))["private_key"]


def _saved_text(key: sp.SigningKey) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.json"
        key.save(path)
        return path.read_text()


def test_ed25519_is_the_default() -> None:
    assert sp.SigningKey.generate().algorithm == "ed25519"


def test_every_key_is_new() -> None:
    assert sp.SigningKey.generate().private_key != sp.SigningKey.generate().private_key


def test_a_saved_key_is_read_again(any_key: sp.SigningKey, tmp_path: Path) -> None:
    any_key.save(tmp_path / "key.json")
    assert sp.SigningKey.load(tmp_path / "key.json") == any_key


def test_a_key_is_read_from_the_environment(any_key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", _saved_text(any_key))
    assert sp.SigningKey.load("env:MY_KEY") == any_key


def test_a_saved_key_is_for_its_owner_only(key: sp.SigningKey, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key.save(tmp_path / "key.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(key: sp.SigningKey, tmp_path: Path) -> None:
    key.save(tmp_path / "key.json")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        sp.SigningKey.generate().save(tmp_path / "key.json")
    assert sp.SigningKey.load(tmp_path / "key.json") == key


def test_a_key_is_not_written_through_a_symlink(key: sp.SigningKey, tmp_path: Path) -> None:
    (tmp_path / "key.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        key.save(tmp_path / "key.json")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["no folder/key.json", "a\0b", "x" * 5000])
def test_a_key_that_cannot_be_written(key: sp.SigningKey, tmp_path: Path, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be written"):
        key.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o601, 0o666, 0o640, 0o460, 0o444])
def test_a_key_file_that_is_open_to_others_is_refused(key: sp.SigningKey, tmp_path: Path, mode: int) -> None:
    key.save(tmp_path / "key.json")
    (tmp_path / "key.json").chmod(mode)
    with pytest.raises(sp.ConfigurationError, match=f"expected mode 0600, found {mode:04o}"):
        sp.SigningKey.load(tmp_path / "key.json")


def test_a_key_file_that_a_pod_mounts_for_its_group_is_read(key: sp.SigningKey, tmp_path: Path) -> None:
    key.save(tmp_path / "key.json")
    (tmp_path / "key.json").chmod(0o440)
    assert sp.SigningKey.load(tmp_path / "key.json") == key


def test_a_key_file_of_another_user_is_read_by_its_group(key: sp.SigningKey, tmp_path: Path) -> None:
    """As a pod gets a secret: the kubelet owns the file, the pod's group may read it, and its place is a link."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    key.save(tmp_path / "..data")
    os.chown(tmp_path / "..data", 12345, -1)
    (tmp_path / "..data").chmod(0o640)
    (tmp_path / "key.json").symlink_to("..data")
    assert sp.SigningKey.load(tmp_path / "key.json") == key
    (tmp_path / "..data").chmod(0o644)
    with pytest.raises(sp.ConfigurationError, match=r"expected mode 0600, found 0644.*defaultMode: 0400"):
        sp.SigningKey.load(tmp_path / "key.json")


def test_a_key_is_read_from_a_pipe(key: sp.SigningKey) -> None:
    """As a shell makes one for `--key <(command)`."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write(_saved_text(key))
        pipe.close()
        assert sp.SigningKey.load(f"/dev/fd/{reading}") == key


def test_a_source_can_say_that_it_is_a_file(key: sp.SigningKey, tmp_path: Path) -> None:
    key.save(tmp_path / "key.json")
    assert sp.SigningKey.load(f"file:{tmp_path}/key.json") == key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "rsa"}, 'expected "ed25519" or "hmac-sha512"'),
        ({"algorithm": "hmac-sha512"}, "is damaged: expected key id"),
        ({"private_key": "AAAA"}, "wrong length: expected 32 bytes, found 3 bytes"),
        ({"private_key": "A" * 43}, "is damaged"),
        ({"private_key": "?"}, "base64url"),
        ({"private_key": "é"}, "base64url"),
        ({"private_key": ""}, "base64url"),
        ({"private_key": 7}, "expected a JSON object"),
        ({"key_id": "0" * 32}, "is damaged"),
        ({"comment": "mine"}, "expected a JSON object of algorithm, key_id, private_key"),
    ],
)
def test_a_changed_key_file_is_refused(
    key: sp.SigningKey, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "key.json"
    key.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(sp.ConfigurationError, match=message) as caught:
        sp.SigningKey.load(path)
    assert _secret_text(key) not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b"[" * 16_000, b"\xff\xfe", b"{}", b'{"algorithm": 1}'])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(sp.ConfigurationError, match="keygen"):
        sp.SigningKey.load(path)


def test_a_huge_key_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o600)
    with pytest.raises(sp.ConfigurationError, match="not usable"):
        sp.SigningKey.load(path)


@pytest.mark.parametrize("name", ["missing.json", "no folder/key.json", ".", "a\0b"])
def test_a_key_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be read"):
        sp.SigningKey.load(f"{tmp_path}/{name}")


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    else:
        monkeypatch.setenv("NO_SUCH_KEY", value)
    with pytest.raises(sp.ConfigurationError, match="Set NO_SUCH_KEY"):
        sp.SigningKey.load("env:NO_SUCH_KEY")


def test_a_source_that_names_no_variable_is_refused() -> None:
    with pytest.raises(sp.ConfigurationError, match=r"names no variable: expected env:NAME, as in env:SIGNING_KEY$"):
        sp.SigningKey.load("env:")


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(sp.ConfigurationError, match='expected "ed25519" or "hmac-sha512"'):
        sp.SigningKey.generate("md5")


@pytest.mark.parametrize(
    ("algorithm", "length"),
    [(Algorithm.ED25519, 0), (Algorithm.ED25519, 31), (Algorithm.ED25519, 33), (Algorithm.HMAC_SHA512, 31)],
)
@pytest.mark.parametrize("kind", [sp.SigningKey, sp.VerificationKey])
def test_a_key_of_the_wrong_length_is_refused(kind: type, algorithm: Algorithm, length: int) -> None:
    with pytest.raises(sp.ConfigurationError, match=f"wrong length: expected .*32 bytes, found {length} bytes"):
        kind(algorithm, bytes(length))


def test_verification_keys_survive_their_text_form(any_key: sp.SigningKey) -> None:
    verification_key = any_key.verification_key
    assert sp.VerificationKey.parse(f" {verification_key}\n") == verification_key
    assert verification_key.key_id == any_key.key_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519",
        "ed25519:",
        "ed25519:AAAA",
        "rsa:AAAA",
        "ED25519:" + "A" * 43,
        "ed25519:" + "A" * 42 + "B",
        "ed25519:" + "A" * 43 + "=",
        "ed25519:" + "+" * 43,
        "ed25519:" + "é" * 43,
        "ed25519:A" + "\n" + "A" * 42,
    ],
)
def test_text_that_is_no_verification_key_is_refused(text: str) -> None:
    with pytest.raises(sp.ConfigurationError):
        sp.VerificationKey.parse(text)


def test_one_key_has_one_text_form(key: sp.SigningKey) -> None:
    """The last digit of the base64 has bits to spare: they must be 0, or a revoked key would have other spellings."""
    text = str(sp.VerificationKey(Algorithm.HMAC_SHA512, key.private_key))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for digit in alphabet:
        try:
            accepted.append(str(sp.VerificationKey.parse(text[:-1] + digit)))
        except sp.ConfigurationError:
            continue
    assert len(accepted) == len(set(accepted)) == 16


def test_only_the_owner_of_the_private_key_signs(any_key: sp.SigningKey) -> None:
    signature = any_key.sign(b"message")
    assert len(signature) == 64
    assert any_key.verification_key.signature_holds(b"message", signature)
    assert not any_key.verification_key.signature_holds(b"massage", signature)
    other = sp.SigningKey.generate(any_key.algorithm)
    assert not other.verification_key.signature_holds(b"message", signature)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 1000])
def test_a_signature_of_another_length_does_not_hold(any_key: sp.SigningKey, length: int) -> None:
    signature = (any_key.sign(b"message") * 16)[:length]
    assert not any_key.verification_key.signature_holds(b"message", signature)


def test_the_algorithm_is_part_of_a_key_id() -> None:
    material = bytes(range(32))
    ids = {sp.VerificationKey(algorithm, material).key_id for algorithm in Algorithm}
    assert len(ids) == 2


def test_secrets_are_not_shown(any_key: sp.SigningKey) -> None:
    policy = sp.TrustPolicy(name="m", keys=[any_key.verification_key])
    shown = f"{any_key!r} {any_key} {any_key.verification_key!r} {policy!r} {[any_key.verification_key]}"
    assert _secret_text(any_key) not in shown
    assert any_key.private_key.hex() not in shown
    assert repr(any_key.private_key) not in shown
    assert any_key.key_id in shown
