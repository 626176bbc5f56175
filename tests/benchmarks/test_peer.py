import sys
from pathlib import Path

import pytest

from benchmarks.peer import processor_has_sha, time_in_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_processor_is_asked() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    assert processor_has_sha() == ("sha_ni" in flags or "sha2" in flags)


@pytest.mark.parametrize("without_sha", [True, False])
def test_both_directions_are_timed(tmp_path: Path, without_sha: bool) -> None:
    pytest.importorskip("model_signing")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.bin").write_bytes(bytes(1000))
    seconds = time_in_child(tmp_path / "model", tmp_path / "keys", without_sha=without_sha)
    assert set(seconds) == {"sign", "verify"}
    assert min(seconds.values()) > 0


def test_a_child_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="model_signing failed"):
        time_in_child(tmp_path / "missing", tmp_path / "keys", without_sha=False)
