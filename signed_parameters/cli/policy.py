"""The command that checks a policy file, and says in words what it demands."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.digests import Digest
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.times import format_time

_SOON = timedelta(days=30)


@click.command("policy")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of policy files instead, for editors and checks.")
@command
def check_policy(file: Path | None, schema: bool) -> tuple[list[str], Answer]:
    """Check a policy file: say in words what it demands, and warn of what it leaves open."""
    if (file is None) != schema:
        raise click.UsageError("Give either the policy file to check, or --schema.")
    if file is None:
        from signed_parameters.policy.document import json_schema

        fields = json_schema()
        return json.dumps(fields, indent=2).splitlines(), fields
    policy, now = sp.TrustPolicy.load(file), datetime.now(UTC)
    warnings = list(_warnings(policy, now))
    lines = [f"{file} can be used. It demands of a package:"]
    lines += [f"  {what:14} {demand}" for what, demand in _demands(policy, now)]
    lines += [f"warning: {warning}" for warning in warnings]
    return lines, {"policy": str(file), "demands": _as_object(policy, now), "warnings": warnings}


def _demands(policy: sp.TrustPolicy, now: datetime) -> list[tuple[str, str]]:
    keys, allowed = policy.trusted_keys, policy.allowed_globals
    return [
        ("model", policy.name),
        ("version", policy.version or "any"),
        ("parameters", policy.parameters_version or "any version"),
        *([] if policy.package_digest is None else [("package", f"{policy.package_digest}, and no other")]),
        ("serial", f"{policy.minimum_serial} or later"),
        ("age", "any" if policy.maximum_age is None else f"less than {_duration(policy.maximum_age)}"),
        ("signed by", f"{policy.threshold} of {len(keys)} trusted key{'s' if len(keys) > 1 else ''}:"),
        *(("", f"{key.key_id} {key.key.algorithm}, {_state(policy, key, now)}") for key in keys),
        *(("revoked key", key_id) for key_id in policy.revoked_keys),
        *(("revoked", digest) for digest in policy.revoked_digests),
        ("signature", " or ".join(policy.signature_algorithms)),
        ("digest", " or ".join(policy.digest_algorithms)),
        ("pickles import", "what their signed lists say" if allowed is None else ", ".join(allowed) or "nothing"),
        ("size", f"at most {policy.limits.package_bytes:,} bytes"),
    ]


def _as_object(policy: sp.TrustPolicy, now: datetime) -> Answer:
    """Return what a policy demands, under the names that its file has, but for the keys: of these, their ids."""
    names = ("name", "version", "parameters_version", "package_digest", "threshold", "minimum_serial")
    lists = ("revoked_keys", "revoked_digests", "signature_algorithms", "digest_algorithms")
    return {
        **{name: getattr(policy, name) for name in names},
        **{name: list(getattr(policy, name)) for name in lists},
        "maximum_age": None if policy.maximum_age is None else _duration(policy.maximum_age),
        "allowed_globals": None if policy.allowed_globals is None else list(policy.allowed_globals),
        "limits": asdict(policy.limits),
        "keys": [
            {
                "key_id": key.key_id,
                "algorithm": key.key.algorithm,
                "status": key.status,
                "not_before": None if key.not_before is None else format_time(key.not_before),
                "not_after": None if key.not_after is None else format_time(key.not_after),
                "counts_now": _can_count(policy, key) and key.counts_at(now),
            }
            for key in policy.trusted_keys
        ],
    }


def _can_count(policy: sp.TrustPolicy, key: sp.TrustedKey) -> bool:
    return (
        key.status is not sp.KeyStatus.REVOKED
        and key.key_id not in policy.revoked_keys
        and key.key.algorithm in policy.signature_algorithms
    )


def _state(policy: sp.TrustPolicy, key: sp.TrustedKey, now: datetime) -> str:
    if key.status is sp.KeyStatus.REVOKED or key.key_id in policy.revoked_keys:
        return "revoked: counts no more"
    since = f" from {key.not_before:%Y-%m-%d %H:%M} UTC" if key.not_before else ""
    until = f" until {key.not_after:%Y-%m-%d %H:%M} UTC" if key.not_after else ""
    if key.key.algorithm not in policy.signature_algorithms:
        return "of an algorithm that is not allowed: does not count"
    return f"{key.status}, counts{since}{until}" + ("" if key.counts_at(now) else ", so not now")


def _warnings(policy: sp.TrustPolicy, now: datetime) -> Iterator[str]:
    usable = [key for key in policy.trusted_keys if _can_count(policy, key)]
    if (counting := sum(key.counts_at(now) for key in usable)) < policy.threshold:
        yield f"no package can pass: {policy.threshold} keys have to have signed, and {counting} count now."
    if policy.package_digest is not None:
        digest = Digest.parse(str(policy.package_digest))
        if str(digest) in policy.revoked_digests:
            yield "no package can pass: the one that it names is revoked."
        if digest.algorithm not in policy.digest_algorithms:
            yield f"no package can pass: the one that it names is digested by {digest.algorithm}, which is not allowed."
    elif policy.minimum_serial == 0:
        yield "there is no minimum_serial: an older package, which was good once, passes too."
    if policy.maximum_age is None:
        yield "there is no maximum_age: a package that does not expire by itself passes for ever."
    for key in usable:
        if key.not_after is not None and now < key.not_after <= now + _SOON:
            yield f"key {key.key_id} counts until {key.not_after:%Y-%m-%d %H:%M} UTC only: have packages signed anew."
        if key.key.algorithm is Algorithm.HMAC_SHA512:
            yield f"key {key.key_id} is a shared secret: whoever can verify with it can sign with it."


def _duration(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    for unit, length in (("d", 1440), ("h", 60)):
        if minutes % length == 0:
            return f"{minutes // length}{unit}"
    return f"{minutes}m"
