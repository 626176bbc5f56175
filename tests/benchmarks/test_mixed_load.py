"""Answers that are not as they must be are noticed, each kind as what it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import LoadError
from benchmarks.mixed_load import Case, send
from benchmarks.slow_clients import SlowClients
from diabetes_risk_model.service.process import ServiceProcess

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if scope["path"] == "/slow":
            break
    status = {"/broken": 500, "/slow": 408}.get(scope["path"], 200)
    headers = [(b"content-length", str(len(body)).encode())]
    if scope["path"] == "/slow":
        headers, body = [(b"content-length", b"0"), (b"connection", b"close")], b""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder: Path = tmp_path_factory.mktemp("echo")
    (folder / "echo_service.py").write_text(APP)
    (folder / "config.yaml").write_text("")
    process = ServiceProcess(
        "echo_service:app", folder / "config.yaml", {"PYTHONPATH": str(folder)}, arguments=["--no-access-log"]
    )
    with process:
        yield process


def case(path: str, body: str, status: int, answer: str | None = None) -> Case:
    return Case("a case", "POST", path, (("Content-Type", "text/plain"),), body, status, answer)


def test_every_answer_is_checked_by_its_body(service: ServiceProcess) -> None:
    texts = ['"one"', "two\\", "drei ü", "[==[4]==]\n"]
    checked = send(service.url, [case("/", text, 200, text) for text in texts], seconds=1, rate=400, connections=2)
    assert checked.right > 0
    assert (checked.wrong, checked.unexpected, checked.failed, checked.broken) == (0, 0, 0, 0)
    assert checked.example == ""


def test_a_wrong_answer_is_noticed(service: ServiceProcess) -> None:
    cases = [case("/", "one", 200, "one"), case("/", "two", 200, "three")]
    checked = send(service.url, cases, seconds=1, rate=200, connections=2)
    assert checked.right > 0
    assert checked.wrong > 0
    assert checked.example == "a case: two"


def test_a_500_is_noticed_and_is_another_status(service: ServiceProcess) -> None:
    checked = send(service.url, [case("/broken", "", 200)], seconds=1, rate=100, connections=2)
    assert checked.failed == checked.unexpected > 0
    assert checked.right == 0
    assert "status 500" in checked.example


def test_a_status_that_must_be_is_right(service: ServiceProcess) -> None:
    checked = send(service.url, [case("/broken", "", 500)], seconds=1, rate=100, connections=2)
    assert checked.right == checked.failed > 0


def test_the_rate_is_not_passed(service: ServiceProcess) -> None:
    checked = send(service.url, [case("/", "one", 200)], seconds=2, rate=100, connections=2)
    assert checked.right <= 2 * 100 + 10


def test_a_service_that_is_not_there() -> None:
    with pytest.raises(LoadError, match="wrk failed"):
        send("http://127.0.0.1:1", [case("/", "", 200)], seconds=1, rate=10)


def test_slow_clients_count_how_they_are_told_off(service: ServiceProcess) -> None:
    with SlowClients(service.url, "/slow") as slow:
        send(service.url, [case("/", "one", 200)], seconds=1, rate=10, connections=2)
    assert set(slow.statuses) == {"408"}
