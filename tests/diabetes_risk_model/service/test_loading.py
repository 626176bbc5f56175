"""Storage that is away, slow, wrong, or tampered with, under a real service; and when it comes back."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
import yaml

import signed_parameters as sp
from diabetes_risk_model.service.configuration import CheckedModel, LoadingRetries
from diabetes_risk_model.service.loading import ModelLoading, can_help
from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
PREDICTION = "/api/models/diabetes_risk_model/prediction"
CLASS_PATH = "diabetes_risk_model.prediction.model.DiabetesRiskModel"


def get(service, path, body=None):
    request = urllib.request.Request(service.url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path):
    """`start(settings)` serves a model whose loading is tried again after short pauses."""
    running = []

    def start_service(settings, **environment):
        path = tmp_path / "service.yaml"
        model = {"class_path": CLASS_PATH, "create_endpoint": True, "configuration": settings}
        retries = {"first_seconds": 0.1, "longest_seconds": 0.4}
        path.write_text(yaml.safe_dump({"models": [model], "retries": retries}))
        service = ServiceProcess(OURS, path, environment, wait_ready=False)
        running.append(service.start())
        return service

    yield start_service
    for service in running:
        service.stop()


def reason(service):
    status, _, body = get(service, "/api/health/ready")
    return None if status == 200 else (body.get("reason"), body.get("retrying"))


def assert_not_ready(service, expected):
    """The process lives, says why it is not ready and no more, and refuses predictions."""
    wait_for(lambda: reason(service) not in ((None, None), None), "it never says why it is not ready")
    name, retrying = expected
    body = {"readiness_status": "REFUSING_TRAFFIC", "reason": name, "retrying": retrying}
    status, _, answer = get(service, "/api/health/ready")
    assert (status, answer) == (503, body)
    assert get(service, "/api/health")[0] == 200
    assert get(service, "/api/health/startup")[0] == 200
    for path, sent in [
        (PREDICTION, b"{}"),
        (PREDICTION + "s", b"[]"),
        ("/api/models/diabetes_risk_model/metadata", None),
    ]:
        status, headers, answer = get(service, path, sent)
        assert (status, answer["type"]) == (503, "NotReady")
        assert int(headers["Retry-After"]) >= 1
    assert service.refuses() is not retrying


def test_storage_that_returns_makes_the_service_ready_by_itself(start, bucket, s3_server, s3_bucket):
    """The storage is there only after the service: first nothing at all answers at its address."""
    upstream = int(s3_server.url.rsplit(":", 1)[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = bucket.settings(
        model_files_bucket=s3_bucket,
        minio_url=f"http://127.0.0.1:{port}",
        minio_access_key=s3_server.access_key,
        minio_secret_key="${A_SECRET}",
    )
    service = start(settings, A_SECRET=s3_server.secret_key)
    assert_not_ready(service, ("Unavailable", True))
    with forwarding(port, upstream):
        wait_for(lambda: reason(service) == ("NotFound", True), "an empty bucket is not asked again")
        client = s3_server.settings.client()
        for path in bucket.folder.iterdir():
            client.fput_object(s3_bucket, path.name, str(path))
        wait_for(lambda: reason(service) is None, "it never becomes ready")
    assert get(service, PREDICTION, b"{}")[0] == 200
    service.stop()
    assert s3_server.secret_key not in service.log()
    assert s3_server.access_key not in service.log()


@contextmanager
def forwarding(port, upstream):
    """Forward connections on a port to another, until the end of the block."""
    listener = socket.create_server(("127.0.0.1", port))

    def copy(source, target):
        with source, target:
            try:
                while data := source.recv(65_536):
                    target.sendall(data)
            except OSError:
                return

    def serve():
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", upstream))
            threading.Thread(target=copy, args=(near, far.dup()), daemon=True).start()
            threading.Thread(target=copy, args=(far, near.dup()), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_package_that_is_stored_later_is_found(start, bucket):
    parts = {path: path.read_bytes() for path in bucket.folder.iterdir()}
    for path in parts:
        path.unlink()
    service = start(bucket.settings())
    assert_not_ready(service, ("NotFound", True))
    for path in sorted(parts):  # the package first, the envelope last
        path.write_bytes(parts[path])
    wait_for(lambda: reason(service) is None, "it never becomes ready")


def test_a_package_that_was_tampered_with_is_not_asked_for_again(start, bucket):
    good = bucket.package.read_bytes()
    bucket.package.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    service = start(bucket.settings())
    assert_not_ready(service, ("DigestMismatch", False))
    bucket.package.write_bytes(good)
    time.sleep(1.0)  # several pauses
    assert_not_ready(service, ("DigestMismatch", False))
    service.stop()
    assert service.log().count("DigestMismatch") == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"minimum_serial": 2}, "RolledBack"),
        ({"parameters_verification_keys": [str(sp.SigningKey.generate().verification_key)]}, "UnknownKey"),
        ({"parameters_verification_keys": "${NOBODY_SET_THIS}"}, "ConfigurationError"),
        ({"unknown": 1}, "ConfigurationError"),
    ],
)
def test_what_is_refused_stays_refused(start, bucket, changes, name):
    assert_not_ready(start(bucket.settings(**changes)), (name, False))


def test_wrong_credentials_are_not_told_to_who_asks(start, bucket, s3_server, s3_bucket):
    settings = bucket.settings(
        model_files_bucket=s3_bucket,
        minio_url=s3_server.url,
        minio_access_key=s3_server.access_key,
        minio_secret_key="a-wrong-secret",
    )
    service = start(settings)
    assert_not_ready(service, ("AccessDenied", True))
    service.stop()
    assert "a-wrong-secret" not in service.log()


def test_storage_that_never_answers_does_not_hold_up_the_service(start, bucket):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = bucket.settings(
            model_files_bucket="model-files", minio_url=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        service = start(settings)
        for _ in range(20):
            assert get(service, "/api/health")[0] == 200
            assert get(service, "/api/health/ready")[2] == {"readiness_status": "REFUSING_TRAFFIC"}
        status, headers, answer = get(service, PREDICTION, b"{}")
        assert (status, answer["type"]) == (503, "NotReady")
        assert int(headers["Retry-After"]) >= 1
        started = time.monotonic()
        service.stop()
        assert time.monotonic() - started < 9, "the wait for the storage held up the end"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sp.Unavailable, True),
        (sp.NotFound, True),
        (sp.AccessDenied, True),
        (sp.TooLarge, False),
        (sp.ConfigurationError, False),
        (sp.BadSignature, False),
        (sp.DigestMismatch, False),
    ],
)
def test_when_another_attempt_can_help(error, expected):
    assert can_help(error("a problem")) is expected
    assert not can_help(RuntimeError())


def test_the_pauses_grow_to_their_longest(bucket, monkeypatch):
    for path in bucket.folder.iterdir():
        path.unlink()
    model = CheckedModel(class_path=CLASS_PATH, create_endpoint=True, configuration=bucket.settings())
    loading = ModelLoading([model], LoadingRetries(first_seconds=1, longest_seconds=10))
    pauses = []

    def wait(seconds):
        pauses.append(seconds)
        if len(pauses) == 7:
            loading.stop()

    monkeypatch.setattr(loading._stopped, "wait", wait)
    loading._run()
    for pause, longest in zip(pauses, [1, 2, 4, 8, 10, 10, 10], strict=True):
        assert 0.8 * longest <= pause <= longest
    assert len(set(pauses)) == 7, "pods that start together must not ask together"
