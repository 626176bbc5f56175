"""Against servers that misbehave: each is a small HTTP server on a raw socket."""

import gzip
import socket
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage.s3 import S3Settings, S3Storage

MEBIBYTE = 1 << 20
PATIENCE = sp.Limits(connect_seconds=1.0, read_seconds=0.3)
Answer = Callable[[socket.socket], object]
Misbehaving = Callable[[bytes | Answer], S3Storage]


@pytest.fixture
def misbehaving(serve: Any) -> Misbehaving:
    """`misbehaving(answer)` gives the storage of a server that answers so."""
    return lambda answer: S3Storage("bucket", "", S3Settings(serve(answer).url, "access", "very-secret"), PATIENCE)


def _response(body: bytes, status: str = "200 OK", length: object = None, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def test_a_source_that_is_missing_is_named(misbehaving: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="missing cannot be stored"):
        misbehaving(b"").write("a", tmp_path / "missing")


def _hang(connection: socket.socket) -> None:
    connection.recv(1)


def _send_then_hang(data: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        _hang(connection)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        _response(b"12345", length=10),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n12345\r\n0\r\n\r\n",
        _hang,
        _send_then_hang(b"HTTP/1.1 200 OK\r\n"),
        _send_then_hang(_response(b"12345", length=10)),
        _response(b"", status="500 Oops"),
        _response(b"<Error>", status="500 Oops", Content_Type="application/xml"),
        _response(b"", status="503 Slow Down"),
        _response(b"", status="429 Slow Down"),
        _response(b"", status="503 Slow Down", Retry_After="3600"),
    ],
    ids=[
        *("silence", "garbage", "another protocol", "bad status", "many headers", "long header", "two lengths"),
        *(
            "half",
            "half of the chunks",
            "half of a chunk",
            "bad chunk",
            "no answer",
            "half a header",
            "half, then hangs",
        ),
        *("500", "500 with bad XML", "503", "429", "503 with a long wait"),
    ],
)
def test_a_server_that_fails_is_unavailable(misbehaving: Misbehaving, answer: bytes | Answer) -> None:
    with pytest.raises(sp.Unavailable, match=r"http://127\.0\.0\.1:.* at s3://bucket/a\.zip") as caught:
        misbehaving(answer).read("a.zip", 100)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml", "text/html"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", sp.StorageError),
        ("403 Forbidden", sp.AccessDenied),
        ("404 Not Found", sp.NotFound),
        ("409 Conflict", sp.StorageError),
        ("418 Teapot", sp.StorageError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Error>",
        b"<Error/>",
        b"\xff\xfe",
        b"\x00" * 100,
        b"<Error><Code>\x1b[2J</Code></Error>",
        b'<!DOCTYPE e [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Error><Code>&b;</Code></Error>',
    ],
)
def test_an_error_is_told_whatever_its_text(
    misbehaving: Misbehaving, status: str, error: type[sp.StorageError], body: bytes, content_type: str
) -> None:
    with pytest.raises(error, match=f"HTTP {status[:3]}") as caught:
        misbehaving(_response(body, status=status, Content_Type=content_type)).read("a.zip", 100)
    assert type(caught.value) is error
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("NoSuchKey", sp.NotFound),
        ("NoSuchBucket", sp.NotFound),
        ("AccessDenied", sp.AccessDenied),
        ("SignatureDoesNotMatch", sp.AccessDenied),
        ("InvalidAccessKeyId", sp.AccessDenied),
        ("ExpiredToken", sp.AccessDenied),
        ("Surprise", sp.StorageError),
    ],
)
@pytest.mark.parametrize("content_type", ["application/xml", "text/xml", "application/xml; charset=utf-8"])
def test_the_code_of_an_error_decides(
    misbehaving: Misbehaving, code: str, error: type[sp.StorageError], content_type: str
) -> None:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()
    with pytest.raises(error, match=f"found {code} \\(HTTP 400\\)") as caught:
        misbehaving(_response(body, status="400 Bad Request", Content_Type=content_type)).read("a.zip", 100)
    assert type(caught.value) is error


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(serve: Any, status: str) -> None:
    target = serve(_response(b"stolen"))
    server = serve(_response(b"", status=status, Location=f"{target.url}/bucket/a.zip"))
    storage = S3Storage("bucket", "", S3Settings(server.url, "access", "very-secret"), PATIENCE)
    with pytest.raises(sp.StorageError, match=f"HTTP {status[:3]}"):
        storage.read("a.zip", 100)
    assert target.requests == []
    assert len(server.requests) == 1


def test_an_answer_that_goes_on_behind_its_end_is_cut(misbehaving: Misbehaving) -> None:
    assert misbehaving(_response(b"12345", length=3)).read("a.zip", 100) == b"123"


@pytest.mark.parametrize("length", ["\u00b2", "-1", "abc", "9" * 5000, ""])
def test_a_length_that_is_no_number_is_not_believed(misbehaving: Misbehaving, length: str) -> None:
    with suppress(sp.Unavailable):
        assert misbehaving(_response(b"12345", length=length)).read("a.zip", 100) == b"12345"


def test_an_answer_is_not_unpacked(misbehaving: Misbehaving) -> None:
    """What was signed is what is stored; and a mebibyte can unpack to a gibibyte."""
    packed = gzip.compress(bytes(10 * MEBIBYTE))
    answer = _response(packed, Content_Encoding="gzip")
    assert misbehaving(answer).read("a.zip", len(packed)) == packed


def _endless(header: bytes, piece: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(header)
        for _ in range(100):
            connection.sendall(piece)

    return answer


def _peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "piece"),
    [
        (b"Content-Length: 104857600\r\n\r\n", bytes(MEBIBYTE)),
        (b"\r\n", bytes(MEBIBYTE)),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + bytes(MEBIBYTE) + b"\r\n"),
    ],
    ids=["length", "no length", "chunked"],
)
def test_an_envelope_of_100_megabytes_is_not_read_whole(misbehaving: Misbehaving, header: bytes, piece: bytes) -> None:
    storage = misbehaving(_endless(b"HTTP/1.1 200 OK\r\n" + header, piece))

    def read() -> None:
        with pytest.raises(sp.TooLarge):
            storage.read("a.zip.dsse.json", MEBIBYTE)

    assert _peak(read) < 8 * MEBIBYTE


def test_an_error_of_100_megabytes_is_not_read_whole(misbehaving: Misbehaving) -> None:
    header = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 104857600\r\n\r\n"
    storage = misbehaving(_endless(header, b"<Error>" + bytes(MEBIBYTE)))

    def read() -> None:
        with pytest.raises(sp.AccessDenied):
            storage.read("a.zip", MEBIBYTE)

    assert _peak(read) < 4 * MEBIBYTE


# Storing only what is new, and listing


ABSENT = _response(b"", status="404 Not Found")
STORED = _response(b"")


@pytest.fixture
def line(serve: Any) -> Callable[..., tuple[S3Storage, Any]]:
    """`line(a, b, c)` gives the storage of a server that answers with a, then with b, then with c for ever."""

    def start(*answers: bytes, **limits: Any) -> tuple[S3Storage, Any]:
        left = list(answers)
        server = serve(lambda connection: connection.sendall(left.pop(0) if len(left) > 1 else left[0]))
        settings = S3Settings(server.url, "access", "very-secret")
        return S3Storage(
            "bucket", "models", settings, sp.Limits(connect_seconds=1.0, read_seconds=0.3, **limits)
        ), server

    return start


def _condition(request: bytes) -> bool:
    return b"\r\nif-none-match: *\r\n" in request.lower()


def test_an_object_that_came_meanwhile_is_not_overwritten(line: Any) -> None:
    storage, server = line(ABSENT, _response(b"", status="412 Precondition Failed"))
    with pytest.raises(sp.ConfigurationError, match="s3://bucket/models/a exists already"):
        storage.write_bytes("a", b"data")
    assert [_condition(request) for request in server.requests] == [False, True]


def test_an_object_is_overwritten_without_a_condition(line: Any) -> None:
    storage, server = line(STORED)
    storage.write_bytes("a", b"data", overwrite=True)
    assert [_condition(request) for request in server.requests] == [False]
    assert server.requests[0].startswith(b"PUT /bucket/models/a ")


def test_a_server_without_conditions_is_written_to_all_the_same(line: Any) -> None:
    storage, server = line(ABSENT, _response(b"", status="501 Not Implemented"), STORED)
    storage.write_bytes("a", b"data")
    assert [_condition(request) for request in server.requests] == [False, True, False]


def _listing(*names: str, more: bool = False) -> bytes:
    contents = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
    return _response(
        f"<ListBucketResult><Name>bucket</Name>{contents}<IsTruncated>{str(more).lower()}</IsTruncated>"
        "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>".encode()
    )


def test_a_listing_is_asked_for_by_its_folder(line: Any) -> None:
    storage, server = line(_listing("models/a", "models/b/", more=True), _listing("models/c"))
    assert list(storage.names()) == ["a", "c"]
    assert [b"prefix=models%2F" in request for request in server.requests] == [True, True]


@pytest.mark.parametrize("names", [(), ("models/a",)])
def test_a_listing_without_end_is_given_up(line: Any, names: tuple[str, ...]) -> None:
    storage, server = line(_listing(*names, more=True), listing_pages=5)
    with pytest.raises(sp.Unavailable, match="more answers than a listing takes"):
        list(storage.names())
    assert len(server.requests) <= 6


@pytest.mark.parametrize(
    "answer",
    [
        _response(b""),
        _response(b"garbage"),
        _response(b"\xff\xfe"),
        _response(b"<ListBucketResult/>"),
        _response(b"<ListBucketResult>" * 10_000),
        _response(b"<ListBucketResult><Name>b</Name><Contents/></ListBucketResult>"),
        _response(
            b"<ListBucketResult><Name>b</Name><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>"
        ),
        _response(
            b"<ListBucketResult><Name>b</Name><Contents><Key>a</Key><LastModified>x</LastModified></Contents>"
            b"</ListBucketResult>"
        ),
        _response(
            b'<!DOCTYPE e [<!ENTITY a "aaaa"><!ENTITY b "&a;">]><ListBucketResult><Name>&b;</Name></ListBucketResult>'
        ),
        _response(gzip.compress(b"<ListBucketResult/>"), Content_Encoding="gzip"),
        _response(b"12345", length=10),
    ],
    ids=[
        *("nothing", "garbage", "no text", "empty", "deep", "no key", "bad size", "bad time", "entities", "packed"),
        "half",
    ],
)
def test_a_listing_that_is_none(misbehaving: Misbehaving, answer: bytes) -> None:
    with pytest.raises(sp.Unavailable, match=r"http://127\.0\.0\.1:"):
        list(misbehaving(answer).names())


def test_a_listing_of_100_megabytes_is_not_read_whole(misbehaving: Misbehaving) -> None:
    storage = misbehaving(_endless(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b"<a>" + bytes(MEBIBYTE)))

    def read() -> None:
        with pytest.raises(sp.Unavailable, match="an answer without end"):
            list(storage.names())

    assert _peak(read) < 32 * MEBIBYTE
