"""Fetch and verify the package of the model's parameters, as the settings say."""

from dataclasses import replace

from packaging.specifiers import SpecifierSet

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.settings import Settings
from signed_parameters import ConfigurationError, Limits, TrustPolicy, VerifiedPackage, verify_package
from signed_parameters.storage import Storage, open_storage

MODEL_NAME = "diabetes_risk_model"


def package_name(parameters_version: str) -> str:
    """Return the file name of the package that holds a version of this model's parameters."""
    return f"{MODEL_NAME}-{__version__}-{parameters_version}.zip"


def trust_policy(settings: Settings) -> TrustPolicy:
    """Return what the settings demand of a package.

    A policy file can narrow that down further. It cannot ask for another model or other parameters than the settings.

    Raises:
        ConfigurationError: a key, a key id, the minimum serial, or the policy file is not usable.
    """
    if settings.trust_policy is not None:
        policy = _read_policy(settings.trust_policy, settings.model_parameters_version)
    else:
        policy = TrustPolicy(
            name=MODEL_NAME,
            keys=settings.trusted_keys,
            minimum_serial=settings.minimum_serial,
            revoked_keys=settings.revoked_keys,
        )
    return replace(policy, version=f"=={__version__}", parameters_version=settings.model_parameters_version)


def _read_policy(path: str, parameters_version: str) -> TrustPolicy:
    policy = TrustPolicy.load(path)
    wrong = None
    if policy.name != MODEL_NAME:
        wrong = ("name", MODEL_NAME, policy.name)
    elif not SpecifierSet(policy.version).contains(__version__, prereleases=True):
        wrong = ("version", f"a range with {__version__} in it", policy.version)
    elif policy.parameters_version not in (None, parameters_version):
        wrong = ("parameters_version", f"{parameters_version}, as model_parameters_version", policy.parameters_version)
    if wrong is not None:
        setting, expected, found = wrong
        raise ConfigurationError(
            f"the trust policy {path} does not agree with the model at {setting}",
            expected=expected,
            found=str(found),
            remedy="Name the policy file that was written for this model and these parameters.",
        )
    return policy


def fetch_parameters(settings: Settings) -> VerifiedPackage:
    """Fetch the package, verify it, and return it ready to be read.

    Raises:
        SignedParametersError: it could not be had, or is refused.
    """
    policy = trust_policy(settings)
    return verify_package(
        package_name(settings.model_parameters_version), policy, storage=_storage(settings, policy.limits)
    )


def _storage(settings: Settings, limits: Limits) -> Storage:
    if not settings.location.startswith("s3://") or settings.minio_url is None:
        return open_storage(settings.location, limits=limits)
    from signed_parameters.storage.s3 import S3Settings  # the client takes its time to import

    secret = settings.minio_secret_key
    reach = S3Settings(
        settings.minio_url, settings.minio_access_key, secret.get_secret_value() if secret is not None else None
    )
    return open_storage(settings.location, settings=reach, limits=limits)
