"""The workers of a Dask scheduler.

Whoever can speak to a Dask scheduler can run code on its workers: Dask sends pickles. So it has to speak TLS, with the
certificates that Dask's own configuration names, unless that is waived.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diabetes_risk_model.scoring.workers import Given, Result
from signed_parameters import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_SECONDS = 30
_WORKERS_SECONDS = 300  # as a cluster may need for new machines
_RETRIES = 2


@contextmanager
def workers_of(scheduler: str, *, allow_plain: bool = False) -> Iterator[Client]:
    """Connect to a scheduler.

    Args:
        scheduler: its address, such as `tls://HOST:8786`.
        allow_plain: whether one that does not speak TLS is taken, as where a network policy keeps others away.

    Raises:
        ConfigurationError: the address is not usable, or is not to be taken.
        Unavailable: it does not answer, or has no workers.
    """
    from distributed import Client

    scheme, separator, rest = scheduler.partition("://")
    if not separator or not rest or scheme not in ("tls", "tcp"):
        raise ConfigurationError("the scheduler's address is not usable", expected="tls://HOST:PORT", found=scheduler)
    if scheme != "tls" and not allow_plain:
        raise ConfigurationError(
            f"{scheduler} is not to be taken, because whoever can speak to it can run code on its workers",
            expected="tls://HOST:PORT, with the certificates that Dask's configuration names",
            remedy="Set the scheduler up with TLS, or add --allow-plain-scheduler where no stranger can reach it.",
        )
    found = ""
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, TypeError, RuntimeError, ValueError) as error:
        found = str(error).partition("\n")[0][:200] or type(error).__name__
    if found:
        gc.collect()  # the client: it is closed when it is collected, which must not be while another starts
        raise Unavailable(
            f"the scheduler {scheduler} does not answer",
            found=found,
            remedy="Check its address, and the certificates of DASK_DISTRIBUTED__COMM__TLS__....",
        )
    with _one_line_of_error(), _closed(client):
        try:
            client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"the scheduler {scheduler} has no workers",
                remedy="Start some, with the same certificates, and look at their logs.",
            ) from None
        yield client


@contextmanager
def _closed(client: Client) -> Iterator[None]:
    """Close a client in the end, as its own context does."""
    entered = client.__enter__()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        try:
            entered.__exit__(None, None, None)
        except RuntimeError:
            # The connection broke off while calls were being sent: Dask walks through a dictionary that grows, and
            # closing raises that. The command says itself that the connection broke off.
            entered.status = "closed"  # or it would be closed once more when it is collected


@contextmanager
def _one_line_of_error() -> Iterator[None]:
    """Keep the client and its loop from logging tracebacks where a scheduler goes away: the command says it itself."""
    loggers = [logging.getLogger(name) for name in ("distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class DaskWorkers:
    """The `Workers` of a scheduler.

    Args:
        client: of the scheduler.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def each(self, function: Callable[[Given], Result], given: Sequence[Given]) -> Iterator[tuple[int, Result]]:
        """Call a function with each thing that is given, see `Workers`."""
        with _broken_workers():
            futures: dict[Future[Result], int] = {
                self._client.submit(function, each, pure=False, retries=_RETRIES): place
                for place, each in enumerate(given)
            }
            try:
                yield from self._results(futures)
            except CancelledError:
                raise
            except BaseException:
                self._client.cancel(list(futures))  # type: ignore[no-untyped-call]
                raise

    @staticmethod
    def _results(futures: dict[Future[Result], int]) -> Iterator[tuple[int, Result]]:
        from distributed import as_completed

        for future, result in as_completed(futures, with_results=True):  # type: ignore[no-untyped-call]
            if isinstance(result, BaseException):  # which a future has that was cancelled, instead of a result
                raise result
            future.release()
            yield futures[future], result


@contextmanager
def dask_workers_of(scheduler: str, *, allow_plain: bool = False) -> Iterator[DaskWorkers]:
    """Connect to a scheduler whose workers score, see `workers_of`."""
    with workers_of(scheduler, allow_plain=allow_plain) as client:
        yield DaskWorkers(client)


@contextmanager
def _broken_workers() -> Iterator[None]:
    from distributed import KilledWorker
    from distributed.client import ClosedClientError
    from distributed.comm import CommClosedError  # type: ignore[attr-defined]

    try:
        yield
    except KilledWorker as error:
        raise Unavailable(
            "the workers ended again and again while they scored one partition",
            found=str(error).partition("\n")[0][:200],
            remedy="They may need more memory, or smaller partitions (--partition-rows). What is done stays.",
        ) from None
    except (CommClosedError, CancelledError, ClosedClientError):
        raise Unavailable(
            "the connection to the scheduler broke off",
            remedy="Look at its log, and start again: what is done stays.",
        ) from None
