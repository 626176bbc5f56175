"""The trust policy as a YAML file: one for the command line, the service, and whatever else loads packages."""

import difflib
import os
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from signed_parameters.durations import parse_duration
from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.keyring import Keyring, TrustedKey
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.limits import Limits
from signed_parameters.policy.document import MAPPING, SECRET, TEXT, UNEXPECTED, KeyEntry, LimitsEntry, PolicyDocument
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.strict_yaml import Value, describe, parse_yaml, read_yaml
from signed_parameters.times import parse_time

_ENVIRONMENT = "env:"
_REMEDY = "`signed-parameters policy --schema` says what may stand there."
_KNOWN = {
    part: list(model.model_fields)
    for part, model in (("", PolicyDocument), ("keys", KeyEntry), ("limits", LimitsEntry))
}


def load_policy(path: str | os.PathLike[str]) -> TrustPolicy:
    """Read a policy file.

    Args:
        path: the file. It is YAML; `policy_document.PolicyDocument` says what may stand in it.

    Returns:
        The policy, with the keys of its keyring, and those that it takes from the environment.

    Raises:
        ConfigurationError: it cannot be read, or something in it is not usable; the message names the place.
    """
    fields = read_yaml(path, "trust policy", _REMEDY)
    return _policy_of(f"the trust policy {os.fspath(path)}", fields, Path(path).parent)


def parse_policy(text: str, where: str) -> TrustPolicy:
    """Read what would stand in a policy file.

    Args:
        text: YAML. A keyring in it is found from the working folder.
        where: where the text comes from, for errors.

    Raises:
        ConfigurationError: as for `load_policy`.
    """
    what = f"the trust policy in {where}"
    return _policy_of(what, parse_yaml(text.encode(errors="surrogateescape"), what), Path())


def _policy_of(what: str, fields: dict[str, Value], folder: Path) -> TrustPolicy:
    try:
        document = PolicyDocument.model_validate(fields)
    except ValidationError as error:
        raise _explain(what, error, fields) from None
    keys = _listed_keys(what, document)
    if document.keyring is not None:
        keys += _keyring_keys(what, folder / document.keyring, {key.key_id for key in keys})
    texts = ("name", "version", "parameters_version", "package_digest")
    plain = (*texts, "threshold", "minimum_serial", "allowed_globals")
    lists = ("revoked_keys", "revoked_digests", "signature_algorithms", "digest_algorithms")
    try:
        return TrustPolicy(
            keys=keys,
            maximum_age=None if document.maximum_age is None else parse_duration(document.maximum_age),
            limits=Limits(**document.limits.model_dump()),
            **{name: getattr(document, name) for name in (*plain, *lists)},
        )
    except ConfigurationError as error:
        raise _at(what, "", error) from None


def _listed_keys(what: str, document: PolicyDocument) -> list[TrustedKey]:
    keys: dict[str, TrustedKey] = {}
    for index, item in enumerate(document.keys):
        entry = item if isinstance(item, KeyEntry) else KeyEntry(key=item)
        try:
            key = TrustedKey(
                _verification_key(entry.key), _time(entry.not_before), _time(entry.not_after), entry.status
            )
        except ConfigurationError as error:
            raise _at(what, f"keys.{index}", error) from None
        if key.key_id in keys:
            raise ConfigurationError(
                f"{what} is not usable at keys.{index}",
                expected="each key once",
                found=f"key {key.key_id} again",
                remedy="Leave away the entry that does not hold.",
            )
        keys[key.key_id] = key
    return list(keys.values())


def _keyring_keys(what: str, path: Path, listed: set[str]) -> list[TrustedKey]:
    try:
        keys = list(Keyring.load(path))
    except ConfigurationError as error:
        raise _at(what, "keyring", error) from None
    if twice := next((key for key in keys if key.key_id in listed), None):
        raise ConfigurationError(
            f"{what} is not usable at keyring",
            expected="keys that are not in `keys` too",
            found=f"key {twice.key_id}",
            remedy="Leave it in the keyring, which says when it counts.",
        )
    return keys


def _verification_key(text: str) -> VerificationKey:
    return VerificationKey.load(text) if text.startswith(_ENVIRONMENT) else VerificationKey.parse(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _at(what: str, where: str, error: ConfigurationError) -> ConfigurationError:
    """Return an error of a part, with the file and the place in it."""
    place = f"{what} is not usable at {where}" if where else f"{what} is not usable"
    return ConfigurationError(
        f"{place}: {error.problem}", expected=error.expected, found=error.found, remedy=error.remedy or _REMEDY
    )


def _explain(what: str, error: ValidationError, fields: dict[str, Value]) -> ConfigurationError:
    """Return an error that names the place, what would be right there, and what there is."""
    problems = error.errors(include_url=False, include_input=False)
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    parts = [part for part in first["loc"] if part not in (TEXT, MAPPING)]
    place = f"{what} is not usable at {'.'.join(map(str, parts))}"
    kind = first["type"]
    if kind == "extra_forbidden":
        return _unknown(what, parts)
    if kind == SECRET:
        return ConfigurationError(
            place,
            expected="no secret in a file that is shared",
            found="one in clear",
            remedy="Put it into an environment variable, write env:NAME here, and make a new one if others saw it.",
        )
    if kind == "missing":
        return ConfigurationError(place, expected="a value", found="no such key", remedy=_REMEDY)
    expected = str(first["ctx"]["expected"]) if kind == UNEXPECTED else first["msg"]
    return ConfigurationError(place, expected=expected, found=_found(parts, fields), remedy=_REMEDY)


def _unknown(what: str, parts: list[int | str]) -> ConfigurationError:
    *above, name = map(str, parts)
    known = _KNOWN[above[0] if above else ""]
    near = difflib.get_close_matches(name, known, 1)
    return ConfigurationError(
        f"{what} has the unknown key {'.'.join([*above, '...' if Algorithm.HMAC_SHA512 in name else name])}",
        expected=f"some of {', '.join(known)}",
        remedy=f"Did you mean {near[0]}?" if near else _REMEDY,
    )


def _found(parts: list[int | str], fields: dict[str, Value]) -> str:
    """Describe what stands at a place; never the text of a key, because it may be a secret in the wrong place."""
    value: Value = fields
    for part in parts:
        value = value[part] if isinstance(value, dict | list) else None  # type: ignore[index]
    if isinstance(value, str) and (_is_key(parts) or Algorithm.HMAC_SHA512 in value):
        return "another text"
    return describe(value)


def _is_key(parts: list[int | str]) -> bool:
    return parts[0] == "keys" and (len(parts) <= 2 or parts[-1] == "key")
