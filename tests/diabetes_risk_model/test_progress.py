"""Progress on the terminal, and where there is none."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from diabetes_risk_model import progress
from diabetes_risk_model.progress import bar, step

Capture = Callable[..., io.StringIO]


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Capture:
    """`capture(terminal=True)` leads what is printed into a buffer."""

    def start(*, terminal: bool = False) -> io.StringIO:
        buffer = io.StringIO()
        console = Console(file=buffer, force_terminal=terminal, width=100, highlight=False, color_system=None)
        monkeypatch.setattr(progress, "console", console)
        return buffer

    return start


def test_a_step_is_one_line_with_its_result(capture: Capture) -> None:
    said = capture()
    with step("Load the survey") as running:
        running.note("10 rows")
        assert said.getvalue() == "", "it is told when it is done"
    assert said.getvalue() == "  ✓ Load the survey · 10 rows\n"


def test_a_step_without_a_result(capture: Capture) -> None:
    said = capture()
    with step("Load pycaret"):
        pass
    assert said.getvalue() == "  ✓ Load pycaret\n"


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, ""), (1.0, " (1.0 s)"), (75.26, " (75.3 s)")])
def test_the_time_of_a_slow_step_is_told(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, seconds: float, shown: str
) -> None:
    said = capture()
    times = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr("diabetes_risk_model.progress.time.perf_counter", lambda: next(times))
    with step("Train"):
        pass
    assert said.getvalue() == f"  ✓ Train{shown}\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_step_that_fails_is_marked_and_the_error_passes(capture: Capture, error: type[BaseException]) -> None:
    said = capture()
    with pytest.raises(error), step("Train"):
        raise error
    assert said.getvalue() == "  ✗ Train\n"


def test_updates_are_lines_where_there_is_no_terminal(capture: Capture) -> None:
    said = capture()
    with step("Compare") as running:
        running.update("1 of 2: lr")
        running.update("2 of 2: gbc")
    assert said.getvalue() == "    Compare: 1 of 2: lr\n    Compare: 2 of 2: gbc\n  ✓ Compare\n"


def test_updates_are_a_spinner_on_a_terminal(capture: Capture) -> None:
    said = capture(terminal=True)
    with step("Compare") as running:
        running.update("1 of 2: lr")
    assert "    Compare: 1 of 2: lr\n" not in said.getvalue()
    assert "✓ Compare" in said.getvalue()
    assert said.getvalue().endswith("✓ Compare\n")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "a[/b].csv", "[link=http://evil]x[/link]"])
def test_text_is_never_taken_as_markup(capture: Capture, text: str, terminal: bool) -> None:
    said = capture(terminal=terminal)
    with step(text) as running:
        running.update(text)
        running.note(text)
    assert f"  ✓ {text} · {text}\n" in said.getvalue()


def test_steps_can_be_nested(capture: Capture) -> None:
    said = capture(terminal=True)
    with step("outer"), step("inner"):
        pass
    assert said.getvalue().index("✓ inner") < said.getvalue().index("✓ outer")


def test_a_long_line_stays_one_line(capture: Capture) -> None:
    said = capture()
    with step("Build") as running:
        running.update("x " * 100)
        running.note("y " * 100)
    assert said.getvalue().count("\n") == 2


def test_a_bar_is_a_line_at_each_tenth_where_there_is_no_terminal(capture: Capture) -> None:
    said = capture()
    with bar("[b]Score[/b]", 1_000, "rows") as progress:
        for amount in (50, 49, 1, 400, 499, 1):
            progress.advance(amount)
    *lines, done = said.getvalue().splitlines()
    assert lines == [f"    [b]Score[/b]: {rows} of 1,000 rows" for rows in ("100", "500", "999", "1,000")]
    assert done.startswith("  ✓ [b]Score[/b] · 1,000 rows (")


def test_a_bar_on_a_terminal_leaves_one_line(capture: Capture) -> None:
    said = capture(terminal=True)
    with bar("[b]Score[/b]", 10, "rows") as progress:
        progress.advance(10)
    assert " of 10 rows" not in said.getvalue()
    assert said.getvalue().splitlines()[-1].endswith("s)")
    assert "✓ [b]Score[/b] · 10 rows" in said.getvalue()


def test_a_bar_of_nothing_is_done_at_once(capture: Capture) -> None:
    said = capture()
    with bar("Score", 0, "rows"):
        pass
    assert "✓ Score · 0 rows" in said.getvalue()


def test_a_bar_that_fails_is_marked_and_the_error_passes(capture: Capture) -> None:
    said = capture()
    with pytest.raises(ValueError, match="x"), bar("Score", 10, "rows"):
        raise ValueError("x")
    assert said.getvalue() == "  ✗ Score\n"
