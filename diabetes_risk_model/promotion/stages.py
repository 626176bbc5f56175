"""A stage as a commit has it: what people wrote, what was promoted, and whether all else follows from these two."""

from collections.abc import Mapping
from functools import cached_property

from diabetes_risk_model.promotion.git import Git
from diabetes_risk_model.promotion.policies import MAXIMUM_BYTES, StagePolicy, policy_path, read_policy
from diabetes_risk_model.promotion.record import FILE, Record
from diabetes_risk_model.promotion.rendering import Inputs, deployment_folder, render
from diabetes_risk_model.promotion.settings import PromotionSettings
from signed_parameters import RolledBack, Statement, TrustPolicy

_FOLDER_BYTES = 1 << 20


class StageFiles:
    """What one commit says of one stage. Each part is read when it is asked for first.

    Attributes:
        name: the stage's.
        commit: the commit's id.
        folder: the stage's folder of deployed files.
    """

    def __init__(self, git: Git, commit: str, settings: PromotionSettings, name: str) -> None:
        """Say which; nothing is read yet."""
        self._git = git
        self._settings = settings
        self.name = name
        self.commit = commit
        self.folder = deployment_folder(settings.model, name)

    @cached_property
    def policy(self) -> StagePolicy:
        """The stage's trust policy.

        Raises:
            NotFound: there is none.
            ConfigurationError: it is not usable.
        """
        text = self._git.read(self.commit, policy_path(self.name), MAXIMUM_BYTES)
        return read_policy(text, self.name, self._settings.model)

    @cached_property
    def inputs(self) -> Inputs:
        """What people wrote for it: the policy and the service's configuration. Raises what `policy` raises."""
        policy = self.policy
        service = self._git.read(self.commit, self._settings.service_configuration, MAXIMUM_BYTES)
        return Inputs(self._settings, self.name, policy, service)

    @cached_property
    def deployed(self) -> Mapping[str, bytes | None]:
        """What the watcher wrote for it, by path; None for what is no plain file."""
        return self._git.files(self.commit, self.folder, _FOLDER_BYTES)

    @cached_property
    def record(self) -> Record | None:
        """The record of what was promoted; None where the stage has nothing.

        Raises:
            ConfigurationError: it is no record.
        """
        path = f"{self.folder}/{FILE}"
        return Record.from_bytes(self.deployed[path] or b"", path) if path in self.deployed else None

    def differing(self, inputs: Inputs, record: Record) -> list[str]:
        """Return the paths of those deployed files that do not follow from these inputs and this record.

        Raises:
            ConfigurationError: the service's configuration is not usable.
        """
        expected = render(inputs, record)
        return sorted(path for path in {*expected, *self.deployed} if self.deployed.get(path) != expected.get(path))

    def lets_go_back(self, inputs: Inputs) -> bool:
        """Tell whether what people wrote is new to the stage, and its policy says itself how far back it may go."""
        new = self.record is None or self.record.inputs != inputs.digest()
        return new and bool(inputs.policy.demands.minimum_serial)

    def demanded(self, inputs: Inputs) -> TrustPolicy:
        """Return what the policy among these inputs demands of the next package, after what is deployed here."""
        if self.record is None or self.lets_go_back(inputs):
            return inputs.policy.demands
        return inputs.policy.with_floor(self.record.serial)

    def check_order(self, statement: Statement) -> None:
        """Refuse another package with the serial of what is deployed: nothing says which of the two is newer.

        Raises:
            RolledBack: it is one.
        """
        record = self.record
        if record is None or (statement.serial, str(statement.package_digest)) == (record.serial, record.digest):
            return
        if statement.serial == record.serial and not self.lets_go_back(self.inputs):
            raise RolledBack(
                f"another package with serial {record.serial} is deployed",
                expected=f"serial {record.serial + 1} or later",
                found=f"serial {statement.serial}, {statement.package_digest}",
            )
