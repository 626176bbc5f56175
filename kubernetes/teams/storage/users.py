"""Makes the buckets of the teams in MinIO, and a user for each program that works with them: `python3 users.py FOLDER`.

Below FOLDER are the credentials that these users get, a file each, as NAMESPACE/SECRET/KEY. AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of MinIO's owner. It can run again, and ends as signed-parameters does.
"""

import sys
from pathlib import Path

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException

from signed_parameters import AccessDenied, ConfigurationError, SignedParametersError
from signed_parameters.storage.s3 import S3Settings

_READ = ("s3:GetObject",)
_WRITE = (*_READ, "s3:PutObject", "s3:AbortMultipartUpload")
_OWN = (*_WRITE, "s3:DeleteObject")
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SERVICE = ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
# Whose credentials, by which names, and what they may do in which bucket.
USERS: dict[str, tuple[tuple[str, str], dict[str, tuple[str, ...]]]] = {
    "diabetes-analysts/registry-storage": (_AWS, {"registry-diabetes-analysts": _OWN}),
    "diabetes-analysts/publisher": (_AWS, {"model-packages": _WRITE}),
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
    for user, (names, rights) in USERS.items():
        access_key, secret_key = (_read(folder / user / name) for name in names)
        policy = user.replace("/", "-")
        try:
            for bucket in rights:
                if not client.bucket_exists(bucket):
                    client.make_bucket(bucket)
            administration.policy_add(policy, policy=_policy(rights))
            administration.user_add(access_key, secret_key)
            administration.policy_set(policy, user=access_key)
        except (MinioException, MinioAdminException, ValueError) as error:
            raise AccessDenied(f"{settings.endpoint} makes no user for {user}", found=str(error)) from None
        print(f"{user}: {', '.join(rights)}")


def _policy(rights: dict[str, tuple[str, ...]]) -> dict[str, object]:
    places = [("s3:ListBucket", f"arn:aws:s3:::{bucket}") for bucket in rights]
    places += [(action, f"arn:aws:s3:::{bucket}/*") for bucket, actions in rights.items() for action in actions]
    allowed = [{"Effect": "Allow", "Action": [action], "Resource": [place]} for action, place in places]
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
