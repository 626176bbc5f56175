"""The bodies of requests: received within a size and a time, and read strictly. Whatever else they are is refused."""

import asyncio
import json
import re
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Never, cast

from pydantic import ValidationError
from starlette.types import Receive

from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.service.answers import CLOSE, RequestRefused, describe_problems

# What nearly every request says, as it stands.
_PLAIN_TYPES = {b"application/json": "application/json", b"text/csv": "text/csv"}
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_UTF_8 = (b"utf-8", b"utf8")


class ClientGone(Exception):
    """The client broke off before the body was complete. Nobody waits for an answer."""


def check_media_type(headers: Mapping[bytes, bytes], accepted: Collection[str]) -> str:
    """Return which of the accepted media types a request's body has.

    Raises:
        RequestRefused: 415: it has another type or none, is compressed, or is not UTF-8.
    """
    content_type = headers.get(b"content-type", b"")
    plain = _PLAIN_TYPES.get(content_type)
    if plain is not None and plain in accepted and b"content-encoding" not in headers:
        return plain
    media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    if media_type not in accepted:
        raise _unsupported(f"The body must be {' or '.join(accepted)}, named by the header Content-Type.")
    charset = _CHARSET.search(content_type)
    if charset is not None and charset.group(1).lower() not in _UTF_8:
        raise _unsupported("The body must be in UTF-8.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise _unsupported("The body must not be compressed.")
    return media_type


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, *, limit: int, seconds: float) -> bytes:
    """Receive the whole body.

    Args:
        headers: of the request.
        receive: ASGI's, a coroutine function.
        limit: largest size, in bytes. What comes is counted, whatever the client says of it.
        seconds: longest time for the whole body.

    Raises:
        RequestRefused: 413: it is larger. 408: it took longer.
        ClientGone: the client broke off.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    message = _received_already(receive)
    if message is None or message.get("more_body"):
        try:
            async with asyncio.timeout(seconds):
                body = await _read_parts(message, receive, limit)
        except TimeoutError:
            text = f"The body did not arrive within {seconds:g} seconds."
            raise RequestRefused(408, "RequestTimeout", text, headers=CLOSE) from None
    else:
        body = message.get("body", b"")
    if len(body) > limit:
        raise _too_large(limit)
    return body


def parse_json(body: bytes) -> object:
    """Read JSON as its standard has it: UTF-8, finite numbers, and no name twice in an object.

    Parsers differ over a name that comes twice, so a gateway could have checked another value than the one served.

    Raises:
        RequestRefused: 400.
    """
    try:
        text = body.decode()
        value, end = _fast_decoder.raw_decode(text)
        # In JSON each member of an object has a colon. Where there are no more colons than members that the objects
        # at the top kept, each member was kept: none came twice, and there are no objects further down.
        if end == len(text) and _members(value) == text.count(":"):
            return value
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        pass  # the strict decoder says what is wrong
    return _parse_strictly(body)


def _parse_strictly(body: bytes) -> object:
    try:
        return _strict_decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: an error at byte {error.start}"
    except json.JSONDecodeError as error:
        problem = f"not JSON: an error at character {error.pos}"
    except _NotStrict as error:
        problem = str(error)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # the interpreter reads whole numbers of a few thousand digits only
        problem = "not usable: a number in it has too many digits"
    raise bad_body(f"The body is {problem}.")


def bad_body(*messages: str) -> RequestRefused:
    """Return the refusal of a body that does not fit the contract."""
    return RequestRefused(400, "ValidationError", *messages)


def bad_fields(error: ValidationError) -> RequestRefused:
    """Return the refusal of a body in which pydantic found problems."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return bad_body(*describe_problems(problems))


class _NotStrict(ValueError):
    pass


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _NotStrict(f"not clear: the field '{printable(twice)}' is in it twice")
    return fields


def _refuse_constant(name: str) -> Never:
    raise _NotStrict(f"not JSON: {name} is not a number of JSON")


# The first is several times as fast, since no object comes out of C before it is whole.
_fast_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_strict_decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)


def _members(value: object) -> int:
    """Return how many members the objects have that are the value, or stand in the array that it is."""
    if type(value) is dict:
        return len(value)
    return sum(len(each) for each in value if type(each) is dict) if type(value) is list else 0


def _received_already(receive: Receive) -> Mapping[str, Any] | None:
    """Return the message that is there without waiting; None where there is none.

    Nearly always the body comes with the head, and setting up a time limit takes longer than reading it.
    """
    receiving = cast(Coroutine[Any, Any, Mapping[str, Any]], receive())
    try:
        receiving.send(None)
    except StopIteration as received:
        return _not_gone(received.value)
    receiving.close()  # as a time limit would: nothing was received yet, and it is asked again
    return None


async def _read_parts(message: Mapping[str, Any] | None, receive: Receive, limit: int) -> bytes:
    message = message or _not_gone(await receive())
    parts = bytearray(message.get("body", b""))
    while len(parts) <= limit and message.get("more_body"):
        message = _not_gone(await receive())
        parts += message.get("body", b"")
    return bytes(parts)


def _not_gone(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _too_deep() -> RequestRefused:
    return bad_body("The body is nested too deeply.")


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(413, "TooLarge", f"The body is larger than {limit:,} bytes.", headers=CLOSE)


def _unsupported(message: str) -> RequestRefused:
    return RequestRefused(415, "UnsupportedMediaType", message, headers=CLOSE)
