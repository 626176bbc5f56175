"""Progress on the terminal: one line a step, with a spinner or a bar, then its time and result."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
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


class Bar:
    """A step whose length is known."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance


@contextmanager
def bar(text: str, total: int, unit: str) -> Iterator[Bar]:
    """Run a step with a progress bar (on a terminal) or a line at each tenth, then print a line as `step` does.

    Args:
        text: what is done.
        total: how much there is to do.
        unit: what of, such as "rows".
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    done, started = 0, time.perf_counter()
    shown = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    task = shown.add_task(text, total=total)

    def advance(amount: int) -> None:
        nonlocal done
        tenths, done = done * 10 // max(total, 1), done + amount
        shown.advance(task, amount)
        if not console.is_terminal and done * 10 // max(total, 1) > tenths:
            console.print(f"    {escape(text)}: {done:,} of {total:,} {unit}", soft_wrap=True)

    try:
        with shown:
            yield Bar(advance)
    except BaseException:
        console.print(f"  [red]✗[/red] {escape(text)}", soft_wrap=True)
        raise
    seconds = time.perf_counter() - started
    console.print(
        f"  [green]✓[/green] {escape(text)} [dim]·[/dim] {done:,} {unit} [dim]({seconds:.1f} s)[/dim]", soft_wrap=True
    )
