"""OpenAI's and Anthropic's error objects, and the bytes that every answer starts with: made here and nowhere else.

Sources: OpenAI's published API description (`Error`: message, type, param, code) and Anthropic's Messages API
(`{"type": "error", "error": {"type", "message"}}`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from serve.errors import ParlanceError
from serve.routing.records import Endpoint

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")

# Anthropic's names for our statuses; all other 4xx are invalid_request_error, all other 5xx api_error.
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ErrorObject(msgspec.Struct, frozen=True):
    """The four fields of an OpenAI error. Engines send numbers in `code`: it is always a word or null here."""

    message: str
    type: str
    param: str | None
    code: str | None


def error_object(error: ParlanceError) -> ErrorObject:
    """The error as OpenAI's clients read it."""
    return ErrorObject(error.message, error.type, error.param, error.code)


def error_body(status: int, error: ErrorObject, endpoint: Endpoint | None, request_id: str) -> bytes:
    """The body of an error response, in the shape that the clients of this endpoint expect."""
    if endpoint is Endpoint.MESSAGES:
        kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        inner = {"type": kind, "message": error.message, "param": error.param, "code": error.code}
        return msgspec.json.encode({"type": "error", "error": inner, "request_id": request_id})
    return msgspec.json.encode({"error": error, "request_id": request_id})


def error_event(error: ParlanceError, endpoint: Endpoint, request_id: str) -> bytes:
    """The last event of a stream that failed. Nothing follows it, above all no [DONE]."""
    body = error_object(error)
    if endpoint is Endpoint.MESSAGES:
        return b"event: error\ndata: %s\n\n" % error_body(error.status, body, endpoint, request_id)
    if endpoint is Endpoint.RESPONSES:
        data = {"type": "error", "message": body.message, "code": body.code, "param": body.param, "sequence_number": 0}
        return b"event: error\ndata: %s\n\n" % msgspec.json.encode(data)
    return b"data: %s\n\n" % msgspec.json.encode({"error": body, "request_id": request_id})


def error_headers(error: ParlanceError) -> Headers:
    """Headers that go with an error beyond the usual ones."""
    headers: Headers = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


async def respond(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    """Sends a whole JSON response."""
    start = [JSON, (b"content-length", b"%d" % len(body)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, error: ParlanceError, endpoint: Endpoint | None, request_id: str) -> None:
    """Sends an error as a whole response. A body that was too large or too slow is not read on: the connection ends."""
    body = error_body(error.status, error_object(error), endpoint, request_id)
    headers = [*error_headers(error), (b"x-request-id", request_id.encode())]
    if error.status in (408, 413, 431):
        headers.append((b"connection", b"close"))
    await respond(send, error.status, body, headers)
