import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import signed_parameters as sp
from benchmarks.memory import growth_in_child, watched_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_memory_that_is_freed_before_the_end_is_noticed() -> None:
    with watched_memory() as growth:
        ballast = bytearray(200_000_000)
        ballast[:] = b"x" * len(ballast)
        deadline = time.monotonic() + 30
        while growth.megabytes <= 150 and time.monotonic() < deadline:
            time.sleep(0.01)
        del ballast
    assert growth.megabytes > 150


@pytest.mark.parametrize("name", ["model.bin", "model.pkl"])
def test_neither_signing_nor_verifying_takes_memory_with_the_size_of_a_package(tmp_path: Path, name: str) -> None:
    key = sp.SigningKey.generate()
    key.save(tmp_path / "key.json")
    with (tmp_path / "model").open("wb") as file:
        pickle.dump(np.zeros(200_000_000, np.uint8), file, protocol=5)
    built = sp.build_package(tmp_path / "package.zip", {name: tmp_path / "model"})
    for what in ("sign", "verify"):
        growth = growth_in_child(what, str(built), tmp_path / "key.json", "m", dict(os.environ))
        assert 0 < growth < 64


def test_a_child_that_fails_is_an_error(tmp_path: Path) -> None:
    sp.SigningKey.generate().save(tmp_path / "key.json")
    with pytest.raises(RuntimeError, match=r"(?s)measurement of the memory failed.*NotFound"):
        growth_in_child("verify", str(tmp_path / "missing.zip"), tmp_path / "key.json", "m", dict(os.environ))
