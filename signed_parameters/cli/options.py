"""Options that several commands share, and reading what they say."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.durations import EXPECTED, parse_duration

_Command = Callable[..., Any]


def policy_options(function: _Command) -> _Command:
    """Add the options that say what a package has to be: a policy file, or one by one."""
    return _with_options(function, "--key")


def signer_policy_options(function: _Command) -> _Command:
    """The same for a command whose `--key` signs: trusted keys are given by `--trust`."""
    return _with_options(function, "--trust")


def _with_options(function: _Command, key_option: str) -> _Command:
    for option in reversed(_options(key_option)):
        function = option(function)
    return function


def _options(key_option: str) -> tuple[Callable[..., Any], ...]:
    return (
        click.option(
            "--policy", type=click.Path(path_type=Path), help="A policy file, in the place of the options below."
        ),
        click.option("--name", help="The model's qualified name."),
        click.option(
            key_option, "keys", multiple=True, help="A trusted verification key, a file that holds one, or env:NAME."
        ),
        click.option("--keyring", type=click.Path(path_type=Path), help="A keyring file, whose keys are trusted."),
        click.option("--threshold", type=click.IntRange(min=1), help="How many keys have to have signed. Default: 1."),
        click.option("--version", help='Range of versions of the code, such as ">=0.1,<0.2".'),
        click.option("--parameters-version", help="The one version of the parameters to accept."),
        click.option("--minimum-serial", type=click.IntRange(min=0), help="The oldest serial to accept. Default: 0."),
        click.option("--maximum-age", help="How old a package may be: 90d, 12h, 30m. Default: any age."),
        click.option("--revoked-key", "revoked_keys", multiple=True, help="Id of a key that counts no more."),
        click.option("--revoked-digest", "revoked_digests", multiple=True, help="Digest of a package to refuse."),
    )


def policy_of(
    *,
    policy: Path | None = None,
    name: str | None = None,
    keys: tuple[str, ...] = (),
    keyring: Path | None = None,
    maximum_age: str | None = None,
    key_option: str = "--key",
    **others: Any,
) -> sp.TrustPolicy:
    """Return the policy that the options of `policy_options` ask for; `key_option` is how trusted keys are given.

    Raises:
        click.UsageError: there is something beside a policy file, or too little without one.
        ConfigurationError: a file or a value is not usable.
    """
    given = {option: value for option, value in others.items() if value not in (None, ())}
    if policy is not None:
        beside = {"name": name, "keys": keys, "keyring": keyring, "maximum_age": maximum_age, **given}
        if names := [option for option, value in beside.items() if value not in (None, ())]:
            option = names[0].replace("_", "-").replace("keys", "key").replace("digests", "digest")
            option = key_option.removeprefix("--") if option == "key" else option
            raise click.UsageError(
                f"--policy stands alone: put what --{option} says into the file, which was reviewed, or leave it out."
            )
        return sp.TrustPolicy.load(policy)
    if name is None or not (keys or keyring):
        raise click.UsageError(
            f"Say what to trust: --policy FILE, or --name and one {key_option} or --keyring at least."
        )
    trusted: list[sp.VerificationKey | sp.TrustedKey] = [verification_key(key) for key in keys]
    if keyring is not None:
        trusted += sp.Keyring.load(keyring)
    return sp.TrustPolicy(name=name, keys=trusted, maximum_age=duration(maximum_age, "--maximum-age"), **given)


def verification_key(text: str) -> sp.VerificationKey:
    """Read a verification key from its text, from a file that holds it, or from an environment variable, env:NAME."""
    if ":" not in text or text.startswith(("env:", "file:")) or os.path.isfile(text):
        return sp.VerificationKey.load(text)
    return sp.VerificationKey.parse(text)


def duration(text: str | None, option: str = "--expires-in") -> timedelta | None:
    """Read a time such as 90d, 12h or 30m; `option` names it in the error."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError:
        raise sp.ConfigurationError(f"{option} is not usable", expected=EXPECTED, found=repr(text)) from None
