"""Commands that move packages to and from a storage."""

import os
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.options import policy_of, policy_options
from signed_parameters.pointer import is_pointer
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import locate, open_storage


@click.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.argument("folder")
@click.option("--overwrite", is_flag=True, help="Replace a package of that name, which a service may be reading.")
@command
def push(package: Path, folder: str, overwrite: bool) -> tuple[list[str], Answer]:
    """Store a package and its envelope in a folder: a path, or s3://BUCKET/FOLDER, gs://..., or az://....

    The environment says how to reach a bucket, and as whom. For S3: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. docs/addresses.md has the others.
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


@click.command()
@click.argument("uri")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@policy_options
@command
def pull(uri: str, folder: Path, **policy: Any) -> tuple[list[str], Answer]:
    """Verify a package at any address, and put it and its envelope into a folder of this machine."""
    rules = policy_of(**policy)
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
        # A pointer's name is not the package's, and its envelope would be taken for the pointer's.
        path = package.save(folder / (package.statement.package_name if is_pointer(name) else Path(name).name))
    return [f"verified and pulled {path}"], {"package": str(path), "key_id": package.key_id}
