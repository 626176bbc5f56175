"""The watcher: compares what the registry's aliases mean with what Git deploys, and turns each change into a commit.

For one stage, in this order: read policy and record from Git; verify the package; copy it; render; commit; push; write
the version's tag. Only the push changes what is deployed, and all before it can be done again. A process that ends at
any moment leaves nothing that the next run does not put right. Where two push at once, Git takes one commit. The other
watcher fetches, finds its work done, and is content.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from diabetes_risk_model.promotion import packages, tags
from diabetes_risk_model.promotion import policies as stage_policies
from diabetes_risk_model.promotion.record import Record
from diabetes_risk_model.promotion.refusals import Cause, Refusals, explained
from diabetes_risk_model.promotion.registry import ModelVersion, Registry
from diabetes_risk_model.promotion.rendering import render
from diabetes_risk_model.promotion.repository import CommitRefused, Repository
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.promotion.stages import StageFiles
from signed_parameters import (
    NotFound,
    SignedParametersError,
    TooLarge,
    Unavailable,
    VerificationError,
)

UNSET, UNCHANGED, PROMOTED, REFUSED, FAILED = "unset", "unchanged", "promoted", "refused", "failed"
_REFUSALS = (VerificationError, NotFound, TooLarge)
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.5
_ROUND_SECONDS = 300.0  # of a round, after which nothing is tried again
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: its name.
        version: number of the version that its alias means; empty where there is no alias.
        state: "unset", "unchanged", "promoted", "refused" or "failed".
        detail: more, for people.
        error: why it failed.
    """

    stage: str
    version: str
    state: str
    detail: str
    error: SignedParametersError | None = None


class _Refused(Exception):
    """A version is refused, for a reason of its own: the same try would end the same way."""

    def __init__(self, error: SignedParametersError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _refusing(*kinds: type[SignedParametersError]) -> Iterator[None]:
    """Let errors of these kinds be reasons to refuse a version."""
    try:
        yield
    except kinds as error:
        raise _Refused(error) from None


class Watcher:
    """Looks at every stage, as often as `once` is called."""

    def __init__(
        self,
        settings: PromotionSettings,
        registry: Registry,
        repository: Repository,
        *,
        pause_seconds: float = _FIRST_PAUSE_SECONDS,
        round_seconds: float = _ROUND_SECONDS,
    ) -> None:
        """Put it together; nothing is asked yet.

        Args:
            settings: say what is where.
            registry: to read aliases and tags of, and to write the outcome to.
            repository: to commit to.
            pause_seconds: the first pause before something that did not answer is tried again; each is twice the last.
            round_seconds: how long after the begin of a round something is still tried again.
        """
        self._settings = settings
        self._registry = registry
        self._repository = repository
        self._pause_seconds = pause_seconds
        self._round_seconds = round_seconds
        self._deadline = 0.0
        self._head = ""
        self._refusals = Refusals()

    def once(self) -> tuple[Outcome, ...]:
        """Look at every stage once, and do what is to be done. One that fails does not hold up the others.

        Raises:
            StorageError, ConfigurationError: the registry cannot be asked, or the repository not be read.
        """
        self._deadline = time.monotonic() + self._round_seconds
        aliases = self._patiently(self._registry.aliases)
        self._head = self._patiently(self._repository.fetch)
        return tuple(self._look(stage, aliases.get(stage, "")) for stage in self._settings.stages)

    def _look(self, stage: str, number: str) -> Outcome:
        if not number:
            return Outcome(stage, "", UNSET, f"no version of {self._settings.model} has this alias")
        try:
            return self._patiently(lambda: self._bring(stage, number))
        except SignedParametersError as error:
            return Outcome(stage, number, FAILED, f"{type(error).__name__}: {error}", error)

    def _bring(self, stage: str, number: str) -> Outcome:
        head, self._head = self._head or self._repository.fetch(), ""  # who ends with an error has to fetch again
        files, version = StageFiles(self._repository.git, head, self._settings, stage), self._registry.version(number)
        if (deployed := self._finished(files, version)) is not None:
            self._refusals.forget(stage)
            outcome = Outcome(stage, number, UNCHANGED, deployed.said())
            self._say(stage, version, outcome.detail)
        else:
            outcome = self._try(files, version)
        self._head = self._head or head
        return outcome

    def _finished(self, files: StageFiles, version: ModelVersion) -> Record | None:
        """Return the record of a stage that has what it should have; None where there is something to do."""
        record, inputs = files.record, files.inputs
        if record is None or (record.registry_version, record.inputs) != (version.number, inputs.digest()):
            return None
        if not tags.describes(version.tags, record.digest, record.serial) or files.differing(inputs, record):
            return None
        bucket = self._settings.stage(files.name).bucket
        return record if packages.lies_at(record.package, bucket) else None

    def _try(self, files: StageFiles, version: ModelVersion) -> Outcome:
        stage, number = files.name, version.number
        cause = self._cause(version, files)
        reason = self._refusals.waiting(stage, cause)
        if reason is None:
            try:
                return self._promote(files, version)
            except _Refused as refused:
                error = explained(refused.error, stage, number)
                reason = tags.shortened(f"refused: {type(error).__name__}: {error}")
                self._refusals.note(stage, cause, reason)
        self._say(stage, version, reason)
        return Outcome(stage, number, REFUSED, reason)

    def _promote(self, files: StageFiles, version: ModelVersion) -> Outcome:
        settings, stage = self._settings, files.name
        policy = files.demanded(files.inputs)
        with packages.private_folder() as folder:
            with _refusing(*_REFUSALS):
                checked = packages.fetch(version, settings.packages, policy, folder)
                files.check_order(checked.statement)
            address = packages.copy(checked, settings.stage(stage).bucket, policy)
        record = Record(
            model=settings.model,
            stage=stage,
            registry_version=version.number,
            package=address,
            digest=str(checked.statement.package_digest),
            serial=checked.statement.serial,
            parameters_version=checked.statement.parameters_version,
            signed_by=list(checked.key_ids),
            inputs=files.inputs.digest(),
        )
        if not files.differing(files.inputs, record):  # only the copy was missing
            self._say(stage, version, record.said())
            return Outcome(stage, version.number, PROMOTED, f"{record.said()}, copied again")
        message = _message(record, files.record, files.commit)
        commit = self._repository.commit(files.commit, files.folder, render(files.inputs, record), message)
        with _refusing(CommitRefused):
            if not self._repository.push(commit, files.commit):
                raise Unavailable("somebody else pushed at the same time", remedy="It is tried again.")
        self._head = commit
        self._say(stage, version, record.said())
        return Outcome(stage, version.number, PROMOTED, f"{record.said()}, commit {commit}")

    def _cause(self, version: ModelVersion, files: StageFiles) -> Cause:
        """Return all that a refusal depends on, but for the package itself."""
        states = {tags.state_tag(stage) for stage in self._settings.stages}
        claims = tuple(sorted((key, value) for key, value in version.tags.items() if key not in states))
        envelope = packages.envelope_digest(version, self._settings.packages)
        return (version.number, claims, files.inputs.digest(), files.record and files.record.serial, envelope)

    def _say(self, stage: str, version: ModelVersion, text: str) -> None:
        """Write the outcome to the version, unless it stands there already, or the version is gone."""
        key = tags.state_tag(stage)
        if version.tags.get(key) != text:
            with suppress(NotFound):
                self._registry.set_tag(version.number, key, text)

    def _patiently(self, work: Callable[[], T]) -> T:
        pause = self._pause_seconds
        for _ in range(_ATTEMPTS - 1):
            try:
                return work()
            except Unavailable:
                if time.monotonic() + pause > self._deadline:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.5))  # so that two watchers do not meet again
                pause *= 2
        return work()


def _message(record: Record, before: Record | None, head: str) -> str:
    what = f"{record.model} {record.parameters_version} (serial {record.serial})"
    means = f"The alias {record.stage} means version {record.registry_version} of the registry"
    earlier = (
        "nothing" if before is None else f"serial {before.serial}, {before.digest}, version {before.registry_version}"
    )
    if before is None:
        why = f"{means}."
    elif before.registry_version != record.registry_version:
        why = f"{means} now."
    elif before.inputs != record.inputs:
        why = f"The policy or the configuration of {record.stage} has changed."
    else:
        why = f"Somebody else had changed the files of {record.stage}."
    back = before is not None and record.serial < before.serial
    return "\n".join(
        [
            f"{'Roll back' if back else 'Promote'} {record.stage} to {what}",
            "",
            why,
            f"Verified against {stage_policies.policy_path(record.stage)} of commit {head}.",
            "",
            f"Digest: {record.digest}",
            f"Package: {record.package}",
            f"Signed-by-keys: {', '.join(record.signed_by)}",
            f"Before: {earlier}",
            "",
        ]
    )


def summary(outcomes: tuple[Outcome, ...]) -> Mapping[str, str]:
    """Return what became of each stage, for one line each."""
    return {outcome.stage: _line(outcome) for outcome in outcomes}


def _line(outcome: Outcome) -> str:
    version = f" version {outcome.version}" if outcome.version else ""
    return f"{outcome.state}{version}: {outcome.detail.removeprefix(f'{outcome.state}: ')}"
