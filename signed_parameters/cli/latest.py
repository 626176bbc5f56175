"""Commands about a model's line of packages: its next serial, and which of them is the latest."""

from typing import Any

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.cli.options import duration, policy_of, policy_options, signer_policy_options
from signed_parameters.cli.passphrases import signing_key


@click.command()
@click.argument("uri")
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
@signer_policy_options
@click.option("--expires-in", default=None, help="How long the pointer is good: 90d, 12h, 30m. Default: for ever.")
@click.option("--back", is_flag=True, help="Go back to a package that is older than the present one.")
@command
def latest(uri: str, key: str, expires_in: str | None, back: bool, **policy: Any) -> tuple[list[str], Answer]:
    """Verify a stored package, and let the address MODEL@latest beside it lead there."""
    rules = policy_of(key_option="--trust", **policy)
    address = sp.publish_latest(uri, key=signing_key(key), policy=rules, expires_in=duration(expires_in), back=back)
    lines = [f"{address} leads to {uri}"]
    if rules.threshold > 1:
        lines.append(f"It is refused until {rules.threshold} keys have signed it. For each of the others:")
        lines.append(f"  signed-parameters resign {address} --key KEY --policy FILE")
    return lines, {"pointer": address, "package": uri}


@click.command("next-serial")
@click.argument("uri")
@policy_options
@command
def next_serial(uri: str, **policy: Any) -> tuple[list[str], Answer]:
    """Print the serial for a model's next package: one above the highest that is signed below URI."""
    serial = sp.next_serial(uri, policy_of(**policy))
    return [str(serial)], {"serial": serial}
