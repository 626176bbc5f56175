"""Infer: the endpoint that takes tensors. They are a batch, so it has the limits and the thread of batches."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError
from starlette.types import Receive

from diabetes_risk_model.prediction.batch import BatchOutput
from diabetes_risk_model.service.answers import Answer
from diabetes_risk_model.service.bodies import bad_fields, check_media_type, parse_json, read_body
from diabetes_risk_model.service.configuration import RequestLimits
from diabetes_risk_model.service.endpoints import JSON, BatchEndpoint
from diabetes_risk_model.service.inference.binary import MEDIA_TYPE, split_body
from diabetes_risk_model.service.inference.inputs import columns_of, read_rows, refuse_rows
from diabetes_risk_model.service.inference.outputs import wanted_outputs, write_response
from diabetes_risk_model.service.inference.schemas import InferenceRequest, protocol_answer
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics

# The protocol names a media type for neither form, and some of its clients send none.
_DEFAULT_TYPE = {b"content-type": JSON.encode()}


def can_infer(model_class: Any) -> bool:
    """Return whether a model's batches are those that this endpoint writes."""
    return getattr(model_class, "batch_output_schema", None) is BatchOutput


class InferenceEndpoint(BatchEndpoint):
    """Answers the tensors of a request with tensors. One row that does not fit, and the request is refused."""

    def __init__(
        self,
        model_class: Any,
        loading: ModelLoading,
        limits: RequestLimits,
        metrics: ServiceMetrics | None,
        turns: ThreadPoolExecutor | None = None,
    ) -> None:
        super().__init__(model_class, loading, limits, metrics, turns)
        self._fields = columns_of(model_class.input_schema)

    def refusal(self, answer: Answer) -> Answer:
        """Return a refusal in the protocol's form."""
        return protocol_answer(answer)

    async def answer(self, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        """Return the response."""
        model = self.model()
        check_media_type({**_DEFAULT_TYPE, **headers}, (JSON, MEDIA_TYPE))
        body = await read_body(headers, receive, limit=self.limits.batch_bytes, seconds=self.limits.body_seconds)
        return await asyncio.get_running_loop().run_in_executor(self.turns, self._infer, model, headers, body)

    def _infer(self, model: Any, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        head, binary = split_body(headers, body)
        try:
            request = InferenceRequest.model_validate(parse_json(head))
        except ValidationError as error:
            raise bad_fields(error) from None
        wanted = wanted_outputs(request)
        batch = model.predict_batch(read_rows(request.inputs, binary, self._fields, self.limits.batch_rows))
        if batch.errors:
            raise refuse_rows(batch.errors)
        self.count(batch)
        fields = {"model_name": model.qualified_name, "model_version": model.version}
        if request.id is not None:
            fields["id"] = request.id
        statement = getattr(model, "statement", None)
        if statement is not None:
            fields["parameters"] = {"parameters_version": statement.parameters_version, "serial": statement.serial}
        return write_response(fields, batch, wanted)
