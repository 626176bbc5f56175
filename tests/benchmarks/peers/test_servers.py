import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import Load, LoadError
from benchmarks.peers import environments, servers
from benchmarks.peers.__main__ import OURS, Measured, compare, missed_targets, print_table
from benchmarks.peers.environments import HERE, environment_of
from benchmarks.peers.running import run
from benchmarks.peers.servers import PEERS, BentoML, Launch, MLServer, Peer, Seldon, environment_for

ROW = (28.5, 2.0, 9.0, 6.0)
# As each server wrote them.
ANSWERS: list[tuple[Peer, Any]] = [
    (MLServer(), {"outputs": [{"name": "predict_proba", "shape": [1, 2], "data": [0.75, 0.25]}]}),
    (Seldon(), {"data": {"names": ["t:0", "t:1"], "ndarray": [[0.75, 0.25]]}, "meta": {}}),
    (BentoML(), [[0.75, 0.25]]),
]


@pytest.mark.parametrize(("peer", "answer"), ANSWERS, ids=lambda each: getattr(each, "package", ""))
def test_each_is_asked_for_the_row_and_its_probability_is_read(peer: Peer, answer: Any) -> None:
    assert json.dumps(list(ROW))[1:-1] in json.dumps(peer.request(ROW))
    assert peer.probability(answer) == 0.25


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
def test_each_listens_where_it_is_told_and_runs_from_its_own_environment(peer: Peer, tmp_path: Path) -> None:
    launch = peer.launch(tmp_path / "environment", tmp_path / "model.joblib", tmp_path, 4321)
    told = " ".join(launch.command) + "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert "4321" in told
    assert launch.command[0].startswith(str(tmp_path / "environment"))
    assert str(tmp_path / "model.joblib") in told + str(launch.environment)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
def test_each_lock_file_names_every_digest(peer: Peer) -> None:
    lock = (HERE / peer.package / "requirements.txt").read_text()
    wanted = (HERE / peer.package / "requirements.in").read_text().split()
    assert all(line.partition("<")[0] in lock for line in wanted)
    assert lock.count("==") <= lock.count("--hash=sha256:")


def test_nothing_of_this_process_reaches_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("A_SECRET", "secret")
    found = environment_for(Launch([], {"MODEL_FILE": "m"}, tmp_path))
    assert found["MODEL_FILE"] == "m"
    assert not {"PYTHONPATH", "A_SECRET"} & set(found)


def test_a_missing_uv_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="pip install uv"):
        environment_of("mlserver")


class Failing(MLServer):
    """Ends at once."""

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        return Launch(["/bin/sh", "-c", "echo the reason; exit 3"], {}, folder)


def test_a_server_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    failure = pytest.raises(LoadError, match=r"MLServer did not become ready.*\n.*the reason")
    with failure, run(Failing(), tmp_path, tmp_path / "model", tmp_path):
        pass


def test_another_models_answers_are_noticed() -> None:
    compare("a peer", [0.5, 0.25], [0.5, 0.25 + 1e-7])
    for other in (0.2501, float("nan")):
        with pytest.raises(LoadError, match=r"a peer .* answer 2"):
            compare("a peer", [0.5, 0.25], [0.5, other])


def test_the_targets_are_multiples_of_each_peers_requests(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {name: Measured(1.0, 100.0, Load(100.0, 5.0, 9.0)) for name in (peer.name for peer in servers.PEERS)}
    measured[OURS] = Measured(1.0, 70.0, Load(1_000.0, 0.5, 1.0))
    (missed,) = missed_targets(measured)
    assert "10.0 times BentoML" in missed
    assert "at least 12" in missed
    print_table(measured)
    assert "10.0x" in capsys.readouterr().out
