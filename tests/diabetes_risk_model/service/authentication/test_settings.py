import pytest
import yaml
from rest_model_service.configuration import ServiceConfiguration

from diabetes_risk_model.service.configuration import read_configuration
from signed_parameters import ConfigurationError

GOOD = "users_file: users.json\n  signing_secrets:\n    - ${TOKEN_SECRET}"


@pytest.fixture
def read(tmp_path):
    def reader(text):
        path = tmp_path / "rest_config.yaml"
        path.write_text(f"models:\n  - {{class_path: a.B, create_endpoint: true}}\n{text}\n")
        return read_configuration(path)

    return reader


def test_what_is_left_away_has_a_value(read):
    settings = read(f"authentication:\n  {GOOD}").authentication
    assert settings is not None
    assert settings.signing_secrets == ("${TOKEN_SECRET}",)
    assert settings.token_seconds == 720


def test_without_the_key_there_is_no_authentication(read):
    assert read("").authentication is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("authentication:", "at authentication.*leave the key away"),
        ("authentication: {}", "authentication.users_file"),
        ("authentication: false", "at authentication"),
        ("authentication:\n  users_file: users.json", "authentication.signing_secrets"),
        ("authentication:\n  users_file: u\n  signing_secrets: []", "authentication.signing_secrets"),
        ("authentication:\n  users_file: u\n  signing_secrets: ${A}", "authentication.signing_secrets"),
        ("authentication:\n  users_file: u\n  signing_secrets:\n    - a secret in clear", "signing_secrets.0"),
        ("authentication:\n  users_file: u\n  signing_secrets:\n    - x${A}", "signing_secrets.0"),
        (f"authentication:\n  {GOOD}\n  enabled: false", "authentication.enabled"),
        (f"authentication:\n  {GOOD}\n  token_seconds: 0", "authentication.token_seconds"),
        (f"authentication:\n  {GOOD}\n  token_seconds: 86401", "authentication.token_seconds"),
        (f"authentication:\n  {GOOD}\n  audience: 'a\"b'", "authentication.audience"),
        (f"authentication:\n  {GOOD}\n  hashes_at_once: 100", "authentication.hashes_at_once"),
        (f"authentication:\n  {GOOD}\n  guessing: {{user_attempts: 0}}", "guessing.user_attempts"),
        (f"authentication:\n  {GOOD}\n  guessing: {{user_seconds: .inf}}", "guessing.user_seconds"),
    ],
)
def test_a_mistake_is_named_and_no_secret_shown(read, text, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        read(text)
    assert "in clear" not in str(refused.value)


def test_rest_model_service_passes_over_it():
    text = f"models:\n  - {{class_path: a.B, create_endpoint: true}}\nauthentication:\n  {GOOD}\n"
    assert ServiceConfiguration(**yaml.safe_load(text)).models[0].class_path == "a.B"
