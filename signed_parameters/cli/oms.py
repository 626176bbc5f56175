"""Commands for those who check folders of files with the tools of OpenSSF model signing."""

from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.options import policy_of, policy_options
from signed_parameters.cli.passphrases import passphrase_of
from signed_parameters.oms import sign_folder, verify_folder, write_bundle

_PATH = click.Path(path_type=Path)


@click.group()
def oms() -> None:
    """Bundles of OpenSSF model signing. Each command takes --json.

    They need the extra `oms`, and keys of their own: elliptic-curve keys in PEM files, not Ed25519.
    """


@oms.command("sign")
@click.argument("folder", type=_PATH)
@click.option("--key", type=_PATH, required=True, help="Private key, on the curve P-256, P-384 or P-521, in PEM.")
@click.option("--out", type=_PATH, default=Path("model.sig"), show_default=True, help="Where to write the bundle.")
@click.option("--unsigned", multiple=True, metavar="NAME", help="Name in the folder to leave out, such as .git.")
@command
def sign_oms(folder: Path, key: Path, out: Path, unsigned: tuple[str, ...]) -> tuple[list[str], Answer]:
    """Sign all files of a folder. A passphrase comes from SIGNING_KEY_PASSPHRASE, or is asked for."""
    sign_folder(folder, key, out, passphrase=passphrase_of(str(key)), unsigned=unsigned)
    return [f"signed {folder}: {out}"], {"folder": str(folder), "signature": str(out)}


@oms.command("verify")
@click.argument("folder", type=_PATH)
@click.option("--key", type=_PATH, required=True, help="The trusted public key, in PEM.")
@click.option("--signature", type=_PATH, required=True, help="The bundle.")
@click.option("--unsigned", multiple=True, metavar="NAME", help="Name in the folder that need not be covered.")
@command
def verify_oms(folder: Path, key: Path, signature: Path, unsigned: tuple[str, ...]) -> tuple[list[str], Answer]:
    """Verify that a folder has exactly the files that a bundle covers. Exit status 1 means: refused."""
    files = verify_folder(folder, key, signature, unsigned=unsigned)
    return [f"verified {folder}: {len(files)} files", *(f"file               {name}" for name in files)], {
        "verified": True,
        "files": list(files),
    }


@oms.command("unpack")
@click.argument("uri", metavar="PACKAGE")
@click.argument("folder", type=_PATH)
@click.option("--bundle-key", type=_PATH, required=True, help="Private key for the bundle, as in `oms sign`.")
@policy_options
@command
def unpack(uri: str, folder: Path, bundle_key: Path, **policy: Any) -> tuple[list[str], Answer]:
    """Verify a package, and unpack it into a new folder with a bundle, FOLDER/model.sig."""
    with sp.verify_package(uri, policy_of(**policy)) as package:
        bundle = write_bundle(package, folder, bundle_key, passphrase=passphrase_of(str(bundle_key)))
        return [f"verified {uri}", f"unpacked {folder}: {len(package.names)} files, signed in {bundle.name}"], {
            "folder": str(folder),
            "files": list(package.names),
            "signature": str(bundle),
        }
