from pathlib import Path

import pytest

import signed_parameters as sp
from signed_parameters.keys.references import KeyReference


def test_a_reference_finds_its_secret(hmac_key: sp.SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_SECRET", str(hmac_key.verification_key))
    path = tmp_path / "secret.txt"
    path.write_text(str(hmac_key.verification_key))
    path.chmod(0o600)
    for source in ("env:HMAC_SECRET", "file:secret.txt", f"file:{path}"):
        found = KeyReference(source, hmac_key.key_id).looked_up(tmp_path)
        assert found.signature_holds(b"message", hmac_key.sign(b"message"))
        assert not found.signature_holds(b"massage", hmac_key.sign(b"message"))
        assert str(hmac_key.verification_key).removeprefix("hmac-sha512:") not in f"{found!r} {found}"


def test_a_secret_that_was_not_looked_up_verifies_nothing(hmac_key: sp.SigningKey) -> None:
    with pytest.raises(sp.ConfigurationError, match="was not looked up: expected it in env:HMAC_SECRET"):
        KeyReference("env:HMAC_SECRET", hmac_key.key_id).signature_holds(b"message", hmac_key.sign(b"message"))


@pytest.mark.parametrize("algorithm", ["hmac-sha512", "ed25519"])
def test_another_key_in_its_place_is_refused(
    hmac_key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    other = sp.SigningKey.generate(algorithm)
    monkeypatch.setenv("HMAC_SECRET", str(other.verification_key))
    with pytest.raises(sp.ConfigurationError, match=f"holds another key: .*{hmac_key.key_id}, found .*{other.key_id}"):
        KeyReference("env:HMAC_SECRET", hmac_key.key_id).looked_up()


def test_a_public_key_under_its_own_id_is_no_secret(key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_SECRET", str(key.verification_key))
    with pytest.raises(sp.ConfigurationError, match="holds another key"):
        KeyReference("env:HMAC_SECRET", key.key_id).looked_up()


@pytest.mark.parametrize("source", ["", "env:", "file:", "HMAC_SECRET", "hmac-sha512:" + "A" * 43, "https://host/key"])
def test_what_names_no_place_is_refused_and_not_shown(source: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="expected env:NAME or file:PATH, and never the secret") as caught:
        KeyReference(source, "0" * 32)
    assert "AAAA" not in str(caught.value)


@pytest.mark.parametrize("key_id", ["", "0" * 31, "G" * 32, "A" * 32, "0" * 33])
def test_a_key_id_of_another_form_is_refused(key_id: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="32 hexadecimal digits"):
        KeyReference("env:HMAC_SECRET", key_id)
