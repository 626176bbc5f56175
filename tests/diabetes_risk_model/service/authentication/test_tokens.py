import secrets

import jwt
import pytest

from diabetes_risk_model.service.authentication.settings import AuthenticationSettings
from diabetes_risk_model.service.authentication.tokens import MAXIMUM_BYTES, Tokens
from signed_parameters import ConfigurationError

PEM = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"
)


@pytest.fixture
def tokens_of(monkeypatch):
    """`tokens_of(secret, ...)` puts secrets into the environment, and reads them from there."""

    def make(*values, **settings):
        names = [f"SECRET_{number}" for number in range(len(values))]
        for name, value in zip(names, values, strict=True):
            monkeypatch.setenv(name, value)
        references = tuple(f"${{{name}}}" for name in names)
        return Tokens(AuthenticationSettings(users_file="users.json", signing_secrets=references, **settings))

    return make


def test_a_token_says_who_and_for_how_long(tokens_of):
    tokens = tokens_of(secrets.token_hex(32), token_seconds=60)
    token = tokens.issue("ana", "c" * 32)
    claims = tokens.verify(token.encode())
    assert (claims.user, claims.credential) == ("ana", "c" * 32)
    said = jwt.decode(token, options={"verify_signature": False})
    assert said["exp"] - said["iat"] == 60 == tokens.seconds
    assert claims.expires == said["exp"]


def test_the_first_secret_signs_and_the_header_names_it(tokens_of):
    first, second = secrets.token_hex(32), secrets.token_hex(32)
    header = jwt.get_unverified_header(tokens_of(first, second).issue("ana", "c"))
    assert header == jwt.get_unverified_header(tokens_of(first).issue("ana", "c"))
    assert header["kid"] != jwt.get_unverified_header(tokens_of(second).issue("ana", "c"))["kid"]
    assert (header["alg"], first[:8] in header["kid"]) == ("HS256", False)


def test_the_longest_name_fits_into_a_token(tokens_of):
    tokens = tokens_of(secrets.token_hex(32), issuer="i" * 200, audience="a" * 200)
    token = tokens.issue("x" * 64, "c" * 32).encode()
    assert len(token) < MAXIMUM_BYTES
    assert tokens.verify(token).user == "x" * 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["short"], r"\$\{SECRET_0\} is too short: expected at least 32 bytes, found 5"),
        (["x1" * 15 + "x"], "too short.*found 31"),
        (["long and good enough, is it not? 7", "short"], r"\$\{SECRET_1\} is too short"),
        (["abab" * 10], "easy to guess"),
        ([PEM], "public key"),
        (["long and good enough, is it not? 7"] * 2, r"\$\{SECRET_1\} is in the list twice"),
    ],
)
def test_a_secret_that_is_none_is_refused_at_the_start_and_not_shown(tokens_of, values, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        tokens_of(*values)
    assert not any(value in str(refused.value) for value in values if value != "short")


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("NOBODY_SET_THIS", raising=False)
    with pytest.raises(ConfigurationError, match="NOBODY_SET_THIS is missing"):
        Tokens(AuthenticationSettings(users_file="u", signing_secrets=("${NOBODY_SET_THIS}",)))
