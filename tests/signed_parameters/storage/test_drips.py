"""Servers that never stop, and never get on: what drips in is given up, wherever in an answer it does."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage.https import HttpsStorage
from signed_parameters.storage.s3 import S3Settings, S3Storage

Answer = Callable[[socket.socket], object]


def _drip(beginning: bytes, drop: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        with suppress(OSError):
            while True:
                connection.sendall(drop)
                time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nx-header: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"x: y\r\n"),
    ],
    ids=["a header", "headers", "the size of a chunk", "what comes behind the body"],
)
@pytest.mark.parametrize("kind", ["s3", "https"])
def test_an_answer_around_which_everything_drips_in_is_given_up(
    serve: Any, kind: str, beginning: bytes, drop: bytes
) -> None:
    server, limits = serve(_drip(beginning, drop)), sp.Limits(download_seconds=0.5)
    storage = (
        S3Storage("bucket", "", S3Settings(server.url), limits) if kind == "s3" else HttpsStorage(server.url, limits)
    )
    with pytest.raises(sp.Unavailable, match=r"took too long to come|broke off"):
        storage.read("a", 100)
    assert len(server.requests) == 1


def test_an_object_that_drips_in_byte_by_byte_is_given_up(serve: Any) -> None:
    dripped = 0

    def drip(connection: socket.socket) -> None:
        nonlocal dripped
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            dripped += 1
            connection.sendall(b"x")
            time.sleep(0.02)

    limits = sp.Limits(read_seconds=5.0, download_seconds=0.2)
    storage = S3Storage("bucket", settings=S3Settings(serve(drip).url, "key", "secret"), limits=limits)
    with pytest.raises(sp.Unavailable, match="took too long"):
        storage.read("object", 1000)
    assert 0 < dripped < 1000
