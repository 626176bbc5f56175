"""Answers, and the `Error` that every refusal is. Nothing that a client sent is repeated, except names of fields."""

import asyncio
import logging
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rest_model_service.schemas import Error
from starlette.types import Receive, Send

from diabetes_risk_model.prediction.problems import field_of

Headers = tuple[tuple[bytes, bytes], ...]

CLOSE: Headers = ((b"connection", b"close"),)
_SHOWN_PROBLEMS = 10
_LINGERING_SECONDS = 2.0

_logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: of HTTP.
        body: the JSON, as a rule.
        headers: beside those of its type and length.
        media_type: of the body.
    """

    status: int
    body: bytes
    headers: Headers = ()
    media_type: bytes = b"application/json"


class RequestRefused(Exception):
    """A request is not served.

    Args:
        status: of HTTP.
        kind: the error's type, for programs.
        messages: for people, each a sentence.
        headers: of the answer. With `CLOSE` what else the client sends is not read.
    """

    def __init__(self, status: int, kind: str, *messages: str, headers: Headers = ()) -> None:
        super().__init__(kind)
        self.answer = error_answer(status, kind, *messages, headers=headers)


def error_answer(status: int, kind: str, *messages: str, headers: Headers = ()) -> Answer:
    """Return the answer that is an `Error`."""
    return Answer(status, Error(type=kind, messages=list(messages)).model_dump_json().encode(), headers)


def failure_answer(failure: BaseException) -> Answer:
    """Return the answer to a failure of the service, and log where it happened.

    The failure's own text goes nowhere: it may hold what a patient answered.
    """
    where = "".join(traceback.format_tb(failure.__traceback__))
    _logger.error("A request failed with %s at:\n%s", type(failure).__name__, where)
    return error_answer(500, "ServiceError", "The service failed. Its log says where.")


async def send_answer(send: Send, receive: Receive, answer: Answer) -> None:
    """Send an answer by ASGI.

    Where it closes the connection, what the client still sends is read for a moment, and dropped. Closed at once, the
    connection would be reset under a client that is sending, and the answer lost.
    """
    length = (b"content-length", str(len(answer.body)).encode())
    closes = CLOSE[0] in answer.headers
    headers = [(b"content-type", answer.media_type), length, *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": closes})
    if closes:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGERING_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body"})


def describe_problems(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each of the first problems that pydantic found in a body."""
    sentences = []
    for problem in problems[:_SHOWN_PROBLEMS]:
        field = field_of(problem)
        where = f"Field '{field}'" if field else "The body"
        sentences.append(f"{where}: {problem['msg']}.")
    if len(problems) > _SHOWN_PROBLEMS:
        sentences.append(f"There are {len(problems) - _SHOWN_PROBLEMS} more problems.")
    return sentences
