"""Making keys, and writing all that belongs to a new one."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.passphrases import new_passphrase
from signed_parameters.files import replacement
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.references import KeyReference


@dataclass(frozen=True)
class NewKey:
    """A new signing key, as the options ask for it.

    Attributes:
        key: the key.
        trusted: what a keyring gets: the verification key, or for HMAC a reference to the secret.
        out: where the signing key goes.
        public: where the verification key goes; None for nowhere.
        passphrase: encrypts the signing key; None to keep it in clear.
    """

    key: sp.SigningKey
    trusted: sp.VerificationKey | KeyReference
    out: Path
    public: Path | None
    passphrase: str | None

    @classmethod
    def make(
        cls, *, algorithm: str, out: Path, public: Path | None, encrypt: bool, reference: str | None, in_keyring: bool
    ) -> "NewKey":
        """Make a key. Nothing is written yet.

        Raises:
            ConfigurationError: the options do not go together, or no passphrase can be had.
        """
        secret = algorithm == Algorithm.HMAC_SHA512
        if secret and in_keyring and (reference is None or public is None):
            raise sp.ConfigurationError(
                "a keyring is public, and cannot hold the secret of an HMAC key",
                expected="--verification-key FILE, and --reference with the place where verifiers will find it",
                remedy="Add --reference env:NAME or file:PATH, or take an Ed25519 key.",
            )
        if reference is not None and not (secret and in_keyring):
            raise sp.ConfigurationError(
                "--reference is for HMAC keys in a keyring", remedy="Leave it away: other keys stand there themselves."
            )
        key = sp.SigningKey.generate(algorithm)
        trusted = key.verification_key if reference is None else KeyReference(reference, key.key_id)
        return cls(key, trusted, out, public, new_passphrase() if encrypt else None)

    def write(self, keyring: sp.Keyring | None = None, path: Path | None = None) -> None:
        """Write the signing key, its verification key, and the keyring that has it: all of them or none.

        Raises:
            ConfigurationError: one of them cannot be written.
        """
        with ExitStack() as undo:
            self.key.save(self.out, self.passphrase)
            undo.callback(self.out.unlink)
            if self.public is not None:
                self._write_public(self.public)
                undo.callback(self.public.unlink)
            if keyring is not None and path is not None:
                keyring.save(path)
            undo.pop_all()

    def _write_public(self, path: Path) -> None:
        mode = 0o644 if self.key.algorithm is Algorithm.ED25519 else 0o600
        try:
            with replacement(path, overwrite=False, mode=mode) as file:
                file.write(f"{self.key.verification_key}\n".encode())
        except OSError as error:
            raise sp.ConfigurationError(f"{path} cannot be written", found=str(error.strerror)) from None

    def describe(self) -> list[str]:
        """Return the lines that tell what was made; no secret is in them."""
        shown = str(self.key.verification_key)
        if self.key.algorithm is Algorithm.HMAC_SHA512:
            shown = f"the secret itself, in {self.public}"
        kept = "encrypted; " if self.passphrase is not None else ""
        return [
            f"signing key        {self.out} ({kept}keep it where you train, and back it up)",
            f"verification key   {shown}",
            f"key id             {self.key.key_id}",
        ]


def new_key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a new key is to be."""
    for option in reversed(
        [
            click.option(
                "--algorithm",
                type=click.Choice([choice.value for choice in Algorithm]),
                default=Algorithm.ED25519.value,
                show_default=True,
            ),
            click.option(
                "--encrypt",
                is_flag=True,
                help="Encrypt the signing key with a passphrase, from SIGNING_KEY_PASSPHRASE or asked for.",
            ),
            click.option("--comment", default="", help="Whose key it is, for the readers of the keyring."),
            click.option(
                "--reference", default=None, help="For HMAC in a keyring: where its secret is, env:NAME or file:PATH."
            ),
        ]
    ):
        function = option(function)
    return function


@click.command()
@new_key_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("signing_key.json"), show_default=True)
@click.option(
    "--verification-key",
    "public",
    type=click.Path(path_type=Path),
    default=Path("verification_key.txt"),
    show_default=True,
    help="Where to write what the serving side gets.",
)
@click.option(
    "--keyring",
    "path",
    type=click.Path(path_type=Path),
    default=None,
    help="A file of trusted keys to add it to. It is made where there is none.",
)
@command
def keygen(comment: str, path: Path | None, **what: Any) -> tuple[list[str], Answer]:
    """Make a signing key, and the verification key that belongs to it."""
    if comment and path is None:
        raise sp.ConfigurationError("--comment is for a keyring", remedy="Add --keyring FILE.")
    keyring = None if path is None else _present(path)
    new = NewKey.make(in_keyring=path is not None, **what)
    if keyring is not None:
        keyring = keyring.with_key(new.trusted, comment=comment)
    new.write(keyring, path)
    lines = new.describe()
    answer = {"signing_key": str(new.out), "verification_key": str(new.public), "key_id": new.key.key_id}
    if keyring is not None:
        lines.append(f"keyring            {path} ({count_keys(keyring)})")
        answer["keyring"] = str(path)
    return lines, answer


def count_keys(keyring: sp.Keyring) -> str:
    """Return how many keys a keyring has, in words."""
    return "1 key" if len(keyring) == 1 else f"{len(keyring)} keys"


def _present(path: Path) -> sp.Keyring:
    return sp.Keyring.load(path, secrets=False) if os.path.exists(path) else sp.Keyring()
