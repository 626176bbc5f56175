"""Requests of the Open Inference Protocol that do not fit, as bytes on a socket: each gets the protocol's error."""

import json
import struct
from typing import Any

import pytest

from diabetes_risk_model.service.process import ServiceProcess

INFER = "/v2/models/diabetes_risk_model/infer"
VERSIONED = "/v2/models/diabetes_risk_model/versions/0.1.0/infer"
AGES: dict[str, Any] = {"name": "age", "shape": [2], "datatype": "BYTES", "data": ["FROM_80", None]}
MATRIX: dict[str, Any] = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [[28.5, 3, 9, 6]]}


@pytest.fixture(scope="module", autouse=True)
def no_failure_of_the_service(limited):
    """After all tests of this file, the service has not failed once."""
    yield
    assert " 500" not in limited.log()
    assert "Traceback" not in limited.log()


def assert_refused(reply, status, message, kind="ValidationError"):
    assert (reply.status, reply.json["type"]) == (status, kind), reply
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"type", "messages", "error"}
    assert reply.json["error"] == " ".join(reply.json["messages"])
    assert reply.json["error"].isprintable()
    assert message in reply.json["error"]


@pytest.fixture
def infer(limited, http):
    """`infer(body, ...)` sends a request: fields, or bytes with what comes after the JSON."""

    def send(body, extra=b"", *, length=None, path=INFER, content_type="application/json"):
        head = body if isinstance(body, bytes) else json.dumps(body).encode()
        if length is None and extra:
            length = len(head)
        header = "" if length is None else f"Inference-Header-Content-Length: {length}\r\n"
        return http.exchange(limited, http.request(path, head + extra, content_type, extra=header))

    return send


def one(**changes):
    """A request of one tensor; a change to ... leaves a key out."""
    fields = {**AGES, **changes}
    return {"inputs": [{name: value for name, value in fields.items() if value is not ...}]}


def texts(*values):
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


@pytest.mark.parametrize("path", [INFER, VERSIONED])
def test_a_request_as_curl_sends_it(infer, served_model, path):
    reply = infer({"id": "a", "inputs": [MATRIX]}, path=path)
    row = {"body_mass_index": 28.5, "general_health": "GOOD", "age": "FROM_60_TO_64", "income": "UNDER_50_000"}
    (expected,) = served_model.model.predict_batch([row]).probabilities
    assert reply.status == 200
    assert reply.json == {
        "model_name": "diabetes_risk_model",
        "model_version": "0.1.0",
        "id": "a",
        "parameters": {"parameters_version": "2026_11_21", "serial": 1},
        "outputs": [
            {"name": "probability", "shape": [1], "datatype": "FP64", "data": [expected]},
            {
                "name": "diabetes_risk",
                "shape": [1],
                "datatype": "BYTES",
                "data": ["DIABETES" if expected > 0.5 else "NO_DIABETES"],
            },
        ],
    }


def test_fields_that_a_client_writes_as_null(infer):
    fields = {**AGES, "parameters": None}
    reply = infer({"id": None, "parameters": None, "inputs": [fields], "outputs": None})
    assert reply.status == 200
    assert "id" not in reply.json


def test_parameters_of_others_are_passed_over(infer):
    parameters = {"content_type": "str", "priority": 3, "headers": {"a": "b"}}
    body = {"parameters": {"content_type": "pd"}, "inputs": [{**AGES, "parameters": parameters}]}
    assert infer(body).status == 200


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", None])
def test_no_media_type_is_needed_but_another_is_refused(limited, http, content_type):
    message = http.request(INFER, json.dumps({"inputs": [AGES]}).encode(), content_type or "text/plain")
    if content_type is None:
        assert_refused(http.exchange(limited, message), 415, "Content-Type", "UnsupportedMediaType")
        message = message.replace(b"Content-Type: text/plain\r\n", b"")
    assert http.exchange(limited, message).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"inputs": [], "inputs": []}', "'inputs' is in it twice"),
        (b'{"inputs": [{"name": "age", "name": "age"}]}', "'name' is in it twice"),
        (b'{"inputs": [{"data": [NaN]}]}', "NaN is not a number of JSON"),
        (b'{"inputs": ' + b"[" * 1_500 + b"]" * 1_500 + b"}", "nested too deeply"),
        (b"null", "The body"),
        (b"[]", "The body"),
        ({}, "Field 'inputs'"),
        ({"inputs": []}, "Field 'inputs'"),
        ({"inputs": None}, "Field 'inputs'"),
        ({"inputs": [3]}, "Field 'inputs.0'"),
        ({"inputs": [AGES], "extra": 1}, "Field 'extra'"),
        ({"inputs": [AGES], "id": 3}, "Field 'id'"),
        ({"inputs": [AGES], "parameters": []}, "Field 'parameters'"),
        ({"inputs": [AGES], "parameters": {"binary_data_output": 1}}, "binary_data_output"),
        (one(extra=1), "Field 'inputs.0.extra'"),
        (one(name=...), "Field 'inputs.0.name'"),
        (one(name="\x00\r\nforged"), r"'\x00\r\nforged' is none of them"),
        (one(name="x" * 5_000), "x..."),
        (one(shape=...), "Field 'inputs.0.shape'"),
        (one(shape=[]), "Field 'inputs.0.shape'"),
        (one(shape=2), "Field 'inputs.0.shape'"),
        (one(shape=[True]), "Field 'inputs.0.shape.0'"),
        (one(shape=["2"]), "Field 'inputs.0.shape.0'"),
        (one(shape=[-1]), "Field 'inputs.0.shape.0'"),
        (one(shape=[2, 1, 1]), "Field 'inputs.0.shape'"),
        (one(shape=[1, 2]), "its shape must be [n] or [n, 1]"),
        (one(shape=[2, 0], data=[]), "its shape must be [n] or [n, 1]"),
        (one(datatype="INT64"), "Field 'inputs.0.datatype'"),
        (one(datatype="FP64"), "its datatype must be BYTES"),
        (one(data=...), "either data or the parameter binary_data_size"),
        (one(data="FROM_80"), "Field 'inputs.0.data'"),
        (one(data=["FROM_80"]), "its shape says 2 elements, its data have 1"),
        (one(data=["FROM_80"] * 3), "its shape says 2 elements, its data have 3"),
        (one(data=["FROM_80", 3]), "must be text or null"),
        (one(data=["FROM_80", ["FROM_80"]]), "must be text or null"),
        (one(data=[["FROM_80"], ["FROM_80"]]), "must be text or null"),
        (one(shape=[2, 1], data=[["FROM_80"], "FROM_80"]), "each row of its data must have 1"),
        (one(shape=[2, 1], data=[["FROM_80"], []]), "each row of its data must have 1"),
        (one(data=["FROM_80", "\ud800"]), "Row 1, field 'age'"),
        (one(parameters={"shared_memory_region": "a"}), "shared memory"),
        ({"inputs": [AGES, AGES]}, "named twice"),
        ({"inputs": [AGES, MATRIX]}, "must be the only one"),
        ({"inputs": [MATRIX, AGES]}, "must be the only one"),
        ({"inputs": [AGES, {**AGES, "name": "income", "shape": [1], "data": [None]}]}, "same number of rows"),
        ({"inputs": [AGES], "outputs": [{"name": "risk"}]}, "Field 'outputs.0.name'"),
        ({"inputs": [AGES], "outputs": [{"name": "probability"}] * 2}, "named twice"),
        (
            {"inputs": [AGES], "outputs": [{"name": "probability", "parameters": {"classification": 2}}]},
            "neither classification",
        ),
        (
            {"inputs": [AGES], "outputs": [{"name": "probability", "parameters": {"shared_memory_region": "a"}}]},
            "nor shared memory",
        ),
        (
            {"inputs": [AGES], "outputs": [{"name": "probability", "parameters": {"binary_data": "yes"}}]},
            "binary_data",
        ),
    ],
)
def test_a_request_that_does_not_fit(infer, body, message):
    assert_refused(infer(body), 400, message)


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize("value", [1e308, 14.9, 60.1, -1, 0, 10**30])
def test_numbers_out_of_range(infer, datatype, value):
    body = one(name="body_mass_index", datatype=datatype, data=[28, value])
    assert_refused(infer(body), 400, "Row 1, field 'body_mass_index'")


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize("value", [10**400, True, "28", [28], {}])
def test_what_is_no_number(infer, datatype, value):
    body = one(name="body_mass_index", datatype=datatype, data=[28, value])
    assert_refused(infer(body), 400, "too large" if type(value) is int else "must be numbers or null")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([28.5, 0, 9, 6], "'general_health' must be a code from 1 to 5"),
        ([28.5, 6, 9, 6], "'general_health' must be a code from 1 to 5"),
        ([28.5, 1.5, 9, 6], "'general_health' must be a code from 1 to 5"),
        ([28.5, 3, 14, 6], "'age' must be a code from 1 to 13"),
        ([28.5, 3, 9, -1], "'income' must be a code from 1 to 8"),
        ([28.5, 3, 9, 1e300], "'income' must be a code from 1 to 8"),
        ([10, 3, 9, 6], "field 'body_mass_index'"),
    ],
)
def test_codes_out_of_range(infer, row, message):
    assert_refused(infer({"inputs": [{**MATRIX, "data": row}]}), 400, message)
    packed = struct.pack("<4d", *row)
    body = {"inputs": [{**MATRIX, "parameters": {"binary_data_size": 32}, "data": None}]}
    assert_refused(infer(body, packed), 400, message)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_in_binary_data(infer, value):
    body = one(name="body_mass_index", datatype="FP64", data=..., parameters={"binary_data_size": 16})
    assert_refused(infer(body, struct.pack("<2d", 28, value)), 400, "Row 1, field 'body_mass_index'")


@pytest.mark.parametrize(
    ("size", "binary", "message"),
    [
        (19, texts(b"FROM_80"), "come after the JSON"),
        (10, texts(b"FROM_80"), "come after the JSON"),
        (11, texts(b"FROM_80"), "not 2 texts"),
        (13, texts(b"FROM_80") + b"\x01\x00", "not 2 texts"),
        (15, texts(b"FROM_80") + b"\x01\x00\x00\x00", "not 2 texts"),
        (15, texts(b"FROM_80") + b"\xff\xff\xff\xff", "not 2 texts"),
        (19, texts(b"FROM_80", b"", b""), "not 2 texts"),
        (16, texts(b"FROM_80", b"\xff"), "element 1 is not UTF-8"),
        (19, texts(b"FROM_80", b"FRO\x00"), "Row 1, field 'age'"),
        (-1, b"x", "binary_data_size"),
        (2**70, b"x", "come after the JSON"),
        (True, b"x", "binary_data_size"),
        ("11", texts(b"FROM_80"), "binary_data_size"),
    ],
)
def test_binary_texts_that_do_not_fit(infer, size, binary, message):
    reply = infer(one(data=..., parameters={"binary_data_size": size}), binary)
    assert_refused(reply, 400, message)


@pytest.mark.parametrize(("datatype", "size"), [("FP64", 15), ("FP64", 8), ("FP64", 0), ("FP32", 16), ("FP32", 9)])
def test_binary_numbers_that_are_too_few_or_too_many(infer, datatype, size):
    body = one(name="body_mass_index", datatype=datatype, data=..., parameters={"binary_data_size": size})
    assert_refused(infer(body, bytes(size), length=len(json.dumps(body))), 400, f"its binary data are {size}")


def test_both_data_and_binary_data(infer):
    body = one(parameters={"binary_data_size": 11})
    assert_refused(infer(body, texts(b"FROM_80")), 400, "either data or the parameter binary_data_size")


def test_binary_data_that_no_tensor_claims(infer):
    assert_refused(infer({"inputs": [AGES]}, b"more"), 400, "0 bytes of data come after the JSON")


@pytest.mark.parametrize("length", [0, -1, 10**6, 10**40, "", "+5", "0x10", "5 5", "five"])
def test_a_header_length_that_is_none(infer, length):
    message = "not JSON" if length == 0 else "Inference-Header-Content-Length must be"
    assert_refused(infer({"inputs": [AGES]}, length=length), 400, message)


def test_binary_data_without_the_header(infer):
    body = json.dumps(one(data=..., parameters={"binary_data_size": 11})).encode()
    assert_refused(infer(body + texts(b"FROM_80")), 400, "not ")


def test_many_rows_that_do_not_fit_get_a_short_answer(infer):
    reply = infer(one(shape=[500], data=["OLD"] * 500))
    assert_refused(reply, 400, "There are 490 more problems.")
    assert len(reply.body) < 8_000
    assert "OLD" not in reply.json["error"].replace("'FROM_80'", "")


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({f"k{number}": 1 for number in range(10_000)}, 33),
        ({"inputs": [{f"k{number}": 1 for number in range(10_000)}]}, 35),
        ({"inputs": [{}] * 10_000}, 1),
        ({"inputs": [AGES], "outputs": [{}] * 10_000}, 1),
        ({"inputs": [{**AGES, "shape": [""] * 10_000}]}, 1),
    ],
)
def test_of_very_many_problems_few_are_looked_for(infer, body, problems):
    reply = infer(body)
    more = f"There are {problems - 10} more problems." if problems > 10 else reply.json["messages"][0]
    assert_refused(reply, 400, more)
    assert len(reply.json["messages"]) == min(problems, 11)


def test_the_largest_request_and_one_row_too_many(infer, limits):
    rows = limits["batch_rows"]
    assert infer(one(shape=[rows], data=[None] * rows)).json["outputs"][0]["shape"] == [rows]
    assert_refused(infer(one(shape=[rows + 1], data=[None] * (rows + 1))), 413, "more than", "TooManyRows")
    assert_refused(infer(one(shape=[10**30], data=[])), 413, "more than", "TooManyRows")


def test_a_body_that_is_too_large(infer, limits):
    assert_refused(infer(b" " * (limits["batch_bytes"] + 1)), 413, "larger than", "TooLarge")


def test_a_client_that_sends_nothing_more_is_told_after_the_time(limited, http):
    message = http.request(INFER, json.dumps({"inputs": [AGES]}).encode())[:-1]
    assert_refused(http.exchange(limited, message), 408, "did not arrive", "RequestTimeout")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [INFER, VERSIONED])
def test_another_method(limited, http, path, method):
    reply = http.exchange(limited, http.request(path, b"", method=method))
    assert_refused(reply, 405, "Method Not Allowed", "MethodNotAllowed")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/v2/models/another/infer", "/v2/models/diabetes_risk_model/versions/9/infer", "/v2/x"]
)
def test_a_path_that_is_not_there(limited, http, path):
    assert_refused(http.exchange(limited, http.request(path, b"{}")), 404, "Not Found", "NotFound")


def test_predictions_are_counted(infer, limited, http):
    def counted():
        metrics = http.exchange(limited, http.request("/metrics", method="GET")).body.decode()
        lines = [line for line in metrics.splitlines() if line.startswith("model_predictions_total")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = counted()
    infer({"inputs": [AGES]})
    infer(one(data=["OLD", "FROM_80"]))
    assert counted() - before == 2, "a request that is refused has no predictions"


def test_before_the_model_is_loaded(make_bucket, write_configuration, http):
    bucket = make_bucket()
    bucket.package.unlink()
    with ServiceProcess(
        "diabetes_risk_model.service.main:app", write_configuration(bucket.settings()), wait_ready=False
    ) as service:
        reply = http.exchange(service, http.request(INFER, json.dumps({"inputs": [AGES]}).encode()))
        assert_refused(reply, 503, "not loaded", "NotReady")
        assert int(reply.headers["retry-after"]) >= 1

        def get(path):
            reply = http.exchange(service, http.request(path, b"", method="GET"))
            return reply.status, reply.json

        assert get("/v2/health/live") == (200, {"live": True})
        assert get("/v2/health/ready") == (503, {"ready": False})
        model = "/v2/models/diabetes_risk_model"
        assert get(f"{model}/ready") == (503, {"name": "diabetes_risk_model", "ready": False})
        assert get(f"{model}/versions/0.1.0/ready")[0] == 503
        assert get(model)[0] == 200
