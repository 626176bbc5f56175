"""The variables that compose.yaml reads: which package, whom to trust, where the storage is, new credentials for it.

They go into `.env`, which only its owner may read and Git ignores. No signing key is among them.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

import signed_parameters as sp
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from signed_parameters.files import replacement

_MINIO_URL = "http://minio:9000"
_ROLES = ("READER", "PUBLISHER")


def compose_environment(
    package: Path,
    keys: list[sp.VerificationKey],
    *,
    s3_url: str | None = None,
    access_key: str = "",
    secret_key: str = "",
) -> dict[str, str]:
    """Return the variables for a package, which is verified first, as the service will verify it.

    Args:
        package: path of the package; its envelope lies beside it.
        keys: whom the service shall trust: Ed25519 keys, as the containers get no secret that signs.
        s3_url: URL of an S3 server that has the bucket `model-files`; None for a MinIO server beside the service.
        access_key: for that server.
        secret_key: for that server.

    Raises:
        ConfigurationError: a key signs as well as verifies, credentials are missing, or the package has another name.
        StorageError: the package is not there.
        VerificationError: the package is refused.
    """
    if secret := next((key for key in keys if key.algorithm != "ed25519"), None):
        raise sp.ConfigurationError(
            "the containers must not hold a key that can sign", expected="ed25519:...", found=f"{secret.algorithm}:..."
        )
    with sp.verify_package(str(package), sp.TrustPolicy(name=MODEL_NAME, keys=list(keys))) as verified:
        parameters_version = verified.statement.parameters_version
    if package.name != package_name(parameters_version):
        raise sp.ConfigurationError(
            f"the service will not find {package.name}", expected=package_name(parameters_version)
        )
    return {
        "MODEL_PARAMETERS_VERSION": parameters_version,
        "PARAMETERS_VERIFICATION_KEYS": ",".join(map(str, keys)),
        "PACKAGES_FOLDER": str(package.parent.absolute()),
        **_storage(s3_url, access_key, secret_key),
    }


def _storage(s3_url: str | None, access_key: str, secret_key: str) -> dict[str, str]:
    if s3_url is None:
        minio = {"COMPOSE_PROFILES": "minio", "MINIO_URL": _MINIO_URL, "MINIO_ROOT_USER": secrets.token_hex(10)}
        minio["MINIO_ROOT_PASSWORD"] = secrets.token_hex(20)
        users = {f"{role}_ACCESS_KEY": secrets.token_hex(10) for role in _ROLES}
        return minio | users | {f"{role}_SECRET_KEY": secrets.token_hex(20) for role in _ROLES}
    if not (access_key and secret_key):
        raise sp.ConfigurationError(
            f"the credentials for {s3_url} are missing",
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    users = {f"{role}_ACCESS_KEY": access_key for role in _ROLES}
    return {"COMPOSE_PROFILES": "", "MINIO_URL": s3_url} | users | {f"{role}_SECRET_KEY": secret_key for role in _ROLES}


def write_environment(variables: Mapping[str, str], path: Path, *, overwrite: bool = False) -> None:
    """Write variables to a file that only its owner may read.

    Raises:
        ConfigurationError: a value cannot stand in such a file, or the file is there and `overwrite` is not set.
        OSError: it cannot be written.
    """
    for name, value in variables.items():
        if not value.isprintable() or set(value) & set("'\\$"):
            raise sp.ConfigurationError(f"the value of {name} cannot stand in {path.name}", found=ascii(value))
    content = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    try:
        with replacement(path, overwrite=overwrite, mode=0o600) as file:
            file.write(content.encode())
    except FileExistsError:
        raise sp.ConfigurationError(
            f"{path} exists already", remedy="Add --overwrite to replace it, with new credentials."
        ) from None
