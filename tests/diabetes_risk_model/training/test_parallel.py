"""Folds go to workers, and nothing of what comes back differs; the cluster may lose workers, or be none to use."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from click.testing import CliRunner
from distributed import Client, LocalCluster, get_worker
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from diabetes_risk_model.cli import main
from diabetes_risk_model.data.sources import Survey
from diabetes_risk_model.training import parallel, worker
from diabetes_risk_model.training.parallel import Workers
from diabetes_risk_model.training.profiles import Profile
from diabetes_risk_model.training.run import Artefacts, train
from diabetes_risk_model.training.train import create, prepare
from signed_parameters import ConfigurationError, Unavailable

pytestmark = pytest.mark.training
SECONDS = 300
IN_THIS_PROCESS: dict[str, Any] = {
    "n_workers": 1,
    "threads_per_worker": 1,
    "processes": False,
    "dashboard_address": "127.0.0.1:0",
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers in processes of their own."""
    with cluster(n_workers=2, processes=True) as client:
        yield client


@pytest.fixture
def workers(client: Client) -> Iterator[Workers]:
    with Workers(client) as workers:
        yield workers


@contextmanager
def cluster(**options: Any) -> Iterator[Client]:
    """Workers in this process, where pycaret is imported already."""
    with LocalCluster(**{**IN_THIS_PROCESS, **options}) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def meanwhile(client: Client, action: Callable[[], None]) -> Iterator[threading.Event]:
    """Do something as soon as a worker has begun a fold; the event says that it was done."""
    done, over = threading.Event(), threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and not over.is_set():
            if any(str(key).startswith("fold-") for keys in client.processing().values() for key in keys):
                action()
                done.set()
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield done
    finally:
        over.set()
        watcher.join()


def folds_left(client: Client) -> list[str]:
    """The folds that the scheduler knows of, once it has taken what the client sent it, which comes by another way."""
    deadline = time.monotonic() + SECONDS
    while True:
        known: list[str] = client.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks if str(key).startswith("fold-")]
        )
        if not known or time.monotonic() > deadline:
            return known
        time.sleep(0.05)


def train_with(workers: Workers, survey: Survey, profile: Profile, folder: Path) -> Artefacts:
    versions = {"version": "0.1.0", "parameters_version": "2026_11_21"}
    return train(survey, folder, profile=profile, seed=42, workers=workers, **versions)


def test_two_workers_write_the_files_that_one_process_writes(
    client: Client, artefacts: Artefacts, survey: Survey, small: Profile, tmp_path: Path, capfd: Any
) -> None:
    here = {name: file.read_bytes() for name, file in artefacts.files.items() if name != "profile.html"}
    with Workers(client) as workers:
        found = train_with(workers, survey, small, tmp_path)
        kept = [Path(folder) for folder in client.run(_folders).values()]
        assert all(folder.is_dir() for folder in kept)
        assert len(kept) == 2
    there = {name: file.read_bytes() for name, file in found.files.items()}
    assert b"GeneralHealth" in there.pop("profile.html")
    assert there == here
    assert not any(folder.exists() for folder in kept)
    assert folds_left(client) == []
    printed = "".join(capfd.readouterr())
    assert "2 workers with the same libraries" in printed
    assert "10 folds done" in printed


def _folders() -> str:
    (steps,) = worker._state.fitted.values()
    return steps._folder


def test_a_worker_killed_in_the_middle_changes_no_score(
    client: Client, workers: Workers, artefacts: Artefacts, survey: Survey, small: Profile
) -> None:
    """Its fold is run again, by the other one or by the worker that takes its place."""
    experiment = prepare(survey, small, 42, workers)
    victim = next(iter(client.run(os.getpid).values()))
    with meanwhile(client, lambda: os.kill(victim, signal.SIGKILL)) as killed:
        created = create(experiment)
    assert killed.is_set()
    scores = artefacts.metrics["created"]
    assert {name: created.mean(name) for name in scores["mean"]} == scores["mean"]
    assert {name: created.std(name) for name in scores["std"]} == scores["std"]
    client.wait_for_workers(2, timeout=SECONDS)


def test_ctrl_c_leaves_no_fold_on_the_cluster(client: Client, workers: Workers, survey: Survey, small: Profile) -> None:
    experiment = prepare(survey, small, 42, workers)
    with (
        meanwhile(client, lambda: os.kill(os.getpid(), signal.SIGINT)) as interrupted,
        pytest.raises(KeyboardInterrupt),
    ):
        create(experiment)
    assert interrupted.is_set()
    assert folds_left(client) == []


def test_a_worker_with_other_libraries_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**worker.versions(), "lightgbm": "0.0.1"}
    monkeypatch.setattr(worker, "versions", lambda: here)
    with Workers(client) as workers, pytest.raises(ConfigurationError, match=r"otherwise: expected lightgbm 0\.0\.1,"):
        workers.check()


def test_a_worker_with_other_libraries_that_joins_later_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {**worker.versions(), "lightgbm": "0.0.1"}
    monkeypatch.setattr(worker, "fingerprint", lambda: "of other versions")
    with Workers(client) as workers:
        monkeypatch.setattr(worker, "versions", lambda: here)
        with pytest.raises(ConfigurationError, match=r"that joined could score otherwise: expected lightgbm 0\.0\.1,"):
            run_in(workers, len, "one")


def run_in(workers: Workers, function: Callable[..., Any], *arguments: Any, times: int = 1, **options: Any) -> Any:
    """What joblib gives back for some calls of a function on the workers."""
    with workers.used():
        return Parallel(n_jobs=1, **options)(delayed(function)(*arguments) for _ in range(times))


def test_a_worker_with_several_threads_is_refused() -> None:
    with (
        cluster(threads_per_worker=2) as client,
        Workers(client) as workers,
        pytest.raises(ConfigurationError, match=r"has 2 threads: expected 1, because .* Start one for each processor"),
    ):
        workers.start()


def test_workers_that_share_a_process_are_refused() -> None:
    with (
        cluster() as client,
        Workers(client) as workers,
        pytest.raises(ConfigurationError, match="shares a process with this one"),
    ):
        workers.check()


def test_a_worker_without_this_project_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def process() -> None:
        raise ModuleNotFoundError("No module named 'diabetes_risk_model'")

    monkeypatch.setattr(worker, "process", process)
    with cluster() as client, Workers(client) as workers:
        workers.start()
        monkeypatch.undo()
        with pytest.raises(ConfigurationError, match=r"cannot train: found ModuleNotFoundError.*Install this project"):
            workers.check()


def test_a_scheduler_without_workers_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_WORKERS_SECONDS", 0.3)
    with (
        cluster(n_workers=0) as client,
        Workers(client) as workers,
        pytest.raises(Unavailable, match="the scheduler has no workers"),
    ):
        workers.start()


def test_a_table_is_sent_once() -> None:
    table = np.arange(100_000)
    with cluster() as client, Workers(client) as workers:
        assert run_in(workers, np.sum, table, times=5) == [table.sum()] * 5
        assert run_in(workers, np.max, table.copy(), times=5) == [99_999] * 5
        names = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
        assert sum(name.startswith("unpack-") for name in names) == 1


def test_more_folds_than_joblib_hands_over_at_once() -> None:
    with cluster() as client, Workers(client) as workers:
        results = run_in(workers, int, "7", times=25, pre_dispatch=4)
    assert results == [7] * 25


def test_an_error_in_a_fold_is_the_call_s_own() -> None:
    with cluster() as client, Workers(client) as workers:
        with pytest.raises(ValueError, match="invalid literal"):
            run_in(workers, int, "seven")
        assert run_in(workers, int, "7") == [7]


def test_a_fold_goes_to_the_worker_that_had_it_before() -> None:
    """There, what it has in common with the one before is fitted already. An idle worker may still take it over."""
    rows = [np.arange(start, 10_000 + start) for start in range(6)]
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        cluster(n_workers=2) as client,
        Workers(client) as workers,
        workers.used(),
    ):
        first, again = (
            Parallel(n_jobs=1)(delayed(lambda train: get_worker().address)(train=train) for train in rows)
            for _ in range(2)
        )
    assert first == again
    assert [first.count(address) for address in set(first)] == [3, 3]


def test_a_fit_goes_to_the_worker_that_made_it(monkeypatch: Any) -> None:
    """Which is not the one that the fold was meant for, where an idle worker has taken it over."""
    rows = np.arange(10_000)

    def where(model: Any, **options: Any) -> Any:
        call = delayed(lambda model, train, parameters=None: get_worker().address)
        (address,) = Parallel(n_jobs=1)([call(model, train=rows, **options)])
        return address

    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        cluster(n_workers=2) as client,
        Workers(client) as workers,
        workers.used(),
    ):
        home = where(DecisionTreeClassifier(max_depth=1))
        (other,) = client.nthreads().keys() - {home}
        with monkeypatch.context() as patched:
            patched.setattr(Workers, "_place", lambda *arguments: [other])
            searched = Pipeline([("model", DecisionTreeClassifier())])
            assert where(searched, parameters={"model__max_depth": 2}) == other
        assert where(DecisionTreeClassifier(max_depth=2)) == other
        assert where(Pipeline([("model", DecisionTreeClassifier(max_depth=2))])) == other
        assert where(DecisionTreeClassifier(max_depth=3)) == home
        assert where(DecisionTreeClassifier(max_depth=1)) == home


def test_folds_of_different_sizes_are_shared_out_by_their_rows() -> None:
    """As those of a learning curve, of which each fold is there in growing sizes."""
    rows = [np.arange(start, start + size) for start in range(3) for size in (1_000, 2_000, 3_000, 10_000)]
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        cluster(n_workers=2) as client,
        Workers(client) as workers,
        workers.used(),
    ):
        places = Parallel(n_jobs=1)(delayed(lambda train: get_worker().address)(train=train) for train in rows)
    given = {address: sum(len(r) for r, at in zip(rows, places, strict=True) if at == address) for address in places}
    least, most = sorted(given.values())
    assert most - least <= 10_000 < most


def test_loops_inside_an_estimator_stay_in_this_process() -> None:
    with cluster(processes=True) as client, Workers(client) as workers:
        assert run_in(workers, os.getpid, prefer="threads") == [os.getpid()]


def test_a_scheduler_that_goes_away_ends_the_run() -> None:
    with (
        LocalCluster(**IN_THIS_PROCESS) as cluster,
        Client(cluster) as client,
        Workers(client) as workers,
        meanwhile(client, cluster.close),
        pytest.raises(Unavailable, match=r"the Dask cluster went away.*then train again"),
    ):
        run_in(workers, time.sleep, 2, times=20)


def test_a_cluster_that_loses_its_workers_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_WORKERS_SECONDS", 0.5)
    monkeypatch.setattr(parallel, "_LOOK_SECONDS", 0.2)
    with (
        LocalCluster(**IN_THIS_PROCESS) as cluster,
        Client(cluster) as client,
        Workers(client) as workers,
        meanwhile(client, lambda: cluster.scale(0)),
        pytest.raises(Unavailable, match="the scheduler has lost all its workers"),
    ):
        run_in(workers, time.sleep, 1, times=20)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["here"], 2, "ConfigurationError: the scheduler's address is not usable"),
        (["tcp://127.0.0.1:1"], 2, "can run code on its workers"),
        (["tls://127.0.0.1:1"], 3, "Unavailable: the scheduler tls://127.0.0.1:1 does not answer"),
        (["tcp://127.0.0.1:1", "--allow-plain-scheduler"], 3, "does not answer"),
    ],
)
def test_the_command_tells_of_a_scheduler_that_it_cannot_use(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it does anything else: a mistake must not cost a training."""
    monkeypatch.setattr("diabetes_risk_model.scoring.cluster._CONNECT_SECONDS", 0.3)
    options = ["--source", "embedded", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["train", *options, "--scheduler", *arguments])
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == code
    assert says in result.output
    assert "Load the survey" not in result.output


@pytest.mark.full
def test_the_command_trains_on_workers_as_it_does_without(tmp_path: Path) -> None:
    from benchmarks.training_on_dask import run

    arguments = ["--source", "embedded", "--profile", "quick"]
    without, with_two = run(arguments, 0), run(arguments, 2)
    assert "2 workers with the same libraries" in with_two.printed
    assert with_two.files == without.files
    assert "model.pkl" in with_two.files


def test_a_fold_of_which_workers_die_ends_the_run(client: Client, workers: Workers) -> None:
    """The last of those that share two workers: a killed one has to import pycaret again."""
    client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    with pytest.raises(Unavailable, match=r"workers die of a fold.*too little memory"):
        run_in(workers, lambda: os.kill(os.getpid(), signal.SIGKILL))
