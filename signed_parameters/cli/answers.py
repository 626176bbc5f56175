"""How a command answers: with lines of text or one JSON object, and with the exit status of its error."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import click

from signed_parameters.cli.signals import ended_by_signals
from signed_parameters.errors import SignedParametersError, VerificationError

P = ParamSpec("P")
Answer = dict[str, Any]


class Incomplete(Exception):
    """What a command has to say where some of its work was refused, or failed with a status of its own."""

    def __init__(self, lines: list[str], answer: Answer, status: int = VerificationError.exit_code) -> None:
        super().__init__()
        self.status = status
        self.lines = lines
        self.answer = answer


class Commands(click.Group):
    """The commands. A usage error, too, is told as JSON where that is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is named."""
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if not as_json:
                raise
            print(json.dumps({"error": "UsageError", "message": error.format_message()}))
            sys.exit(error.exit_code)


def command(function: Callable[P, tuple[list[str], Answer]]) -> Callable[P, None]:
    """Let a command return what it has to say, as lines and as an object, and end with the exit status of its error."""

    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        as_json = options.pop("as_json")
        status = 0
        try:
            with ended_by_signals():
                lines, answer = function(*arguments, **options)
        except Incomplete as incomplete:
            lines, answer, status = incomplete.lines, incomplete.answer, incomplete.status
        except SignedParametersError as error:
            if as_json:
                print(json.dumps({"error": type(error).__name__, "message": str(error)}))
            else:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        print(json.dumps(answer) if as_json else "\n".join(map(_printable, lines)))
        if status:
            sys.exit(status)

    return run


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
