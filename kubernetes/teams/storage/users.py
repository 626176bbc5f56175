"""Makes the buckets of the teams in MinIO, and a user for each program that works with them: `python3 users.py FOLDER`.

Below FOLDER are the credentials that these users get, a file each, as NAMESPACE/SECRET/KEY. AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of MinIO's owner. It can run again, and ends as signed-parameters does.
With new credentials it removes the users who had the earlier ones: those with the same policy, and with no other.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException

from signed_parameters import AccessDenied, ConfigurationError, SignedParametersError, Unavailable
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage.s3 import S3Settings

_READ = ("s3:GetObject",)
_WRITE = (*_READ, "s3:PutObject", "s3:AbortMultipartUpload")
_OWN = (*_WRITE, "s3:DeleteObject")
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SERVICE = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
# Whose credentials, by which names, and what they may do in which bucket, or with which of its objects.
USERS: dict[str, tuple[tuple[str, str], dict[str, tuple[str, ...]]]] = {
    "diabetes-analysts/registry-storage": (_AWS, {"registry-diabetes-analysts": _OWN}),
    "diabetes-analysts/publisher": (_AWS, {"model-packages": _WRITE}),
    "diabetes-analysts/approver": (_AWS, {"model-packages": _READ, f"model-packages/*{ENVELOPE_SUFFIX}": _WRITE}),
    "diabetes-promotion/promotion-storage": (
        _AWS,
        {"model-packages": _READ, "staging-files": _WRITE, "production-files": _WRITE},
    ),
    "diabetes-staging/model-reader": (_SERVICE, {"staging-files": _READ}),
    "diabetes-production/model-reader": (_SERVICE, {"production-files": _READ}),
    "heart-analysts/registry-storage": (_AWS, {"registry-heart-analysts": _OWN}),
}


def make(folder: Path) -> None:
    """Make the buckets and the users.

    Args:
        folder: holds the users' credentials.

    Raises:
        ConfigurationError: credentials are missing.
        StorageError: the server is not there, or refuses.
    """
    settings = S3Settings.from_environment()
    client = settings.client()
    administration = MinioAdmin(
        endpoint=settings.endpoint.rpartition("://")[2].rstrip("/"),
        credentials=StaticProvider(settings.access_key or "", settings.secret_key or ""),
        region=settings.region,
        secure=not settings.endpoint.startswith("http://"),
    )
    pairs = {user: [_read(folder / user / name) for name in names] for user, (names, _) in USERS.items()}
    if len({access_key for access_key, _ in pairs.values()}) < len(pairs):
        raise ConfigurationError(f"two users in {folder} have one access key", remedy="Make one for each.")
    for user, (_, rights) in USERS.items():
        policy, (access_key, secret_key) = user.replace("/", "-"), pairs[user]
        with _errors(settings.endpoint, user):
            for bucket in {place.partition("/")[0] for place in rights}:
                if not client.bucket_exists(bucket):
                    client.make_bucket(bucket)
            administration.policy_add(policy, policy=_policy(rights))
            administration.user_add(access_key, secret_key)
            administration.policy_set(policy, user=access_key)
            known = json.loads(administration.user_list())
            earlier = [key for key, about in known.items() if about.get("policyName") == policy and key != access_key]
            for key in earlier:
                administration.user_remove(key)
        print(f"{user}: {', '.join(rights)}" + (f"; earlier users removed: {len(earlier)}" if earlier else ""))


@contextmanager
def _errors(server: str, user: str) -> Iterator[None]:
    try:
        yield
    except (MinioException, MinioAdminException, ValueError) as error:
        raise AccessDenied(f"{server} makes no user for {user}", found=str(error)) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
        raise Unavailable(
            f"{server} does not answer, or broke off, at {user}",
            found=type(reason).__name__,
            remedy="Check that the server runs and that AWS_ENDPOINT_URL is right, then try again.",
        ) from None


def _policy(rights: dict[str, tuple[str, ...]]) -> dict[str, object]:
    places = [("s3:ListBucket", bucket) for bucket in sorted({place.partition("/")[0] for place in rights})]
    places += [
        (action, place if "/" in place else f"{place}/*") for place, actions in rights.items() for action in actions
    ]
    allowed = [
        {"Effect": "Allow", "Action": [action], "Resource": [f"arn:aws:s3:::{place}"]} for action, place in places
    ]
    return {"Version": "2012-10-17", "Statement": allowed}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"there are no credentials in {path}", found=str(error.strerror)) from None


def main(arguments: list[str]) -> int:
    """Make everything, and return the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return ConfigurationError.exit_code
    try:
        make(Path(arguments[0]))
    except SignedParametersError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
