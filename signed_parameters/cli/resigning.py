"""The command that signs again what is signed already."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, Incomplete, command
from signed_parameters.cli.options import verification_key
from signed_parameters.cli.passphrases import signing_key
from signed_parameters.resigning import Progress

_Trusted = list[sp.VerificationKey | sp.TrustedKey] | sp.TrustPolicy


@click.command()
@click.argument("uri")
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
@click.option("--keyring", type=click.Path(path_type=Path), help="A keyring file, whose keys are trusted.")
@click.option("--trust", multiple=True, help="A trusted verification key, a file that holds one, or env:NAME.")
@click.option(
    "--policy", type=click.Path(path_type=Path), help="A policy file, which all that is signed has to fulfil."
)
@click.option("--replace", is_flag=True, help="Put the signature in the place of all others.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@command
def resign(
    uri: str, key: str, keyring: Path | None, trust: tuple[str, ...], policy: Path | None, replace: bool, dry_run: bool
) -> tuple[list[str], Answer]:
    """Sign again what is signed by a trusted key: a package, a pointer, or all below a folder or bucket.

    With a keyring or keys, this gives a new key's signature to what older keys have signed. With a policy, it adds
    the signature of one more who has to agree. Only envelopes are read and written, never a package. A run that was
    broken off can be started again. Exit status 1 means: something was refused, and not signed.
    """
    trusted = _trusted(keyring, trust, policy)
    signer = signing_key(key)
    with _progress() as progress:
        done = sp.resign(uri, key=signer, trusted=trusted, replace=replace, dry_run=dry_run, progress=progress)
    verb = "would sign" if dry_run else "signed"
    lines = [f"{verb} {address}" for address in done.signed] if dry_run or len(done.signed) == 1 else []
    lines += [f"refused {address}: {type(error).__name__}: {error}" for address, error in done.failed.items()]
    lines.append(f"{verb} {len(done.signed)}, signed already {len(done.skipped)}, refused {len(done.failed)}")
    answer: Answer = {
        "key_id": signer.key_id,
        "signed": list(done.signed),
        "skipped": list(done.skipped),
        "failed": [
            {"uri": address, "error": type(error).__name__, "message": str(error)}
            for address, error in done.failed.items()
        ],
        "dry_run": dry_run,
    }
    if done.failed:
        raise Incomplete(lines, answer)
    return lines, answer


def _trusted(keyring: Path | None, trust: tuple[str, ...], policy: Path | None) -> _Trusted:
    if policy is not None:
        if keyring is not None or trust:
            raise click.UsageError("--policy stands alone: it names the trusted keys.")
        return sp.TrustPolicy.load(policy)
    if keyring is None and not trust:
        raise click.UsageError("Say whose signatures to believe: --keyring FILE, --trust KEY, or --policy FILE.")
    keys: list[sp.VerificationKey | sp.TrustedKey] = [verification_key(text) for text in trust]
    return keys + list(sp.Keyring.load(keyring) if keyring is not None else ())


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show a bar while the block runs, where somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        bars: list[Any] = []

        def advance(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=total, label="signing", file=sys.stderr)))
            bars[0].update(1)

        yield advance
