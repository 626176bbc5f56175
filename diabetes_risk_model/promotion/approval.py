"""Approval: verify a version's package, add the approver's signature to its envelope, and set the alias."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from diabetes_risk_model.promotion import packages
from diabetes_risk_model.promotion.policies import policy_path
from diabetes_risk_model.promotion.refusals import explained
from diabetes_risk_model.promotion.registry import Registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.promotion.stages import StageFiles
from signed_parameters import (
    ConfigurationError,
    DigestMismatch,
    SigningKey,
    Statement,
    TooFewSignatures,
    TrustPolicy,
    resign,
)
from signed_parameters.digests import Digest
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import open_storage
from signed_parameters.verification import find_trusted


@dataclass(frozen=True)
class Approved:
    """What was approved.

    Attributes:
        statement: what the signers say of the package.
        key_ids: ids of the trusted keys that have signed it now.
        added: whether the approver's signature is new.
        deployed_serial: of what the stage has now; None where it has nothing.
    """

    statement: Statement
    key_ids: tuple[str, ...]
    added: bool
    deployed_serial: int | None


def approve(
    settings: PromotionSettings,
    registry: Registry,
    repository: Repository,
    number: str,
    alias: str,
    key: SigningKey | None,
    digest: Digest | None = None,
) -> Approved:
    """Let an alias mean a version, after the package was verified and, with a key, signed by the approver too.

    A key signs only where a signature is wanting: one that a stage does not need could be used for another stage. The
    statement that is signed is the one that was verified, whatever somebody puts into the storage meanwhile. The
    alias is set only when there are as many signatures as the stage's policy asks for. A signature stays where it was
    given, so the last of several approvers sets the alias.

    Args:
        settings: say what is where.
        registry: has the version.
        repository: has the stage's policy.
        number: of the version.
        alias: name of a stage.
        key: the approver's; None where the policy is fulfilled without.
        digest: of the package that was looked at before; None for whatever package the version means now.

    Raises:
        VerificationError: the package is refused, or another one than was looked at; TooFewSignatures where others
            have to sign it too.
        StorageError: something could not be had or written.
        ConfigurationError: there is no such stage, or the key is not one that its policy trusts.
    """
    settings.stage(alias)
    stage = StageFiles(repository.git, repository.fetch(), settings, alias)
    policy, deployed = stage.policy.demands, stage.record
    if key is not None and key.key_id not in {trusted.key_id for trusted in policy.trusted_keys}:
        raise ConfigurationError(
            f"key {key.key_id} is none that {policy_path(alias)} trusts",
            expected="the key of somebody who has to agree",
            remedy="Add its verification key to the policy, by a reviewed commit.",
        )
    if digest is not None and policy.package_digest not in (None, str(digest)):
        raise DigestMismatch(
            f"{policy_path(alias)} accepts another package only", expected=str(policy.package_digest), found=str(digest)
        )
    version = registry.version(number)
    with packages.private_folder() as folder:
        known = replace(policy, threshold=1, package_digest=digest or policy.package_digest)
        checked = packages.fetch(version, settings.packages, known, folder)
        wanted = key is not None and len(checked.key_ids) < policy.threshold
        added = key is not None and wanted and bool(resign(checked.file, key=key, trusted=policy).signed)
        if added:
            _store_envelope(settings.packages, packages.package_name(version, settings.packages), checked, policy)
        try:
            key_ids = find_trusted(checked.file, policy).key_ids
        except TooFewSignatures as error:
            raise explained(error, alias, number) from None
    registry.set_alias(alias, number)
    return Approved(checked.statement, key_ids, added, None if deployed is None else deployed.serial)


def _store_envelope(location: str, name: str, checked: packages.Checked, policy: TrustPolicy) -> None:
    envelope = checked.file.with_name(checked.file.name + ENVELOPE_SUFFIX).read_bytes()
    open_storage(location, limits=policy.limits).write_bytes(name + ENVELOPE_SUFFIX, envelope, overwrite=True)


def describe(approved: Approved) -> Mapping[str, object]:
    """Return what was approved, as JSON has it."""
    statement = approved.statement
    return {
        "parameters_version": statement.parameters_version,
        "serial": statement.serial,
        "digest": str(statement.package_digest),
        "signed_by": list(approved.key_ids),
        "signature_added": approved.added,
    }
