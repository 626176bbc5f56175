"""`diabetes-risk-model promote register`, and what it shares with `train --track`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signed_parameters import ConfigurationError, SignedParametersError
from signed_parameters.cli.answers import Answer, command

if TYPE_CHECKING:
    from diabetes_risk_model.promotion.settings import PromotionSettings
    from diabetes_risk_model.promotion.tracking import Tracked
    from signed_parameters import SigningKey

PACKAGES = Path("build/packages")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--key", required=True, help="File of the signing key, or env:NAME.")
@click.option("--serial", type=click.IntRange(min=0), default=None, help="Default: the next.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file; else PROMOTION_CONFIG names it."
)
@command
def register(folder: Path, key: str, serial: int | None, config: Path | None) -> tuple[list[str], Answer]:
    """Sign, store and register what training wrote to FOLDER, as `train --track` does.

    It finishes what broke off, too: what is stored or registered already stays as it is.
    """
    try:
        from diabetes_risk_model.promotion.tracking import track
    except ModuleNotFoundError as error:  # as in the watcher's image
        raise ConfigurationError(
            "what training needs is not installed here",
            found=f"no module {error.name}",
            remedy="Run this where the model was trained.",
        ) from None

    settings, signer = open_registration(key, config)
    tracked = track(folder, settings, key=signer, out=PACKAGES, serial=serial)
    statement = tracked.statement
    answer: Answer = {
        "version": tracked.number,
        "run_id": tracked.run_id,
        "package": tracked.package,
        "parameters_version": statement.parameters_version,
        "serial": statement.serial,
        "digest": str(statement.package_digest),
        "key_id": signer.key_id,
    }
    return describe(tracked, signer), answer


def open_registration(key: str, config: Path | None) -> tuple[PromotionSettings, SigningKey]:
    """Read the settings and the signing key."""
    from diabetes_risk_model.promotion.settings import load_settings, settings_path
    from signed_parameters.cli.passphrases import signing_key

    return load_settings(config or settings_path()), signing_key(key)


def describe(tracked: Tracked, signer: SigningKey) -> list[str]:
    """Return what was registered, for a reader, and what comes next."""
    statement = tracked.statement
    return [
        f"registered version {tracked.number}: {statement.parameters_version}, serial {statement.serial}",
        f"package {tracked.package}, signed by {signer.key_id}",
        f"next: diabetes-risk-model promote approve {tracked.number} --alias STAGE",
    ]


@contextmanager
def nothing_lost(folder: Path, key: str, serial: int | None, config: Path | None) -> Iterator[None]:
    """Let whatever breaks off inside say that the training is kept, and which command finishes the work."""
    options = ["--key", key]
    options += [] if serial is None else ["--serial", str(serial)]
    options += [] if config is None else ["--config", str(config)]
    finish = shlex.join(["diabetes-risk-model", "promote", "register", str(folder), *options])
    remedy = f"Nothing is lost: {folder} has what was trained. Finish with: {finish}"
    try:
        yield
    except SignedParametersError as error:
        told = f"{error.remedy} {remedy}".strip()
        raise type(error)(error.problem, expected=error.expected, found=error.found, remedy=told) from None
    except BaseException:
        print(remedy, file=sys.stderr)
        raise
