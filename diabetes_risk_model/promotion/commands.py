"""`diabetes-risk-model promote`: approve a version, and bring what is approved into Git."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diabetes_risk_model.promotion import heartbeat as life
from diabetes_risk_model.promotion.register_command import register
from signed_parameters import SignedParametersError
from signed_parameters.cli.answers import Answer, Commands, Incomplete, command

if TYPE_CHECKING:
    from diabetes_risk_model.promotion.repository import Repository
    from diabetes_risk_model.promotion.settings import PromotionSettings
    from diabetes_risk_model.promotion.watcher import Outcome, Watcher
    from signed_parameters.digests import Digest

_SMALLEST_PAUSE_SECONDS = 1.0
_life_file = click.Path(path_type=Path, dir_okay=False)
_config = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file; else PROMOTION_CONFIG names it."
)


@click.group(cls=Commands)
def promote() -> None:
    """Bring registered versions to staging and production, by commits."""


promote.add_command(register)


@promote.command()
@click.argument("version")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder for the model card, plots and figures.",
)
@_config
@command
def show(version: str, out: Path | None, config: Path | None) -> tuple[list[str], Answer]:
    """Verify VERSION's package, and tell what it is and what each stage would make of it. Changes nothing.

    For whoever is to approve it. Everything comes out of the signed package, and nothing out of the registry.
    """
    from diabetes_risk_model.promotion.registry import open_registry
    from diabetes_risk_model.promotion.review import describe, review, tell
    from diabetes_risk_model.promotion.settings import load_settings, settings_path

    _check_number(version)
    settings = load_settings(config or settings_path())
    registry = open_registry(settings.registry, settings.model, local=settings.registry_is_local)
    with open_repository(settings) as repository:
        found = review(settings, registry, repository, version, out)
    lines = tell(version, found)
    if out is not None:
        lines.insert(-1, f"model card, plots and figures: {out}")
    return lines, {"version": version, **describe(found)}


@promote.command()
@click.argument("version")
@click.option("--alias", required=True, help="The stage: staging, production, or as the settings name them.")
@click.option("--key", default=None, help="File of the approver's signing key, or env:NAME. Needed for a signature.")
@click.option("--digest", default=None, help="Refuse any package but this, as `promote show` told it.")
@_config
@command
def approve(
    version: str, alias: str, key: str | None, digest: str | None, config: Path | None
) -> tuple[list[str], Answer]:
    """Verify VERSION, add the approver's signature to its envelope, and let the alias mean it.

    The alias is set when there are as many signatures as the stage's policy asks for. Exit status 1: refused.
    """
    from diabetes_risk_model.promotion.approval import approve as run
    from diabetes_risk_model.promotion.approval import describe
    from diabetes_risk_model.promotion.registry import open_registry
    from diabetes_risk_model.promotion.settings import load_settings, settings_path
    from signed_parameters.cli.passphrases import signing_key

    _check_number(version)
    looked_at = None if digest is None else _digest(digest)
    settings = load_settings(config or settings_path())
    signer = None if key is None else signing_key(key)
    registry = open_registry(settings.registry, settings.model, local=settings.registry_is_local)
    with open_repository(settings) as repository:
        approved = run(settings, registry, repository, version, alias, signer, looked_at)
    statement = approved.statement
    lines = [
        f"approved version {version} for {alias}: {statement.parameters_version}, serial {statement.serial}",
        f"package {statement.package_digest}",
        f"signed by {', '.join(approved.key_ids)}",
    ]
    if key is not None and not approved.added:
        lines.append("no signature was added: there were enough, or this key had signed")
    if approved.deployed_serial is not None and statement.serial < approved.deployed_serial:
        lines.append(
            f"{alias} has serial {approved.deployed_serial}: "
            "it goes back when a minimum_serial is committed to its policy"
        )
    return lines, {"version": version, "alias": alias, **describe(approved)}


@promote.command()
@_config
@command
def once(config: Path | None) -> tuple[list[str], Answer]:
    """Look at every stage once: verify, copy, commit and push what is new.

    Exit status 1: a version was refused. The reason is written to it, and nothing to Git. 2 or 3: a stage failed.
    """
    from diabetes_risk_model.promotion.watcher import REFUSED, summary

    with _watcher(config) as watcher:
        outcomes = watcher.once()
    lines = [f"{stage}: {text}" for stage, text in summary(outcomes).items()]
    answer: Answer = {"stages": [_answer(outcome) for outcome in outcomes]}
    if failed := [outcome.error for outcome in outcomes if outcome.error is not None]:
        raise Incomplete(lines, answer, failed[0].exit_code)
    if any(outcome.state == REFUSED for outcome in outcomes):
        raise Incomplete(lines, answer)
    return lines, answer


@promote.command()
@_config
@click.option("--interval", type=click.FloatRange(1, 3_600), default=30.0, show_default=True, help="Seconds.")
@click.option("--webhook-port", type=click.IntRange(1, 65_535), default=None, help="Listen for MLflow's webhooks.")
@click.option("--webhook-host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--heartbeat", type=_life_file, envvar=life.VARIABLE, show_envvar=True, help="File to touch when a round ends."
)
@command
def watch(
    config: Path | None, interval: float, webhook_port: int | None, webhook_host: str, heartbeat: Path | None
) -> tuple[list[str], Answer]:
    """Look at every stage again and again, until a signal comes. Says what is new, a line each.

    A webhook of MLflow makes it look at once. PROMOTION_WEBHOOK_SECRET is what its messages are signed with.
    """
    from diabetes_risk_model.promotion.watcher import FAILED, summary

    said: dict[str, str] = {}
    with _watcher(config) as watcher, _pausing(webhook_host, webhook_port) as pause:
        while True:
            try:
                current = {"": "registry and repository answer", **summary(watcher.once())}
            except SignedParametersError as error:
                current = {**said, "": f"{FAILED}: {type(error).__name__}: {error}"}
            for stage, text in current.items():
                if said.get(stage) != text:
                    print(f"{stage}: {text}" if stage else text, flush=True)
            said = current
            if heartbeat is not None:
                life.beat(heartbeat)
            time.sleep(_SMALLEST_PAUSE_SECONDS)  # however often the registry sends messages
            pause(interval)


@promote.command()
@click.option(
    "--commit", default=None, help="One of the repository in the working folder, as HEAD; else what the branch has."
)
@click.option("--after", default=None, help="The commit before it: refuse a stage that is older than there.")
@_config
@command
def check(commit: str | None, after: str | None, config: Path | None) -> tuple[list[str], Answer]:
    """Tell whether what Git deploys is what was reviewed and signed. Changes nothing.

    For a hook of the Git server, for CI, or for whoever wants to know. Exit status 1: a stage has something else.
    """
    from diabetes_risk_model.promotion import check as checks
    from diabetes_risk_model.promotion.git import local
    from diabetes_risk_model.promotion.settings import load_settings, settings_path

    settings = load_settings(config or settings_path())
    if commit is not None:
        git = local()
        findings = checks.check(settings, git, git.find(commit), None if after is None else git.find(after))
    elif after is not None:
        raise click.UsageError("--after needs --commit")
    else:
        with open_repository(settings) as repository:
            findings = checks.check(settings, repository.git, repository.fetch())
    lines = [f"{finding.stage}: {finding.state}: {finding.detail}" for finding in findings]
    answer: Answer = {"stages": [vars(finding) for finding in findings]}
    if any(finding.state == checks.REFUSED for finding in findings):
        raise Incomplete(lines, answer)
    return lines, answer


@promote.command()
@click.option(
    "--heartbeat", type=_life_file, envvar=life.VARIABLE, show_envvar=True, required=True, help="What `watch` touches."
)
@click.option(
    "--seconds", type=click.FloatRange(1), default=life.LIMIT_SECONDS, show_default=True, help="How old it may be."
)
@command
def alive(heartbeat: Path, seconds: float) -> tuple[list[str], Answer]:
    """Tell whether `watch` has ended a round lately. Exit status 1: it has not."""
    age = life.age(heartbeat)
    lines = ["no round has ended yet" if age is None else f"the last round ended {age:.0f} s ago"]
    answer: Answer = {"seconds_since_last_round": age}
    if age is None or age > seconds:
        raise Incomplete(lines, answer)
    return lines, answer


@contextmanager
def open_repository(settings: PromotionSettings) -> Iterator[Repository]:
    """Open the repository that the settings name."""
    from diabetes_risk_model.promotion.repository import Repository

    with Repository(settings.repository, settings.branch, author=settings.author, email=settings.email) as repository:
        yield repository


@contextmanager
def _watcher(config: Path | None) -> Iterator[Watcher]:
    from diabetes_risk_model.promotion.registry import open_registry
    from diabetes_risk_model.promotion.settings import load_settings, settings_path
    from diabetes_risk_model.promotion.watcher import Watcher

    settings = load_settings(config or settings_path())
    registry = open_registry(settings.registry, settings.model, local=settings.registry_is_local)
    with open_repository(settings) as repository:
        yield Watcher(settings, registry, repository)


@contextmanager
def _pausing(host: str, port: int | None) -> Iterator[Callable[[float], object]]:
    """Give what waits until the next look: some seconds, or until a message comes."""
    if port is None:
        yield time.sleep
        return
    from diabetes_risk_model.promotion.webhooks import SECRET_VARIABLE, Wakener

    with Wakener(os.environ.get(SECRET_VARIABLE, ""), host, port) as wakener:
        yield wakener.wait


def _check_number(version: str) -> None:
    from diabetes_risk_model.promotion.registry import NUMBER

    if not NUMBER.fullmatch(version):
        raise click.UsageError(f"VERSION is not usable: expected the number of a registered version, found {version!r}")


def _digest(text: str) -> Digest:
    from signed_parameters.digests import Digest

    try:
        return Digest.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--digest is not usable: {error}") from None


def _answer(outcome: Outcome) -> Answer:
    return {"stage": outcome.stage, "version": outcome.version, "state": outcome.state, "detail": outcome.detail}
