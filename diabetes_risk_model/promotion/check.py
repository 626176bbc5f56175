"""The check of a commit: does what it deploys follow from what people reviewed, and from packages that were signed?

Git takes a commit from whoever may push. This tells whether the watcher would have made it. No package is fetched, as
the pods verify theirs: envelopes are enough to know what was signed, and by whom.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from diabetes_risk_model.promotion.git import Git
from diabetes_risk_model.promotion.packages import deployed_folder
from diabetes_risk_model.promotion.record import FILE, Record
from diabetes_risk_model.promotion.rendering import Inputs, deployment_folder
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.promotion.stages import StageFiles
from signed_parameters import DigestMismatch, NotFound, TooLarge, TrustPolicy, VerificationError
from signed_parameters.storage import open_storage
from signed_parameters.verification import find_trusted

EMPTY, GOOD, REFUSED = "empty", "good", "refused"
_REMEDY = "Find out who wrote it. The watcher puts the stage right when it looks next; or revert the commit."


@dataclass(frozen=True)
class Finding:
    """What a commit deploys to a stage.

    Attributes:
        stage: its name.
        state: "empty", "good" or "refused".
        detail: more, for people.
    """

    stage: str
    state: str
    detail: str


def check(settings: PromotionSettings, git: Git, commit: str, after: str | None = None) -> tuple[Finding, ...]:
    """Look at every stage of a commit.

    Args:
        settings: say which stages there are, and where their packages lie.
        git: has the commits.
        commit: the one to look at.
        after: the one before it. No stage may be older than there, unless its policy says how far back it may go.

    Raises:
        StorageError: an envelope could not be asked for.
        ConfigurationError: a policy, a record or the service's configuration is not usable.
    """
    looked = [
        _look(
            StageFiles(git, commit, settings, stage),
            None if after is None else StageFiles(git, after, settings, stage),
        )
        for stage in settings.stages
    ]
    return (*looked, *_strays(settings, git, commit))


def _strays(settings: PromotionSettings, git: Git, commit: str) -> Iterator[Finding]:
    """Find what lies beside the stages, where Argo CD might take it for one."""
    folder = deployment_folder(settings.model, "")
    names = {path.removeprefix(folder).partition("/")[0] for path in git.files(commit, folder.rstrip("/"), 0)}
    for name in sorted(names - settings.stages.keys()):
        yield Finding(name, REFUSED, f"{folder}{name} belongs to no stage. {_REMEDY}")


def _look(files: StageFiles, before: StageFiles | None) -> Finding:
    stage = files.name
    if not files.deployed:
        if before is not None and before.deployed:
            return Finding(
                stage, REFUSED, f"{files.folder} was removed, and with it how far the stage had come. {_REMEDY}"
            )
        return Finding(stage, EMPTY, "nothing is deployed")
    try:
        record, inputs = files.record, files.inputs
        if record is None:
            raise DigestMismatch(
                f"there is no record in {files.folder}", expected=FILE, found="files beside it", remedy=_REMEDY
            )
        if touched := files.differing(inputs, record):
            raise DigestMismatch(
                f"the files of {stage} do not follow from its policy, its configuration and its record",
                expected="what the watcher writes, byte for byte",
                found=f"otherwise: {', '.join(touched)}"[:500],
                remedy=_REMEDY,
            )
        policy = inputs.policy.demands if before is None else before.demanded(inputs)
        _check_envelope(inputs, record, policy)
    except (VerificationError, NotFound, TooLarge) as error:
        return Finding(stage, REFUSED, f"{type(error).__name__}: {error}")
    return Finding(stage, GOOD, f"serial {record.serial}, {record.digest}, signed by {', '.join(record.signed_by)}")


def _check_envelope(inputs: Inputs, record: Record, policy: TrustPolicy) -> None:
    """Compare a record with what was signed of the package that it names, and with what it was rendered from."""
    bucket = inputs.settings.stage(inputs.stage).bucket
    folder, _, name = record.package.rpartition("/")
    if not folder.startswith(f"{bucket}/"):
        raise DigestMismatch(
            f"the package in the record of {inputs.stage} does not lie in the stage's bucket",
            expected=f"{bucket}/...",
            found=record.package,
            remedy=_REMEDY,
        )
    found = find_trusted(name, policy, storage=open_storage(folder, limits=policy.limits))
    signed, folder = found.statement, deployed_folder(bucket, found.envelope.to_bytes())
    claims = [
        ("package", f"{folder}/{signed.package_name}", record.package),
        ("model", signed.name, record.model),
        ("stage", inputs.stage, record.stage),
        ("inputs", inputs.digest(), record.inputs),
        ("digest", str(signed.package_digest), record.digest),
        ("serial", str(signed.serial), str(record.serial)),
        ("parameters version", signed.parameters_version, record.parameters_version),
        ("signers", ", ".join(found.key_ids), ", ".join(record.signed_by)),
    ]
    for what, expected, claimed in claims:
        if claimed != expected:
            raise DigestMismatch(
                f"what the record of {inputs.stage} says is not so: {what}",
                expected=expected,
                found=claimed,
                remedy=_REMEDY,
            )
