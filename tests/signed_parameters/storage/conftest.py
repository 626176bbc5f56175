"""Servers: Azure's emulator, two that speak Google's protocol, HTTPS with a CA, and raw ones that misbehave."""

import base64
import datetime
import http.server
import ipaddress
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from signed_parameters.child_process import ChildProcess

RCLONE = Path(sys.executable).with_name("rclone")
_START_SECONDS = 120.0


@dataclass(frozen=True)
class AzureServer:
    """Azure's emulator, with an account of its own and a container `models`."""

    url: str
    account: str
    account_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.account_key,
            "AZURE_ENDPOINT": f"{self.url}/{self.account}",
        }


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """Azurite, which TEST_AZURITE names or the PATH has."""
    program = _program("TEST_AZURITE", "azurite-blob", "Azure's emulator (npm install azurite)")
    port, account = _free_port(), f"a{secrets.token_hex(6)}"
    account_key = base64.b64encode(secrets.token_bytes(64)).decode()
    options = ["--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{account}:{account_key}"}
    with _running([program, *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)], port, environment):
        server = AzureServer(f"http://127.0.0.1:{port}", account, account_key)
        remote = f":azureblob,account={account},key='{account_key}',endpoint='{server.url}/{account}':models"
        subprocess.run([RCLONE, "--config", "", "mkdir", remote], check=True, capture_output=True)
        yield server


@pytest.fixture(scope="session")
def google_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that speaks the XML API of Google Cloud Storage as far as packages need it: rclone's."""
    folder, port = tmp_path_factory.mktemp("google"), _free_port()
    (folder / "models").mkdir()
    command = [str(RCLONE), "--config", "", "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}"]
    with _running([*command, "--dir-cache-time", "1ms"], port, dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def google_emulator() -> Iterator[str]:
    """The URL of fake-gcs-server, which TEST_FAKE_GCS names or the PATH has, with a bucket `models`."""
    program = _program("TEST_FAKE_GCS", "fake-gcs-server", "an emulator of Google Cloud Storage (fake-gcs-server)")
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with _running([*command, "-public-host", f"127.0.0.1:{port}"], port, dict(os.environ)):
        _post(f"{url}/storage/v1/b?project=test", json.dumps({"name": "models"}).encode())
        yield url


@pytest.fixture
def upload_to_emulator(google_emulator: str) -> Callable[[str, bytes], None]:
    """`upload_to_emulator(name, data)` stores an object by the JSON API: the emulator writes by no other."""
    return lambda name, data: _post(
        f"{google_emulator}/upload/storage/v1/b/models/o?uploadType=media&name={name}", data
    )


@dataclass(frozen=True)
class WebServer:
    """An HTTPS server of a folder, and the file of the authority that signed its certificate."""

    url: str
    folder: Path
    authority: Path
    requests: list[str]


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    """Serves `folder` by HTTPS. Below /private it wants a token, /moved is a redirect, /broken fails, /drip drips."""
    folder, certificate, authority = tmp_path / "web", tmp_path / "server.pem", tmp_path / "authority.pem"
    folder.mkdir()
    _make_certificate(certificate, authority)
    requests: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, requests, folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield WebServer(f"https://127.0.0.1:{server.server_address[1]}", folder, authority, requests)
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, requests: list[str], folder: Path, *arguments: Any) -> None:
        self._requests = requests
        super().__init__(*arguments, directory=str(folder))

    def do_GET(self) -> None:
        self._requests.append(self.path)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/target.zip")
            self.end_headers()
        elif self.path.startswith("/drip"):
            self._drip()
        elif self.path.startswith("/private"):
            self.send_error(403)
        elif self.path.startswith("/broken"):
            self.send_error(500)
        else:
            super().do_GET()

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class RawServer:
    """Answers every request with given bytes, or by a function that is handed the connection, and closes."""

    def __init__(self, answer: bytes | Callable[[socket.socket], object]) -> None:
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
def serve() -> Iterator[Callable[[bytes | Callable[[socket.socket], object]], RawServer]]:
    servers: list[RawServer] = []

    def start(answer: bytes | Callable[[socket.socket], object]) -> RawServer:
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def _program(variable: str, name: str, what: str) -> str:
    program = os.environ.get(variable) or shutil.which(name)
    if program is None:
        pytest.skip(f"{what} is not there: set {variable}, or put {name} on the PATH")
    return program


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    child = ChildProcess(command, environment)
    child.start()
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            assert child.running, child.log()
            assert time.monotonic() < deadline, child.log()
            time.sleep(0.05)
        yield
    finally:
        child.stop()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _post(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def _make_certificate(certificate: Path, authority: Path) -> None:
    """Write a certificate for 127.0.0.1 with its private key, and that of the authority that signed it."""
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "server")]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]

    def build(subject: int, extension: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(names[0], names[subject], keys[subject].public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(minutes=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        return builder.add_extension(extension, critical=True).sign(keys[0], hashes.SHA256())

    pem = serialization.Encoding.PEM
    own = build(1, x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]))
    private = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate.write_bytes(own.public_bytes(pem) + private)
    authority.write_bytes(build(0, x509.BasicConstraints(ca=True, path_length=0)).public_bytes(pem))
