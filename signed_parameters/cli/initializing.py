"""The command that fills a model server's folder before it starts, as KServe and Seldon Core ask for it."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click

import signed_parameters as sp
from signed_parameters.cli.answers import Answer, command
from signed_parameters.extraction import PendingExtraction
from signed_parameters.policy.file import parse_policy
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.storage import locate

_POLICY = "SIGNED_PARAMETERS_POLICY"
_POLICY_TEXT = "SIGNED_PARAMETERS_POLICY_TEXT"
_WRITE = "SIGNED_PARAMETERS_WRITE"
_TERMINATION_LOG = "SIGNED_PARAMETERS_TERMINATION_LOG"
_DEFAULT_TERMINATION_LOG = "/dev/termination-log"
_MAXIMUM_MESSAGE = 4096  # bytes that Kubernetes keeps of it
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
    _check_folders([folder for _, folder in pairs])
    rules = rules * len(pairs) if len(rules) == 1 else rules
    lines, answers = [], []
    with ExitStack() as stack:
        stack.enter_context(_many_open_files())
        pending = []
        for (source, folder), rule in zip(pairs, rules, strict=True):
            storage, name = locate(_address(source), limits=rule.limits)
            address = storage.address(name)  # shown in this form, because one with a password in it was refused
            print(f"verifying {address}", file=sys.stderr, flush=True)
            one = stack.enter_context(PendingExtraction(name, folder, rule, files=files, storage=storage))
            pending.append((address, folder, one))
        for address, folder, one in pending:
            statement = one.publish()
            lines.append(
                f"verified {address}, serial {statement.serial}, and wrote {', '.join(one.names)} into {folder}"
            )
            answers.append({"source": address, "folder": folder, "files": one.names, "serial": statement.serial})
    return lines, {"initialized": answers}


def _check_folders(folders: list[str]) -> None:
    places = [Path(os.path.realpath(folder)) for folder in folders]
    if len(set(places)) != len(places):
        raise click.UsageError("Expected another DST for every SRC.")
    if any(place in other.parents for place in places for other in places):
        raise click.UsageError("Expected DSTs with none of them in another: the next start would find it occupied.")


@contextmanager
def _many_open_files() -> Iterator[None]:
    """Let the process open as many files as it may: each file is open until all of them are verified."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


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
            path.write_bytes(message.encode(errors="backslashreplace")[:_MAXIMUM_MESSAGE])
