"""Kaggle: the real client against a server of the test's own, in a process of its own, as the client reads its
settings when it is imported.

The client is told to talk to plain http://localhost, and through a proxy: the test's server is that proxy.
"""

import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from diabetes_risk_model.data.kaggle_file import DATASET, FILE, has_credentials

CONTENT = b"Diabetes_binary,HighBP\n0.0,1.0\n"
FETCH = """
import sys
from pathlib import Path
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.data.kaggle_file import fetch
try:
    said = fetch().read_text()
except DataError as error:
    said = f"{type(error).__name__} {error}"
Path(sys.argv[1]).write_text(said)
"""


class _Server(ThreadingHTTPServer):
    answer: tuple[int, str, bytes]
    requests: list[tuple[str, bytes]]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, body))
        # Kaggle sends a client on to the storage, whose address ends in the file's name.
        self.send_response(302)
        self.send_header("Location", f"http://localhost/{server.answer[1]}?signature=confidential")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        status, _, content = server.answer
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _kaggle(status: int, name: str, content: bytes) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer, server.requests = (status, name, content), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _fetch(folder: Path, port: int, **credentials: str) -> str:
    kept = {name: value for name, value in os.environ.items() if "KAGGLE" not in name and "proxy" not in name.lower()}
    settings = {
        "HOME": str(folder / "home"),
        "DIABETES_DATA_CACHE": str(folder / "cache"),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": f"http://127.0.0.1:{port}",
    }
    (folder / "home").mkdir(exist_ok=True)
    environment = {**kept, **settings, **credentials}
    environment.pop("XDG_CONFIG_HOME", None)
    answer = folder / "said.txt"
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(answer)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Dataset URL" not in done.stdout
    assert "Authentication required" not in done.stdout
    return answer.read_text()


def _zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, CONTENT)
    return buffer.getvalue()


USER = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "key-of-someone"}


def test_the_file_is_fetched_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    with _kaggle(200, FILE, CONTENT) as server:
        assert _fetch(tmp_path, server.server_port, **USER) == CONTENT.decode()
        path, body = server.requests[0]
        assert "DownloadDataset" in path
        assert all(part.encode() in body for part in (*DATASET.split("/"), FILE))
        assert os.listdir(tmp_path / "cache") == [FILE]
        assert _fetch(tmp_path, server.server_port) == CONTENT.decode()
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", [FILE, f"{FILE}.zip"])
def test_a_zipped_file_is_unpacked(tmp_path: Path, name: str) -> None:
    with _kaggle(200, name, _zipped(FILE)) as server:
        assert _fetch(tmp_path, server.server_port, **USER) == CONTENT.decode()
    assert os.listdir(tmp_path / "cache") == [FILE]


@pytest.mark.parametrize(
    ("status", "name", "content", "message"),
    [
        (403, FILE, b"", "Kaggle refused the credentials (HTTP 403)"),
        (404, FILE, b"", "Kaggle answered HTTP 404"),
        (200, "other.csv", CONTENT, f"Kaggle did not send {FILE}"),
        (200, FILE, _zipped("other.csv"), f"Kaggle sent an archive that is damaged or lacks {FILE}"),
    ],
)
def test_a_failure_is_one_clear_error_that_names_the_way_on(
    tmp_path: Path, status: int, name: str, content: bytes, message: str
) -> None:
    with _kaggle(status, name, content) as server:
        said = _fetch(tmp_path, server.server_port, **USER)
    assert said.startswith("KaggleError ")
    assert message in said
    assert "--source embedded" in said
    assert "confidential" not in said
    assert USER["KAGGLE_KEY"] not in said
    assert os.listdir(tmp_path / "cache") == []


def test_without_credentials_the_process_lives_on_and_the_error_says_what_to_set(tmp_path: Path) -> None:
    with _kaggle(200, FILE, CONTENT) as server:
        said = _fetch(tmp_path, server.server_port)
        assert server.requests == []
    assert said.startswith(
        "KaggleError Kaggle needs credentials, and none were found or accepted. Set KAGGLE_API_TOKEN"
    )
    assert "--source embedded" in said


def test_a_server_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with _kaggle(200, FILE, CONTENT) as server:
        port = server.server_port
    assert "Fetching the survey from Kaggle failed: no usable answer" in _fetch(tmp_path, port, **USER)


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert "name another with DIABETES_DATA_CACHE" in _fetch(tmp_path, 9, **USER)


@pytest.mark.parametrize(
    ("variables", "file", "expected"),
    [
        ({}, None, False),
        ({"KAGGLE_API_TOKEN": "token"}, None, True),
        ({"KAGGLE_USERNAME": "someone"}, None, False),
        (USER, None, True),
        ({}, ".kaggle/kaggle.json", True),
        ({}, ".kaggle/access_token", True),
        ({}, ".kaggle/credentials.json", True),
        ({}, ".config/kaggle/kaggle.json", True),
        ({"KAGGLE_CONFIG_DIR": "elsewhere"}, "elsewhere/kaggle.json", True),
        ({"KAGGLE_CONFIG_DIR": "elsewhere"}, ".kaggle/kaggle.json", False),
    ],
)
def test_credentials_are_found_where_the_client_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], file: str | None, expected: bool
) -> None:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("{}")
    assert has_credentials() is expected
