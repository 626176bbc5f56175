"""Commands that make packages and look at them."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.inline import WithInline
from signed_parameters.cli.options import duration, policy_of, policy_options
from signed_parameters.cli.passphrases import signing_key
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.pointer import read_claims
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import locate
from signed_parameters.verification import read_envelope


@click.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, metavar="FOLDER | NAME=PATH ...")
@command
def build(package: Path, files: tuple[str, ...]) -> tuple[list[str], Answer]:
    """Build a package of a folder's files, or of files by the names that they get in it."""
    contents = _contents(files)
    if any(os.path.realpath(path) == os.path.realpath(package) for path in contents.values()):
        raise sp.ConfigurationError(
            f"package {package} would hold itself", remedy="Write it to a place outside the folder of its files."
        )
    sp.build_package(package, files=contents)
    return [f"built {package}: {len(contents)} files, {package.stat().st_size:,} bytes"], {
        "package": str(package),
        "files": sorted(contents),
    }


@click.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
@click.option(
    "--keyring", type=click.Path(path_type=Path), default=None, help="Trusted keys, of which the key has to be one."
)
@click.option("--name", required=True, help="The model's qualified name.")
@click.option("--version", required=True, help="Version of the model's code.")
@click.option("--parameters-version", required=True, help="Version of these parameters, such as 2026_11_21.")
@click.option("--serial", type=click.IntRange(min=0), required=True, help="Larger than that of the package before.")
@click.option("--expires-in", default=None, help="How long it may be loaded: 90d, 12h, 30m. Default: for ever.")
@click.option(
    "--digest",
    type=click.Choice([choice.value for choice in DigestAlgorithm]),
    default=DigestAlgorithm.BLAKE3.value,
    show_default=True,
)
@command
def sign(
    package: Path, key: str, keyring: Path | None, expires_in: str | None, **what: Any
) -> tuple[list[str], Answer]:
    """Sign a package: write its envelope beside it."""
    signer = signing_key(key)
    if keyring is not None:
        sp.Keyring.load(keyring, secrets=False).check_can_sign(signer, datetime.now(UTC))
    envelope = sp.sign_package(package, key=signer, expires_in=duration(expires_in), **what)
    return [f"signed {package}: {envelope}"], {"package": str(package), "envelope": str(envelope)}


@click.command(cls=WithInline)
@click.argument("uri")
@policy_options
@command
def verify(uri: str, **policy: Any) -> tuple[list[str], Answer]:
    """Verify a package. Exit status 1 means: refused.

    URI is a path, or an s3://, gs://, az:// or https:// address.
    """
    with sp.verify_package(uri, policy_of(**policy)) as package:
        return [f"verified {uri}", *describe(package.statement), f"signed by          {package.key_id}"], {
            "verified": True,
            "key_id": package.key_id,
            "statement": package.statement.model_dump(mode="json"),
        }


@click.command()
@click.argument("uri")
@command
def inspect(uri: str) -> tuple[list[str], Answer]:
    """Show what the envelope of a package or a pointer says, WITHOUT verifying it."""
    storage, name = locate(uri)
    envelope = read_envelope(storage, name.removesuffix(ENVELOPE_SUFFIX), DEFAULT_LIMITS.envelope_bytes)
    statement = read_claims(envelope.payload)
    signers = [signature.key_id for signature in envelope.signatures]
    lines = ["NOT VERIFIED: anybody could have written this.", *describe(statement)]
    lines += [f"claims signature   {key_id}" for key_id in signers]
    if isinstance(statement, sp.Statement):
        lines += [f"file               {file.name} ({file.size:,} bytes, {file.digest})" for file in statement.files]
        lines += [f"{name} needs  {entry}" for name, entries in statement.pickles.items() for entry in entries]
    return lines, {
        "verified": False,
        "kind": statement.kind,
        "claimed_key_ids": signers,
        "statement": statement.model_dump(mode="json"),
    }


def _contents(files: tuple[str, ...]) -> dict[str, Path]:
    if len(files) == 1 and os.path.isdir(files[0]):
        return _files_below(Path(files[0]))
    contents: dict[str, Path] = {}
    for file in files:
        name, separator, path = file.partition("=")
        if not separator or not path or name in contents:
            raise sp.ConfigurationError(
                "the files are not usable",
                expected="a folder, or NAME=PATH for each, every name once",
                found=repr(file),
            )
        contents[name] = Path(path)
    return contents


def _files_below(folder: Path) -> dict[str, Path]:
    """Return every file below a folder. A link to a folder is one too: it is refused later, not left out."""

    def fail(error: OSError) -> None:
        raise sp.ConfigurationError(f"{error.filename} cannot be read", found=str(error.strerror))

    paths = []
    for above, folders, names in os.walk(folder, onerror=fail):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        paths += [Path(above, name) for name in (*names, *links)]
    return {path.relative_to(folder).as_posix(): path for path in sorted(paths)}


def describe(statement: sp.Statement | sp.Pointer) -> list[str]:
    """Return the lines that tell what a statement says."""
    expires = f"{statement.expires:%Y-%m-%d %H:%M} UTC" if statement.expires else "never"
    facts: list[tuple[str, object]] = [
        ("model", f"{statement.name} {statement.version}"),
        ("parameters", statement.parameters_version),
        ("serial", statement.serial),
        ("created", f"{statement.created:%Y-%m-%d %H:%M} UTC"),
        ("expires", expires),
    ]
    if isinstance(statement, sp.Pointer):
        facts.append(("leads to", f"{statement.package_name}, {statement.package_digest}"))
    else:
        runtime = ", ".join(f"{name} {version}" for name, version in statement.runtime.items())
        facts += [
            ("package", f"{statement.package_size:,} bytes, {statement.package_digest}"),
            ("files", ", ".join(file.name for file in statement.files)),
            ("runtime", runtime),
        ]
    return [f"{label:18} {value}" for label, value in facts]
