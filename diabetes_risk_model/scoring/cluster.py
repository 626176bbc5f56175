"""The processes that score: workers on this machine, or those of a Dask scheduler.

Whoever can speak to a Dask scheduler can run code on its workers: Dask sends pickles. So the workers of this machine
speak TLS, with a certificate that is made for the run and known to nobody else. A scheduler elsewhere has to speak TLS
too, with the certificates that Dask's own configuration names, unless that is waived.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from signed_parameters import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 30
_WORKERS_SECONDS = 300  # as a cluster may need for new machines
# Dask's own setting gives all that is freed back to the system, only to ask for it again with the next batch: that
# takes a third of the processor time. What a worker holds of arrays stays small: see `--partition-rows`.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
_NO_DASHBOARD = "127.0.0.1:0"  # any free port, at which nothing is served


@contextmanager
def workers_of_this_machine(number: int | None = None) -> Iterator[Client]:
    """Start workers, one process each, and stop them in the end.

    Args:
        number: how many; by default as many as this process may use processors.
    """
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(
            {
                # The pages would be open to every user of this machine.
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
                **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in MEMORY.items()},
            }
        ),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=number or len(os.sched_getaffinity(0)),
            threads_per_worker=1,
            security=True,
            dashboard_address=_NO_DASHBOARD,
            worker_dashboard_address=_NO_DASHBOARD,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


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
    with _one_line_of_error(), client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"the scheduler {scheduler} has no workers",
                remedy="Start some, with the same certificates, and look at their logs.",
            ) from None
        yield client


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
