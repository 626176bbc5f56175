"""JSON Web Tokens: issued to who gave the right password, and verified before anything in them is believed."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.utils import base64url_decode

from diabetes_risk_model.prediction.settings import fill_in
from diabetes_risk_model.service.authentication.settings import AuthenticationSettings
from signed_parameters import ConfigurationError

ALGORITHM = "HS256"
CREDENTIAL = "credential"
MAXIMUM_BYTES = 2_048
_LONGEST_HEADER = 256  # nested as deeply as that allows, it is still read
_MINIMUM_SECRET_BYTES = 32  # RFC 7518: no shorter than what the hash gives
_FEWEST_DIFFERENT_BYTES = 8
_MAKE = "Make one with `openssl rand -base64 48`."


class BadToken(Exception):
    """A token does not count. Why, nobody is told."""


@dataclass(frozen=True)
class Claims:
    """What a verified token says.

    Attributes:
        user: name of the user.
        credential: stands for the password that the token was given for.
        expires: when it ends, in seconds since 1970.
    """

    user: str
    credential: str
    expires: float


class Tokens:
    """Issues tokens with the first of the signing secrets, and verifies those of all of them."""

    def __init__(self, settings: AuthenticationSettings) -> None:
        """Read the secrets from the environment.

        Raises:
            ConfigurationError: one is missing, too short, easy to guess, no HMAC secret, or there twice.
        """
        self.seconds = settings.token_seconds
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._secrets: dict[str, bytes] = {}
        for reference in settings.signing_secrets:
            secret = _secret(reference)
            key_id = key_id_of(secret)
            if key_id in self._secrets:
                raise ConfigurationError(f"the signing secret {reference} is in the list twice", expected="it once")
            self._secrets[key_id] = secret
        self._key_id = next(iter(self._secrets))

    def issue(self, user: str, credential: str) -> str:
        """Return a new token for a user."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user,
            "iat": now,
            "exp": now + self.seconds,
            CREDENTIAL: credential,
        }
        return jwt.encode(claims, self._secrets[self._key_id], ALGORITHM, headers={"kid": self._key_id})

    def verify(self, token: bytes) -> Claims:
        """Return what a token says.

        The header is only compared, so it chooses one of our secrets and nothing else.

        Raises:
            BadToken: it is not one of ours, or not in its time.
        """
        if len(token) > MAXIMUM_BYTES:
            raise BadToken
        secret = self._secret_for(token)
        try:
            claims = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # `iat` is for readers only: with it checked, clocks that differ by a second would refuse new tokens.
                options={
                    "require": ["exp", "sub", "iss", "aud", CREDENTIAL],
                    "strict_aud": True,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise BadToken from None
        if not isinstance(claims[CREDENTIAL], str):
            raise BadToken
        return Claims(claims["sub"], claims[CREDENTIAL], float(int(claims["exp"])))

    def _secret_for(self, token: bytes) -> bytes:
        header = _header(token.partition(b".")[0])
        secret = self._secrets.get(str(header.get("kid")))
        if secret is None or header != {"alg": ALGORITHM, "kid": header["kid"], "typ": "JWT"}:
            raise BadToken
        return secret


def key_id_of(secret: bytes) -> str:
    """Return the id of a secret, by which the header of a token names it."""
    return hmac.digest(secret, b"diabetes-risk-model: id of a signing secret", hashlib.sha256).hex()[:16]


def _header(segment: bytes) -> dict[str, Any]:
    if len(segment) > _LONGEST_HEADER:
        raise BadToken
    try:
        header = json.loads(base64url_decode(segment))
    except ValueError:
        raise BadToken from None
    if not isinstance(header, dict):
        raise BadToken
    return header


def _secret(reference: str) -> bytes:
    secret = str(fill_in("authentication.signing_secrets", reference)).encode("utf-8", "surrogateescape")
    what = f"the signing secret {reference}"
    if len(secret) < _MINIMUM_SECRET_BYTES:
        raise ConfigurationError(
            f"{what} is too short",
            expected=f"at least {_MINIMUM_SECRET_BYTES} bytes",
            found=f"{len(secret)}",
            remedy=_MAKE,
        )
    if len(set(secret)) < _FEWEST_DIFFERENT_BYTES:
        raise ConfigurationError(f"{what} is easy to guess", expected="random characters", remedy=_MAKE)
    try:
        jwt.get_algorithm_by_name(ALGORITHM).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ConfigurationError(
            f"{what} is not usable",
            expected="a secret",
            found="a public key or certificate",
            remedy=_MAKE,
        ) from None
    return secret
