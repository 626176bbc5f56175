"""`diabetes-risk-model users`: who may ask the service for a token."""

import sys
from pathlib import Path

import click

from signed_parameters import ConfigurationError
from signed_parameters.cli.answers import Answer, Commands, command

_MOST_CHARACTERS = 4_096

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_name = click.argument("name")


@click.group(cls=Commands)
def users() -> None:
    """Say who may ask the service for a token."""


@users.command()
@_file
@_name
@click.option("--replace", is_flag=True, help="The user is there: give a new password, which ends all tokens.")
@command
def add(file: Path, name: str, replace: bool) -> tuple[list[str], Answer]:
    """Add a user to FILE, which is made if there is none.

    The password is asked for, or read from the standard input where that is no terminal.
    """
    from diabetes_risk_model.service.authentication.passwords import hash_password
    from diabetes_risk_model.service.authentication.users import change_users, check_name

    check_name(name)
    encoded = hash_password(_new_password(name))

    def change(hashes: dict[str, str]) -> None:
        if name in hashes and not replace:
            raise ConfigurationError(
                f"the user {name} is there already", remedy="To change the password, add --replace."
            )
        if name not in hashes and replace:
            raise ConfigurationError(f"there is no user {name}", remedy="To add one, leave --replace away.")
        hashes[name] = encoded

    hashes = change_users(file, change)
    done = "changed the password of" if replace else "added"
    return [f"{done} {name}; {file} has {_count(hashes)}"], {"user": name, "users": len(hashes)}


@users.command()
@_file
@_name
@command
def remove(file: Path, name: str) -> tuple[list[str], Answer]:
    """Remove a user from FILE. The user's tokens count no more."""
    from diabetes_risk_model.service.authentication.users import change_users

    def change(hashes: dict[str, str]) -> None:
        if hashes.pop(name, None) is None:
            raise ConfigurationError(
                f"{file} has no such user", found=repr(name[:100]), remedy="See `diabetes-risk-model users list`."
            )

    hashes = change_users(file, change)
    return [f"removed {name}; {file} has {_count(hashes)}"], {"user": name, "users": len(hashes)}


@users.command("list")
@_file
@command
def show(file: Path) -> tuple[list[str], Answer]:
    """List the users in FILE."""
    from diabetes_risk_model.service.authentication.users import read_users

    names = sorted(read_users(file).hashes)
    return names or ["no users"], {"users": names}


def _new_password(name: str) -> str:
    if sys.stdin.isatty():
        try:
            asked: str = click.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        except click.Abort:
            raise ConfigurationError("no password was given") from None
        return asked
    try:
        given = sys.stdin.read(_MOST_CHARACTERS).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError("the password on the standard input is not UTF-8") from None
    if not given.isprintable():
        raise ConfigurationError("the password on the standard input is not usable", expected="one line of text")
    return given


def _count(hashes: dict[str, str]) -> str:
    return "1 user" if len(hashes) == 1 else f"{len(hashes)} users"
