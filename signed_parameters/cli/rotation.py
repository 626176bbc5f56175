"""The keyring: showing its keys, replacing them, and ending their time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.keys import NewKey, count_keys, new_key_options
from signed_parameters.durations import EXPECTED, parse_duration
from signed_parameters.times import format_time

_DISTRIBUTE = "Distribute {path} to every service that verifies"

_keyring_option = click.option(
    "--keyring", "path", type=click.Path(path_type=Path), required=True, help="The file of trusted keys."
)
_overlap_option = click.option(
    "--overlap",
    default="30d",
    show_default=True,
    help="How long what a retired key has signed still counts: 90d, 12h, 30m.",
)


@click.command()
@_keyring_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where to write the new signing key.")
@click.option(
    "--verification-key",
    "public",
    type=click.Path(path_type=Path),
    default=None,
    help="Where to write its verification key, which the keyring gets too.",
)
@click.option("--key-id", default=None, help="The one key to retire. Default: every active key.")
@_overlap_option
@new_key_options
@command
def rotate(path: Path, key_id: str | None, overlap: str, comment: str, **what: Any) -> tuple[list[str], Answer]:
    """Replace a signing key: make a new one, and retire the old ones, which count on for a while."""
    until = _end_of(overlap)
    keyring = sp.Keyring.load(path, secrets=False)
    active = [key.key_id for key in keyring if key.status is sp.KeyStatus.ACTIVE]
    if key_id is not None and key_id not in active:
        raise sp.ConfigurationError(
            f"key {key_id} cannot be replaced",
            expected="the id of an active key",
            found=f"it {keyring.find(key_id).status}",
            remedy="Look at them with `signed-parameters keys`.",
        )
    retiring = active if key_id is None else [key_id]
    new = NewKey.make(in_keyring=True, **what)
    for old in retiring:
        keyring = keyring.retired(old, until)
    keyring = keyring.with_key(new.trusted, comment=comment)
    new.write(keyring, path)
    ends = [{"key_id": old, "not_after": format_time(keyring.find(old).not_after or until)} for old in retiring]
    lines = new.describe() + [f"retired            {end['key_id']} (counts until {end['not_after']})" for end in ends]
    lines += [
        f"keyring            {path} ({count_keys(keyring)})",
        "",
        "What to do next:",
        f"1. {_DISTRIBUTE.format(path=path)}. Until a service has it, it refuses the new key.",
        f"2. Sign with {new.out}, and give older packages its signature too, before the old one counts no more:",
        f"   signed-parameters resign URI --key {new.out} --keyring {path}",
        "3. Remove the old signing key. Its entry stays in the keyring.",
    ]
    return lines, {
        "signing_key": str(new.out),
        "verification_key": None if new.public is None else str(new.public),
        "key_id": new.key.key_id,
        "keyring": str(path),
        "retired": ends,
    }


@click.command()
@click.argument("key_id")
@_keyring_option
@_overlap_option
@command
def retire(key_id: str, path: Path, overlap: str) -> tuple[list[str], Answer]:
    """Let a key sign no more; what it has signed counts on for a while."""
    latest = _end_of(overlap)
    keyring = sp.Keyring.load(path, secrets=False).retired(key_id, latest)
    keyring.save(path)
    until = format_time(keyring.find(key_id).not_after or latest)
    lines = [f"retired {key_id}: it counts until {until}", f"{_DISTRIBUTE.format(path=path)}.", *_warn(keyring)]
    return lines, {"keyring": str(path), "key_id": key_id, "status": "retired", "not_after": until}


@click.command()
@click.argument("key_id")
@_keyring_option
@command
def revoke(key_id: str, path: Path) -> tuple[list[str], Answer]:
    """Let nothing that a key has signed count any more. This is for ever."""
    keyring = sp.Keyring.load(path, secrets=False).revoked(key_id)
    keyring.save(path)
    lines = [
        f"revoked {key_id}: nothing that it has signed counts any more",
        f"{_DISTRIBUTE.format(path=path)}: until one has it, it goes on trusting the key.",
        "Packages that are good need a signature by another key: sign them anew from a source that you trust.",
        *_warn(keyring),
    ]
    return lines, {"keyring": str(path), "key_id": key_id, "status": "revoked"}


@click.command("keys")
@_keyring_option
@command
def show_keys(path: Path) -> tuple[list[str], Answer]:
    """Show the keys of a keyring, and which of them count now."""
    now = datetime.now(UTC)
    entries = [
        {
            "key_id": key.key_id,
            "algorithm": str(key.key.algorithm),
            "status": str(key.status),
            "not_before": key.not_before and format_time(key.not_before),
            "not_after": key.not_after and format_time(key.not_after),
            "counts_now": key.status is not sp.KeyStatus.REVOKED and key.counts_at(now),
            "comment": key.comment,
        }
        for key in sp.Keyring.load(path, secrets=False)
    ]
    rows = [("key id", "algorithm", "status", "counts from", "until", "counts now", "comment")]
    rows += [
        (
            str(entry["key_id"]),
            str(entry["algorithm"]),
            str(entry["status"]),
            str(entry["not_before"] or "always"),
            str(entry["not_after"] or "for ever"),
            "yes" if entry["counts_now"] else "no",
            str(entry["comment"]),
        )
        for entry in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines, {"keyring": str(path), "keys": entries}


def _end_of(overlap: str) -> datetime:
    try:
        return datetime.now(UTC).replace(microsecond=0) + parse_duration(overlap)
    except ValueError:
        raise sp.ConfigurationError(
            "--overlap is not usable", expected=EXPECTED, found=repr(overlap), remedy="To end it at once, revoke it."
        ) from None


def _warn(keyring: sp.Keyring) -> list[str]:
    if any(key.status is sp.KeyStatus.ACTIVE for key in keyring):
        return []
    return ["No key is left to sign with: make one with `signed-parameters rotate`."]
