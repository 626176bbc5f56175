"""The variables that compose.yaml reads."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from diabetes_risk_model.cli import main
from diabetes_risk_model.compose_environment import compose_environment, write_environment
from signed_parameters import ConfigurationError, SigningKey, UnknownKey

SECRETS = {"MINIO_ROOT_PASSWORD", "READER_SECRET_KEY", "PUBLISHER_SECRET_KEY"}


def _read(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value.strip("'") for name, _, value in lines}


def test_for_minio_every_credential_is_new(bucket: Any) -> None:
    first, second = (compose_environment(bucket.package, [bucket.key.verification_key]) for _ in range(2))
    assert first["MODEL_PARAMETERS_VERSION"] == "2026_11_21"
    assert first["PARAMETERS_VERIFICATION_KEYS"] == str(bucket.key.verification_key)
    assert first["PACKAGES_FOLDER"] == str(bucket.folder)
    assert first["COMPOSE_PROFILES"] == "minio"
    changed = {name for name in first if first[name] != second[name]}
    assert changed >= SECRETS
    assert len({first[name] for name in changed}) == len(changed)


def test_for_another_server_its_credentials_are_taken(bucket: Any) -> None:
    variables = compose_environment(
        bucket.package, [bucket.key.verification_key], s3_url="https://s3.test", access_key="a", secret_key="b"
    )
    assert (variables["COMPOSE_PROFILES"], variables["MINIO_URL"]) == ("", "https://s3.test")
    assert (variables["READER_ACCESS_KEY"], variables["PUBLISHER_SECRET_KEY"]) == ("a", "b")
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
        compose_environment(bucket.package, [bucket.key.verification_key], s3_url="https://s3.test")


def test_a_package_that_the_service_would_refuse_is_refused_here(bucket: Any) -> None:
    with pytest.raises(UnknownKey):
        compose_environment(bucket.package, [SigningKey.generate().verification_key])


def test_a_package_of_another_name_is_refused(bucket: Any) -> None:
    renamed = bucket.package.with_name("other.zip")
    bucket.package.rename(renamed)
    bucket.package.with_name(f"{bucket.package.name}.dsse.json").rename(f"{renamed}.dsse.json")
    with pytest.raises(ConfigurationError, match=r"will not find other\.zip"):
        compose_environment(renamed, [bucket.key.verification_key])


def test_a_key_that_can_sign_is_refused(bucket: Any) -> None:
    secret = SigningKey.generate("hmac-sha512")
    with pytest.raises(ConfigurationError, match="can sign"):
        compose_environment(bucket.package, [secret.verification_key])


def test_the_file_is_its_owners_alone_and_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_environment({"A": "1"}, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="--overwrite"):
        write_environment({"A": "2"}, path)
    assert _read(path) == {"A": "1"}
    write_environment({"A": "2"}, path, overwrite=True)
    assert _read(path) == {"A": "2"}


@pytest.mark.parametrize("value", ["a'b", "a\nB=c", "a$b", "a\\b"])
def test_a_value_that_would_be_read_as_something_else_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand"):
        write_environment({"A": value}, tmp_path / ".env")
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_no_secret(bucket: Any, tmp_path: Path) -> None:
    out = tmp_path / ".env"
    arguments = ["compose-env", str(bucket.package), "--key", str(bucket.key.verification_key), "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert not [name for name in SECRETS if _read(out)[name] in result.output]
