from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import Digest, DigestAlgorithm

GOOD_ID = "0" * 32


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("name", "", "names no model"),
        ("name", None, "names no model"),
        ("name", 7, "names no model"),
        ("keys", [], "trusts no key"),
        ("keys", None, "keys is not usable"),
        ("keys", "ed25519:AAAA", "keys is not usable"),
        ("keys", ["ed25519:AAAA"], "expected a list of VerificationKey"),
        ("keys", 7, "keys is not usable"),
        ("minimum_serial", -1, "whole number from 0"),
        ("minimum_serial", 1.5, "whole number from 0"),
        ("minimum_serial", "3", "whole number from 0"),
        ("minimum_serial", True, "whole number from 0"),
        ("minimum_serial", None, "whole number from 0"),
        ("revoked_keys", GOOD_ID, "expected a list"),
        ("revoked_keys", None, "expected a list"),
        ("revoked_keys", [None], "32 hexadecimal digits"),
        ("revoked_keys", [GOOD_ID[:-1]], "32 hexadecimal digits"),
        ("revoked_keys", ["A" * 32], "32 hexadecimal digits"),
        ("revoked_keys", [GOOD_ID + "\n"], "32 hexadecimal digits"),
        ("revoked_digests", "blake3:" + "0" * 64, "expected a list"),
        ("revoked_digests", ["0" * 64], "blake3:HEXADECIMAL"),
        ("revoked_digests", ["blake3:" + "A" * 64], "blake3:HEXADECIMAL"),
        ("revoked_digests", ["md5:" + "0" * 32], "blake3:HEXADECIMAL"),
        ("revoked_digests", [None], "blake3:HEXADECIMAL"),
        ("package_digest", "", "package_digest is not usable: expected a digest such as blake3:HEXADECIMAL, found ''"),
        ("package_digest", "0" * 64, "package_digest is not usable"),
        ("package_digest", ":" + "0" * 64, "package_digest is not usable"),
        ("package_digest", "blake3:" + "0" * 63, "package_digest is not usable"),
        ("package_digest", "blake3:" + "A" * 64, "package_digest is not usable"),
        ("package_digest", "BLAKE3:" + "0" * 64, "package_digest is not usable"),
        ("package_digest", "blake3:" + "0" * 64 + "\n", "package_digest is not usable"),
        ("package_digest", "sha512:" + "0" * 64, "package_digest is not usable"),
        ("package_digest", b"blake3:" + b"0" * 64, "package_digest is not usable"),
        ("package_digest", ["blake3:" + "0" * 64], "package_digest is not usable"),
        ("package_digest", Digest("md5", "0" * 64), "package_digest is not usable"),  # type: ignore[arg-type]
        ("package_digest", 7, "package_digest is not usable"),
        ("package_digest", False, "package_digest is not usable"),
        ("version", "0.1.0", "a range such as"),
        ("version", ">=x", "a range such as"),
        ("version", None, "version is not usable"),
        ("version", 0.1, "version is not usable"),
        ("version", [">=0.1"], "version is not usable"),
        ("parameters_version", 20261121, "Put it in quotes"),
        ("signature_algorithms", "ed25519", "expected a list"),
        ("signature_algorithms", ["rsa"], "some of ed25519, hmac-sha512"),
        ("digest_algorithms", ["md5"], "some of blake3, sha256"),
        ("digest_algorithms", None, "expected a list"),
    ],
)
def test_a_setting_that_is_not_usable_is_refused(key: sp.SigningKey, setting: str, value: object, message: str) -> None:
    settings: dict[str, Any] = {"name": "m", "keys": [key.verification_key], setting: value}
    with pytest.raises(sp.ConfigurationError, match=message):
        sp.TrustPolicy(**settings)


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_a_named_package_is_kept_as_text(key: sp.SigningKey, algorithm: DigestAlgorithm) -> None:
    digest = Digest(algorithm, "0" * 64)
    by_digest, by_text = (
        sp.TrustPolicy(name="m", keys=[key.verification_key], package_digest=given) for given in (digest, str(digest))
    )
    assert by_digest == by_text
    assert by_digest.package_digest == f"{algorithm}:{'0' * 64}"


@pytest.mark.parametrize("setting", ["keys", "revoked_keys"])
def test_an_iterator_is_not_used_up_by_the_checks(key: sp.SigningKey, setting: str) -> None:
    """A generator of revoked keys would be empty when it counts."""
    values: dict[str, Any] = {"keys": [key.verification_key], "revoked_keys": [GOOD_ID]}
    policy = sp.TrustPolicy(name="m", **{**values, setting: iter(values[setting])})
    assert list(policy.keys) == [key.verification_key]
    assert list(policy.revoked_keys) == [GOOD_ID]


def test_a_list_that_changes_later_does_not_change_the_policy(key: sp.SigningKey) -> None:
    revoked = [GOOD_ID]
    policy = sp.TrustPolicy(name="m", keys=[key.verification_key], revoked_keys=revoked)
    revoked.clear()
    assert list(policy.revoked_keys) == [GOOD_ID]


def test_a_secret_that_was_given_as_text_is_not_shown(hmac_key: sp.SigningKey) -> None:
    secret = str(hmac_key.verification_key)
    with pytest.raises(sp.ConfigurationError) as caught:
        sp.TrustPolicy(name="m", keys=secret)  # type: ignore[arg-type]
    assert secret not in str(caught.value)
    with pytest.raises(sp.ConfigurationError) as caught:
        sp.TrustPolicy(name="m", keys=[secret])  # type: ignore[list-item]
    assert secret not in str(caught.value)


def test_a_revoked_key_is_not_trusted_again_by_a_second_entry(key: sp.SigningKey) -> None:
    revoked = sp.TrustedKey(key.verification_key, status=sp.KeyStatus.REVOKED)
    for keys in ([revoked, key.verification_key], [key.verification_key, revoked]):
        with pytest.raises(sp.ConfigurationError, match="among the trust policy's keys twice"):
            sp.TrustPolicy(name="m", keys=keys)


def test_the_same_entry_twice_is_one_key(key: sp.SigningKey) -> None:
    keys = [key.verification_key, key.verification_key]
    assert sp.TrustPolicy(name="m", keys=keys).threshold == 1
    with pytest.raises(sp.ConfigurationError, match="no package could reach the threshold"):
        sp.TrustPolicy(name="m", keys=keys, threshold=2)
