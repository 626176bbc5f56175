"""What the steps of a prediction could be instead, and partly were."""

import asyncio
import json
from collections.abc import Callable, Mapping

from benchmarks.services import BODIES
from benchmarks.timing import Cost, best, receive_of
from diabetes_risk_model.prediction.encoding import encode_plain
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.service.bodies import parse_json


def others_of(models: Mapping[str, DiabetesRiskModel], number: int) -> list[Cost]:
    """Time what the steps could be instead, and partly were.

    Args:
        models: by their engines' names; the engines besides the first are timed.
        number: as for `steps_of`.
    """
    bodies = [json.dumps(body).encode() for body in BODIES]
    parsed = [parse_json(body) for body in bodies]
    rows = [row for row in map(encode_plain, parsed) if row is not None]
    schema = DiabetesRiskModel.input_schema
    people = [schema.model_validate(given) for given in parsed]
    model, *others = models.values()
    receives = [receive_of(body) for body in bodies]
    loop = asyncio.new_event_loop()

    async def within() -> None:
        for receive in receives:
            async with asyncio.timeout(10):
                await receive()

    def dump() -> None:
        for person in people:
            model.predict(person).model_dump_json().encode()

    def strictly() -> None:
        for body in bodies:
            strict.decode(body.decode())

    strict = json.JSONDecoder(object_pairs_hook=lambda pairs: dict(pairs))
    timed: list[tuple[str, Callable[[], object], str]] = [
        ("body", lambda: loop.run_until_complete(within()), "with a time limit set up for each"),
        ("parse", strictly, "each object handed to Python, which looks for names that come twice"),
        ("validate", lambda: [schema.model_validate(given) for given in parsed], "by the schema"),
        ("predict, answer", dump, "`predict`, with encoding, and the schema's JSON"),
    ]
    costs = [Cost(name, best(function, number), note) for name, function, note in timed]
    loop.close()
    for other in others:
        engine = other._engine
        cost = best(lambda engine=engine: [engine.probability(row) for row in rows], max(1, number // 10))  # type: ignore[misc]
        costs.append(Cost("predict", cost, type(engine).__name__))
    return costs
