"""The command that fills a model server's folder before it starts, as KServe and Seldon Core ask for it."""

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.extraction import PendingExtraction
from signed_parameters.policy.file import parse_policy
from signed_parameters.policy.trust_policy import TrustPolicy

_POLICY = "SIGNED_PARAMETERS_POLICY"
_POLICY_TEXT = "SIGNED_PARAMETERS_POLICY_TEXT"
_WRITE = "SIGNED_PARAMETERS_WRITE"
_TERMINATION_LOG = "SIGNED_PARAMETERS_TERMINATION_LOG"
_DEFAULT_TERMINATION_LOG = "/dev/termination-log"
_MAXIMUM_MESSAGE = 4096  # what Kubernetes keeps of it
_PREFIX = "signed-"
# KServe's own container claims every address with "https://" anywhere in it.
_WEB, _HTTPS = "web://", "https://"


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="SRC DST [SRC DST ...]")
@click.option(
    "--policy",
    "policies",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar=_POLICY,
    help=f"A policy file: one for all, or one for each SRC. Default: ${_POLICY}, or else the policy that "
    f"${_POLICY_TEXT} holds.",
)
@click.option(
    "--write",
    "files",
    multiple=True,
    envvar=_WRITE,
    metavar="NAME[=AS]",
    help=f"A file of the package, and the name that it gets. Default: ${_WRITE}, or else every file by its own name.",
)
@command
def initialize(places: tuple[str, ...], policies: tuple[Path, ...], files: tuple[str, ...]) -> tuple[list[str], Answer]:
    """Verify packages, and write their files into folders: all of them, or none.

    SRC is the address of a package, or of a latest pointer, and may begin with `signed-`, as in
    signed-s3://models/churn@latest; signed-web:// stands for https://. DST is the folder that the server loads from.
    """
    try:
        return _initialize(places, policies, _renamed(files))
    except sp.SignedParametersError as error:
        _leave_message(f"{type(error).__name__}: {error}")
        raise
    except click.UsageError as error:
        _leave_message(error.format_message())
        raise


def _initialize(
    places: tuple[str, ...], policies: tuple[Path, ...], files: dict[str, str] | None
) -> tuple[list[str], Answer]:
    if len(places) % 2:
        raise click.UsageError("Expected a DST for every SRC.")
    pairs = list(zip(places[::2], places[1::2], strict=True))
    rules = _policies(policies)
    if len(rules) not in (1, len(pairs)):
        raise click.UsageError("Expected one --policy for all, or one for each SRC.")
    if len({os.path.realpath(folder) for _, folder in pairs}) != len(pairs):
        raise click.UsageError("Expected another DST for every SRC.")
    rules = rules * len(pairs) if len(rules) == 1 else rules
    lines, answers = [], []
    with ExitStack() as stack:
        pending = []
        for (source, folder), rule in zip(pairs, rules, strict=True):
            source = _address(source)
            print(f"verifying {source}", file=sys.stderr, flush=True)
            pending.append(stack.enter_context(PendingExtraction(source, folder, rule, files=files)))
        for (source, folder), one in zip(pairs, pending, strict=True):
            statement = one.publish()
            lines.append(
                f"verified {source}, serial {statement.serial}, and wrote {', '.join(one.names)} into {folder}"
            )
            answers.append({"source": source, "folder": folder, "files": one.names, "serial": statement.serial})
    return lines, {"initialized": answers}


def _policies(files: tuple[Path, ...]) -> list[TrustPolicy]:
    text = os.environ.get(_POLICY_TEXT)
    if files and text:
        raise click.UsageError(f"Expected one policy: a file, or {_POLICY_TEXT}. Found both.")
    if text:
        return [parse_policy(text, _POLICY_TEXT)]
    if not files:
        raise click.UsageError(f"Say what to trust: --policy FILE, {_POLICY}, or {_POLICY_TEXT}.")
    return [TrustPolicy.load(file) for file in files]


def _address(source: str) -> str:
    """Return the address that a storage URI of KServe stands for."""
    bare = source.removeprefix(_PREFIX)
    return _HTTPS + bare.removeprefix(_WEB) if bare.startswith(_WEB) and bare != source else bare


def _renamed(files: tuple[str, ...]) -> dict[str, str] | None:
    renamed: dict[str, str] = {}
    for text in files:
        name, _, target = text.partition("=")
        if not name or name in renamed:
            raise sp.ConfigurationError("--write is not usable", expected="NAME or NAME=AS, every name once")
        renamed[name] = target or name
    return renamed or None


def _leave_message(message: str) -> None:
    """Tell Kubernetes why, where it asks for that: it shows the message in the pod's status."""
    path = Path(os.environ.get(_TERMINATION_LOG) or _DEFAULT_TERMINATION_LOG)
    with suppress(OSError):
        if path.is_file():
            path.write_text(message[:_MAXIMUM_MESSAGE])
