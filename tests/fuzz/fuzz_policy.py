"""Trust policies: a file is read whole, as what it says, or refused with an error of ours."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.policy.trust_policy import TrustPolicy
from tests.fuzz.harness import Finding, Harness


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fuzz_policy-")  # removed when the process ends


def seeds() -> Iterator[bytes]:
    """Yield a policy with every member, and what YAML allows and a policy does not."""
    first, second = (str(SigningKey.generate().verification_key) for _ in range(2))
    least = f'name: m\nkeys: ["{first}"]\n'
    yield least.encode()
    yield f"""name: m
version: ">=0.1,<0.2"
parameters_version: "2026_11_21"
package_digest: "sha256:{"0b" * 32}"
keys:
  - "{first}"
  - key: "{second}"
    not_before: 2026-11-21T00:00:00Z
    not_after: "2027-11-21T00:00:00Z"
    status: retired
  - "env:NO_SUCH_VARIABLE"
threshold: 2
minimum_serial: 3
maximum_age: 90d
revoked_keys: ["{"0a" * 16}"]
revoked_digests: ["blake3:{"0a" * 32}"]
signature_algorithms: [ed25519, hmac-sha512]
digest_algorithms: [blake3]
allowed_globals: ["collections:OrderedDict"]
limits:
  package_bytes: 1000
  read_seconds: 1.5
""".encode()
    for line in (
        *("minimum_serial: 010", "minimum_serial: 1e3", "minimum_serial: yes", "threshold: 0x10", "threshold: 1_0"),
        *("name: n", "x: &a [1]\ny: *a", "x: !!python/name:os.system", "? [1]\n: 2", "<<: {name: n}", "---\nname: n"),
        *("maximum_age: 1d", "maximum_age: 99999999999d", "parameters_version: 2026_11_21", "keyring: none.json"),
        *(
            "x: |\n  text",
            "x: >-\n  text",
            'x: "\\ud800"',
            "x: 'a\n  b'",
            "x: {a: [b, {c: d}]}",
            "x: .inf",
            "%YAML 1.1",
        ),
    ):
        yield f"{least}{line}\n".encode()


def check(data: bytes) -> None:
    """Read the bytes as a policy file."""
    path = Path(_folder().name, "policy.yaml")
    path.write_bytes(data)
    with suppress(ConfigurationError):
        policy = TrustPolicy.load(path)
        if not 1 <= policy.threshold <= len(policy.trusted_keys) or not policy.name:
            raise Finding("a policy is read that no package, or any package, could fulfil")


_MODULES = ("policy.trust_policy", "policy.file", "policy.document", "strict_yaml")
HARNESS = Harness(tuple(f"signed_parameters.{name}" for name in _MODULES), seeds, check)
