"""Commands that make keys."""

from pathlib import Path

import click

import signed_parameters as sp
from signed_parameters.algorithms import Algorithm
from signed_parameters.cli.answers import Answer, command
from signed_parameters.files import replacement


@click.command()
@click.option(
    "--algorithm",
    type=click.Choice([choice.value for choice in Algorithm]),
    default=Algorithm.ED25519.value,
    show_default=True,
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("signing_key.json"), show_default=True)
@click.option(
    "--verification-key",
    "public",
    type=click.Path(path_type=Path),
    default=Path("verification_key.txt"),
    show_default=True,
    help="Where to write what the serving side gets.",
)
@command
def keygen(algorithm: str, out: Path, public: Path) -> tuple[list[str], Answer]:
    """Make a signing key, and the verification key that belongs to it."""
    key = sp.SigningKey.generate(algorithm)
    key.save(out)
    try:
        with replacement(public, overwrite=False, mode=0o644 if algorithm == Algorithm.ED25519 else 0o600) as file:
            file.write(f"{key.verification_key}\n".encode())
    except OSError as error:
        out.unlink()
        raise sp.ConfigurationError(f"{public} cannot be written", found=str(error.strerror)) from None
    shown = str(key.verification_key) if algorithm == Algorithm.ED25519 else f"the secret itself, in {public}"
    lines = [
        f"signing key        {out} (keep it where you train, and back it up)",
        f"verification key   {shown}",
        f"key id             {key.key_id}",
    ]
    return lines, {"signing_key": str(out), "verification_key": str(public), "key_id": key.key_id}
