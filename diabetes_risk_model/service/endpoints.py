"""The endpoints that take a body: one prediction, and many.

They speak ASGI themselves: what a framework does for each request costs several times what a prediction does.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ml_base.ml_model import MLModelSchemaValidationException
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from diabetes_risk_model.service import rows
from diabetes_risk_model.service.answers import (
    CLOSE,
    Answer,
    RequestRefused,
    failure_answer,
    send_answer,
)
from diabetes_risk_model.service.bodies import ClientGone, bad_fields, check_media_type, parse_json, read_body
from diabetes_risk_model.service.configuration import RequestLimits
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics, label_of

JSON = "application/json"
CSV = "text/csv"


class ModelEndpoint(ABC):
    """An endpoint of a model, as an ASGI application. Whatever happens, the client gets an answer of the contract.

    Attributes:
        guard: is given the headers of each request, and raises `RequestRefused` for one that may not go on.
    """

    guard: Callable[[Iterable[tuple[bytes, bytes]]], None] | None = None

    def __init__(
        self, model_class: Any, loading: ModelLoading, limits: RequestLimits, metrics: ServiceMetrics | None
    ) -> None:
        """Describe the endpoint.

        Args:
            model_class: an `ml_base.MLModel`, which names itself and its schemas.
            loading: has the model when it is loaded.
            limits: on a request.
            metrics: count the predictions.
        """
        self.limits = limits
        self.metrics = metrics
        self._name: str = model_class.qualified_name
        self._loading = loading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            if self.guard is not None:
                self.guard(scope["headers"])
            answer = await self.answer(dict(scope["headers"]), receive)
        except RequestRefused as refused:
            answer = self.refusal(refused.answer)
        except ClientGone:
            return
        except Exception as failure:
            answer = self.refusal(failure_answer(failure))
        await send_answer(send, receive, answer)

    @abstractmethod
    async def answer(self, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        """Return the answer.

        Raises:
            RequestRefused: it is another one.
            ClientGone: nobody waits for it.
        """

    def refusal(self, answer: Answer) -> Answer:
        """Return a refusal, which is an `Error`, as the clients of this endpoint know refusals."""
        return answer

    def model(self) -> Any:
        """Return the model.

        Raises:
            RequestRefused: 503: it is not loaded.
        """
        model = self._loading.get(self._name)
        if model is None:
            raise RequestRefused(
                503,
                "NotReady",
                "The model is not loaded. Ask /api/health/ready when it is.",
                headers=(*CLOSE, (b"retry-after", str(self._loading.retry_after).encode())),
            )
        return model


class PredictionEndpoint(ModelEndpoint):
    """Answers with one prediction, computed in the event loop."""

    def __init__(
        self,
        model_class: Any,
        loading: ModelLoading,
        limits: RequestLimits,
        metrics: ServiceMetrics | None,
        *,
        plain: bool = False,
    ) -> None:
        """Describe the endpoint.

        Args:
            model_class: as for every endpoint.
            loading: as for every endpoint.
            limits: as for every endpoint.
            metrics: as for every endpoint.
            plain: ask the model's `answer_plain` first, which goes round `predict` and so round decorators.
        """
        super().__init__(model_class, loading, limits, metrics)
        self._plain = plain
        self._schema = model_class.input_schema
        self._label = label_of(model_class.output_schema)

    async def answer(self, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        """Return the prediction."""
        model = self.model()
        check_media_type(headers, (JSON,))
        body = await read_body(headers, receive, limit=self.limits.prediction_bytes, seconds=self.limits.body_seconds)
        given = parse_json(body)
        if self._plain:
            answered = model.answer_plain(given)
            if answered is not None:
                label, content = answered
                if self.metrics is not None:
                    self.metrics.count_prediction(self._name, label)
                return Answer(200, content)
        return self._answer_by_schema(model, given)

    def _answer_by_schema(self, model: Any, given: object) -> Answer:
        try:
            data = self._schema.model_validate(given)
        except ValidationError as error:
            raise bad_fields(error) from None
        try:
            output = model.predict(data)
        except MLModelSchemaValidationException:
            raise RequestRefused(400, "SchemaValidationError", "The model does not take this input.") from None
        if self.metrics is not None and self._label is not None:
            self.metrics.count_prediction(self._name, str(getattr(output, self._label)))
        return Answer(200, output.model_dump_json().encode())


class BatchEndpoint(ModelEndpoint):
    """Answers many rows, in a thread, one batch after the other, so that single predictions need not wait for it."""

    def __init__(
        self,
        model_class: Any,
        loading: ModelLoading,
        limits: RequestLimits,
        metrics: ServiceMetrics | None,
        turns: ThreadPoolExecutor | None = None,
    ) -> None:
        """Describe it as a `ModelEndpoint`, and by `turns`, the thread of another one, to share that."""
        super().__init__(model_class, loading, limits, metrics)
        self.turns = turns or ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._columns = rows.columns_of(model_class.input_schema)

    async def answer(self, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        """Return the predictions, and what is wrong with the rows that do not fit."""
        model = self.model()
        media_type = check_media_type(headers, (JSON, CSV))
        body = await read_body(headers, receive, limit=self.limits.batch_bytes, seconds=self.limits.body_seconds)
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(self.turns, self._compute, model, media_type, body)
        return Answer(200, content)

    def _compute(self, model: Any, media_type: str, body: bytes) -> bytes:
        most = self.limits.batch_rows
        given = rows.from_csv(body, self._columns, most) if media_type == CSV else rows.from_json(body, most)
        batch = model.predict_batch(given)
        self.count(batch)
        content: bytes = batch.to_json()
        return content

    def count(self, batch: Any) -> None:
        """Tell the metrics of answers that are given."""
        if self.metrics is not None:
            self.metrics.count_predictions(self._name, batch.count())
