"""A real service with authentication: from the command that adds a user to a prediction."""

import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from diabetes_risk_model.service.process import ServiceError, ServiceProcess

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
PREDICTION = "/api/models/diabetes_risk_model/prediction"
BATCH = "/api/models/diabetes_risk_model/predictions"


def ask(service, method, path, body=None, headers=None):
    port = int(service.url.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def login(service, name, password):
    form = urlencode({"grant_type": "password", "username": name, "password": password})
    return ask(service, "POST", "/api/token", form, {"Content-Type": "application/x-www-form-urlencoded"})


def predict(service, token=None, path=PREDICTION, body=b"{}"):
    headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    return ask(service, "POST", path, body, headers)


def users(*arguments, given=""):
    subprocess.run([COMMAND, "users", *arguments], input=given, text=True, check=True, capture_output=True)


@pytest.fixture
def password():
    return secrets.token_urlsafe(12)


@pytest.fixture
def configuration(bucket, write_configuration, tmp_path, password):
    users("add", str(tmp_path / "users.json"), "ana", given=password)
    path = write_configuration(bucket.settings())
    document = yaml.safe_load(path.read_text())
    document["authentication"] = {
        "users_file": str(tmp_path / "users.json"),
        "signing_secrets": ["${TOKEN_SECRET}"],
        "guessing": {"user_attempts": 4, "user_seconds": 3_600},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_whole_way(configuration, password, tmp_path):
    secret = secrets.token_urlsafe(32)
    with ServiceProcess("diabetes_risk_model.service.main:app", configuration, {"TOKEN_SECRET": secret}) as service:
        assert service.status("/api/health/ready") == 200
        for path in ("/docs", "/openapi.json", "/api/models", "/api/models/diabetes_risk_model/metadata"):
            assert service.status(path) == 200
        for path in (PREDICTION, BATCH, "/v2/models/diabetes_risk_model/infer"):
            assert predict(service, path=path)[0] == 401
            assert predict(service, "a.b.c", path=path)[0] == 401
        assert login(service, "ana", "not the password")[0] == 400
        status, given = login(service, "ana", password)
        assert status == 200
        token = given["access_token"]
        assert predict(service, token)[0] == 200
        assert predict(service, token, BATCH, b"[{}, {}]")[0] == 200

        users("remove", str(tmp_path / "users.json"), "ana")
        time.sleep(1.1)
        assert predict(service, token)[0] == 401
        assert login(service, "ana", password)[0] == 400
    log = service.log()
    assert "No token for" in log
    for hidden in (secret, password, token, "not the password"):
        assert hidden not in log


def test_who_has_no_token_need_not_send_the_body(configuration):
    with ServiceProcess(
        "diabetes_risk_model.service.main:app", configuration, {"TOKEN_SECRET": secrets.token_urlsafe(32)}
    ) as service:
        port = int(service.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            head = f"POST {BATCH} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            connection.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n[")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_predictions_go_on_while_passwords_are_guessed(configuration, password):
    with ServiceProcess(
        "diabetes_risk_model.service.main:app", configuration, {"TOKEN_SECRET": secrets.token_urlsafe(32)}
    ) as service:
        token = login(service, "ana", password)[1]["access_token"]
        with ThreadPoolExecutor(40) as pool:
            guessing = [pool.submit(login, service, f"user{number}", "not the password") for number in range(60)]
            assert all(predict(service, token)[0] == 200 for _ in range(50))
            statuses = {guess.result()[0] for guess in guessing}
        assert statuses <= {400, 429, 503}
        assert 400 in statuses
        assert login(service, "ana", password)[0] in (200, 429)
        assert service.resident_megabytes() < 250


@pytest.mark.parametrize("secret", [None, "short"])
def test_without_a_good_secret_it_does_not_start(configuration, secret):
    environment = {} if secret is None else {"TOKEN_SECRET": secret}
    with pytest.raises(ServiceError, match="TOKEN_SECRET"):
        ServiceProcess("diabetes_risk_model.service.main:app", configuration, environment).start()
