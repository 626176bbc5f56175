"""Progress on the terminal: one line a step, with a spinner while it runs and its time and result when it is done."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

# In a notebook it prints plain lines: widgets and spinners would fill the file that is kept.
console = Console(highlight=False, force_jupyter=False, force_terminal=sys.stdout.isatty())
_SLOW_SECONDS = 1.0


class Step:
    """A step that is running. Its methods say how far it is, and what came of it."""

    def __init__(self, text: str, status: Status) -> None:
        self._text = text
        self._status = status
        self.result = ""

    def update(self, detail: str) -> None:
        """Show what the step is doing now, such as "2 of 6: lightgbm"."""
        self._status.update(f"{escape(self._text)} [dim]{escape(detail)}[/dim]")
        if not console.is_terminal:
            console.print(f"    {escape(self._text)}: {escape(detail)}", soft_wrap=True)

    def note(self, result: str) -> None:
        """Set what is printed behind the step's text when it is done, such as "70,692 rows"."""
        self.result = result


@contextmanager
def step(text: str) -> Iterator[Step]:
    """Run a step with a spinner (on a terminal), then print a line with its text, result and time in seconds.

    An exception passes through, after a line that marks the step as failed.
    """
    started = time.perf_counter()
    with console.status(escape(text)) as status:
        running = Step(text, status)
        try:
            yield running
        except BaseException:
            console.print(f"  [red]✗[/red] {escape(text)}", soft_wrap=True)
            raise
    seconds = time.perf_counter() - started
    result = f" [dim]·[/dim] {escape(running.result)}" if running.result else ""
    elapsed = f" [dim]({seconds:.1f} s)[/dim]" if seconds >= _SLOW_SECONDS else ""
    console.print(f"  [green]✓[/green] {escape(text)}{result}{elapsed}", soft_wrap=True)
