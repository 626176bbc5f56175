"""The watcher: compares what the registry's aliases mean with what Git deploys, and turns each change into a commit.

For one stage, in this order: read policy and record from Git; verify the package; copy it; render; commit; push; write
the version's tag. Only the push changes what is deployed, and all before it can be done again. A process that ends at
any moment leaves nothing that the next run does not put right. Where two push at once, Git takes one commit. The other
watcher fetches, finds its work done, and is content.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from diabetes_risk_model.promotion import packages, tags
from diabetes_risk_model.promotion import policies as stage_policies
from diabetes_risk_model.promotion import record as records
from diabetes_risk_model.promotion.record import Record
from diabetes_risk_model.promotion.refusals import Cause, Refusals
from diabetes_risk_model.promotion.registry import ModelVersion, Registry
from diabetes_risk_model.promotion.rendering import Inputs, deployment_folder, render
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import PromotionSettings
from signed_parameters import NotFound, SignedParametersError, TooLarge, Unavailable, VerificationError

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
        self._refusals = Refusals()

    def once(self) -> tuple[Outcome, ...]:
        """Look at every stage once, and do what is to be done. One that fails does not hold up the others.

        Raises:
            StorageError, ConfigurationError: the registry cannot be asked, or the repository not be read.
        """
        self._deadline = time.monotonic() + self._round_seconds
        aliases = self._patiently(self._registry.aliases)
        head = self._patiently(self._repository.fetch)
        return tuple(self._look(stage, aliases.get(stage, ""), head) for stage in self._settings.stages)

    def _look(self, stage: str, number: str, head: str) -> Outcome:
        if not number:
            return Outcome(stage, "", UNSET, "no version has this alias")
        heads = iter([head])
        try:
            return self._patiently(lambda: self._bring(stage, number, next(heads, "") or self._repository.fetch()))
        except SignedParametersError as error:
            return Outcome(stage, number, FAILED, f"{type(error).__name__}: {error}", error)

    def _bring(self, stage: str, number: str, head: str) -> Outcome:
        inputs, before = self._inputs(stage, head), self._record(stage, head)
        version = self._registry.version(number)
        if before is not None and (before.registry_version, before.inputs) == (number, inputs.digest()):
            self._refusals.forget(stage)
            self._say(stage, version, before.said())
            return Outcome(stage, number, UNCHANGED, before.said())
        cause = self._cause(version, inputs, before)
        reason = self._refusals.waiting(stage, cause)
        if reason is None:
            try:
                return self._promote(inputs, version, before, head)
            except _REFUSALS as error:
                reason = tags.shortened(f"refused: {type(error).__name__}: {error}")
                self._refusals.note(stage, cause, reason)
        self._say(stage, version, reason)
        return Outcome(stage, number, REFUSED, reason)

    def _promote(self, inputs: Inputs, version: ModelVersion, before: Record | None, head: str) -> Outcome:
        stage, settings = inputs.stage, self._settings
        policy = inputs.policy.with_floor(None if before is None else before.serial)
        with packages.private_folder() as folder:
            checked = packages.fetch(version, settings.packages, policy, folder)
            address = packages.copy(checked, settings.stage(stage).bucket, policy)
        files = render(inputs, version.number, checked.statement, checked.key_ids, address)
        path = f"{deployment_folder(settings.model, stage)}/{records.FILE}"
        record = Record.from_bytes(files[path], path)
        commit = self._repository.commit(head, files, _message(record, before, head))
        if not self._repository.push(commit, head):
            raise Unavailable("somebody else pushed at the same time", remedy="It is tried again.")
        self._say(stage, version, record.said())
        return Outcome(stage, version.number, PROMOTED, f"{record.said()}, commit {commit}")

    def _inputs(self, stage: str, head: str) -> Inputs:
        path, settings = stage_policies.policy_path(stage), self._settings
        policy = self._repository.read(head, path, stage_policies.MAXIMUM_BYTES)
        service = self._repository.read(head, settings.service_configuration, stage_policies.MAXIMUM_BYTES)
        return Inputs(settings, stage, stage_policies.read_policy(policy, stage, settings.model), service)

    def _record(self, stage: str, head: str) -> Record | None:
        path = f"{deployment_folder(self._settings.model, stage)}/{records.FILE}"
        try:
            return Record.from_bytes(self._repository.read(head, path, records.MAXIMUM_BYTES), path)
        except NotFound:
            return None

    def _cause(self, version: ModelVersion, inputs: Inputs, before: Record | None) -> Cause:
        """Return all that a refusal depends on, but for the package itself."""
        states = {tags.state_tag(stage) for stage in self._settings.stages}
        claims = tuple(sorted((key, value) for key, value in version.tags.items() if key not in states))
        envelope = packages.envelope_digest(version, self._settings.packages)
        return (version.number, claims, inputs.digest(), before and before.serial, envelope)

    def _say(self, stage: str, version: ModelVersion, text: str) -> None:
        """Write the outcome to the version, unless it stands there already."""
        key = tags.state_tag(stage)
        if version.tags.get(key) != text:
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
    if before is None:
        why = f"The alias {record.stage} means version {record.registry_version} of the registry."
        earlier = "nothing"
    else:
        why = (
            f"The policy or the configuration of {record.stage} has changed."
            if before.registry_version == record.registry_version
            else f"The alias {record.stage} means version {record.registry_version} of the registry now."
        )
        earlier = f"serial {before.serial}, {before.digest}, version {before.registry_version}"
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
