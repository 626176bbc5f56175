import os
import subprocess
import sys

import pytest

from benchmarks.resources import family_megabytes, processor_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_work_takes_the_processors_time() -> None:
    before = processor_seconds(os.getpid())
    while processor_seconds(os.getpid()) == before:
        sum(range(100_000))
    assert processor_seconds(os.getpid()) > before


def test_children_are_counted() -> None:
    alone = family_megabytes(os.getpid())
    program = "import sys; held = b'x' * 80_000_000; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with_child = family_megabytes(os.getpid())
        child.communicate()
    assert with_child > alone + 60
