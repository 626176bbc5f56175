"""Request ids and the log of requests, of a real service."""

import json
import re

import pytest
import yaml

from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
MODEL = "/api/models/diabetes_risk_model"


def get(http, service, path):
    return http.exchange(service, http.request(path, b"", method="GET"))


@pytest.mark.parametrize(("method", "path"), [("POST", "/prediction"), ("POST", "/nothing"), ("GET", "/metadata")])
def test_a_request_keeps_the_id_that_it_came_with(limited, http, method, path):
    message = http.request(MODEL + path, b"{}", method=method, extra="X-Request-ID: from.a-proxy_1\r\n")
    assert http.exchange(limited, message).headers["x-request-id"] == "from.a-proxy_1"


@pytest.mark.parametrize("bad", [b"", b"with blank", b"x" * 65, b"\xff", b"{}", b"a;b"])
def test_an_id_that_could_harm_a_log_is_replaced(limited, http, bad):
    message = http.request(f"{MODEL}/prediction", b"{}", extra="X-Request-ID: BAD\r\n").replace(b"BAD", bad)
    found = http.exchange(limited, message).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9]+", found)


def test_each_request_has_an_id_of_its_own(limited, http):
    found = [get(http, limited, "/api/health").headers["x-request-id"] for _ in range(20)]
    assert len(set(found)) == 20


def test_each_request_is_a_line_of_json_with_nothing_of_what_was_asked(http, bucket, write_configuration):
    path = write_configuration(bucket.settings())
    configuration = yaml.safe_load(path.read_text())
    configuration["log_requests"] = True
    configuration["logging"] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "diabetes_risk_model.service.logs.JsonFormatter"}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        "root": {"level": "INFO", "handlers": ["stdout"]},
    }
    path.write_text(yaml.safe_dump(configuration))
    requests = {
        "one": (f"{MODEL}/prediction", b'{"body_mass_index": 33.4321, "income": "UNDER_25_000"}'),
        "two": (f"{MODEL}/prediction", b'{"age": "A-SECRET"}'),
        "three": ("/A-SECRET?A-SECRET=1", b""),
    }
    with ServiceProcess(OURS, path, {"PYTHONUNBUFFERED": "1"}, arguments=["--no-access-log"]) as service:
        replies = {
            name: http.exchange(service, http.request(*request, extra=f"X-Request-ID: {name}\r\n"))
            for name, request in requests.items()
        }
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    told = {line["request_id"]: line for line in lines if "request_id" in line}
    assert [told[name]["status"] for name in requests] == [200, 400, 404]
    assert [told[name]["path"] for name in requests] == [f"{MODEL}/prediction", f"{MODEL}/prediction", "unknown"]
    assert all(line["milliseconds"] >= 0 for line in told.values())
    for secret in ("A-SECRET", "33.4321", "UNDER_25_000", str(replies["one"].json["probability"])):
        assert secret not in service.log()
