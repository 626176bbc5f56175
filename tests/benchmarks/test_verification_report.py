from pathlib import Path
from typing import Any

import pytest

from benchmarks.verification_report import (
    BASELINE,
    Results,
    checks,
    draw,
    missed_targets,
    print_report,
)

GIBIBYTE = 2**30
GOOD: dict[str, Any] = {
    "times": {BASELINE: [0.1, 0.2], "verify": [0.11, 0.22], "sign, after building": [0.12, 0.24]},
    "peers": {
        "as it is": {"sign": [2.0], "verify": [2.0]},
        "without SHA instructions": {"sign": [5.0], "verify": [5.0]},
    },
    "downloads": {"download alone": [1.0, 2.0], "verify from S3": [1.05, 2.1]},
    "growth": {"sign": 10.0, "verify": 63.9},
}


def _missed(size: int = GIBIBYTE, has_sha: bool = True, **changes: Any) -> list[str]:
    return missed_targets([Results(size, **{**GOOD, **changes})], has_sha)


def test_what_reaches_every_target() -> None:
    assert _missed() == []
    assert len(checks([Results(GIBIBYTE, **GOOD)], True)) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"times": {**GOOD["times"], "verify": [0.13, 0.26]}},
            "1 GiB: verify, of blake3's speed: 77%; expected at least",
        ),
        (
            {"times": {**GOOD["times"], "sign, after building": [0.2, 0.4]}},
            "sign, after building, of blake3's speed: 50%",
        ),
        ({"growth": {"verify": 64.0}}, "verify, growth of anonymous memory: 64 MB; expected less than 64 MB"),
        (
            {"downloads": {"download alone": [1.0], "verify from S3": [1.2]}},
            "downloading alone: +20%; expected at most",
        ),
        ({"peers": {"without SHA instructions": {"sign": [3.0], "verify": [3.0]}}}, "17.4 times; expected 20 times"),
    ],
)
def test_what_misses_one(changes: dict[str, Any], message: str) -> None:
    (missed,) = _missed(**changes)
    assert message in missed


def test_the_peer_is_judged_without_sha_instructions_and_at_one_size() -> None:
    slow = {"as it is": {"sign": [1.0], "verify": [1.0]}}
    assert _missed(peers=slow) == []
    assert _missed(peers=slow, has_sha=False) != []
    assert _missed(size=2**20, peers=slow, has_sha=False) == []


def test_time_that_grows_faster_than_size_is_noticed() -> None:
    def results(size: int, seconds: float) -> Results:
        return Results(size, {BASELINE: [seconds], "verify": [seconds], "sign, after building": [seconds]}, {}, {}, {})

    assert missed_targets([results(2**28, 1.0), results(2**30, 4.0)], True) == []
    assert missed_targets([results(2**20, 1.0), results(2**30, 4.0)], True) == []
    assert len(missed_targets([results(2**28, 1.0), results(2**30, 6.0)], True)) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of matplotlib's parser of fonts
def test_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [Results(size, **GOOD) for size in (2**20, GIBIBYTE)]
    print_report(results, True)
    printed = capsys.readouterr().out
    assert "has instructions for SHA-256" in printed
    assert "1 MiB" in printed
    assert "NO" not in printed
    draw(results, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
