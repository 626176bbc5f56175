"""The trust policy of a stage: `policies/STAGE.yaml`, as it was reviewed in Git.

What a stage has is never left for something older by itself. When what people wrote changes, and the policy names a
`minimum_serial`, the stage may go back so far, that once. So going back is always a reviewed commit.
"""

from dataclasses import dataclass, replace

import yaml

from signed_parameters import ConfigurationError, KeyReference, TrustPolicy
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.policy.file import parse_policy
from signed_parameters.strict_yaml import Value, parse_yaml
from signed_parameters.times import format_time

MAXIMUM_BYTES = 256 << 10


def policy_path(stage: str) -> str:
    """Return the place of a stage's policy in the repository."""
    return f"policies/{stage}.yaml"


@dataclass(frozen=True)
class StagePolicy:
    """A stage's policy: what it demands, and the text that was reviewed."""

    demands: TrustPolicy
    text: bytes

    def with_floor(self, serial: int) -> TrustPolicy:
        """Return what is demanded, and no less than this serial."""
        return replace(self.demands, minimum_serial=max(serial, self.demands.minimum_serial))

    def for_service(self, serial: int, digest: str) -> bytes:
        """Return the policy file of the pods: the reviewed one, for the one package that is deployed, and none older.

        The keys are written in full, so that the file needs nothing beside it.
        """
        fields = parse_yaml(self.text, "the trust policy")
        fields["minimum_serial"] = serial
        fields["package_digest"] = digest
        fields["keys"] = [self._entry(index) for index in range(len(self.demands.trusted_keys))]
        return dump(fields)

    def _entry(self, index: int) -> dict[str, Value]:
        trusted = self.demands.trusted_keys[index]
        times = {"not_before": trusted.not_before, "not_after": trusted.not_after}
        entry: dict[str, Value] = {name: format_time(time) for name, time in times.items() if time is not None}
        return {"key": str(trusted.key), **entry, "status": str(trusted.status)}


def read_policy(text: bytes, stage: str, model: str) -> StagePolicy:
    """Read a stage's policy.

    Args:
        text: the file.
        stage: whose it is.
        model: the model's name, which the policy has to name too.

    Raises:
        ConfigurationError: it is not usable, trusts a shared secret, or needs a file beside it.
    """
    path = policy_path(stage)
    fields = parse_yaml(text, f"the trust policy {path}")
    if "keyring" in fields:
        raise ConfigurationError(
            f"the trust policy {path} names a keyring",
            expected="the keys in the policy itself, so that one file is what was reviewed",
            remedy="Copy the keyring's keys into `keys`.",
        )
    policy = parse_policy(text.decode(), path)
    if policy.name != model:
        raise ConfigurationError(f"the trust policy {path} is another model's", expected=model, found=policy.name)
    for trusted in policy.trusted_keys:
        if isinstance(trusted.key, KeyReference) or trusted.key.algorithm is not Algorithm.ED25519:
            raise ConfigurationError(
                f"the trust policy {path} trusts a shared secret, key {trusted.key_id}",
                expected="Ed25519 keys, as the policy is rendered into Git",
                remedy="Sign what is promoted with an Ed25519 key.",
            )
    return StagePolicy(policy, text)


class _Dumper(yaml.SafeDumper):
    """Writes every text in quotes, so that it means the same to every reader."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _quoted)


def dump(fields: dict[str, Value]) -> bytes:
    """Return a mapping as YAML, in its order."""
    text: str = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1_000)
    return text.encode()
