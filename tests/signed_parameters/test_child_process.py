import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from signed_parameters.child_process import ChildProcess

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")


def python(code: str, *arguments: str | Path, log_lines: int = 1000) -> ChildProcess:
    return ChildProcess([sys.executable, "-u", "-c", code, *arguments], dict(os.environ), log_lines=log_lines)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_it_runs_until_it_is_stopped_and_keeps_its_output() -> None:
    child = python("print('here I am'); import time; time.sleep(600)")
    child.start()
    assert child.wait_for_line("here (I) am", 30).group(1) == "I"  # type: ignore[union-attr]
    assert child.running
    assert child.exit_code is None
    child.stop()
    child.stop()
    assert not child.running
    assert child.exit_code == -signal.SIGTERM
    assert child.log() == "here I am"


def test_output_and_errors_are_both_kept_and_bounded() -> None:
    with python(
        "import sys\nfor i in range(50): print(i)\nprint('x' * 100_000, file=sys.stderr)", log_lines=5
    ) as child:
        assert child.wait_for_line("never printed", 30) is None
        assert child.exit_code == 0
    assert len(child.log().splitlines()) == 5
    assert max(map(len, child.log().splitlines())) <= 8192


def test_the_last_lines_of_the_log() -> None:
    with python("print('one'); print('two'); print('three')") as child:
        child.wait_for_line("never printed", 30)
    assert child.log(2) == "two\nthree"


def test_waiting_for_a_line_ends_in_time() -> None:
    with python("import time; time.sleep(600)") as child:
        assert child.wait_for_line("never printed", 0.05) is None
        assert child.running


def test_a_program_that_ignores_sigterm_is_killed() -> None:
    child = python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)"
    )
    child.start()
    child.wait_for_line("ready", 30)
    child.stop(seconds=0.1)
    assert child.exit_code == -signal.SIGKILL


@LINUX_ONLY
def test_what_the_program_started_itself_is_stopped_too() -> None:
    code = (
        "import subprocess, sys, time\n"
        "ignore = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'\n"
        "inner = subprocess.Popen([sys.executable, '-c', ignore], stdout=subprocess.PIPE)\n"
        "inner.stdout.readline()\n"
        "print('inner', inner.pid)\n"
        "time.sleep(600)\n"
    )
    child = python(code)
    child.start()
    found = child.wait_for_line(r"inner (\d+)", 30)
    assert found is not None
    child.stop()
    assert wait_until(lambda: not alive(int(found.group(1))))


def test_it_gets_no_environment_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    with ChildProcess([sys.executable, "-c", "import os; print('A_SECRET' in os.environ)"], {"LC_ALL": "C"}) as child:
        assert child.wait_for_line("False", 30)


def test_a_program_that_is_not_there() -> None:
    child = ChildProcess(["/nonexistent/program"], {})
    with pytest.raises(FileNotFoundError):
        child.start()
    assert not child.running
    child.stop()


def test_use_in_the_wrong_order() -> None:
    child = python("pass")
    child.stop()
    with pytest.raises(ValueError, match="not started"):
        _ = child.pid
    with child, pytest.raises(ValueError, match="started before"):
        child.start()


def test_it_outlives_the_thread_that_started_it() -> None:
    child = python("import time; print('ready'); time.sleep(600)")
    starter = threading.Thread(target=child.start)
    starter.start()
    starter.join()
    assert child.wait_for_line("ready", 30)
    time.sleep(0.2)
    assert child.running
    child.stop()


@LINUX_ONLY
def test_it_ends_when_its_parent_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from signed_parameters.child_process import ChildProcess\n"
        "child = ChildProcess([sys.executable, '-c', 'import time; time.sleep(600)'], {})\n"
        "child.start()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert wait_until(lambda: not alive(pid))
