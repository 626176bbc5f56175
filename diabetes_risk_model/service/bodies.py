"""The bodies of requests: received within a size and a time, and read strictly. Whatever else they are is refused."""

import asyncio
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Never

from starlette.types import Receive

from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.service.answers import CLOSE, RequestRefused

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
        receive: ASGI's.
        limit: largest size, in bytes. What comes is counted, whatever the client says of it.
        seconds: longest time for the whole body.

    Raises:
        RequestRefused: 413: it is larger. 408: it took longer.
        ClientGone: the client broke off.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            message = await _receive(receive)
            body = message.get("body", b"")
            if message.get("more_body"):
                parts = bytearray(body)
                while len(parts) <= limit and message.get("more_body"):
                    message = await _receive(receive)
                    parts += message.get("body", b"")
                body = bytes(parts)
    except TimeoutError:
        text = f"The body did not arrive within {seconds:g} seconds."
        raise RequestRefused(408, "RequestTimeout", text, headers=CLOSE) from None
    if len(body) > limit:
        raise _too_large(limit)
    return bytes(body)


def parse_json(body: bytes) -> object:
    """Read JSON as its standard has it: UTF-8, finite numbers, and no name twice in an object.

    Parsers differ over a name that comes twice, so a gateway could have checked another value than the one served.

    Raises:
        RequestRefused: 400.
    """
    try:
        return _decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: an error at byte {error.start}"
    except json.JSONDecodeError as error:
        problem = f"not JSON: an error at character {error.pos}"
    except _NotStrict as error:
        problem = str(error)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:  # the interpreter reads whole numbers of a few thousand digits only
        problem = "not usable: a number in it has too many digits"
    raise bad_body(f"The body is {problem}.")


def bad_body(*messages: str) -> RequestRefused:
    """Return the refusal of a body that does not fit the contract."""
    return RequestRefused(400, "ValidationError", *messages)


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


_decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)


async def _receive(receive: Receive) -> Mapping[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(413, "TooLarge", f"The body is larger than {limit:,} bytes.", headers=CLOSE)


def _unsupported(message: str) -> RequestRefused:
    return RequestRefused(415, "UnsupportedMediaType", message, headers=CLOSE)
