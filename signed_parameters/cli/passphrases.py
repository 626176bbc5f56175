"""Passphrases of signing keys: from the environment or a terminal, because options show in process lists."""

import os
import sys
from collections.abc import Callable

import click

import signed_parameters as sp
from signed_parameters.keys.encryption import MINIMUM_PASSPHRASE

VARIABLE = "SIGNING_KEY_PASSPHRASE"


def signing_key(source: str) -> sp.SigningKey:
    """Read a signing key from a file or `env:NAME`. Where it is encrypted, find its passphrase or ask for it."""
    return sp.SigningKey.load(source, passphrase=passphrase_of(source))


def passphrase_of(source: str) -> Callable[[], str]:
    """Return what finds the passphrase of a key that is kept already, or asks for it."""
    return lambda: _passphrase(f"Passphrase of {source}", twice=False)


def new_passphrase() -> str:
    """Return a passphrase for a new key; on a terminal it is asked for twice."""
    return _passphrase(f"New passphrase (at least {MINIMUM_PASSPHRASE} characters)", twice=True)


def _passphrase(prompt: str, *, twice: bool) -> str:
    if given := os.environ.get(VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise sp.ConfigurationError(
            "a signing key is encrypted, and there is nobody to ask for its passphrase",
            remedy=f"Set {VARIABLE}, or run the command in a terminal.",
        )
    try:
        asked: str = click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    except click.Abort:
        raise sp.ConfigurationError("no passphrase was given") from None
    return asked
