"""The registry's messages: who may wake the watcher."""

import http.client
import json
import secrets
import time

import pytest

from diabetes_risk_model.promotion.webhooks import Wakener, is_genuine
from signed_parameters import ConfigurationError

delivery = pytest.importorskip("mlflow.webhooks.delivery", reason="MLflow is not installed")
SECRET = secrets.token_hex(32)
BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {}})


def headers(secret=SECRET, body=BODY, *, sent=None, message="a-delivery"):
    """Return the headers that MLflow's own code signs a message with."""
    at = str(int(time.time() if sent is None else sent))
    signature = delivery._generate_hmac_signature(secret, message, at, body)
    return {"X-MLflow-Delivery-Id": message, "X-MLflow-Timestamp": at, "X-MLflow-Signature": signature}


def test_a_message_of_mlflow_s_own_code_is_genuine():
    assert is_genuine(SECRET, headers(), BODY.encode(), time.time())


def test_what_is_changed_is_not_genuine():
    good, now = headers(), time.time()
    assert not is_genuine(SECRET, good, BODY.encode() + b" ", now)
    assert not is_genuine(SECRET, headers(secrets.token_hex(32)), BODY.encode(), now)
    for name, value in good.items():
        assert not is_genuine(SECRET, {**good, name: f"{value}1"}, BODY.encode(), now), name
        assert not is_genuine(SECRET, {key: text for key, text in good.items() if key != name}, BODY.encode(), now)
    version, _, encoded = good["X-MLflow-Signature"].partition(",")
    assert not is_genuine(SECRET, {**good, "X-MLflow-Signature": f"v2,{encoded}"}, BODY.encode(), now)
    assert not is_genuine(SECRET, {**good, "X-MLflow-Signature": f"{version},\u00e9"}, BODY.encode(), now)


def test_a_message_that_is_kept_and_sent_again_later_is_not_genuine():
    old = headers(sent=time.time() - 3_600)
    assert not is_genuine(SECRET, old, BODY.encode(), time.time())
    assert is_genuine(SECRET, old, BODY.encode(), time.time() - 3_600)
    for sent in ("-1", "1e9", "", "9" * 40):
        signature = delivery._generate_hmac_signature(SECRET, "a-delivery", sent, BODY)
        told = {**old, "X-MLflow-Timestamp": sent, "X-MLflow-Signature": signature}
        assert not is_genuine(SECRET, told, BODY.encode(), time.time())


def post(port, body, told):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/", body, told)
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_a_genuine_message_wakes():
    with Wakener(SECRET) as wakener:
        assert post(wakener.port, BODY, headers(secrets.token_hex(32))) == 403
        assert post(wakener.port, BODY, {}) == 403
        assert post(wakener.port, "", {"Content-Length": "99999999999"}) == 413
        assert post(wakener.port, "", {"Content-Length": "-1"}) == 413
        assert not wakener.wait(0)
        assert post(wakener.port, BODY, headers()) == 204
        assert wakener.wait(20)
        assert not wakener.wait(0)


def test_a_short_secret_or_a_taken_port_is_an_error():
    with pytest.raises(ConfigurationError, match="too short"):
        Wakener("secret")
    with Wakener(SECRET) as wakener, pytest.raises(ConfigurationError, match="cannot be listened on"):
        Wakener(SECRET, port=wakener.port)
