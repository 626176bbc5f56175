"""Processes of this machine: nobody else reaches them, one that is killed changes nothing, and none is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.scoring.processes import MEMORY, processes_of_this_machine
from signed_parameters import Unavailable

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
SECONDS = 60.0


def started_by(pid: int) -> list[psutil.Process]:
    """The processes that score for another."""
    children = psutil.Process(pid).children()
    return [child for child in children if any("spawn_main" in argument for argument in child.cmdline())]


def about_itself(_: object) -> tuple[int, dict[str, str | None]]:
    return os.getpid(), {name: os.environ.get(name) for name in MEMORY}


def fail_at_three(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    time.sleep(0.05)
    if number == 3:
        raise ValueError("not the third")


def die(_: object) -> None:
    os._exit(1)


def test_they_open_no_connection_and_have_their_memory_set() -> None:
    before = dict(os.environ)
    with processes_of_this_machine(2) as processes:
        found = dict(result for _, result in processes.each(about_itself, range(20)))
        assert {child.pid for child in started_by(os.getpid())} >= set(found)
        assert not any(psutil.Process(pid).net_connections("all") for pid in found)
        assert all(settings == {name: str(value) for name, value in MEMORY.items()} for settings in found.values())
    assert dict(os.environ) == before
    assert not any(psutil.pid_exists(pid) for pid in found)


def test_what_fails_is_raised_and_what_has_not_begun_is_not_done(tmp_path: Path) -> None:
    with processes_of_this_machine(1) as processes, pytest.raises(ValueError, match="not the third"):
        list(processes.each(partial(fail_at_three, tmp_path), range(100)))
    assert len(list(tmp_path.iterdir())) < 20


def test_what_kills_its_process_again_and_again_ends_the_run() -> None:
    with processes_of_this_machine(1) as processes, pytest.raises(Unavailable, match=r"4 times, with 2 partitions"):
        list(processes.each(die, range(2)))


def test_those_that_wait_end_without_a_word_and_new_ones_take_their_place(capfd: pytest.CaptureFixture[str]) -> None:
    with processes_of_this_machine(2) as processes:
        assert len(list(processes.each(about_itself, range(20)))) == 20
        first = started_by(os.getpid())
        for child in first:
            child.send_signal(signal.SIGINT)
        psutil.wait_procs(first, timeout=SECONDS)
        assert {pid for _, (pid, _) in processes.each(about_itself, range(2))}.isdisjoint(child.pid for child in first)
    assert "Traceback" not in capfd.readouterr().err


def test_one_two_and_four_write_the_same_bytes(csv_source: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    written = set()
    for number, rows in ((1, 10**9), (2, 3_000), (4, 700)):
        with processes_of_this_machine(number) as processes:
            run(csv_source, tmp_path / f"{number}.csv", partition_rows=rows, workers=processes)
        written.add((tmp_path / f"{number}.csv").read_bytes())
    assert len(written) == 1


def test_one_killed_in_the_middle_changes_nothing(
    csv_source: Path, answers: list[float], run: Callable[..., Any], tmp_path: Path
) -> None:
    killed = []
    unfinished = tmp_path / ".scores.parquet.unfinished"

    def kill_one() -> None:
        while not any(unfinished.glob("*/*.scores")):
            time.sleep(0.001)
        started_by(os.getpid())[0].kill()
        killed.append(len(list(unfinished.glob("*/*.scores"))))

    with processes_of_this_machine(4) as processes:
        killer = threading.Thread(target=kill_one)
        killer.start()
        run(csv_source, tmp_path / "scores.parquet", partition_rows=100, workers=processes)
        killer.join()
    assert killed[0] < 200
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores["row"].to_pylist() == list(range(len(answers)))
    assert scores["probability"].to_pylist() == answers


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_they_end_with_the_command(
    how: signal.Signals,
    csv_source: Path,
    bucket: Any,
    write_configuration: Callable[..., Path],
    tmp_path: Path,
) -> None:
    configuration = write_configuration(bucket.settings())
    output = tmp_path / "scores.csv"
    options = ["--config", configuration, "--workers", "2", "--partition-rows", "10"]
    command = subprocess.Popen(
        [COMMAND, "score", csv_source, output, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not any((tmp_path / ".scores.csv.unfinished").glob("*/*.scores")):
        assert command.poll() is None, command.communicate()
        time.sleep(0.001)
    children = started_by(command.pid)
    assert len(children) == 2
    if how == signal.SIGINT:
        os.killpg(command.pid, how)  # as a terminal does
    else:
        command.send_signal(how)
    _, stderr = command.communicate(timeout=SECONDS)
    assert command.returncode != 0
    assert "Traceback" not in stderr
    assert not output.exists()
    gone, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert len(gone) == 2, alive
