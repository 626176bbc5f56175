import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.envelope import Envelope, Signature
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Download, FileStorage
from signed_parameters.storage.s3 import S3Storage

FILES = {"a": b"1"}

Put = Callable[..., None]


@pytest.fixture
def new_key() -> sp.SigningKey:
    return sp.SigningKey.generate()


@pytest.fixture
def put(workshop: Any) -> Put:
    """`put("folder/p.zip")` stores an envelope signed by the workshop's key, and no package."""

    def store(name: str, /, *, key: sp.SigningKey | None = None, **changes: Any) -> None:
        statement = workshop.statement(b"", FILES, **changes)
        workshop.storage.objects[name + ENVELOPE_SUFFIX] = workshop.envelope(statement, key)

    return store


def _envelope(workshop: Any, name: str) -> Envelope:
    return Envelope.from_bytes(workshop.storage.objects[name + ENVELOPE_SUFFIX])


def _signers(workshop: Any, name: str) -> list[str]:
    return [signature.key_id for signature in _envelope(workshop, name).signatures]


def _resign(workshop: Any, key: sp.SigningKey, uri: str = "", **options: Any) -> sp.Resigned:
    options = {"trusted": workshop.policy.keys, **options}
    return sp.resign(uri, key=key, storage=workshop.storage, **options)


class NoPackages(FileStorage):
    """A folder in which nothing but envelopes can be read."""

    def open_in_place(self, name: str) -> int:
        assert name.endswith(ENVELOPE_SUFFIX), f"{name} was read"
        return super().open_in_place(name)

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        assert name.endswith(ENVELOPE_SUFFIX), f"{name} was read"
        with super().stream(name) as download:
            yield download


def test_one_package_gets_one_more_signature(
    make_package: Any, key: sp.SigningKey, new_key: sp.SigningKey, policy: sp.TrustPolicy
) -> None:
    package = make_package(FILES)
    done = sp.resign(package, key=new_key, trusted=policy.keys)
    assert done == sp.Resigned((str(package),), (), {})
    for one in (key, new_key):
        with sp.verify_package(package, sp.TrustPolicy(name="m", keys=[one.verification_key])) as verified:
            assert verified.key_ids == (one.key_id,)


def test_everything_below_a_folder_and_no_package_is_read(
    make_package: Any, key: sp.SigningKey, new_key: sp.SigningKey, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    packages = [make_package(FILES, name=f"p-{number}.zip", serial=number) for number in range(40)]
    sp.publish_latest(packages[-1], key=key, policy=policy)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in packages}
    done = sp.resign("", key=new_key, trusted=policy.keys, storage=NoPackages(tmp_path))
    assert len(done.signed) == 41
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in packages} == before
    new = sp.TrustPolicy(name="m", keys=[new_key.verification_key])
    for uri in (*packages, tmp_path / "m@latest"):
        sp.verify_package(uri, new).close()


def test_a_storage_that_is_watched_does_catch_a_read_of_a_package(
    make_package: Any, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    make_package(FILES)
    with pytest.raises(AssertionError, match=r"package\.zip was read"):
        sp.verify_package("package.zip", policy, storage=NoPackages(tmp_path))


@pytest.mark.parametrize("trusted", ["keys", "keyring", "policy"])
def test_whom_to_believe_can_be_said_in_three_ways(
    workshop: Any, put: Put, new_key: sp.SigningKey, trusted: str
) -> None:
    put("p.zip")
    put("stranger.zip", key=sp.SigningKey.generate())
    keys = workshop.policy.keys
    ways: dict[str, Any] = {
        "keys": keys,
        "keyring": sp.Keyring((sp.TrustedKey(keys[0]), sp.TrustedKey(new_key.verification_key))),
        "policy": workshop.policy,
    }
    done = _resign(workshop, new_key, trusted=ways[trusted])
    assert done.signed == ("memory://p.zip",)
    assert [type(error) for error in done.failed.values()] == [sp.UnknownKey]


def test_replacing_takes_the_other_signatures_away(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("p.zip")
    put("both.zip")
    _resign(workshop, new_key, "both.zip")
    done = _resign(workshop, new_key, replace=True)
    assert len(done.signed) == 2
    for name in ("p.zip", "both.zip"):
        assert _signers(workshop, name) == [new_key.key_id]
    assert len(_resign(workshop, new_key, replace=True).skipped) == 2


def test_what_is_signed_already_is_skipped_and_not_written(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("a.zip")
    _resign(workshop, new_key)
    put("b.zip")
    before = workshop.storage.objects["a.zip" + ENVELOPE_SUFFIX]
    done = _resign(workshop, new_key)
    assert (done.signed, done.skipped, done.failed) == (("memory://b.zip",), ("memory://a.zip",), {})
    assert workshop.storage.objects["a.zip" + ENVELOPE_SUFFIX] is before


def test_a_claim_to_be_signed_already_is_not_believed(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("p.zip")
    good = _envelope(workshop, "p.zip")
    claiming = Envelope(good.payload, (Signature(new_key.key_id, bytes(64)), *good.signatures))
    workshop.storage.objects["p.zip" + ENVELOPE_SUFFIX] = claiming.to_bytes()
    assert _resign(workshop, new_key).signed == ("memory://p.zip",)
    assert _signers(workshop, "p.zip") == [workshop.key.key_id, new_key.key_id]
    assert _resign(workshop, new_key).skipped == ("memory://p.zip",)


@pytest.mark.parametrize("replace", [False, True])
def test_nothing_of_a_stranger_is_signed(workshop: Any, put: Put, new_key: sp.SigningKey, replace: bool) -> None:
    """Otherwise a new key would turn an attacker's envelopes into good ones."""
    objects, revoked = workshop.storage.objects, sp.SigningKey.generate()
    put("good.zip")
    good = _envelope(workshop, "good.zip")
    bad = {
        "stranger.zip": workshop.envelope(good.payload, sp.SigningKey.generate()),
        "unsigned.zip": Envelope(good.payload, ()).to_bytes(),
        "forged.zip": Envelope(good.payload.replace(b'"serial":1', b'"serial":9'), good.signatures).to_bytes(),
        "revoked.zip": workshop.envelope(good.payload, revoked),
        "garbage.zip": b"{}",
        "empty.zip": b"",
        "other-text.zip": workshop.envelope(b'{"predicateType":"urn:another"}'),
        "no-json.zip": workshop.envelope(b"hello"),
        "many.zip": Envelope(good.payload, good.signatures * 17).to_bytes(),
        "huge.zip": bytes((1 << 20) + 1),
    }
    objects |= {name + ENVELOPE_SUFFIX: data for name, data in bad.items()}
    trusted = [
        *(sp.TrustedKey(key) for key in workshop.policy.keys),
        sp.TrustedKey(revoked.verification_key, status="revoked"),
    ]
    done = _resign(workshop, new_key, trusted=sp.Keyring(tuple(trusted)), replace=replace)
    assert done.signed == ("memory://good.zip",)
    assert {address.removeprefix("memory://") for address in done.failed} == set(bad)
    assert {name: objects[name + ENVELOPE_SUFFIX] for name in bad} == bad


@pytest.mark.parametrize("name", ["stranger.zip", "stranger.zip.dsse.json"])
def test_one_package_that_is_refused_raises(workshop: Any, put: Put, new_key: sp.SigningKey, name: str) -> None:
    put("stranger.zip", key=sp.SigningKey.generate())
    with pytest.raises(sp.UnknownKey):
        _resign(workshop, new_key, name)
    assert len(_signers(workshop, "stranger.zip")) == 1


def test_one_more_signature_than_anybody_verifies_is_refused(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("p.zip")
    for _ in range(15):
        _resign(workshop, sp.SigningKey.generate(), "p.zip")
    with pytest.raises(sp.MalformedPackage, match=r"too many signatures.*at most 16, found 17.*--replace"):
        _resign(workshop, new_key, "p.zip")
    assert len(_signers(workshop, "p.zip")) == 16
    _resign(workshop, new_key, "p.zip", replace=True)
    assert _signers(workshop, "p.zip") == [new_key.key_id]


def test_an_envelope_that_would_be_too_large_to_be_verified(workshop: Any, new_key: sp.SigningKey) -> None:
    files = {f"{'x' * 200}/{number:04}": b"" for number in range(2_330)}
    workshop.storage.objects["p.zip.dsse.json"] = data = workshop.envelope(workshop.statement(b"", files))
    room = sp.Limits(envelope_bytes=len(data) + 10)
    with pytest.raises(sp.TooLarge):
        _resign(workshop, new_key, "p.zip", trusted=sp.TrustPolicy(name="m", keys=workshop.policy.keys, limits=room))
    assert workshop.storage.objects["p.zip.dsse.json"] is data


def test_the_approver_adds_the_second_signature_of_a_threshold(
    make_package: Any, key: sp.SigningKey, new_key: sp.SigningKey
) -> None:
    package = make_package(FILES)
    policy = sp.TrustPolicy(name="m", keys=[key.verification_key, new_key.verification_key], threshold=2)
    with pytest.raises(sp.TooFewSignatures):
        sp.verify_package(package, policy)
    sp.resign(package, key=new_key, trusted=policy)
    with sp.verify_package(package, policy) as verified:
        assert verified.key_ids == (key.key_id, new_key.key_id)


def test_an_approver_s_policy_is_not_signed_for_what_it_refuses(
    workshop: Any, put: Put, new_key: sp.SigningKey, make_package: Any, key: sp.SigningKey
) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    put("good.zip", serial=7)
    put("old.zip", serial=6)
    put("other.zip", serial=7, name="other")
    put("over.zip", serial=7, created=past, expires=past + timedelta(days=1))
    put("bad-pickle.zip", serial=7, pickles={"a": ("os:system",)})
    policy = sp.TrustPolicy(name="m", keys=workshop.policy.keys, minimum_serial=7, allowed_globals=())
    done = _resign(workshop, new_key, trusted=policy)
    assert done.signed == ("memory://good.zip",)
    assert {address: type(error) for address, error in done.failed.items()} == {
        "memory://bad-pickle.zip": sp.UnsafePickle,
        "memory://old.zip": sp.RolledBack,
        "memory://other.zip": sp.NameMismatch,
        "memory://over.zip": sp.Expired,
    }
    package = make_package(FILES)
    uri = sp.publish_latest(package, key=key, policy=workshop.policy)
    with pytest.raises(sp.RolledBack, match="the pointer is older"):
        sp.resign(uri, key=new_key, trusted=policy)


def test_the_signatures_that_a_threshold_needs_are_not_replaced(
    workshop: Any, put: Put, new_key: sp.SigningKey
) -> None:
    put("p.zip")
    keys = [*workshop.policy.keys, new_key.verification_key]
    with pytest.raises(sp.ConfigurationError, match="signatures of others would be taken away"):
        _resign(workshop, new_key, trusted=sp.TrustPolicy(name="m", keys=keys, threshold=2), replace=True)


@pytest.mark.parametrize("status", ["retired", "revoked"])
def test_a_key_that_is_not_to_sign_any_more(workshop: Any, put: Put, new_key: sp.SigningKey, status: str) -> None:
    put("p.zip")
    entries = (sp.TrustedKey(workshop.key.verification_key), sp.TrustedKey(new_key.verification_key, status=status))
    revoking = sp.TrustPolicy(name="m", keys=workshop.policy.keys, revoked_keys=[new_key.key_id])
    for trusted in (sp.Keyring(entries), revoking):
        with pytest.raises(sp.ConfigurationError, match=new_key.key_id):
            _resign(workshop, new_key, trusted=trusted)
    assert _signers(workshop, "p.zip") == [workshop.key.key_id]


def test_a_dry_run_writes_nothing(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("a.zip")
    put("b.zip")
    put("stranger.zip", key=sp.SigningKey.generate())
    _resign(workshop, new_key, "b.zip")
    before = dict(workshop.storage.objects)
    done = _resign(workshop, new_key, dry_run=True)
    assert (done.signed, done.skipped) == (("memory://a.zip",), ("memory://b.zip",))
    assert list(done.failed) == ["memory://stranger.zip"]
    assert workshop.storage.objects == before


def test_progress_is_told_after_each(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    for number in range(40):
        put(f"{number}.zip")
    told: list[tuple[int, int]] = []
    _resign(workshop, new_key, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 40) for number in range(1, 41)]


def test_storage_that_fails_is_reported_for_each(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("a.zip")
    put("b.zip")
    write = workshop.storage.write_bytes

    def fail_at_a(name: str, data: bytes, *, overwrite: bool = False) -> None:
        if name.startswith("a"):
            raise sp.AccessDenied("no")
        write(name, data, overwrite=overwrite)

    workshop.storage.write_bytes = fail_at_a
    done = _resign(workshop, new_key)
    assert done.signed == ("memory://b.zip",)
    assert [type(error) for error in done.failed.values()] == [sp.AccessDenied]


def test_a_run_that_is_broken_off_leaves_whole_envelopes_and_can_be_started_again(
    make_package: Any, key: sp.SigningKey, new_key: sp.SigningKey, policy: sp.TrustPolicy, tmp_path: Path
) -> None:
    first = make_package(FILES)
    data = Path(f"{first}{ENVELOPE_SUFFIX}").read_bytes()
    for number in range(200):
        (tmp_path / f"p-{number:03}.zip.dsse.json").write_bytes(data)

    def break_off(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        sp.resign(tmp_path, key=new_key, trusted=policy.keys, progress=break_off)
    counts = {len(Envelope.from_bytes(path.read_bytes()).signatures) for path in tmp_path.glob(f"*{ENVELOPE_SUFFIX}")}
    assert counts == {1, 2}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert set(threading.enumerate()) <= before
    done = sp.resign(tmp_path, key=new_key, trusted=policy.keys)
    assert len(done.skipped) >= 5
    assert len(done.signed) + len(done.skipped) == 201


def test_a_bucket_or_a_folder_or_an_object_of_s3(
    s3_server: Any,
    s3_bucket: str,
    make_package: Any,
    new_key: sp.SigningKey,
    policy: sp.TrustPolicy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    envelope = Path(f"{make_package(FILES)}{ENVELOPE_SUFFIX}")
    storage = S3Storage(s3_bucket, "", s3_server.settings)
    for name in ("a.zip", "line/a.zip", "line/deep/a.zip", "line-2/a.zip"):
        storage.write(name + ENVELOPE_SUFFIX, envelope)
    addresses = [f"s3://{s3_bucket}/{name}" for name in ("a.zip", "line-2/a.zip", "line/a.zip", "line/deep/a.zip")]
    for uri, signed in [
        (f"s3://{s3_bucket}/line", addresses[2:]),
        (f"s3://{s3_bucket}/line/", addresses[2:]),
        (f"s3://{s3_bucket}/a.zip", addresses[:1]),
        (f"s3://{s3_bucket}/a.zip.dsse.json", addresses[:1]),
        (f"s3://{s3_bucket}", addresses),
        (f"s3://{s3_bucket}/", addresses),
    ]:
        assert list(sp.resign(uri, key=new_key, trusted=policy.keys, dry_run=True).signed) == signed
    done = sp.resign(f"s3://{s3_bucket}/line", key=new_key, trusted=policy.keys)
    assert list(done.signed) == addresses[2:]
    done = sp.resign(f"s3://{s3_bucket}", key=new_key, trusted=policy.keys)
    assert (list(done.signed), list(done.skipped)) == (addresses[:2], addresses[2:])


@pytest.mark.parametrize("uri", ["missing", "missing/", "missing.zip", "unsigned.zip", "unsigned.zip/below", "s3://b"])
def test_an_address_where_nothing_is_signed(
    tmp_path: Path,
    new_key: sp.SigningKey,
    policy: sp.TrustPolicy,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("unsigned.zip").touch()
    with pytest.raises(sp.ConfigurationError if uri == "s3://b" else sp.NotFound):
        sp.resign(uri, key=new_key, trusted=policy.keys)
    assert os.listdir() == ["unsigned.zip"]


@pytest.mark.parametrize("uri", ["", "gopher://host/x", "s3://", "s3:///p.zip", "file://host/x", "ENVELOPE"])
def test_an_address_that_leads_nowhere(new_key: sp.SigningKey, policy: sp.TrustPolicy, uri: str) -> None:
    with pytest.raises(sp.ConfigurationError):
        sp.resign(uri.replace("ENVELOPE", ".dsse.json"), key=new_key, trusted=policy.keys)


def test_trusting_nobody_is_refused(workshop: Any, put: Put, new_key: sp.SigningKey) -> None:
    put("p.zip")
    for nobody in ([], sp.Keyring(), [str(workshop.key.verification_key)]):
        with pytest.raises(sp.ConfigurationError):
            _resign(workshop, new_key, trusted=nobody)
