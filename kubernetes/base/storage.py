"""Prepares the storage and puts packages into it: what the Job `storage` runs, with the service's image.

    python3 storage.py prepare BUCKET           # the bucket, a user who reads it, and one who writes it: on MinIO
    python3 storage.py prepare-own BUCKET       # the bucket, and one user, whose it is: on MinIO
    python3 storage.py upload FOLDER ADDRESS    # each package of a folder, with its envelope: to any S3 server

AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say where, and as whom. All can run again: what is stored
already is left as it is, and something else under its name is refused. It ends as signed-parameters does.
"""

import os
import sys
import time
from pathlib import Path

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from signed_parameters import AccessDenied, ConfigurationError, NotFound, SignedParametersError, Unavailable
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Storage, open_storage
from signed_parameters.storage.s3 import S3Settings

Users = dict[str, dict[str, list[str]]]
_START_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
_READING = {"bucket": ["s3:ListBucket"], "objects": ["s3:GetObject"]}
_WRITING = {"bucket": ["s3:ListBucket"], "objects": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]}
_OWNING = {"bucket": ["s3:ListBucket"], "objects": [*_WRITING["objects"], "s3:DeleteObject"]}
SHARED: Users = {"READER": _READING, "PUBLISHER": _WRITING}  # who writes can delete nothing
OWN: Users = {"OWNER": _OWNING}


def prepare(bucket: str, rights: Users) -> None:
    """Make the bucket and its users.

    Their keys are in the environment, such as READER_ACCESS_KEY and READER_SECRET_KEY for the user READER.

    Args:
        bucket: its name.
        rights: what each user may do on the bucket and on its objects.

    Raises:
        ConfigurationError: a variable is missing.
        StorageError: the server does not come up, or refuses.
    """
    users = {role: (_variable(f"{role}_ACCESS_KEY"), _variable(f"{role}_SECRET_KEY")) for role in rights}
    settings = S3Settings(
        _variable("AWS_ENDPOINT_URL"), _variable("AWS_ACCESS_KEY_ID"), _variable("AWS_SECRET_ACCESS_KEY")
    )
    if not _is_there(open_storage(f"s3://{bucket}", settings=settings)):
        settings.client().make_bucket(bucket)
    print(f"bucket {bucket}: ready")
    administration = MinioAdmin(
        endpoint=settings.endpoint.rpartition("://")[2].rstrip("/"),
        credentials=StaticProvider(settings.access_key or "", settings.secret_key or ""),
        region=settings.region,
        secure=not settings.endpoint.startswith("http://"),
    )
    for role, (access_key, secret_key) in users.items():
        policy = f"{bucket}-{role.lower()}"
        try:
            administration.policy_add(policy, policy=_policy(bucket, rights[role]))
            administration.user_add(access_key, secret_key)
            administration.policy_set(policy, user=access_key)
        except (MinioAdminException, ValueError) as error:
            raise AccessDenied(f"{settings.endpoint} makes no user for the {role.lower()}", found=str(error)) from None
        print(f"{role.lower()}: may do {', '.join(rights[role]['objects'])}")


def upload(folder: Path, address: str) -> None:
    """Store every package of a folder, and its envelope.

    Args:
        folder: holds `*.zip` files, and for each its envelope.
        address: of the folder in the storage, as s3://BUCKET.

    Raises:
        NotFound: there is no package, or no envelope for one.
        ConfigurationError: something else is stored under a name.
        StorageError: the storage is not there, or refuses.
    """
    packages = sorted(folder.glob("*.zip"))
    if not packages:
        raise NotFound(f"there is no package in {folder}", expected="*.zip", remedy="Build the image with packages.")
    storage = open_storage(address)
    for package in packages:
        for path in (package, package.with_name(package.name + ENVELOPE_SUFFIX)):
            if not path.is_file():
                raise NotFound(f"there is no {path}", remedy="Sign the package first.")
            if _is_stored(storage, path):
                print(f"{storage.address(path.name)}: is there")
            else:
                storage.write(path.name, path)
                print(f"{storage.address(path.name)}: uploaded")


def _is_there(storage: Storage) -> bool:
    """Wait for the server, and return whether the bucket exists."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            next(storage.names(), None)
        except NotFound:
            return False
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def _policy(bucket: str, actions: dict[str, list[str]]) -> dict[str, object]:
    places = {"bucket": f"arn:aws:s3:::{bucket}", "objects": f"arn:aws:s3:::{bucket}/*"}
    allowed = [{"Effect": "Allow", "Action": actions[on], "Resource": [places[on]]} for on in places]
    return {"Version": "2012-10-17", "Statement": allowed}


def _is_stored(storage: Storage, path: Path) -> bool:
    """Return whether these very bytes are stored under the file's name."""
    try:
        with storage.stream(path.name) as stored, path.open("rb") as file:
            same = all(chunk == file.read(len(chunk)) for chunk in stored.chunks)
            return same and not file.read(1)
    except NotFound:
        return False


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(f"the environment variable {name} is missing", remedy="Set it where this is started.")
    return value


def main(arguments: list[str]) -> int:
    """Run a command, and return its exit status."""
    try:
        match arguments:
            case ["prepare", bucket]:
                prepare(bucket, SHARED)
            case ["prepare-own", bucket]:
                prepare(bucket, OWN)
            case ["upload", folder, address]:
                upload(Path(folder), address)
            case _:
                print(__doc__, file=sys.stderr)
                return ConfigurationError.exit_code
    except SignedParametersError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
