"""From a trained model to a registered version: sign and store the package, log the run, register.

The package goes to the folder of packages, which is the one place that it is promoted from. What broke off is taken up
again where it stopped: a package that is stored keeps its envelope and its serial, and a version that is registered is
not registered twice.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diabetes_risk_model.packaging import package_parameters, trained_files
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from diabetes_risk_model.promotion import runs, tags
from diabetes_risk_model.promotion.packages import private_folder
from diabetes_risk_model.promotion.registry import open_registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.promotion.stages import StageFiles
from signed_parameters import (
    ConfigurationError,
    NotFound,
    SigningKey,
    Statement,
    TrustPolicy,
    VerificationError,
    VerificationKey,
    build_package,
    next_serial,
    verify_package,
)
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Storage, open_storage
from signed_parameters.verification import find_trusted, read_envelope

_ANOTHER = "Choose a new --parameters-version."


@dataclass(frozen=True)
class Tracked:
    """A registered version.

    Attributes:
        number: of the version.
        run_id: of MLflow's run.
        package: address of the signed package.
        statement: what was signed of it.
    """

    number: str
    run_id: str
    package: str
    statement: Statement


def check_before(
    settings: PromotionSettings, *, key: SigningKey, parameters_version: str, serial: int | None = None
) -> None:
    """Find out before a training what would keep `track` from its work after it.

    Args:
        settings: say where the registry, the packages and the policies are.
        key: will sign the package.
        parameters_version: that the training will have.
        serial: as `track` will be given it.

    Raises:
        ConfigurationError: something is missing or not usable, or there is a signed package of that name.
        StorageError: the registry, the storage or the repository does not answer, or refuses.
    """
    _check_registry(settings)
    if serial is None:
        _next_serial(settings, key)
    storage, name = open_storage(settings.packages), package_name(parameters_version)
    if _is_signed(storage, name):
        raise ConfigurationError(
            f"{storage.address(name)} is there already, and signed",
            remedy=f"{_ANOTHER} If a training was broken off after it, `diabetes-risk-model promote register` with "
            "the folder that it wrote finishes it.",
        )


def track(
    artefacts: Path, settings: PromotionSettings, *, key: SigningKey, out: Path, serial: int | None = None
) -> Tracked:
    """Package, sign and store what `train` wrote, log the run, and register a version. What is done already stays.

    Args:
        artefacts: the folder that training wrote.
        settings: say where the registry, the packages and the policies are.
        key: signs the package.
        out: folder of this machine for the package.
        serial: of the package; by default the next after those of this key, and of all that a stage's policy names.

    Raises:
        ConfigurationError: the folder holds no trained model, there is another package of that name, or MLflow is
            missing.
        StorageError: the storage, the registry or the repository does not answer, or refuses.
    """
    _check_registry(settings)
    files, parameters_version = trained_files(artefacts)
    own = TrustPolicy(name=settings.model, keys=[key.verification_key])
    storage, name = open_storage(settings.packages), package_name(parameters_version)
    if stored := _is_signed(storage, name):
        package = _take_up(storage, name, files, out, own, serial)
    else:
        serial = _next_serial(settings, key) if serial is None else serial
        package = package_parameters(files, out, key=key, parameters_version=parameters_version, serial=serial)
    with verify_package(package, own) as verified:
        statement, pipeline = verified.statement, verified.load_pickle("model.pkl")
    if stored:
        _make_whole(storage, package, own)
    else:
        store(storage, package)
    uri = f"{settings.packages}/{package.name}"
    described = tags.describe(uri, statement, key.key_id)
    trained = runs.TrainedModel(artefacts, files, package, pipeline)
    number, run_id = runs.log_and_register(settings, trained, described)
    return Tracked(number, run_id, uri, statement)


def store(storage: Storage, package: Path) -> None:
    """Put a package and then its envelope into a storage. A package without an envelope was broken off: it is replaced.

    Raises:
        ConfigurationError: there is a signed package of that name.
        StorageError: it cannot be written.
    """
    if _is_signed(storage, package.name):
        raise ConfigurationError(f"{storage.address(package.name)} is there already, and signed", remedy=_ANOTHER)
    envelope = package.with_name(package.name + ENVELOPE_SUFFIX)
    storage.write(package.name, package, overwrite=True)
    storage.write_bytes(envelope.name, envelope.read_bytes())


def _check_registry(settings: PromotionSettings) -> None:
    """Check whose settings they are, that MLflow is here, and that the registry answers: MLflow would wait long."""
    if settings.model != MODEL_NAME:
        raise ConfigurationError("the settings are another model's", expected=MODEL_NAME, found=settings.model)
    runs.import_mlflow()
    open_registry(settings.registry, settings.model, local=settings.registry_is_local).aliases()


def _next_serial(settings: PromotionSettings, key: SigningKey) -> int:
    """Return the serial after all that were used: by this key, or by any that a stage's policy names.

    A serial that was used stays used, so it does not matter whether a key's time is over, or whether it is revoked.
    """
    keys: dict[str, VerificationKey] = {key.key_id: key.verification_key}
    minimum = 0
    with Repository(settings.repository, settings.branch) as repository:
        commit = repository.fetch()
        for stage in settings.stages:
            try:
                demands = StageFiles(repository.git, commit, settings, stage).policy.demands
            except NotFound:
                continue
            minimum = max(minimum, demands.minimum_serial)
            for trusted in demands.trusted_keys:
                if isinstance(trusted.key, VerificationKey):
                    keys[trusted.key_id] = trusted.key
    counted = TrustPolicy(name=settings.model, keys=list(keys.values()), minimum_serial=minimum)
    return next_serial(settings.packages, counted)


def _is_signed(storage: Storage, name: str) -> bool:
    try:
        read_envelope(storage, name, DEFAULT_LIMITS.envelope_bytes)
    except NotFound:
        return False
    return True


def _take_up(
    storage: Storage, name: str, files: Mapping[str, Path], out: Path, own: TrustPolicy, serial: int | None
) -> Path:
    """Build the package again, and put beside it the envelope that is stored. It has to be of this very package."""
    there = f"{storage.address(name)} is there already"
    try:
        stored = find_trusted(name, own, storage=storage)
    except VerificationError as error:
        raise ConfigurationError(f"{there}, not signed by this key", found=str(error), remedy=_ANOTHER) from None
    if serial not in (None, stored.statement.serial):
        raise ConfigurationError(
            f"{there}, signed with another serial",
            expected=f"serial {serial}",
            found=str(stored.statement.serial),
            remedy="Leave --serial away: the package keeps the one that it has.",
        )
    package = out / name
    with private_folder() as folder:  # what is in `out` stays, where it is another package
        built = build_package(folder / name, files)
        if built.digest != stored.statement.package_digest:
            raise ConfigurationError(
                f"{there}, and is another one",
                expected=str(built.digest),
                found=str(stored.statement.package_digest),
                remedy=_ANOTHER,
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built, package)
            package.with_name(name + ENVELOPE_SUFFIX).write_bytes(stored.envelope.to_bytes())
        except OSError as error:
            raise ConfigurationError(f"{package} cannot be written", found=str(error.strerror)) from None
    return package


def _make_whole(storage: Storage, package: Path, own: TrustPolicy) -> None:
    """Write a package again, unless it is stored as it was signed."""
    try:
        verify_package(package.name, own, storage=storage).close()
    except (NotFound, VerificationError):
        storage.write(package.name, package, overwrite=True)
