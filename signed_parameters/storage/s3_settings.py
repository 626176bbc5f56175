"""How to reach an S3 server, and what the environment says of that.

The variables are those of the AWS tools, and those that KServe and Seldon Core hand to what downloads models:

    AWS_ENDPOINT_URL, or S3_ENDPOINT    URL, or HOST:PORT, which is https unless S3_USE_HTTPS or USE_SSL says no
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
    AWS_DEFAULT_REGION, or AWS_REGION
    awsAnonymousCredential              "true": neither the keys nor a role are used
    AWS_CA_BUNDLE                       file of certificate authorities to trust; or else
    CA_BUNDLE_VOLUME_MOUNT_POINT        folder that holds it as cabundle.crt
    S3_VERIFY_SSL                       "0": any certificate is taken. The signature still protects the package,
                                        but nothing protects the credentials

Without keys, a role may give some: see `s3_roles`.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Any

from minio import Minio

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import DEFAULT_LIMITS, Limits
from signed_parameters.storage.careful_pool import careful_pool
from signed_parameters.storage.s3_roles import RoleKeys, is_there_a_role

_DEFAULT_ENDPOINT = "https://s3.amazonaws.com"
_DEFAULT_REGION = "us-east-1"
_LARGEST_PORT = 65_535
_NO = frozenset({"0", "false", "no", "off"})
_YES = frozenset({"1", "true", "yes", "on"})
_ENDPOINT = re.compile(
    r"((?P<scheme>https?)://)?(?P<server>([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?)/*"
)


@dataclass(frozen=True)
class S3Settings:
    """How to reach an S3 server.

    Attributes:
        endpoint: its URL, `http://` or `https://`; a bare `host:port` is taken as https.
        access_key: None, together with the secret key, for anonymous access.
        secret_key: its secret.
        region: name of the region. It is never asked of the server.
        session_token: goes with temporary keys.
        check_certificate: whether the server's certificate is checked.
        role: whether a role gives the keys, the one that the environment names.
    """

    endpoint: str = _DEFAULT_ENDPOINT
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str = _DEFAULT_REGION
    session_token: str | None = field(default=None, repr=False)
    check_certificate: bool = True
    role: bool = False

    @classmethod
    def from_environment(cls) -> "S3Settings":
        """Read the environment variables.

        Raises:
            ConfigurationError: a variable that switches something is neither on nor off.
        """
        anonymous = _switch("awsAnonymousCredential", False)
        access_key, secret_key, session_token = (
            None if anonymous else os.environ.get(name) or None
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
        return cls(
            _endpoint(),
            access_key,
            secret_key,
            os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or _DEFAULT_REGION,
            session_token,
            _switch("S3_VERIFY_SSL", True),
            role=not anonymous and access_key is None and secret_key is None and is_there_a_role(),
        )

    def client(self, limits: Limits = DEFAULT_LIMITS, **options: Any) -> Minio:
        """Return a client with bounded waits; `options` are those of CarefulPool.

        Raises:
            ConfigurationError: the endpoint is no URL of a server, or one of the two keys is missing.
        """
        match = _ENDPOINT.fullmatch(self.endpoint)
        if match is None or int(match["port"] or 0) > _LARGEST_PORT:
            # What stands before an @ or behind a question mark may be a secret.
            found = "a name, a password or a query" if set("@?#") & set(self.endpoint) else repr(self.endpoint)
            raise ConfigurationError(
                "the S3 endpoint is not usable", expected="http://HOST:PORT or https://HOST", found=found
            )
        if bool(self.access_key) != bool(self.secret_key):
            raise ConfigurationError(
                "the S3 credentials are incomplete", expected="both an access key and a secret key, or neither"
            )
        scheme = match["scheme"] or "https"
        return Minio(
            match["server"],
            access_key=self.access_key,
            secret_key=self.secret_key,
            session_token=self.session_token,
            credentials=RoleKeys(self.region, limits) if self.role else None,
            secure=scheme == "https",
            region=self.region,
            http_client=careful_pool(
                f"{scheme}://{match['server']}", limits, check_certificate=self.check_certificate, **options
            ),
        )


def _endpoint() -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("S3_ENDPOINT") or _DEFAULT_ENDPOINT
    if "://" in endpoint:
        return endpoint
    secure = _switch("S3_USE_HTTPS", True) and _switch("USE_SSL", True)
    return f"{'https' if secure else 'http'}://{endpoint}"


def _switch(variable: str, default: bool) -> bool:
    text = os.environ.get(variable, "").strip().lower()
    if text in _YES | _NO:
        return text in _YES
    if text:
        raise ConfigurationError(
            f"the environment variable {variable} is not usable", expected="true or false", found=repr(text)
        )
    return default
