"""The floor: a bare ASGI application that parses the same JSON and answers a constant. No Python service is faster.

It does what any application on uvicorn must do, and nothing else: no check, no model, no framework.
"""

import json

from starlette.types import Receive, Scope, Send

_ANSWER = b'{"diabetes_risk":"NO_DIABETES","probability":0.2503163562561391}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_ANSWER)).encode())]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, whatever its path."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    if body:
        json.loads(body)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})
