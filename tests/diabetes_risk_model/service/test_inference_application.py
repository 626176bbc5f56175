"""The Open Inference Protocol as a part of the application: which models it serves, its guard, and its refusals."""

import asyncio

import httpx
import yaml
from rest_model_service.schemas import Error

from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.service.answers import RequestRefused
from diabetes_risk_model.service.application import build_application
from diabetes_risk_model.service.configuration import LoadingRetries, RequestLimits
from diabetes_risk_model.service.inference.endpoint import InferenceEndpoint, can_infer
from diabetes_risk_model.service.loading import ModelLoading

INFER = "/v2/models/diabetes_risk_model/infer"


def test_a_decorated_model_is_not_there_because_that_would_go_round_its_decorator(bucket, write_configuration):
    path = write_configuration(bucket.settings())
    configuration = yaml.safe_load(path.read_text())
    configuration["models"][0]["decorators"] = [{"class_path": "ml_base.MLModelDecorator"}]
    path.write_text(yaml.safe_dump(configuration))
    assert INFER not in build_application(path).openapi()["paths"]


def through_asgi(application, path, root_path="", method="POST"):
    """Send an empty request to an ASGI application, and return its answer."""

    async def ask():
        transport = httpx.ASGITransport(application, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_a_guard_refuses_before_anything_is_read_and_in_the_protocols_form():
    def guard(headers):
        raise RequestRefused(401, "Unauthorized", "Sign in.", headers=((b"www-authenticate", b"Bearer"),))

    endpoint = InferenceEndpoint(DiabetesRiskModel, ModelLoading([], LoadingRetries()), RequestLimits(), None)
    assert through_asgi(endpoint, INFER).status_code == 503
    endpoint.guard = guard
    reply = through_asgi(endpoint, INFER)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert reply.json() == {"type": "Unauthorized", "messages": ["Sign in."], "error": "Sign in."}


def test_refusals_have_the_protocols_form_below_a_root_path_too(bucket, write_configuration):
    application = build_application(write_configuration(bucket.settings()))
    assert "error" in through_asgi(application, "/below/v2/nothing", "/below").json()
    assert "error" not in through_asgi(application, "/below/nothing", "/below").json()
    assert "error" not in through_asgi(application, "/v22", "").json()


def test_a_service_that_is_about_to_end_lives_and_is_not_ready(bucket, write_configuration):
    application = build_application(write_configuration(bucket.settings()))
    loading = ModelLoading([], LoadingRetries())
    application.state.life.loading = loading
    assert loading.ready
    ready = through_asgi(application, "/v2/health/ready", method="GET")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    application.state.life.drain()
    ready = through_asgi(application, "/v2/health/ready", method="GET")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    assert through_asgi(application, "/v2/health/live", method="GET").status_code == 200


def test_only_a_model_whose_batches_are_known_can_infer():
    assert can_infer(DiabetesRiskModel)
    assert not can_infer(type("Other", (), {"batch_output_schema": Error}))
    assert not can_infer(object)
