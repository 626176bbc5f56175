"""`verify --inline`: the older inline form, which is read only when it is asked for by name."""

import warnings
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.files import replacement
from signed_parameters.formats import pickles
from signed_parameters.inline import ENTRY, InlineFormWarning, read_inline
from signed_parameters.keys.files import read_key

_FLAG = "--inline"


class WithInline(click.Command):
    """A command `verify` that gives way to the one below where `--inline` is among its options."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        explanation = "Read the older inline form instead; see `verify --inline --help`."
        self.params.append(click.Option([_FLAG], is_flag=True, expose_value=False, help=explanation))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options, as one command or as the other."""
        if _FLAG in args:
            rest = [argument for argument in args if argument != _FLAG]
            return verify_inline.make_context(f"{info_name} {_FLAG}", rest, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command()
@click.argument("uri", metavar="PACKAGE")
@click.option("--key", required=True, help="The secret that it was signed with: env:NAME, or a file that holds it.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Where to write the pickle, to be packaged anew."
)
@command
def verify_inline(uri: str, key: str, out: Path | None) -> tuple[list[str], Answer]:
    """Verify a zip of the older inline form, and show what its pickle would import. Exit status 1 means: refused.

    The form is a zip with a signed_model.pkl, which itsdangerous' Signer signed with a secret and its default settings.
    Nothing is unpickled.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InlineFormWarning)
        data = read_inline(uri, _read_secret(key))
    needed = pickles.scan(data, ENTRY)
    if out is not None:
        _write(out, data)
    warned = [f"WARNING: {warning.message}" for warning in caught]
    lines = [*warned, f"verified {uri}: {ENTRY}, {len(data):,} bytes, is signed with this secret"]
    lines += [f"{ENTRY} needs  {name}" for name in needed]
    lines += [f"wrote {out}: build and sign a package of it"] if out else []
    return lines, {
        "verified": True,
        "form": "inline",
        "warnings": warned,
        "bytes": len(data),
        "globals": list(needed),
        "out": str(out) if out else None,
    }


def _read_secret(source: str) -> str:
    """Return a secret: all of an environment variable, or of a file without the line end behind it."""
    try:
        secret = read_key(source, "secret")
    except sp.ConfigurationError as error:
        raise sp.ConfigurationError(
            error.problem, found=error.found, remedy="Give --key env:NAME, or the file that holds the secret."
        ) from None
    secret.check_private()
    if "\N{REPLACEMENT CHARACTER}" in secret.text:
        raise sp.ConfigurationError(f"{secret.origin} is not usable", expected="text in UTF-8")
    return secret.text if secret.path is None else secret.text.removesuffix("\n").removesuffix("\r")


def _write(out: Path, data: bytes) -> None:
    try:
        with replacement(out, overwrite=False) as file:
            file.write(data)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise sp.ConfigurationError(
            f"{out} cannot be written", found=found, remedy="Choose a new name for the pickle."
        ) from None
