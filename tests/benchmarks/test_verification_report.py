from pathlib import Path
from typing import Any

import pytest

from benchmarks.verification_report import (
    BASELINE,
    BOTH,
    DOWNLOAD,
    ENVELOPE,
    LEAST,
    SIGNATURE,
    VERIFY,
    Results,
    checks,
    draw,
    missed_targets,
    print_report,
)

GIBIBYTE = 2**30
GOOD: dict[str, Any] = {
    "times": {
        BASELINE: [0.1, 0.2],
        "verify": [0.11, 0.22],
        "sign, after building": [0.12, 0.24],
        SIGNATURE: [0.001, 0.001],
        ENVELOPE: [0.002, 0.002],
    },
    "peers": {
        "as it is": {"sign": [2.0], "verify": [2.0]},
        "without SHA instructions": {"sign": [5.0], "verify": [5.0]},
    },
    "downloads": {DOWNLOAD: [1.0, 2.0], BOTH: [1.01, 2.02], VERIFY: [1.05, 2.1]},
    "growth": {"sign": 10.0, "verify": 63.9},
}


def _missed(size: int = GIBIBYTE, **changes: Any) -> list[str]:
    return missed_targets([Results(size, **{**GOOD, **changes})])


def test_what_reaches_every_target() -> None:
    assert _missed() == []
    assert [check.verdict for check in checks([Results(GIBIBYTE, **GOOD)])] == ["yes"] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"times": {**GOOD["times"], "verify": [0.13, 0.26]}},
            "1 GiB: verify, of blake3's speed: 77%; with one Ed25519 signature",
        ),
        (
            {"times": {**GOOD["times"], "sign, after building": [0.2, 0.4]}},
            "sign, after building, of blake3's speed: 50%",
        ),
        ({"growth": {"verify": 64.0}}, "verify, growth of anonymous memory: 64 MB; expected less than 64 MB"),
        (
            {"downloads": {DOWNLOAD: [1.0], BOTH: [1.1], VERIFY: [1.2]}},
            "downloading alone: +20%; download of the package and its envelope +10%; expected at most",
        ),
        ({"peers": {"as it is": {"sign": [3.2], "verify": [3.2]}}}, "18.6 times; blake3 alone 21.3 times; expected 20"),
    ],
)
def test_what_misses_one(changes: dict[str, Any], message: str) -> None:
    (missed,) = _missed(**changes)
    assert message in missed


def test_what_nobody_could_reach_is_not_missed() -> None:
    slow = {
        **GOOD["times"],
        "verify": [0.2, 0.4],
        SIGNATURE: [0.1, 0.2],
        "sign, after building": [0.4, 0.8],
        ENVELOPE: [0.3, 0.6],
    }
    far = {DOWNLOAD: [1.0], BOTH: [1.3], VERIFY: [1.4]}
    faster_peer = {"as it is": {"sign": [1.0], "verify": [1.0]}}
    results = [Results(GIBIBYTE, **{**GOOD, "times": slow, "peers": faster_peer, "downloads": far})]
    assert missed_targets(results) == []
    verdicts = {check.found: check.verdict for check in checks(results)}
    assert verdicts[f"50%; with {SIGNATURE} and nothing else 50%"] == "cannot be"
    assert verdicts[f"25%; with {ENVELOPE} and nothing else 25%"] == "cannot be"
    assert verdicts[f"+40%; {BOTH} +30%"] == "cannot be"
    assert verdicts["2.2 times; blake3 alone 6.7 times"] == "cannot be"


def test_the_peer_is_judged_at_one_size() -> None:
    slow = {"as it is": {"sign": [3.0], "verify": [3.5]}}
    assert len(_missed(peers=slow)) == 1
    assert _missed(size=2**20, peers=slow) == []


def test_time_that_grows_faster_than_size_is_noticed() -> None:
    def results(size: int, seconds: float) -> Results:
        names = (BASELINE, *LEAST, *LEAST.values())
        return Results(size, {name: [seconds] for name in names}, {}, {}, {})

    assert missed_targets([results(2**28, 1.0), results(2**30, 4.0)]) == []
    assert missed_targets([results(2**20, 1.0), results(2**30, 4.0)]) == []
    assert len(missed_targets([results(2**28, 1.0), results(2**30, 6.0)])) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of matplotlib's parser of fonts
def test_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [Results(size, **GOOD) for size in (2**20, GIBIBYTE)]
    print_report(results, has_sha=True)
    printed = capsys.readouterr().out
    assert "has instructions for SHA-256" in printed
    assert "1 MiB" in printed
    assert "NO" not in printed
    draw(results, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
