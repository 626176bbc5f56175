"""What an account that may only read the registry can have done in it: MLflow has more than a registry."""

import json
import re
import secrets
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.test_registry import Ask, Running, programs, registry

__all__ = ["programs", "registry"]


@pytest.fixture(scope="module")
def reader(registry: Running) -> Ask:
    """An account with no right but to read: `reader(path, fields, method=...)` asks as who has it."""
    account = {"username": "reader", "password": secrets.token_hex(16)}
    made = registry.status("/api/2.0/mlflow/users/create", account, user="admin", password=registry.password)
    assert made == 200
    return partial(registry.ask, user="reader", password=account["password"])


class _Adviser(BaseHTTPRequestHandler):
    """What a language model answers that wants a command to be run, and then says that it is done."""

    def do_GET(self) -> None:
        self._say(b'{"models": [{"model": "adviser"}]}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = {"name": "Bash", "arguments": json.dumps({"command": self.server.command})}  # type: ignore[attr-defined]
        delta: dict[str, object] = {"tool_calls": [{"index": 0, "id": "1", "function": call}]}
        if asked["messages"][-1]["role"] == "tool":
            delta = {"content": "done"}
        self._say(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\ndata: [DONE]\n\n")

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def adviser(command: str) -> Iterator[str]:
    """Run a language model that wants this command to be run; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Adviser)
    server.command = command  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_who_may_read_gets_no_command_run_in_the_server(reader: Ask, tmp_path: Path) -> None:
    """`kubectl port-forward` ends at 127.0.0.1 in the pod, which is all that MLflow's assistant asks of its users."""
    assistant, taken = "/ajax-api/3.0/mlflow/assistant", tmp_path / "taken"
    with adviser(f"env > {taken}") as address:
        chosen = {"base_url": address, "selected": True, "permissions": {"full_access": True}}
        steps = [reader(f"{assistant}/config", {"providers": {"ollama": chosen}}, method="PUT")]
        steps.append(reader(f"{assistant}/message", {"message": "go"}))
        if steps[-1][0] == 200:
            steps.append(reader(json.loads(steps[-1][1])["stream_url"]))
    assert not taken.exists(), f"a reader has the server's variables: {re.findall('^[A-Z_]+', taken.read_text(), re.M)}"
    assert {status for status, _ in steps} <= {403, 404}, steps


def beside_the_registry() -> list[tuple[str, str]]:
    """Return the methods and paths of MLflow's assistant, gateway, jobs, OTLP and MCP, as MLflow itself has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MLflow and of what it brings
        from mlflow.server.assistant.api import assistant_router
        from mlflow.server.gateway_api import gateway_router
        from mlflow.server.job_api import job_api_router
        from mlflow.server.mcp_server_api import get_mcp_server_api_route_prefixes, mcp_server_router
        from mlflow.server.otel_api import otel_router

    parts: list[tuple[Any, str]] = [
        (router, "") for router in (assistant_router, gateway_router, job_api_router, otel_router)
    ]
    parts += [(mcp_server_router, prefix) for prefix in get_mcp_server_api_route_prefixes()]
    return [
        (method, prefix + re.sub(r"{[^}]*}", "1", route.path))
        for router, prefix in parts
        for route in router.routes
        for method in route.methods
    ]


def test_what_mlflow_has_beside_its_registry_is_not_there(registry: Running, reader: Ask) -> None:
    routes = beside_the_registry()
    assert len(routes) > 60
    for method, path in routes:
        assert reader(path, {}, method=method)[0] == 403, (method, path)
        found, answer = registry.ask(path, {}, method=method, user="admin", password=registry.password)
        assert found == 404, (method, path, answer)


def test_who_may_read_has_no_code_run_and_no_request_sent(reader: Ask, tmp_path: Path) -> None:
    api, ajax, taken = "/api/3.0/mlflow", "/ajax-api/3.0/mlflow", tmp_path / "taken"
    made = reader("/api/2.0/mlflow/experiments/create", {"name": secrets.token_hex(4)})
    own = {"experiment_id": json.loads(made[1])["experiment_id"], "trace_ids": ["tr-1"], "name": "scorer"}
    code = f"open({str(taken)!r}, 'w').close()"
    scorer = {"name": "own", "call_source": code, "call_signature": "()", "original_func_name": "own"}
    judge = {"name": "judge", "builtin_scorer_class": "Safety", "builtin_scorer_pydantic_data": {"name": "judge"}}
    for path, fields, status, reason in [
        (f"{api}/scorers/register", {**own, "serialized_scorer": json.dumps(scorer)}, 400, b"disabled"),
        (f"{ajax}/scorer/invoke", {**own, "serialized_scorer": json.dumps(scorer)}, 400, b"disabled"),
        (f"{ajax}/scorer/invoke", {**own, "serialized_scorer": json.dumps(judge)}, 500, b"not enabled"),
        (f"{ajax}/genai/evaluate/invoke", {**own, "serialized_scorers": [json.dumps(judge)]}, 500, b"not enabled"),
        (f"{ajax}/gateway/secrets/create", {}, 501, b"disabled"),
        (f"{ajax}/gateway/endpoints/create", {}, 501, b"disabled"),
        (f"{ajax}/gateway/secrets/list", None, 501, b"disabled"),
        ("/api/2.0/mlflow/webhooks", {"name": "x", "url": "https://example.org"}, 403, b"denied"),
        ("/api/2.0/mlflow/experiments/create", {"name": "y", "artifact_location": "http://10.0.0.1/"}, 400, b"host"),
    ]:
        found, answer = reader(path, fields)
        assert found == status, (path, answer)
        assert reason in answer, (path, answer)
    assert not taken.exists()
