"""The command `signed-parameters`.

Exit status: 0 done, 1 refused by verification, 2 usage or configuration, 3 storage. With `--json`, what a command has
to say goes to standard output as one JSON object, errors included.
"""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.algorithms import Algorithm
from signed_parameters.answers import Answer, Commands, command
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.files import replacement
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import locate, open_storage
from signed_parameters.verification import read_envelope

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([dhm])")
_MAXIMUM_KEY_FILE_BYTES = 16_384


def _policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sp.__version__, prog_name="signed-parameters")
def main() -> None:
    """Sign model parameters where you train, verify them where you serve."""


@main.command()
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


@main.command()
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


@main.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
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
def sign(package: Path, key: str, expires_in: str | None, **what: Any) -> tuple[list[str], Answer]:
    """Sign a package: write its envelope beside it."""
    envelope = sp.sign_package(package, key=sp.SigningKey.load(key), expires_in=_duration(expires_in), **what)
    return [f"signed {package}: {envelope}"], {"package": str(package), "envelope": str(envelope)}


@main.command()
@click.argument("uri")
@_policy_options
@command
def verify(uri: str, **policy: Any) -> tuple[list[str], Answer]:
    """Verify a package at a path or s3:// address. Exit status 1 means: refused."""
    with sp.verify_package(uri, _policy(**policy)) as package:
        return [f"verified {uri}", *_describe(package.statement), f"signed by          {package.key_id}"], {
            "verified": True,
            "key_id": package.key_id,
            "statement": package.statement.model_dump(mode="json"),
        }


@main.command()
@click.argument("uri")
@command
def inspect(uri: str) -> tuple[list[str], Answer]:
    """Show what a package's envelope says, WITHOUT verifying it."""
    storage, name = locate(uri)
    envelope = read_envelope(storage, name.removesuffix(ENVELOPE_SUFFIX), DEFAULT_LIMITS.envelope_bytes)
    statement = sp.Statement.from_payload(envelope.payload)
    signers = [signature.key_id for signature in envelope.signatures]
    lines = ["NOT VERIFIED: anybody could have written this.", *_describe(statement)]
    lines += [f"claims signature   {key_id}" for key_id in signers]
    lines += [f"file               {file.name} ({file.size:,} bytes, {file.digest})" for file in statement.files]
    lines += [f"{name} needs  {entry}" for name, entries in statement.pickles.items() for entry in entries]
    return lines, {
        "verified": False,
        "claimed_key_ids": signers,
        "statement": statement.model_dump(mode="json"),
    }


@main.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.argument("folder")
@click.option("--overwrite", is_flag=True, help="Replace a package of that name, which a service may be reading.")
@command
def push(package: Path, folder: str, overwrite: bool) -> tuple[list[str], Answer]:
    """Store a package and its envelope in a folder: s3://BUCKET/FOLDER, or a path.

    For S3, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say where and who.
    """
    envelope = Path(f"{package}{ENVELOPE_SUFFIX}")
    for path in (package, envelope):
        if not os.path.isfile(path):
            raise sp.NotFound(f"there is no {path}", remedy="Build and sign the package first.")
    storage = open_storage(folder)
    for path in (package, envelope):
        storage.write(path.name, path, overwrite=overwrite)
    address = storage.address(package.name)
    return [f"pushed {address}"], {"package": address, "envelope": storage.address(envelope.name)}


@main.command()
@click.argument("uri")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_policy_options
@command
def pull(uri: str, folder: Path, **policy: Any) -> tuple[list[str], Answer]:
    """Fetch a package and its envelope into a folder, after verifying it."""
    rules = _policy(**policy)
    storage, name = locate(uri, limits=rules.limits)
    with sp.verify_package(name, rules, storage=storage) as package:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sp.ConfigurationError(
                f"folder {folder} cannot be made",
                found=str(error.strerror),
                remedy="Choose a folder that can be written to.",
            ) from None
        path = package.save(folder / Path(name).name)
    return [f"verified and pulled {path}"], {"package": str(path), "key_id": package.key_id}


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


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if match := _DURATION.fullmatch(text):
        return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})
    raise sp.ConfigurationError(
        "--expires-in is not usable", expected="a time such as 90d, 12h or 30m", found=repr(text)
    )


def _policy(keys: tuple[str, ...], **fields: Any) -> sp.TrustPolicy:
    return sp.TrustPolicy(keys=[_verification_key(key) for key in keys], **fields)


def _verification_key(text: str) -> sp.VerificationKey:
    if ":" not in text or os.path.isfile(text):
        try:
            with open(text, "rb") as file:
                text = file.read(_MAXIMUM_KEY_FILE_BYTES).decode()
        except (OSError, ValueError):
            raise sp.ConfigurationError(
                f"verification key {text!r} is not usable", expected="ed25519:..., or a file that holds such a key"
            ) from None
    return sp.VerificationKey.parse(text)


def _describe(statement: sp.Statement) -> list[str]:
    expires = f"{statement.expires:%Y-%m-%d %H:%M} UTC" if statement.expires else "never"
    return [
        f"{label:18} {value}"
        for label, value in (
            ("model", f"{statement.name} {statement.version}"),
            ("parameters", statement.parameters_version),
            ("serial", statement.serial),
            ("created", f"{statement.created:%Y-%m-%d %H:%M} UTC"),
            ("expires", expires),
            ("package", f"{statement.package_size:,} bytes, {statement.package_digest}"),
            ("files", ", ".join(file.name for file in statement.files)),
            ("runtime", ", ".join(f"{name} {version}" for name, version in statement.runtime.items())),
        )
    ]
