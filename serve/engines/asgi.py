"""The few ASGI words that the engine's middlewares speak."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

RETRY_AFTER_S = 2


async def unavailable(send: Send, message: str) -> None:
    """Answers 503 with an OpenAI error object and Retry-After, and closes the connection."""
    body = json.dumps(
        {
            "error": {
                "message": message,
                "type": "service_unavailable_error",
                "param": None,
                "code": "engine_unavailable",
            }
        }
    ).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
