"""Against a real S3 server, and against servers that misbehave: each is a small HTTP server on a raw socket."""

import gzip
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings, S3Storage

MEBIBYTE = 1 << 20
PATIENCE = sp.Limits(connect_seconds=1.0, read_seconds=0.3)
Answer = Callable[[socket.socket], object]
Misbehaving = Callable[[bytes | Answer], S3Storage]


@pytest.fixture
def storage(s3_server: Any, s3_bucket: str) -> S3Storage:
    return S3Storage(s3_bucket, "models/line", s3_server.settings)


class RawServer:
    """Answers every request with given bytes, or by a function that is handed the connection, and closes."""

    def __init__(self, answer: bytes | Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                request = b""
                while b"\r\n\r\n" not in request and (part := connection.recv(65_536)):
                    request += part
                if request:
                    self.requests.append(request)
                    if callable(self.answer):
                        self.answer(connection)
                    else:
                        connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes | Answer], RawServer]]:
    servers: list[RawServer] = []

    def start(answer: bytes | Answer) -> RawServer:
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def misbehaving(serve: Callable[[bytes | Answer], RawServer]) -> Misbehaving:
    """`misbehaving(answer)` gives the storage of a server that answers so."""
    return lambda answer: S3Storage("bucket", "", S3Settings(serve(answer).url, "access", "very-secret"), PATIENCE)


def _response(body: bytes, status: str = "200 OK", length: object = None, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


# A real server


def test_an_object_survives_the_server(storage: S3Storage, tmp_path: Path) -> None:
    data = os.urandom(2 * MEBIBYTE + 7)
    (tmp_path / "source").write_bytes(data)
    storage.write("a.zip", tmp_path / "source")
    assert storage.read("a.zip", len(data)) == data
    with storage.stream("a.zip") as download:
        assert download.size == len(data)
        assert max(len(chunk) for chunk in download.chunks) <= MEBIBYTE


def test_a_package_is_verified_from_the_server(
    storage: S3Storage, s3_server: Any, s3_bucket: str, make_package: Any, policy: sp.TrustPolicy, monkeypatch: Any
) -> None:
    path = make_package({"a": b"hello"})
    for file in (path, Path(f"{path}.dsse.json")):
        storage.write(file.name, file)
    with sp.verify_package(path.name, policy, storage=storage) as package:
        assert package.read("a") == b"hello"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    with sp.verify_package(f"s3://{s3_bucket}/models/line/package.zip", policy) as package:
        assert package.read("a") == b"hello"


def test_an_object_is_overwritten_only_on_purpose(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    storage.write("a", tmp_path / "old")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write("a", tmp_path / "new")
    assert storage.read("a", 3) == b"old"
    storage.write("a", tmp_path / "new", overwrite=True)
    assert storage.read("a", 3) == b"new"


def test_an_object_above_its_limit_is_refused(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(101))
    storage.write("a", tmp_path / "source")
    with pytest.raises(sp.TooLarge, match="expected at most 100 bytes, found 101 bytes"):
        storage.read("a", 100)


def test_an_object_that_is_missing(storage: S3Storage, s3_server: Any) -> None:
    with pytest.raises(sp.NotFound, match=r"a.zip does not exist at .*Check the bucket and the name") as caught:
        storage.read("a.zip", 1)
    assert s3_server.url in str(caught.value)


def test_a_bucket_that_is_missing(s3_server: Any, tmp_path: Path) -> None:
    storage = S3Storage("no-such-bucket-here", "", s3_server.settings)
    with pytest.raises(sp.NotFound, match=r"s3://no-such-bucket-here/a\.zip does not exist"):
        storage.read("a.zip", 1)
    (tmp_path / "source").touch()
    with pytest.raises(sp.NotFound):
        storage.write("a.zip", tmp_path / "source")


@pytest.mark.parametrize("wrong", ["access_key", "secret_key", "both missing"])
def test_wrong_credentials(s3_server: Any, s3_bucket: str, tmp_path: Path, wrong: str) -> None:
    keys = {"access_key": s3_server.access_key, "secret_key": s3_server.secret_key}
    keys = {} if wrong == "both missing" else {**keys, wrong: "mistaken-secret"}
    storage = S3Storage(s3_bucket, "", S3Settings(s3_server.url, **keys))
    (tmp_path / "source").write_bytes(b"data")
    for attempt in (lambda: storage.read("a.zip", 1), lambda: storage.write("a.zip", tmp_path / "source")):
        with pytest.raises(sp.AccessDenied, match="Check the access key, the secret key") as caught:
            attempt()
        assert s3_server.url in str(caught.value)
        assert "mistaken-secret" not in str(caught.value)
        assert s3_server.secret_key not in str(caught.value)


# Configuration


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "http://", "ftp://host", "http://host/path", "http://host?query", "http://host#part", "http://[::1"),
        *(
            "http://host:99999",
            "http://host:port",
            "http://ho st",
            "http://host\n",
            "http://-host",
            "s3.example.com/path",
        ),
    ],
)
def test_an_endpoint_that_is_no_server_is_refused(endpoint: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="expected http://HOST:PORT or https://HOST"):
        S3Settings(endpoint).client()


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:9000", "https://s3.example.com", "http://[::1]:9000", "minio:9000", "http://h/"]
)
def test_an_endpoint_that_is_a_server_is_taken(endpoint: str) -> None:
    S3Settings(endpoint, "access", "secret").client()


@pytest.mark.parametrize("endpoint", ["http://user:very-secret@host", "user:very-secret@host", "http://very-secret@h"])
def test_a_password_in_the_endpoint_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(sp.ConfigurationError) as caught:
        S3Settings(endpoint).client()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("keys", [("access", None), (None, "very-secret"), ("access", ""), ("", "very-secret")])
def test_half_of_the_credentials_is_refused(keys: tuple[str | None, str | None]) -> None:
    with pytest.raises(sp.ConfigurationError, match="both an access key and a secret key, or neither") as caught:
        S3Settings("http://localhost:9", *keys).client()
    assert "very-secret" not in str(caught.value)


def test_certificate_authorities_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(sp.ConfigurationError, match="AWS_CA_BUNDLE is not usable: expected a file, found '/no/such"):
        S3Settings("https://localhost:9").client()


def test_the_secret_is_not_shown() -> None:
    assert "very-secret" not in repr(S3Settings("http://localhost", "access", "very-secret"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"ENDPOINT_URL": "http://h:1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "r"}
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert S3Settings.from_environment() == S3Settings("http://h:1", "a", "s", "r")
    for name in values:
        monkeypatch.setenv(f"AWS_{name}", "")
    assert S3Settings.from_environment() == S3Settings()


@pytest.mark.parametrize("bucket", ["A_", "a", "a..b", "x" * 64, "192.168.0.1"])
def test_a_bucket_name_that_cannot_be_is_refused(bucket: str) -> None:
    storage = open_storage(f"s3://{bucket}", settings=S3Settings("http://127.0.0.1:9", "access", "secret"))
    with pytest.raises(sp.ConfigurationError, match="is not usable"):
        storage.read("a", 1)


def test_a_source_that_is_missing_is_named(misbehaving: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="missing cannot be stored"):
        misbehaving(b"").write("a", tmp_path / "missing")


# Servers that misbehave


def test_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    storage = S3Storage("bucket", "", S3Settings(url, "access", "very-secret"), PATIENCE)
    with pytest.raises(
        sp.Unavailable, match=f"{url} does not answer.*s3://bucket/a.zip.*NewConnectionError.*try again"
    ):
        storage.read("a.zip", 1)


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
def test_a_redirect_is_not_followed(serve: Callable[[bytes | Answer], RawServer], status: str) -> None:
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


def test_an_object_that_drips_in_byte_by_byte_is_given_up(serve: Callable[[bytes | Answer], RawServer]) -> None:
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


@pytest.fixture
def line(serve: Callable[[bytes | Answer], RawServer]) -> Callable[..., tuple[S3Storage, RawServer]]:
    """`line(a, b, c)` gives the storage of a server that answers with a, then with b, then with c for ever."""

    def start(*answers: bytes, **limits: Any) -> tuple[S3Storage, RawServer]:
        left = list(answers)
        server = serve(lambda connection: connection.sendall(left.pop(0) if len(left) > 1 else left[0]))
        settings = S3Settings(server.url, "access", "very-secret")
        return S3Storage(
            "bucket", "models", settings, sp.Limits(connect_seconds=1.0, read_seconds=0.3, **limits)
        ), server

    return start


def _condition(request: bytes) -> bool:
    return b"\r\nif-none-match: *\r\n" in request.lower()


ABSENT = _response(b"", status="404 Not Found")
STORED = _response(b"")


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
