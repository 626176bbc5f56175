from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.envelope import Envelope
from signed_parameters.statement import ENVELOPE_SUFFIX, MAXIMUM_SERIAL
from signed_parameters.storage.s3 import S3Storage

FILES = {"a": b"1"}

Sign = Callable[..., None]


@pytest.fixture
def sign(workshop: Any) -> Sign:
    """`sign("folder/p.zip", 7)` stores an envelope with that serial, and no package."""

    def put(name: str, serial: int, /, *, key: sp.SigningKey | None = None, **changes: Any) -> None:
        statement = workshop.statement(b"", FILES, serial=serial, **changes)
        workshop.storage.objects[name + ENVELOPE_SUFFIX] = workshop.envelope(statement, key)

    return put


def _next(workshop: Any, **settings: Any) -> int:
    policy = sp.TrustPolicy(**{"name": "m", "keys": workshop.policy.keys, **settings})
    return sp.next_serial("", policy, storage=workshop.storage)


def test_the_first_serial_is_one(workshop: Any, sign: Sign, policy: sp.TrustPolicy, tmp_path: Path) -> None:
    assert _next(workshop) == 1
    assert sp.next_serial(tmp_path / "missing", policy) == 1
    sign("p.zip", 0)
    assert _next(workshop) == 1


def test_it_is_one_above_the_highest(workshop: Any, sign: Sign) -> None:
    for number in range(100):
        sign(f"folder/{number}/p.zip", 1000 - number)
    assert _next(workshop) == 1001


def test_only_the_model_s_own_count(workshop: Any, sign: Sign) -> None:
    sign("p.zip", 7)
    sign("other.zip", 70, name="other")
    assert _next(workshop) == 8
    assert _next(workshop, name="other") == 71
    assert _next(workshop, name="third") == 1


def test_every_version_of_the_model_counts(workshop: Any, sign: Sign) -> None:
    sign("old.zip", 7, version="9.0", parameters_version="x", expires=datetime(2026, 11, 22, tzinfo=UTC))
    assert _next(workshop, version="<1", parameters_version="1", maximum_age=timedelta(seconds=1)) == 8


def test_what_anybody_could_have_written_does_not_count(workshop: Any, sign: Sign) -> None:
    sign("p.zip", 7)
    sign("stranger.zip", MAXIMUM_SERIAL, key=sp.SigningKey.generate())
    objects = workshop.storage.objects
    good = Envelope.from_bytes(objects["p.zip" + ENVELOPE_SUFFIX])
    large = good.payload.replace(b'"serial":7', b'"serial":70')
    assert large != good.payload
    objects["forged.zip" + ENVELOPE_SUFFIX] = Envelope(large, good.signatures).to_bytes()
    objects["unsigned.zip" + ENVELOPE_SUFFIX] = Envelope(large, ()).to_bytes()
    objects["garbage.zip" + ENVELOPE_SUFFIX] = b"{}"
    objects["empty.zip" + ENVELOPE_SUFFIX] = b""
    objects["huge.zip" + ENVELOPE_SUFFIX] = bytes(2 << 20)
    objects["many.zip" + ENVELOPE_SUFFIX] = Envelope(large, good.signatures * 100).to_bytes()
    objects["nonsense.zip" + ENVELOPE_SUFFIX] = workshop.envelope(b'{"serial":70}')
    assert _next(workshop) == 8


def test_a_revoked_key_does_not_count(workshop: Any, sign: Sign) -> None:
    thief = sp.SigningKey.generate()
    sign("p.zip", 7)
    sign("stolen.zip", 70, key=thief)
    keys = [*workshop.policy.keys, thief.verification_key]
    assert _next(workshop, keys=keys) == 71
    assert _next(workshop, keys=keys, revoked_keys=[thief.key_id]) == 8


def test_a_key_whose_time_is_over_does_not_count_and_the_policy_s_minimum_is_kept(workshop: Any, sign: Sign) -> None:
    sign("p.zip", 7)
    over = sp.TrustedKey(
        workshop.key.verification_key, not_after=datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=900)
    )
    assert _next(workshop, keys=[over]) == 1
    assert _next(workshop, keys=[over], minimum_serial=7) == 7
    assert _next(workshop, minimum_serial=5) == 8


def test_a_package_that_waits_for_its_second_signature_has_taken_its_serial(workshop: Any, sign: Sign) -> None:
    sign("p.zip", 7)
    keys = [*workshop.policy.keys, sp.SigningKey.generate().verification_key]
    assert _next(workshop, keys=keys, threshold=2) == 8


def test_a_pointer_counts_though_its_package_is_gone(
    workshop: Any, make_package: Any, key: sp.SigningKey, policy: sp.TrustPolicy
) -> None:
    package = make_package(FILES, serial=7)
    sp.publish_latest(package, key=key, policy=policy)
    Path(f"{package}{ENVELOPE_SUFFIX}").unlink()
    assert sp.next_serial(package.parent, policy) == 8


def test_an_envelope_that_cannot_be_read_is_not_passed_over(workshop: Any, sign: Sign) -> None:
    """It might have the highest serial."""
    sign("p.zip", 7)
    workshop.storage.breaks_after = 50
    with pytest.raises(sp.Unavailable):
        _next(workshop)


def test_an_envelope_that_vanishes_meanwhile_is_passed_over(workshop: Any, sign: Sign) -> None:
    sign("a.zip", 7)
    sign("b.zip", 8)
    names = list(workshop.storage.names())
    del workshop.storage.objects["b.zip" + ENVELOPE_SUFFIX]
    workshop.storage.names = lambda suffix="": iter(names)
    assert _next(workshop) == 8


def test_the_last_serial_is_reported(workshop: Any, sign: Sign) -> None:
    sign("p.zip", MAXIMUM_SERIAL)
    with pytest.raises(sp.ConfigurationError, match="no serial is left for m"):
        _next(workshop)


def test_below_a_folder_or_bucket(
    s3_server: Any, s3_bucket: str, make_package: Any, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    package = make_package(FILES, serial=7)
    storage = S3Storage(s3_bucket, "models/m", s3_server.settings)
    envelope = Path(f"{package}{ENVELOPE_SUFFIX}")
    storage.write(envelope.name, envelope)
    for uri in (f"s3://{s3_bucket}", f"s3://{s3_bucket}/models", f"s3://{s3_bucket}/models/m/", package.parent):
        assert sp.next_serial(uri, policy) == 8
    assert sp.next_serial(f"s3://{s3_bucket}/models/other", policy) == 1
    with pytest.raises(sp.NotFound):
        sp.next_serial("s3://no-such-bucket-here", policy)
