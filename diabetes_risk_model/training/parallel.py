"""Cross-validates on the workers of a Dask cluster instead of in this process, with the same scores.

pycaret leaves the folds of every comparison, model and search to joblib, and so do the learning curves. `Workers` takes
them from there: `folds` is its side of joblib. Each fold goes to a worker, a table is sent only once, and the same fold
goes always to the same worker while that is alive: there its outliers have been looked for and its columns selected.
What an idle worker has taken over and fitted goes there when it is asked for again. Dask runs the folds of a worker
that dies on another one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from diabetes_risk_model.training import worker
from signed_parameters import ConfigurationError, SignedParametersError, Unavailable

if TYPE_CHECKING:
    from distributed import Client, Future

_WORKERS_SECONDS = 60.0  # until the first worker is there, and without any before the run ends
_LOOK_SECONDS = 5.0
_SAY_EVERY = 10
_REASON = "because pycaret changes the whole process while it scores a fold"
_START = "`dask worker SCHEDULER --nthreads 1`"


class Workers:
    """The workers of a cluster, for one training run.

    Use it as a context: in the end folds that are not done are withdrawn, and the workers forget what they fitted.

    Args:
        client: connected to the scheduler. Its workers need one thread each, in processes of their own, and this
            project with the same libraries.
    """

    def __init__(self, client: Client) -> None:
        self._client: Any = client
        self._training = uuid.uuid4().hex
        self._asked: dict[str, Future[Any]] = {}
        self._tables: dict[str, Future[Any]] = {}
        self._places: dict[str, str] = {}
        self._given: Counter[str] = Counter()
        self._pending: set[Future[Any]] = set()
        self._beside: list[Future[Any]] = []
        self._done = 0
        self._failure: SignedParametersError | None = None
        self._report: Callable[[str], None] = lambda text: None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pending.update(self._beside)
        self.withdraw()
        self._tables.clear()
        if self._client.status == "running" and self._failure is None:
            with suppress(Exception):  # what the training came to does not depend on it
                self._client.run(worker.forget, self._training)

    def start(self) -> None:
        """Ask every worker to import pycaret, which takes some seconds; meanwhile this process can do the same.

        Raises:
            ConfigurationError: a worker has several threads.
            Unavailable: there are none.
        """
        try:
            self._client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        except TimeoutError:
            raise Unavailable(
                "the scheduler has no workers",
                found=f"none in {_WORKERS_SECONDS:.0f} seconds",
                remedy=f"Start some: {_START}.",
            ) from None
        for address, threads in sorted(self._client.nthreads().items()):
            if threads != 1:
                raise ConfigurationError(
                    f"the worker {address} has {threads} threads",
                    expected=f"1, {_REASON}",
                    remedy=f"Start one for each processor, {_START}.",
                )
            asked = self._client.submit(worker.process, workers=[address], pure=False)
            self._asked[address] = asked
            self._pending.add(asked)

    def check(self) -> int:
        """Wait until the workers have imported pycaret, and return how many they are.

        Raises:
            ConfigurationError: a worker has other libraries or other code than this process, or shares a process.
            Unavailable: they went away.
        """
        if not self._asked:
            self.start()
        processes = {worker.process().name: "this one"}
        for address, asked in self._asked.items():
            try:
                there: worker.Process | None = self._result(asked, address)
            except SignedParametersError:
                raise
            except Exception as error:
                raise ConfigurationError(
                    f"the worker {address} cannot train",
                    found=f"{type(error).__name__}: {error}"[:300],
                    remedy="Install this project there, with its extra training and from the same lock file.",
                ) from None
            if there is None:
                continue
            if there.name in processes:
                raise ConfigurationError(
                    f"the worker {address} shares a process with {processes[there.name]}",
                    expected=f"one of its own, {_REASON}",
                    remedy=f"Start each by itself: {_START}.",
                )
            processes[there.name] = address
            _compare(address, there.versions)
        return len(processes) - 1

    def begin(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Call a function on a worker, before folds that are sent later, while this process goes on.

        Raises:
            Unavailable: the cluster went away.
        """
        try:
            future: Future[Any] = self._client.submit(function, *arguments, pure=False, priority=1)
        except (OSError, RuntimeError, CancelledError) as error:
            raise self._away(error) from None
        self._beside.append(future)
        return future

    def end(self, future: Future[Any]) -> Any:
        """Wait for what a function that was begun returns.

        Raises:
            Unavailable: the cluster went away, or its workers die of it.
        """
        return self._result(future)

    @contextmanager
    def telling(self, report: Callable[[str], None]) -> Iterator[None]:
        """Call `report` inside the block with how many folds are done, at every tenth."""
        self._report, self._done = report, 0
        try:
            yield
        finally:
            self._report = lambda text: None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Send the folds of cross-validations inside the block to the workers.

        Raises:
            Unavailable: the cluster went away, or its workers die of a fold.
            ConfigurationError: a worker that joined has other libraries.
        """
        from joblib import parallel_config

        from diabetes_risk_model.training.folds import Folds

        try:
            with parallel_config(backend=Folds(self)):
                yield
        except Exception:
            if self._failure is not None:  # pycaret hides it behind an error of its own
                raise self._failure from None
            raise
        finally:
            self.withdraw()

    def submit(
        self, call: bytes, tables: dict[str, Any], fold: str | None, rows: int = 0, fit: str | None = None
    ) -> Future[Any]:
        """Send a fold to a worker.

        Args:
            call: pickled, with names in place of tables.
            tables: name -> array or data frame; those of a known name are not sent again.
            fold: what it has in common with calls that reuse what it prepares; None if there are none.
            rows: how many it is fitted to, by which the folds are shared out evenly.
            fit: what it has in common with calls that fit the same model to the same rows; None if there are none.

        Raises:
            Unavailable: the cluster went away.
        """
        if self._failure is not None:
            raise self._failure
        try:
            for name in tables.keys() - self._tables.keys():
                # A task, so that Dask makes it anew where the worker that held it is gone.
                self._tables[name] = self._client.submit(worker.unpack, worker.pack(tables[name]), pure=False)
            place = self._place(fold, rows, fit)
            future: Future[Any] = self._client.submit(
                worker.run,
                self._training,
                worker.fingerprint(),
                call,
                tuple(tables),
                *(self._tables[name] for name in tables),
                key=f"fold-{uuid.uuid4().hex}",
                workers=place,
                allow_other_workers=place is not None,
            )
        except (OSError, RuntimeError, CancelledError) as error:
            raise self._away(error) from None
        self._pending.add(future)
        return future

    def result(self, future: Future[Any], fit: str | None = None) -> Any:
        """Wait for a fold.

        Args:
            future: from `submit`.
            fit: what `submit` was told of it.

        Raises:
            Unavailable: the cluster went away, or its workers die of this fold.
            ConfigurationError: the worker has other libraries.
        """
        address, result = self._result(future)
        if fit is not None:
            self._places[fit] = address  # another than it was meant for, where that one had nothing else to do
        self._done += 1
        if self._done % _SAY_EVERY == 0:
            self._report(f"{self._done} folds done")
        return result

    def withdraw(self) -> None:
        """Withdraw the folds that are not done: those that wait at once; one that runs ends, and is thrown away."""
        pending, self._pending = self._pending, set()
        if pending:
            with suppress(Exception):  # a cluster that is gone has none
                self._client.cancel(list(pending), force=True)

    def _result(self, future: Future[Any], address: str | None = None) -> Any:
        """Wait for a result; None if it can come from one worker only, and that one has gone."""
        from distributed import wait
        from distributed.scheduler import KilledWorker

        alone = 0.0
        try:
            while not future.done():  # type: ignore[no-untyped-call]
                try:
                    wait(future, timeout=_LOOK_SECONDS)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    there = self._client.nthreads()
                    if there and address is not None and address not in there:
                        return None
                    alone = 0.0 if there else alone + _LOOK_SECONDS
                    if alone >= _WORKERS_SECONDS:
                        raise self._fail(
                            Unavailable(
                                "the scheduler has lost all its workers",
                                found=f"none for {alone:.0f} seconds",
                                remedy=f"Start some, {_START}, then train again.",
                            )
                        ) from None
            result = future.result()
        except KilledWorker as error:
            raise self._fail(
                Unavailable(
                    "workers die of a fold, one after the other",
                    found=str(error).partition(". ")[0],
                    remedy="They may have too little memory: see their logs.",
                )
            ) from None
        except worker.Different as error:
            try:
                _compare("that joined", error.args[0])
            except ConfigurationError as reason:
                raise self._fail(reason) from None
            raise
        except (OSError, CancelledError) as error:
            raise self._away(error) from None
        self._pending.discard(future)
        return result

    def _place(self, fold: str | None, rows: int, fit: str | None) -> list[str] | None:
        """Return the worker that has made this fit, or had this fold, or has had the fewest rows; None without workers.

        The folds of a learning curve differ: taken in turn, one worker of two would get all the largest.
        """
        addresses = sorted(self._client.nthreads())
        if fold is None or not addresses:
            return None
        if fit is not None and self._places.get(fit) in addresses:
            return [self._places[fit]]
        if self._places.get(fold) not in addresses:
            self._places[fold] = min(addresses, key=self._given.__getitem__)
        self._given[self._places[fold]] += rows
        return [self._places[fold]]

    def _away(self, error: BaseException) -> SignedParametersError:
        return self._fail(
            Unavailable(
                "the Dask cluster went away",
                found=str(getattr(error, "reason", error)).partition("\n")[0][:200] or type(error).__name__,
                remedy="Look after its scheduler, then train again.",
            )
        )

    def _fail(self, error: SignedParametersError) -> SignedParametersError:
        """Keep the first reason for which nothing can be sent any more."""
        self._failure = self._failure or error
        return self._failure


def _compare(address: str, there: dict[str, str]) -> None:
    here = worker.versions()
    names = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
    missing = [name for name in names if there.get(name) == worker.NOT_INSTALLED]
    if names := missing or names:
        raise ConfigurationError(
            f"the worker {address} could score otherwise",
            expected=", ".join(f"{name} {here.get(name, worker.NOT_INSTALLED)}" for name in names),
            found=", ".join(there.get(name, worker.NOT_INSTALLED) for name in names),
            remedy="Install the same version of this project there, from the same lock file.",
        )
