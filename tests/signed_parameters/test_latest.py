import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.envelope import Envelope
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage.s3 import S3Storage

Publish = Callable[..., str]


@pytest.fixture
def publish(make_package: Any, key: sp.SigningKey, policy: sp.TrustPolicy) -> Publish:
    """`publish(7)` makes a package with that serial and publishes it with the arguments that are given."""

    def make_and_publish(serial: int, *, content: bytes = b"", **arguments: Any) -> str:
        content = content or b"%d" % serial
        package = make_package({"a": content}, name=f"m-{serial}-{content.hex()}.zip", serial=serial)
        return sp.publish_latest(package, **{"key": key, "policy": policy, **arguments})

    return make_and_publish


def _content(uri: str, policy: sp.TrustPolicy, **options: Any) -> bytes:
    with sp.verify_package(uri, policy, **options) as package:
        return package.read("a")


def _pointer(uri: str) -> sp.Pointer:
    return sp.Pointer.from_payload(Envelope.from_bytes(Path(uri + ENVELOPE_SUFFIX).read_bytes()).payload)


def test_the_latest_package_is_found_by_the_model_s_name(
    publish: Publish, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    uri = publish(7)
    assert uri == str(tmp_path / "m@latest")
    assert _content(uri, policy) == b"7"
    assert publish(8) == uri
    assert _content(uri, policy) == b"8"
    assert _content(Path(uri).as_uri(), policy) == b"8"
    pointer = _pointer(uri)
    assert (pointer.name, pointer.version, pointer.parameters_version, pointer.serial) == ("m", "0.1.0", "1", 8)
    assert pointer.expires is None


def test_through_s3(
    publish: Publish, policy: sp.TrustPolicy, key: sp.SigningKey, s3_server: Any, s3_bucket: str, make_package: Any
) -> None:
    storage = S3Storage(s3_bucket, "line", s3_server.settings)
    for serial in (7, 8):
        package = make_package({"a": b"%d" % serial}, name=f"m-{serial}.zip", serial=serial)
        for path in (package, Path(f"{package}{ENVELOPE_SUFFIX}")):
            storage.write(path.name, path)
        uri = sp.publish_latest(package.name, key=key, policy=policy, storage=storage)
        assert uri == f"s3://{s3_bucket}/line/m@latest"
        assert _content("m@latest", policy, storage=storage) == b"%d" % serial


def test_an_older_package_is_published_on_purpose_only(publish: Publish, policy: sp.TrustPolicy) -> None:
    uri = publish(7)
    with pytest.raises(sp.RolledBack, match=r"expected serial 7 or later, found serial 6.*--back"):
        publish(6)
    assert _content(uri, policy) == b"7"
    publish(6, content=b"older", back=True)
    assert _content(uri, policy) == b"older"


def test_the_policy_s_minimum_serial_holds_all_the_same(publish: Publish, policy: sp.TrustPolicy) -> None:
    uri = publish(7)
    strict = sp.TrustPolicy(name="m", keys=policy.keys, minimum_serial=7)
    with pytest.raises(sp.RolledBack, match="the package is older than allowed"):
        publish(6, back=True, policy=strict)
    assert _content(uri, policy) == b"7"


def test_the_same_package_may_be_published_again(publish: Publish, policy: sp.TrustPolicy, tmp_path: Path) -> None:
    uri = publish(7)
    key = sp.SigningKey.generate()
    both = sp.TrustPolicy(name="m", keys=[*policy.keys, key.verification_key])
    (package,) = tmp_path.glob("*.zip")
    sp.publish_latest(package, key=key, policy=both, expires_in=timedelta(days=30))
    assert _pointer(uri).expires == _pointer(uri).created + timedelta(days=30)


def test_another_package_with_the_same_serial_is_not_published(publish: Publish, policy: sp.TrustPolicy) -> None:
    uri = publish(7)
    with pytest.raises(sp.RolledBack, match=r"another package has the same serial.*next-serial"):
        publish(7, content=b"another")
    assert _content(uri, policy) == b"7"
    publish(7, content=b"again", back=True)
    assert _content(uri, policy) == b"again"


def test_a_package_that_is_refused_is_not_published(
    make_package: Any, key: sp.SigningKey, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    package = make_package({"a": b"1"}, key=sp.SigningKey.generate())
    with pytest.raises(sp.UnknownKey):
        sp.publish_latest(package, key=key, policy=policy)
    sp.sign_package(package, key=key, name="m", version="0.1.0", parameters_version="1", serial=1)
    package.write_bytes(package.read_bytes()[:-1] + b"x")
    with pytest.raises(sp.DigestMismatch):
        sp.publish_latest(package, key=key, policy=policy)
    assert not list(tmp_path.glob("*@latest*"))


def test_an_expired_pointer_is_replaced_and_its_serial_still_counts(
    publish: Publish, workshop: Any, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    uri = publish(7)
    created = datetime(2020, 1, 1, tzinfo=UTC)
    old = _pointer(uri).model_copy(update={"created": created, "expires": created + timedelta(days=1)})
    Path(uri + ENVELOPE_SUFFIX).write_bytes(workshop.envelope(old.to_payload()))
    with pytest.raises(sp.Expired):
        sp.verify_package(uri, policy)
    with pytest.raises(sp.RolledBack):
        publish(6)
    publish(8)
    assert _content(uri, policy) == b"8"


@pytest.mark.parametrize("kind", ["garbage", "stranger", "unsigned", "forged", "package", "another model", "huge"])
@pytest.mark.parametrize("back", [False, True])
def test_a_pointer_that_does_not_verify_is_not_overwritten(
    publish: Publish, workshop: Any, kind: str, back: bool
) -> None:
    uri = publish(7)
    place = Path(uri + ENVELOPE_SUFFIX)
    good = Envelope.from_bytes(place.read_bytes())
    payload = good.payload.replace(b'"serial":7', b'"serial":6')
    data = {
        "garbage": b"{}",
        "stranger": workshop.envelope(payload, sp.SigningKey.generate()),
        "unsigned": Envelope(payload, ()).to_bytes(),
        "forged": Envelope(payload, good.signatures).to_bytes(),
        "package": next(place.parent.glob("*.zip.dsse.json")).read_bytes(),
        "another model": workshop.envelope(good.payload.replace(b'"name":"m"', b'"name":"n"')),
        "huge": bytes((1 << 20) + 1),
    }[kind]
    place.write_bytes(data)
    with pytest.raises(sp.SignedParametersError) as caught:
        publish(8, back=back)
    assert isinstance(caught.value, sp.VerificationError | sp.TooLarge)
    if kind not in ("garbage", "huge"):
        assert "is not replaced, because" in str(caught.value)
        assert "delete it, and publish again" in str(caught.value)
    assert place.read_bytes() == data


def test_a_pointer_that_comes_meanwhile_is_not_overwritten(
    workshop: Any, key: sp.SigningKey, policy: sp.TrustPolicy
) -> None:
    workshop.put_signed({"a": b"1"})
    storage = workshop.storage
    write = storage.write_bytes

    def somebody_is_faster(name: str, data: bytes, *, overwrite: bool = False) -> None:
        storage.objects[name] = b"somebody else's"
        write(name, data, overwrite=overwrite)

    storage.write_bytes = somebody_is_faster
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        sp.publish_latest("package.zip", key=key, policy=policy, storage=storage)
    assert storage.objects["m@latest" + ENVELOPE_SUFFIX] == b"somebody else's"


def test_a_key_that_the_policy_does_not_let_sign(make_package: Any, key: sp.SigningKey, tmp_path: Path) -> None:
    package = make_package({"a": b"1"})
    now = datetime.now(UTC)
    other = sp.SigningKey.generate()
    public = other.verification_key
    for entries, revoked in [
        ([], []),
        ([public], [other.key_id]),
        ([sp.TrustedKey(public, status=sp.KeyStatus.RETIRED)], []),
        ([sp.TrustedKey(public, status=sp.KeyStatus.REVOKED)], []),
        ([sp.TrustedKey(public, not_after=now)], []),
        ([sp.TrustedKey(public, not_before=now + timedelta(days=1))], []),
    ]:
        policy = sp.TrustPolicy(name="m", keys=[key.verification_key, *entries], revoked_keys=revoked)
        with pytest.raises((sp.ConfigurationError, sp.RevokedKey), match=other.key_id):
            sp.publish_latest(package, key=other, policy=policy)
    assert not list(tmp_path.glob("*@latest*"))


def test_a_pointer_by_several(publish: Publish, key: sp.SigningKey, make_package: Any, tmp_path: Path) -> None:
    approver = sp.SigningKey.generate()
    policy = sp.TrustPolicy(name="m", keys=[key.verification_key, approver.verification_key], threshold=2)
    package = make_package({"a": b"1"})
    with pytest.raises(sp.TooFewSignatures):
        sp.publish_latest(package, key=key, policy=policy)
    sp.resign(package, key=approver, trusted=policy)
    uri = sp.publish_latest(package, key=key, policy=policy)
    with pytest.raises(sp.TooFewSignatures, match="the pointer is not signed by enough"):
        sp.verify_package(uri, policy)
    sp.resign(uri, key=approver, trusted=policy)
    assert _content(uri, policy) == b"1"


@pytest.mark.parametrize("name", ["with space.zip", "a@b.zip", "\u00fc.zip", "x" * 500])
def test_a_package_that_cannot_be_pointed_to(
    workshop: Any, key: sp.SigningKey, policy: sp.TrustPolicy, name: str
) -> None:
    workshop.put_signed({"a": b"1"})
    objects = workshop.storage.objects
    objects |= {name + suffix: objects["package.zip" + suffix] for suffix in ("", ENVELOPE_SUFFIX)}
    with pytest.raises(sp.ConfigurationError, match=r"cannot be pointed to.*m-0\.1\.0-1\.zip"):
        sp.publish_latest(name, key=key, policy=policy, storage=workshop.storage)


@pytest.mark.parametrize("expires_in", [timedelta(0), timedelta(days=-1), timedelta.max])
def test_a_time_that_cannot_be(publish: Publish, expires_in: timedelta, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be pointed to"):
        publish(7, expires_in=expires_in)
    assert not list(tmp_path.glob("*@latest*"))


def test_a_pointer_is_not_pointed_to(publish: Publish, key: sp.SigningKey, policy: sp.TrustPolicy) -> None:
    with pytest.raises(sp.ConfigurationError, match="is a pointer's address"):
        sp.publish_latest(publish(7), key=key, policy=policy)


def test_the_pointer_is_one_dsse_envelope(publish: Publish, key: sp.SigningKey) -> None:
    fields = json.loads(Path(publish(7) + ENVELOPE_SUFFIX).read_bytes())
    assert fields["payloadType"] == "application/vnd.in-toto+json"
    assert [signature["keyid"] for signature in fields["signatures"]] == [key.key_id]
