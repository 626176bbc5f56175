"""Fetch and verify the package of the model's parameters, as the settings say."""

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.settings import Settings
from signed_parameters import TrustPolicy, VerifiedPackage, verify_package
from signed_parameters.storage import Storage, open_storage

MODEL_NAME = "diabetes_risk_model"


def package_name(parameters_version: str) -> str:
    """Return the file name of the package that holds a version of this model's parameters."""
    return f"{MODEL_NAME}-{__version__}-{parameters_version}.zip"


def trust_policy(settings: Settings) -> TrustPolicy:
    """Return what the settings demand of a package.

    Raises:
        ConfigurationError: a key, a key id, or the minimum serial is not usable.
    """
    return TrustPolicy(
        name=MODEL_NAME,
        keys=settings.trusted_keys,
        minimum_serial=settings.minimum_serial,
        revoked_keys=settings.revoked_keys,
        version=f"=={__version__}",
        parameters_version=settings.model_parameters_version,
    )


def fetch_parameters(settings: Settings) -> VerifiedPackage:
    """Fetch the package, verify it, and return it ready to be read.

    Raises:
        SignedParametersError: it could not be had, or is refused.
    """
    policy = trust_policy(settings)
    return verify_package(package_name(settings.model_parameters_version), policy, storage=_storage(settings))


def _storage(settings: Settings) -> Storage:
    if not settings.location.startswith("s3://") or settings.minio_url is None:
        return open_storage(settings.location)
    from signed_parameters.storage.s3 import S3Settings  # the client takes its time to import

    secret = settings.minio_secret_key
    reach = S3Settings(
        settings.minio_url, settings.minio_access_key, secret.get_secret_value() if secret is not None else None
    )
    return open_storage(settings.location, settings=reach)
