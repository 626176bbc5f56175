"""What each step of a prediction costs, in microseconds: `python -m benchmarks.steps`.

Each step runs alone, as the service runs it, with the same random people. "The application" is all of it in one
process without a server: the steps, and what holds them together. "The whole" is the processor's time that a served
process uses for each request under load; uvicorn, the event loop and the sockets are the rest of that. The same
whole is measured for the bare application, which is the floor. Last comes what the steps could be instead.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console
from rich.table import Table
from starlette.types import Message, Scope

import signed_parameters as sp
from benchmarks.alternatives import others_of
from benchmarks.load import LoadError, post, require_wrk
from benchmarks.resources import processor_seconds
from benchmarks.services import (
    BODIES,
    ENGINES,
    FLOOR,
    OUR_APPLICATION,
    ROOT,
    TRAINED,
    build_baseline,
    model_settings,
    our_configuration,
)
from benchmarks.timing import Cost, best, receive_of
from diabetes_risk_model.prediction.encoding import encode_plain
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.parameters import MODEL_NAME
from diabetes_risk_model.prediction.plain import plain_answer
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.answers import Answer, send_answer
from diabetes_risk_model.service.application import Application
from diabetes_risk_model.service.bodies import check_media_type, parse_json, read_body
from diabetes_risk_model.service.configuration import RequestLimits
from diabetes_risk_model.service.endpoints import JSON, PredictionEndpoint
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

ALL = "the application"
PATH = f"/api/models/{MODEL_NAME}/prediction"


def _loading(model: DiabetesRiskModel) -> ModelLoading:
    known = SimpleNamespace(get=lambda name: model, ready=True, failures={}, loaded={MODEL_NAME: model}, retry_after=1)
    return cast(ModelLoading, known)


def steps_of(model: DiabetesRiskModel, number: int) -> list[Cost]:
    """Time each step alone, and all together.

    Args:
        model: loaded.
        number: how often all bodies are gone through, for each of several repeats.
    """
    bodies = [json.dumps(body).encode() for body in BODIES]
    parsed = [parse_json(body) for body in bodies]
    rows = [row for row in map(encode_plain, parsed) if row is not None]
    probabilities = [model._engine.probability(row) for row in rows]
    answers = [Answer(200, plain_answer(probability).content) for probability in probabilities]
    labels = [plain_answer(probability).label for probability in probabilities]
    scopes = [_scope(body) for body in bodies]
    headers = [dict(scope["headers"]) for scope in scopes]
    receives = [receive_of(body) for body in bodies]
    loading = _loading(model)
    metrics = ServiceMetrics(loading)
    limits = RequestLimits()
    engine = model._engine
    application = Application()
    application.observe(metrics, log=False)
    endpoint = PredictionEndpoint(DiabetesRiskModel, loading, limits, metrics, plain=True)
    application.add_direct(PATH, endpoint, DiabetesRiskModel.input_schema)
    loop = asyncio.new_event_loop()

    def awaited(run: Callable[[], Any]) -> Callable[[], object]:
        return lambda: loop.run_until_complete(run())

    async def read() -> None:
        for given, receive in zip(headers, receives, strict=True):
            await read_body(given, receive, limit=limits.prediction_bytes, seconds=limits.body_seconds)

    async def send() -> None:
        for answer, receive in zip(answers, receives, strict=True):
            await send_answer(_send, receive, answer)

    async def everything() -> None:
        for scope, receive in zip(scopes, receives, strict=True):
            await application(dict(scope), receive, _send)

    def check() -> None:
        for scope in scopes:
            check_media_type(dict(scope["headers"]), (JSON,))

    def count() -> None:
        for label in labels:
            metrics.count_request("POST", PATH, 200, 0.0001)
            metrics.count_prediction(MODEL_NAME, label)

    def each(function: Callable[[Any], object], values: Sequence[Any]) -> Callable[[], object]:
        def run() -> None:
            for value in values:
                function(value)

        return run

    timed = [
        ("headers", check, "as a dictionary; media type and encoding"),
        ("body", awaited(read), "received, within its size and time"),
        ("parse", each(parse_json, bodies), "strict JSON: no name twice, no NaN"),
        ("validate, encode", each(encode_plain, parsed), "plain answers to the model's row; the schema for others"),
        ("predict", each(engine.probability, rows), type(engine).__name__),
        ("answer", each(plain_answer, probabilities), "its JSON"),
        ("count", count, "request, latency and prediction, for Prometheus"),
        ("send", awaited(send), "ASGI's two messages, to nobody"),
    ]
    costs = [Cost(name, best(function, number), note) for name, function, note in timed]
    whole = best(awaited(everything), number)
    rest = whole - sum(cost.microseconds for cost in costs)
    costs.append(Cost("glue", rest, "request id, finding the endpoint, coroutines in one another"))
    costs.append(Cost(ALL, whole, "all of the above in one run"))
    loop.close()
    return costs


def _scope(body: bytes) -> Scope:
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    return {"type": "http", "method": "POST", "path": PATH, "headers": headers}


async def _send(_: Message) -> None:
    return None


def served(configuration: Path, *, rounds: int, seconds: int) -> dict[str, float]:
    """Serve ours and the floor at once, load them in turn, and return the processor's time for a request of each.

    Args:
        configuration: of ours.
        rounds: how many times each is loaded; the median counts.
        seconds: how long each time.

    Returns:
        Microseconds, for `OUR_APPLICATION` and `FLOOR`.
    """
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                ServiceProcess(app, configuration, {"PYTHONPATH": str(ROOT)}, arguments=["--no-access-log"])
            )
            for name, app in ((OUR_APPLICATION, OUR_APPLICATION), (FLOOR, "benchmarks.bare:app"))
        }
        times: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, process in running.items():
                before = processor_seconds(process.pid)
                load = post(process.url + PATH, BODIES, seconds=seconds)
                times[name].append((processor_seconds(process.pid) - before) / load.requests * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def print_table(costs: Sequence[Cost], others: Sequence[Cost], whole: Mapping[str, float]) -> None:
    """Print the steps, each with its share of the whole, and what they could be instead."""
    ours, floor = whole[OUR_APPLICATION], whole[FLOOR]
    table = Table(title="A prediction, step by step")
    for heading in ("step", "µs", "share", "what"):
        table.add_column(heading, justify="right" if heading in ("µs", "share") else "left")
    for cost in costs:
        if cost.name == ALL:
            table.add_section()
        table.add_row(cost.name, f"{cost.microseconds:.1f}", f"{cost.microseconds / ours:.0%}", cost.note)
    (rest,) = (ours - cost.microseconds for cost in costs if cost.name == ALL)
    table.add_row("framework and socket", f"{rest:.1f}", f"{rest / ours:.0%}", "uvicorn, event loop, kernel")
    table.add_row("the whole", f"{ours:.1f}", "100%", "processor's time under load")
    table.add_row("the floor", f"{floor:.1f}", f"{floor / ours:.0%}", "the whole of a bare ASGI application")
    table.add_section()
    for cost in others:
        table.add_row(f"instead: {cost.name}", f"{cost.microseconds:.1f}", "", cost.note)
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def main() -> int:
    """Measure and print; return 2 where a service fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--folder", type=Path, default=TRAINED, help="of the models")
    parser.add_argument("--source", default="auto", help="survey: auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on, where a model must be trained")
    parser.add_argument("--engine", choices=ENGINES, default="table", help="of our model (default: table)")
    parser.add_argument("--number", type=int, default=50, help="how often 64 people go through each step")
    parser.add_argument("--rounds", type=int, default=3, help="loads on each service; their median counts")
    parser.add_argument("--seconds", type=int, default=4, help="length of each load")
    options = parser.parse_args()
    try:
        require_wrk()
        build_baseline(options.folder, options.source, options.rows)
        with tempfile.TemporaryDirectory() as folder:
            settings = {"metrics": {"enabled": True}}
            configuration = our_configuration(options.folder, Path(folder), options.engine, **settings)
            with step("Each step alone"):
                engines = [options.engine, *(engine for engine in ENGINES if engine != options.engine)]
                given = model_settings(configuration)
                models = {engine: DiabetesRiskModel(**{**given, "engine": engine}) for engine in engines}
                costs = steps_of(models[options.engine], options.number)
                others = others_of(models, options.number)
            with step("The whole, under load"):
                whole = served(configuration, rounds=options.rounds, seconds=options.seconds)
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    print_table(costs, others, whole)
    return 0


if __name__ == "__main__":
    sys.exit(main())
