"""What a process takes of the machine, read from `/proc`. Linux only."""

import os
from pathlib import Path

import psutil  # type: ignore[import-untyped]

_USER, _SYSTEM = 11, 12  # of the fields after the program's name


def processor_seconds(pid: int) -> float:
    """Return the time that a process has used of the processor, in seconds.

    Unlike the time on the wall it hardly changes with what else the machine does.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")


def family_megabytes(pid: int) -> float:
    """Return the resident memory of a process and all that it started, in megabytes (10^6 bytes).

    Memory that processes share counts once: each has its part of it (the kernel's "proportional set size").
    """
    first = psutil.Process(pid)
    total = 0
    for process in (first, *first.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
