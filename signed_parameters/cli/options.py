"""Options that several commands share, and reading what they say."""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

import signed_parameters as sp

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([dhm])")
_MAXIMUM_KEY_FILE_BYTES = 16_384


def policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a package has to be."""
    for option in reversed(
        [
            click.option("--name", required=True, help="The model's qualified name."),
            click.option(
                "--key",
                "keys",
                multiple=True,
                required=True,
                help="A trusted verification key, or a file that holds one.",
            ),
            click.option("--version", default="", help='Range of versions of the code, such as ">=0.1,<0.2".'),
            click.option("--parameters-version", default=None, help="The one version of the parameters to accept."),
            click.option("--minimum-serial", type=click.IntRange(min=0), default=0, show_default=True),
            click.option("--revoked-key", "revoked_keys", multiple=True, help="Id of a key that counts no more."),
            click.option("--revoked-digest", "revoked_digests", multiple=True, help="Digest of a package to refuse."),
        ]
    ):
        function = option(function)
    return function


def policy_of(keys: tuple[str, ...], **fields: Any) -> sp.TrustPolicy:
    """Return the policy that the options ask for."""
    return sp.TrustPolicy(keys=[verification_key(key) for key in keys], **fields)


def verification_key(text: str) -> sp.VerificationKey:
    """Read a verification key from its text, or from a file that holds it."""
    if ":" not in text or os.path.isfile(text):
        try:
            with open(text, "rb") as file:
                text = file.read(_MAXIMUM_KEY_FILE_BYTES).decode()
        except (OSError, ValueError):
            raise sp.ConfigurationError(
                f"verification key {text!r} is not usable", expected="ed25519:..., or a file that holds such a key"
            ) from None
    return sp.VerificationKey.parse(text)


def duration(text: str | None) -> timedelta | None:
    """Read a time such as 90d, 12h or 30m."""
    if text is None:
        return None
    if match := _DURATION.fullmatch(text):
        return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})
    raise sp.ConfigurationError(
        "--expires-in is not usable", expected="a time such as 90d, 12h or 30m", found=repr(text)
    )
